/* SPDX-License-Identifier: MIT */
/*
 * The relay between the provider device and the provider port. A kernel module
 * cannot use a port itself: the port has no read_iter/write_iter. Each open of
 * the device is one provider instance, so it is opened when a host is there
 * and closed when that host is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "agent.h"

#define PORT_MS		2000
#define RETRY_MS	5
#define STOP_NS		1000000000u

static pid_t relay_pid;
static uint32_t stop_id, stop_session;
static uint64_t stop_deadline;		/* 0: no stop in progress */

/* Until the host leaves: its bytes have nowhere to go. */
static void discard(int port)
{
	static uint8_t junk[4096];
	struct pollfd p = { .fd = port, .events = POLLIN };

	while (poll(&p, 1, -1) >= 0) {
		ssize_t n = p.revents & POLLIN ? read(port, junk, sizeof(junk)) : 0;

		if (n == 0 && p.revents)
			return;
	}
}

/* The device, once it exists and is free; -1 when the host leaves before that. */
static int open_device(int port)
{
	for (;;) {
		struct pollfd p = { .fd = port };
		int fd = open(TSMW_PROVIDER_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (poll(&p, 1, RETRY_MS) > 0)
			return -1;
	}
}

__attribute__((noreturn)) static void relay_main(void)
{
	int port = port_find(TSMW_PORT_PROVIDER, PORT_MS), device;
	enum pump_end end;

	if (port < 0)
		_exit(1);
	for (;;) {
		port_wait_host(port);
		device = open_device(port);
		if (device < 0)
			continue;
		end = pump(port, device, NULL);
		close(device);
		if (end == PUMP_PEER_GONE)
			discard(port);
	}
}

/* BUSY when it runs already. */
uint32_t relay_start(void)
{
	if (relay_pid)
		return TSMW_BUSY;
	relay_pid = fork_helper("relay");
	if (!relay_pid)
		relay_main();
	if (relay_pid > 0)
		return TSMW_OK;
	relay_pid = 0;
	return TSMW_IO;
}

/* True when *status is to be replied now; else the reply comes when it ended. */
bool relay_stop(uint32_t id, uint32_t *status)
{
	*status = stop_deadline ? TSMW_BUSY : TSMW_OK;
	if (stop_deadline || !relay_pid)
		return true;
	kill(relay_pid, SIGKILL);
	stop_id = id;
	stop_session = atomic_load(&shared->session);
	stop_deadline = now_ns() + STOP_NS;
	return false;
}

static void stop_reply(uint32_t status)
{
	stop_deadline = 0;
	if (stop_session == atomic_load(&shared->session))
		out_frame(TSMA_RELAY | TSMW_REPLY, stop_session, stop_id, status, NULL, 0);
}

bool relay_reaped(pid_t pid)
{
	if (pid != relay_pid)
		return false;
	relay_pid = 0;
	if (stop_deadline)
		stop_reply(TSMW_OK);
	return true;
}

/* Milliseconds until main has to look again, -1 for never; answers an overdue stop. */
int relay_deadline(void)
{
	uint64_t now;

	if (!stop_deadline)
		return -1;
	now = now_ns();
	if (now < stop_deadline)
		return (int)((stop_deadline - now) / 1000000u) + 1;
	stop_reply(TSMW_BUSY);
	return -1;
}

// SPDX-License-Identifier: MIT
/*
 * A kernel module cannot use a virtio-serial port itself, because a port has no
 * read_iter and write_iter. Each open of the device is one provider instance.
 * The relay therefore opens the device when a host connects and closes it when
 * that host leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <unistd.h>

#include "helpers.h"
#include "out.h"
#include "ports.h"
#include "pump.h"
#include "util.h"

#define PORT_MS		2000
#define RETRY_MS	5
#define STOP_MS		1000

static pid_t relay_pid;
static struct request stop_request;
static uint64_t stop_deadline;		/* 0: no stop in progress */

/* Discards what the host sends until it leaves. */
static void discard(int port)
{
	static uint8_t discarded[4096];
	struct pollfd p = { .fd = port, .events = POLLIN };

	while (poll(&p, 1, -1) >= 0) {
		ssize_t n = p.revents & POLLIN ? read(port, discarded, sizeof(discarded)) : 0;

		if (n == 0 && p.revents)
			return;
	}
}

/* Waits until the device exists and is free; returns -1 when the host leaves before. */
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

static noreturn void relay_main(void)
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

/* BUSY: the relay runs already. */
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

/* Returns true when *status is to be replied now. Otherwise the reply follows the relay's end. */
bool relay_stop(const struct request *request, uint32_t *status)
{
	*status = stop_deadline ? TSMW_BUSY : TSMW_OK;
	if (stop_deadline || !relay_pid)
		return true;
	kill(relay_pid, SIGKILL);
	stop_request = *request;
	stop_deadline = now_ns() + STOP_MS * NSEC_PER_MSEC;
	return false;
}

static void reply_to_stop(uint32_t status)
{
	stop_deadline = 0;
	out_reply(&stop_request, status, NULL, 0);
}

/* Returns whether the process that ended was the relay. */
bool relay_reaped(pid_t pid)
{
	if (pid != relay_pid)
		return false;
	relay_pid = 0;
	if (stop_deadline)
		reply_to_stop(TSMW_OK);
	return true;
}

/* Returns the time until relay_check_timeout() has to be called, -1 for never. */
int relay_timeout_ms(void)
{
	uint64_t now;

	if (!stop_deadline)
		return -1;
	now = now_ns();
	return now < stop_deadline ? (int)((stop_deadline - now) / NSEC_PER_MSEC) + 1 : 0;
}

/* Replies BUSY when the relay has not ended in time: it is stuck in the kernel. */
void relay_check_timeout(void)
{
	if (!relay_timeout_ms())
		reply_to_stop(TSMW_BUSY);
}

// SPDX-License-Identifier: MIT
/*
 * The main process of the guest agent: start-up and the event loop. As PID 1 it
 * sets up the guest first, and it never exits, because the kernel would panic.
 *
 * agent [--fd N] [--kmsg-fd N]
 *
 * For tests outside a guest, the options name a descriptor to serve instead of
 * the agent port, and one to read instead of /dev/kmsg. The agent ends when a
 * socket that it serves closes.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"
#include "helpers.h"
#include "init.h"
#include "kmsg.h"
#include "out.h"
#include "ports.h"
#include "serve.h"
#include "util.h"

#define PORT_MS		10000
#define STALLED_MS	1000	/* a frame whose rest does not come for this long is given up */

enum event_source { ON_PORT, ON_KMSG, ON_WAKE, ON_SIGNAL, EVENT_SOURCES };

static int port_fd = -1, epoll_fd = -1, signal_fd = -1;
static bool host_missing, port_is_socket;

/* Sets the events to watch a source for; 0 removes it from the set. */
static void watch(enum event_source source, int fd, uint32_t events)
{
	static uint32_t current[EVENT_SOURCES];
	struct epoll_event e = { .events = events, .data.u32 = source };
	int action = EPOLL_CTL_MOD;

	if (fd < 0 || current[source] == events)
		return;
	if (!events)
		action = EPOLL_CTL_DEL;
	else if (!current[source])
		action = EPOLL_CTL_ADD;
	epoll_ctl(epoll_fd, action, fd, &e);
	current[source] = events;
}

static void on_host_left(void)
{
	if (port_is_socket)
		exit(0);
	serve_host_left();
	host_missing = true;
	watch(ON_PORT, port_fd, 0);
	port_notify(port_fd, true);
}

static void check_host_returned(void)
{
	if (!host_missing || !port_connected(port_fd))
		return;
	host_missing = false;
	port_notify(port_fd, false);
}

static void reap_children(void)
{
	struct signalfd_siginfo info[8];
	pid_t pid;
	int status;

	while (read(signal_fd, info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!actor_reaped(pid, status) && !relay_reaped(pid))
			stress_reaped(pid, status);
}

static void on_event(const struct epoll_event *e)
{
	uint64_t count;

	switch (e->data.u32) {
	case ON_PORT:
		if (e->events & EPOLLIN ? !serve_read() : e->events & (EPOLLHUP | EPOLLERR))
			on_host_left();
		break;
	case ON_WAKE:
		while (read(out_wake_fd(), &count, sizeof(count)) > 0)
			;
		break;
	case ON_SIGNAL:
		reap_children();
		break;
	default:
		break;	/* serve_work() reads the log */
	}
}

static void watch_all(void)
{
	uint32_t events = (out_room() ? EPOLLIN : 0) | (out_backlog() ? EPOLLOUT : 0);

	if (!host_missing)
		watch(ON_PORT, port_fd, events ? events : EPOLLHUP);
	watch(ON_KMSG, kmsg_fd(), serve_wants_log() ? EPOLLIN : 0);
}

static int timeout_ms(void)
{
	int relay = relay_timeout_ms();

	if (serve_half_frame() && (relay < 0 || relay > STALLED_MS))
		return STALLED_MS;
	return relay;
}

static noreturn void loop(void)
{
	struct epoll_event events[EVENT_SOURCES];

	for (;;) {
		int timeout = timeout_ms(), n;
		bool log_ready = false;

		check_host_returned();
		watch_all();
		n = epoll_wait(epoll_fd, events, EVENT_SOURCES, timeout);
		if (!n && timeout == STALLED_MS && serve_half_frame())
			serve_skip_half_frame();
		for (int i = 0; i < n; i++) {
			log_ready |= events[i].data.u32 == ON_KMSG;
			on_event(&events[i]);
		}
		serve_work(log_ready);
	}
}

static bool set_up_events(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return epoll_fd >= 0 && signal_fd >= 0;
}

static int option_fd(int argc, char **argv, const char *name)
{
	for (int i = 1; i + 1 < argc; i += 2)
		if (!strcmp(argv[i], name))
			return atoi(argv[i + 1]);
	return -1;
}

static bool set_up_port(int fd)
{
	struct stat st;

	port_fd = fd_move_up(fd);
	fcntl(port_fd, F_SETFL, fcntl(port_fd, F_GETFL) | O_NONBLOCK);
	port_is_socket = !fstat(port_fd, &st) && S_ISSOCK(st.st_mode);
	serve_init(port_fd);
	if (!out_init(port_fd))
		return false;
	watch(ON_WAKE, out_wake_fd(), EPOLLIN);
	watch(ON_SIGNAL, signal_fd, EPOLLIN);
	return true;
}

static void fail(const char *message, bool init)
{
	fprintf(stderr, "tsm-harness: %s\n", message);
	if (init)
		power_off();
	exit(1);
}

int main(int argc, char **argv)
{
	bool init = getpid() == 1;
	int fd;

	/* The kernel passes unknown boot parameters to PID 1: they are no options. */
	if (init) {
		init_system();
		argc = 0;
	}
	if (!set_up_events())
		fail("no epoll or signalfd", init);
	fd = option_fd(argc, argv, "--fd");
	if (fd < 0)
		fd = port_find(TSMW_PORT_AGENT, PORT_MS);
	if (fd < 0)
		fail("no virtio-serial port named " TSMW_PORT_AGENT
		     " (kernel without virtio-console?)", init);
	if (!set_up_port(fd))
		fail("no eventfd", init);
	kmsg_open(option_fd(argc, argv, "--kmsg-fd"));
	actors_start();
	if (init) {
		ssh_start();
		tty_start();
	}
	loop();
}

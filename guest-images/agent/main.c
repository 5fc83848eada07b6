/* SPDX-License-Identifier: MIT */
/*
 * The agent's main process: start, and the one event loop. As PID 1 it first
 * sets the guest up, and it never exits: the kernel would panic.
 *
 * agent [--port PATH | --fd N] [--kmsg-fd N]
 *
 * The options serve on another descriptor, for tests outside a guest; a socket
 * that closes then ends the agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "serve.h"

#define PORT_MS		10000
#define STALLED_MS	1000	/* half a frame that does not grow is given up */

struct shared *shared;
int port_fd = -1, wake_fd;

static int epoll_fd, signal_fd;
static bool host_missing, is_socket;

enum { ON_PORT, ON_KMSG, ON_WAKE, ON_SIGNAL, SOURCES };

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Watches for exactly these events; 0 takes the descriptor out of the set. */
static void watch(int source, int fd, uint32_t events)
{
	static uint32_t current[SOURCES];
	struct epoll_event e = { .events = events, .data.u32 = (uint32_t)source };

	if (fd < 0 || current[source] == events)
		return;
	epoll_ctl(epoll_fd, !events ? EPOLL_CTL_DEL : current[source] ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
		  fd, &e);
	current[source] = events;
}

static void host_lost(void)
{
	if (is_socket)
		exit(0);
	serve_reset();
	host_missing = true;
	watch(ON_PORT, port_fd, 0);
	port_async(port_fd, true);
}

static void host_check(void)
{
	if (!host_missing || !port_connected(port_fd))
		return;
	host_missing = false;
	port_async(port_fd, false);
}

static void reap(void)
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
			host_lost();
		break;
	case ON_WAKE:
		while (read(wake_fd, &count, sizeof(count)) > 0)
			;
		break;
	case ON_SIGNAL:
		reap();
		break;
	default:
		break;	/* the log: serve_work() reads it */
	}
}

/* What to wait for follows from what there is room for. */
static void watch_all(void)
{
	bool room = out_room();
	uint32_t events = (room ? EPOLLIN : 0) | (atomic_load(&shared->backlog) ? EPOLLOUT : 0);

	if (!host_missing)
		watch(ON_PORT, port_fd, events ? events : EPOLLHUP);
	watch(ON_KMSG, kmsg_fd(), room && serve_session() ? EPOLLIN : 0);
}

static int timeout_ms(void)
{
	int relay = relay_deadline();

	if (serve_partial() && (relay < 0 || relay > STALLED_MS))
		return STALLED_MS;
	return relay;
}

__attribute__((noreturn)) static void loop(void)
{
	struct epoll_event events[SOURCES];

	for (;;) {
		int timeout = timeout_ms(), n;
		bool log = false;

		host_check();
		watch_all();
		n = epoll_wait(epoll_fd, events, SOURCES, timeout);
		if (!n && timeout == STALLED_MS && serve_partial())
			serve_give_up();
		for (int i = 0; i < n; i++) {
			log |= events[i].data.u32 == ON_KMSG;
			on_event(&events[i]);
		}
		serve_work(log);
	}
}

static void setup_events(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	wake_fd = fd_high(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	watch(ON_WAKE, wake_fd, EPOLLIN);
	watch(ON_SIGNAL, signal_fd, EPOLLIN);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* Forks a helper that keeps none of the agent's descriptors; 0 in the child. */
pid_t fork_helper(const char *name)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(3, ~0u, 0);
	return 0;
}

static int open_port(int argc, char **argv, int *kmsg)
{
	int fd = -1;
	bool given = false;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--kmsg-fd")) {
			*kmsg = atoi(argv[i + 1]);
			continue;
		}
		given = true;
		if (!strcmp(argv[i], "--fd"))
			fd = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--port"))
			fd = open(argv[i + 1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
	return given ? fd : port_find(TSMW_PORT_AGENT, PORT_MS);
}

int main(int argc, char **argv)
{
	bool init = getpid() == 1;
	struct stat st;
	int kmsg = -1;

	if (init)
		init_system();
	setup_events();
	port_fd = open_port(init ? 0 : argc, argv, &kmsg);
	if (port_fd < 0 || shared == MAP_FAILED || epoll_fd < 0 || signal_fd < 0) {
		fprintf(stderr, "tsm-harness: no virtio-serial port named " TSMW_PORT_AGENT
				" (kernel without virtio-console?)\n");
		if (init)
			power_off();
		return 1;
	}
	port_fd = fd_high(port_fd);
	fcntl(port_fd, F_SETFL, fcntl(port_fd, F_GETFL) | O_NONBLOCK);
	is_socket = !fstat(port_fd, &st) && S_ISSOCK(st.st_mode);
	kmsg_open(kmsg);
	actors_start();
	if (init) {
		ssh_start();
		tty_start();
	}
	loop();
}

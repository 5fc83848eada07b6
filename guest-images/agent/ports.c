/* SPDX-License-Identifier: MIT */
/*
 * virtio-serial ports: found by name in sysfs, and their host's coming and
 * going. The kernel (drivers/char/virtio_console.c) reports a missing host as
 * POLLHUP and raises SIGIO when one comes or goes, but also for every arrival
 * of data: so O_ASYNC is on only while a host is missing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

#define PORTS_DIR "/sys/class/virtio-ports"

static int open_if_named(const char *port, const char *name)
{
	char path[300], text[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), PORTS_DIR "/%s/name", port);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, name))
		return -1;
	snprintf(path, sizeof(path), "/dev/%s", port);
	return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

/*
 * Opens the port of that name, or returns -1 after the time. Names arrive as
 * control messages after the device was probed, hence the wait.
 */
int port_find(const char *name, int timeout_ms)
{
	uint64_t deadline = now_ns() + (uint64_t)timeout_ms * 1000000u;

	for (;;) {
		DIR *dir = opendir(PORTS_DIR);
		struct dirent *entry;
		int fd = -1;

		while (dir && fd < 0 && (entry = readdir(dir)))
			if (entry->d_name[0] != '.')
				fd = open_if_named(entry->d_name, name);
		if (dir)
			closedir(dir);
		if (fd >= 0 || now_ns() >= deadline)
			return fd;
		poll(NULL, 0, 2);
	}
}

bool port_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) >= 0 && !(p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* Asks for SIGIO when the host comes or goes; the caller has SIGIO blocked. */
void port_async(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (on)
		fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC);
}

/* Returns once a host is connected. For helpers: nothing else to do meanwhile. */
void port_wait_host(int fd)
{
	struct timespec second = { 1, 0 };
	sigset_t set;

	if (port_connected(fd))
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	port_async(fd, true);
	while (!port_connected(fd))
		sigtimedwait(&set, NULL, &second);
	port_async(fd, false);
}

/* Moves a descriptor out of the range that operations use. */
int fd_high(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_BASE);

	if (high < 0)
		return fd;
	close(fd);
	return high;
}

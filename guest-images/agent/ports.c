// SPDX-License-Identifier: MIT
/*
 * The kernel (drivers/char/virtio_console.c) reports a port without a host as
 * POLLHUP. With O_ASYNC it raises SIGIO when a host connects or leaves, but for
 * every arrival of data as well. O_ASYNC is therefore on only while the agent
 * waits for a host.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ports.h"
#include "util.h"

#define PORTS_DIR	"/sys/class/virtio-ports"
#define RETRY_MS	2

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
 * Opens the port of that name; returns -1 when none appears in time. The device
 * sends the names after the kernel has probed it, hence the wait.
 */
int port_find(const char *name, int timeout_ms)
{
	uint64_t deadline = now_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;

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
		poll(NULL, 0, RETRY_MS);
	}
}

bool port_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) >= 0 && !(p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* Turns on SIGIO for the coming and going of the host. The caller has SIGIO blocked. */
void port_notify(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (on)
		fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC);
}

/* Waits for a host to connect. For helper processes, which serve one port only. */
void port_wait_host(int fd)
{
	struct timespec second = { 1, 0 };
	sigset_t set;

	if (port_connected(fd))
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	port_notify(fd, true);
	while (!port_connected(fd))
		sigtimedwait(&set, NULL, &second);
	port_notify(fd, false);
}

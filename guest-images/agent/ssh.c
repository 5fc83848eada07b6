/* SPDX-License-Identifier: MIT */
/*
 * The ssh port, bridged to a dropbear in inetd mode on a socket pair: no
 * network device, no listening socket. A connection starts with the client's
 * "SSH-" line (RFC 4253, 4.2); bytes before one are a past connection's rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define DROPBEAR	"/usr/sbin/dropbear"
#define HOST_KEY	"/etc/dropbear/dropbear_ed25519_host_key"
#define PORT_MS		2000

/* The first bytes of a new connection. */
static size_t wait_client(int port, uint8_t *buf, size_t size)
{
	for (;;) {
		struct pollfd p = { .fd = port, .events = POLLIN };
		ssize_t n;

		port_wait_host(port);
		if (poll(&p, 1, -1) <= 0 || !(p.revents & POLLIN))
			continue;
		n = read(port, buf, size);
		if (n >= 4 && !memcmp(buf, "SSH-", 4))
			return (size_t)n;
	}
}

static pid_t start_dropbear(int *sock)
{
	int pair[2];
	sigset_t none;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	pid = fork();
	if (!pid) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		setsid();
		dup2(pair[1], 0);
		dup2(pair[1], 1);
		execl(DROPBEAR, "dropbear", "-i", "-E", "-s", "-r", HOST_KEY, NULL);
		_exit(127);
	}
	close(pair[1]);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*sock = pair[0];
	return pid;
}

__attribute__((noreturn)) static void ssh_main(void)
{
	static uint8_t first[4096];
	int port = port_find(TSMW_PORT_SSH, PORT_MS);

	if (port < 0)
		_exit(0);
	for (;;) {
		size_t n = wait_client(port, first, sizeof(first));
		int sock = -1;
		pid_t pid = start_dropbear(&sock);

		if (pid > 0)
			pump(port, sock, first, n);
		if (sock >= 0)
			close(sock);
		if (pid > 0) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
}

/* Off when the image has no dropbear. */
void ssh_start(void)
{
	if (access(DROPBEAR, X_OK))
		return;
	if (!fork_helper("ssh"))
		ssh_main();
}

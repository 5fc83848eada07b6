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

static struct pump_start start = { .marker = "SSH-", .marker_len = 4 };

/* Returns with the first bytes of a new connection. */
static void wait_client(int port)
{
	for (;;) {
		struct pollfd p = { .fd = port, .events = POLLIN };
		ssize_t n;

		port_wait_host(port);
		if (poll(&p, 1, -1) <= 0 || !(p.revents & POLLIN))
			continue;
		n = read(port, start.bytes, sizeof(start.bytes));
		if (n < (ssize_t)start.marker_len ||
		    memcmp(start.bytes, start.marker, start.marker_len))
			continue;
		start.len = (size_t)n;
		return;
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
		execl(DROPBEAR, "dropbear", "-i", "-s", "-r", HOST_KEY, NULL);
		_exit(127);
	}
	close(pair[1]);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*sock = pair[0];
	return pid;
}

static enum pump_end serve_client(int port)
{
	enum pump_end end = PUMP_PEER_GONE;
	int sock = -1;
	pid_t pid = start_dropbear(&sock);

	if (pid > 0)
		end = pump(port, sock, &start);
	if (sock >= 0)
		close(sock);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return end;
}

__attribute__((noreturn)) static void ssh_main(void)
{
	int port = port_find(TSMW_PORT_SSH, PORT_MS);

	if (port < 0)
		_exit(0);
	for (;;) {
		wait_client(port);
		while (serve_client(port) == PUMP_NEW_HOST)
			;
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

// SPDX-License-Identifier: MIT
/*
 * The helper connects the ssh port to a dropbear in inetd mode with a socket
 * pair, so the guest needs no network device. A connection begins with the
 * client's line "SSH-..." (RFC 4253, 4.2). Bytes before such a line belong to an
 * earlier connection and are dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helpers.h"
#include "ports.h"
#include "pump.h"
#include "util.h"

#define DROPBEAR	"/usr/sbin/dropbear"
#define HOST_KEY	"/etc/dropbear/dropbear_ed25519_host_key"
#define PORT_MS		2000

static struct pump_opening opening = { .marker = "SSH-", .marker_len = 4 };

/* Waits for a client, whose first bytes become the opening. */
static void wait_client(int port)
{
	for (;;) {
		struct pollfd p = { .fd = port, .events = POLLIN };
		ssize_t n;

		port_wait_host(port);
		if (poll(&p, 1, -1) <= 0 || !(p.revents & POLLIN))
			continue;
		n = read(port, opening.bytes, sizeof(opening.bytes));
		if (n < (ssize_t)opening.marker_len ||
		    memcmp(opening.bytes, opening.marker, opening.marker_len))
			continue;
		opening.len = (size_t)n;
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
		end = pump(port, sock, &opening);
	if (sock >= 0)
		close(sock);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return end;
}

static noreturn void ssh_main(void)
{
	int port = port_find(TSMW_PORT_SSH, PORT_MS);

	if (port < 0)
		_exit(0);
	for (;;) {
		wait_client(port);
		while (serve_client(port) == PUMP_NEW_CLIENT)
			;
	}
}

/* Does nothing when the image has no dropbear. */
void ssh_start(void)
{
	if (access(DROPBEAR, X_OK))
		return;
	if (!fork_helper("ssh"))
		ssh_main();
}

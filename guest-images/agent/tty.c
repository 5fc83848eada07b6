// SPDX-License-Identifier: MIT
/*
 * The shell on the serial console helps when the guest does not answer on its
 * ports. It starts, and prints, only after somebody has pressed Enter, because
 * the harness reads the console as a log.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helpers.h"
#include "util.h"

#define CONSOLE	"/dev/ttyS0"

static noreturn void shell_on(int tty)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	ioctl(tty, TIOCSCTTY, 1);
	for (int fd = 0; fd < 3; fd++)
		dup2(tty, fd);
	if (tty > 2)
		close(tty);
	if (chdir("/root"))
		_exit(126);
	execl("/bin/sh", "-sh", NULL);
	_exit(127);
}

static noreturn void tty_main(void)
{
	char line[64];

	for (;;) {
		/* The end of a shell hangs the terminal up, so each shell opens it anew. */
		int tty = open(CONSOLE, O_RDWR | O_NOCTTY | O_CLOEXEC);
		pid_t pid;

		if (tty < 0 || read(tty, line, sizeof(line)) <= 0)
			_exit(0);
		pid = fork();
		if (!pid)
			shell_on(tty);
		close(tty);
		if (pid < 0 || waitpid(pid, NULL, 0) < 0)
			_exit(1);
	}
}

/* Does nothing when the kernel has no serial console. */
void tty_start(void)
{
	if (access(CONSOLE, R_OK | W_OK))
		return;
	if (!fork_helper("tty"))
		tty_main();
}

/* SPDX-License-Identifier: MIT */
/*
 * A shell on the serial console, for a person whose guest does not answer on
 * its ports. Nothing is printed before that person presses Enter: the console
 * is a log for everybody else.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define CONSOLE	"/dev/ttyS0"

__attribute__((noreturn)) static void shell_on(int tty)
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

__attribute__((noreturn)) static void tty_main(void)
{
	char line[64];

	for (;;) {
		/* Anew for each shell: the last one's end hung up the terminal. */
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

/* Off where the kernel has no serial console. */
void tty_start(void)
{
	if (access(CONSOLE, R_OK | W_OK))
		return;
	if (!fork_helper("tty"))
		tty_main();
}

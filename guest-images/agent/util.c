// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"
#include "util.h"

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/*
 * Writes until the descriptor takes no more, and returns how many bytes it
 * took. Makes raw system calls, because actors call it too.
 */
size_t write_some(int fd, const void *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		long n = SYS3(SYS_write, fd, (const uint8_t *)bytes + done, len - done);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* Moves a descriptor to FD_RESERVED or above, and returns its new number. */
int fd_move_up(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_RESERVED);

	if (high < 0)
		return fd;
	close(fd);
	return high;
}

/*
 * Forks a helper that dies with the agent. The child keeps no descriptor but
 * 0 to 2. Returns like fork().
 */
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

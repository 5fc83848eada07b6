// SPDX-License-Identifier: MIT
/*
 * An emulator that corrupts its guests kills a process of this load or makes it
 * fail. On a sound emulator every round succeeds and is counted.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helpers.h"
#include "out.h"
#include "util.h"

#define MAX_PROCS	64u
#define MAX_ROUNDS	1000000u
#define AREA		(256u * 1024)
#define PAGE		4096u

static pid_t stress_pid;
static struct request stress_request;
static atomic_uint_fast64_t *rounds_done;	/* shared with the workers */

static bool one_round(const char *path)
{
	uint8_t *area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), status = 1;
	bool ok = area != MAP_FAILED && fd >= 0;
	pid_t child;

	for (size_t i = 0; ok && i < AREA; i += PAGE)
		area[i] = (uint8_t)(i / PAGE);
	ok = ok && write(fd, area, 2 * PAGE) == 2 * PAGE;
	child = fork();
	if (!child)
		_exit(0);
	ok = child > 0 && waitpid(child, &status, 0) == child && !status && ok;
	for (size_t i = 0; ok && i < AREA; i += PAGE)
		ok = area[i] == (uint8_t)(i / PAGE);
	if (fd >= 0)
		close(fd);
	unlink(path);
	if (area != MAP_FAILED)
		munmap(area, AREA);
	return ok;
}

static noreturn void worker(uint32_t rounds)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/stress-%d", getpid());
	for (uint32_t i = 0; i < rounds; i++) {
		if (!one_round(path))
			_exit(1);
		atomic_fetch_add(rounds_done, 1);
	}
	_exit(0);
}

static noreturn void manager(uint32_t procs, uint32_t rounds)
{
	int status, bad = 0;

	for (uint32_t i = 0; i < procs; i++) {
		pid_t pid = fork();

		if (!pid)
			worker(rounds);
		bad |= pid < 0;
	}
	while (wait(&status) > 0)
		bad |= status;
	_exit(!!bad);
}

static bool map_counter(void)
{
	void *page;

	if (rounds_done)
		return true;
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return false;
	rounds_done = page;
	return true;
}

/* The reply follows the end of the load. Any status but OK is to be replied by the caller. */
uint32_t stress_start(const struct request *request, uint32_t procs, uint32_t rounds)
{
	if (!procs || procs > MAX_PROCS || !rounds || rounds > MAX_ROUNDS)
		return TSMW_INVALID;
	if (stress_pid)
		return TSMW_BUSY;
	if (!map_counter())
		return TSMW_IO;
	atomic_store(rounds_done, 0);
	stress_pid = fork_helper("stress");
	if (!stress_pid)
		manager(procs, rounds);
	stress_request = *request;
	if (stress_pid > 0)
		return TSMW_OK;
	stress_pid = 0;
	return TSMW_IO;
}

/* Returns whether the process that ended was the manager of the load. */
bool stress_reaped(pid_t pid, int status)
{
	uint64_t rounds;

	if (pid != stress_pid)
		return false;
	stress_pid = 0;
	rounds = htole64(atomic_load(rounds_done));
	out_reply(&stress_request, status ? TSMW_IO : TSMW_OK, &rounds, sizeof(rounds));
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * A short load on memory, processes and files. Under an emulator that corrupts
 * its guests it kills a child; on a sound one it ends with every round counted.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define MAX_PROCS	64u
#define MAX_ROUNDS	1000000u
#define AREA		(256u * 1024)

static pid_t stress_pid;
static uint32_t stress_id, stress_session;

static bool one_round(const char *path)
{
	uint8_t *area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), status = 1;
	bool ok = area != MAP_FAILED && fd >= 0;
	pid_t child;

	for (size_t i = 0; ok && i < AREA; i += 4096)
		area[i] = (uint8_t)(i >> 12);
	ok = ok && write(fd, area, 8192) == 8192;
	child = fork();
	if (!child)
		_exit(0);
	ok = child > 0 && waitpid(child, &status, 0) == child && !status && ok;
	for (size_t i = 0; ok && i < AREA; i += 4096)
		ok = area[i] == (uint8_t)(i >> 12);
	if (fd >= 0)
		close(fd);
	unlink(path);
	if (area != MAP_FAILED)
		munmap(area, AREA);
	return ok;
}

__attribute__((noreturn)) static void worker(uint32_t rounds)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/stress-%d", getpid());
	for (uint32_t i = 0; i < rounds; i++) {
		if (!one_round(path))
			_exit(1);
		atomic_fetch_add(&shared->stress_rounds, 1);
	}
	_exit(0);
}

__attribute__((noreturn)) static void manager(uint32_t procs, uint32_t rounds)
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

/* The reply comes when all have ended; anything but OK is to be replied now. */
uint32_t stress_start(uint32_t id, uint32_t procs, uint32_t rounds)
{
	if (!procs || procs > MAX_PROCS || !rounds || rounds > MAX_ROUNDS)
		return TSMW_INVALID;
	if (stress_pid)
		return TSMW_BUSY;
	atomic_store(&shared->stress_rounds, 0);
	stress_pid = fork_helper("stress");
	if (!stress_pid)
		manager(procs, rounds);
	stress_id = id;
	stress_session = atomic_load(&shared->session);
	if (stress_pid > 0)
		return TSMW_OK;
	stress_pid = 0;
	return TSMW_IO;
}

bool stress_reaped(pid_t pid, int status)
{
	uint64_t rounds = atomic_load(&shared->stress_rounds);

	if (pid != stress_pid)
		return false;
	stress_pid = 0;
	if (stress_session == atomic_load(&shared->session))
		out_frame(TSMA_STRESS | TSMW_REPLY, stress_session, stress_id,
			  status ? TSMW_IO : TSMW_OK, &rounds, sizeof(rounds));
	return true;
}

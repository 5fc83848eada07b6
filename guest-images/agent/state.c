/* SPDX-License-Identifier: MIT */
/*
 * What an actor is doing, from /proc/<pid>: none of these files waits for the
 * task's memory map or for the task itself, so a task in D state cannot block
 * the reader. They stay open, and are made anew by each read at offset 0.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

#define FILES		5
#define TEXT_LIMIT	4096u

static const char *const names[FILES] = { "stat", "wchan", "syscall", "stack", "status" };
static int fds[ACTORS][FILES];		/* descriptor + 1; 0 is "not open" */

static int proc_file(uint32_t slot, int file)
{
	char path[64];

	if (!fds[slot][file]) {
		snprintf(path, sizeof(path), "/proc/%d/%s", actor_pid(slot), names[file]);
		fds[slot][file] = open(path, O_RDONLY | O_CLOEXEC) + 1;
	}
	return fds[slot][file] - 1;
}

/* The reply of STATE; INVALID for a slot that does not exist. */
uint32_t state_reply(uint32_t slot, uint8_t *out, size_t size, size_t *len)
{
	struct tsma_state_reply head = { .phase = TSMA_DEAD };
	uint8_t *at = out + sizeof(head);
	bool alive;

	if (slot >= ACTORS || size < sizeof(head) + FILES * (4 + TEXT_LIMIT))
		return TSMW_INVALID;
	alive = actor_pid(slot);
	for (int i = 0; i < FILES; i++) {
		ssize_t n = alive ? pread(proc_file(slot, i), at + 4, TEXT_LIMIT, 0) : 0;
		uint32_t got = n > 0 ? (uint32_t)n : 0;

		memcpy(at, &got, 4);
		at += 4 + got;
	}
	if (alive)
		head.phase = atomic_load(&shared->box[slot].phase);
	else
		head.wait_status = actor_wait_status(slot);
	head.pid = actor_pid(slot);
	head.op_index = atomic_load(&shared->box[slot].op_index);
	memcpy(out, &head, sizeof(head));
	*len = (size_t)(at - out);
	return TSMW_OK;
}

void state_forget(uint32_t slot)
{
	for (int i = 0; i < FILES; i++) {
		if (fds[slot][i])
			close(fds[slot][i] - 1);
		fds[slot][i] = 0;
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * The system call of one operation.
 *
 * The data of a LIST result are the names but . and .., each with a NUL after
 * it, and ret is their number. The data of a STAT result is struct tsma_stat.
 */
#ifndef CALLS_H
#define CALLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsmw.h"

#define ACTORS		8
#define PATH_LIMIT	4096u

/* struct tsma_op with native integers, and what running it needs. */
struct op {
	uint16_t code;
	int fd;
	uint32_t arg, mode, count;
	uint64_t offset;
	const uint8_t *data;
	size_t data_len;
	char path[PATH_LIMIT];	/* the data as a string, for operations on a path */
	uint8_t *out;
	size_t room, out_len;
	int last_fd;		/* what the last OPEN of the batch returned */
	uint32_t owner;		/* of the port lock: the actor that runs the batch */
};

extern atomic_int actor_pids[ACTORS];	/* 0: dead; for SIGNAL */

bool call_known(uint16_t code);
long call_run(struct op *op);
long insmod(const char *path, const char *params);

#endif

/* SPDX-License-Identifier: MIT */
/* Helpers that every other file may use; util.c calls none of them. */
#ifndef UTIL_H
#define UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define NSEC_PER_MSEC		1000000u

/* Operations may use the descriptors below this one; the agent moves its own up to here. */
#define FD_RESERVED	900

uint64_t now_ns(void);
size_t write_some(int fd, const void *bytes, size_t len);
int fd_move_up(int fd);
pid_t fork_helper(const char *name);

#endif

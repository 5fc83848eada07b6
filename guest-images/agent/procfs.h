/* SPDX-License-Identifier: MIT */
/* What /proc/PID says about an actor: its files stat, wchan, syscall, stack and status. */
#ifndef PROCFS_H
#define PROCFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_FILES	5
#define PROC_TEXT_MAX	4096u
#define PROC_READ_MAX	(PROC_FILES * (sizeof(uint32_t) + PROC_TEXT_MAX))

/* The files of one process, kept open. */
struct proc_files {
	int fd[PROC_FILES];	/* descriptor + 1; 0 is "not open" */
};

size_t proc_read(struct proc_files *files, pid_t pid, uint8_t *out);
void proc_close(struct proc_files *files);

#endif

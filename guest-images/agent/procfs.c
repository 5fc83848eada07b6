// SPDX-License-Identifier: MIT
/*
 * These files can be read without the task's mmap_lock and without an answer
 * of the task, so a task in D state does not block the reader. Each read at
 * offset 0 makes the content anew, so the files stay open.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "procfs.h"

static const char *const names[PROC_FILES] = { "stat", "wchan", "syscall", "stack", "status" };

static int proc_fd(struct proc_files *files, pid_t pid, int file)
{
	char path[64];

	if (!files->fd[file]) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, names[file]);
		files->fd[file] = open(path, O_RDONLY | O_CLOEXEC) + 1;
	}
	return files->fd[file] - 1;
}

/*
 * Writes {__le32 length, text} for each file to out, which has room for
 * PROC_READ_MAX bytes, and returns how many bytes that are. Every text is empty
 * when pid is 0.
 */
size_t proc_read(struct proc_files *files, pid_t pid, uint8_t *out)
{
	uint8_t *at = out;

	for (int i = 0; i < PROC_FILES; i++) {
		ssize_t n = 0;
		uint32_t size;

		if (pid)
			n = pread(proc_fd(files, pid, i), at + sizeof(size), PROC_TEXT_MAX, 0);
		n = n > 0 ? n : 0;
		size = htole32((uint32_t)n);
		memcpy(at, &size, sizeof(size));
		at += sizeof(size) + (size_t)n;
	}
	return (size_t)(at - out);
}

void proc_close(struct proc_files *files)
{
	for (int i = 0; i < PROC_FILES; i++) {
		if (files->fd[i])
			close(files->fd[i] - 1);
		files->fd[i] = 0;
	}
}

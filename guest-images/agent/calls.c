// SPDX-License-Identifier: MIT
/* Actors run this code: no call may touch the C library's state, see sys.h. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "calls.h"
#include "lock.h"
#include "sys.h"
#include "util.h"

#define MODULE_COMPRESSED	4	/* MODULE_INIT_COMPRESSED_FILE of linux/module.h */

atomic_int actor_pids[ACTORS];

/* A record of getdents64(2). */
struct dir_entry {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* Appends the names of one getdents64() result; returns -EMSGSIZE when they do not fit. */
static long append_names(struct op *op, const void *entries, long len)
{
	long count = 0;

	for (long at = 0; at < len;) {
		const struct dir_entry *entry = entries + at;
		size_t size = strlen(entry->name) + 1;

		at += entry->len;
		if (!strcmp(entry->name, ".") || !strcmp(entry->name, ".."))
			continue;
		if (op->room - op->out_len < size)
			return -EMSGSIZE;
		memcpy(op->out + op->out_len, entry->name, size);
		op->out_len += size;
		count++;
	}
	return count;
}

static long list_dir(struct op *op)
{
	long fd = SYS3(SYS_open, op->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	uint64_t entries[512];
	long n, added, count = 0;

	if (fd < 0)
		return fd;
	while ((n = SYS3(SYS_getdents64, fd, entries, sizeof(entries))) > 0) {
		added = append_names(op, entries, n);
		if (added < 0) {
			n = added;
			break;
		}
		count += added;
	}
	SYS1(SYS_close, fd);
	if (n < 0)
		op->out_len = 0;
	return n < 0 ? n : count;
}

static long stat_path(struct op *op)
{
	struct tsma_stat out;
	struct stat st;
	long ret;

	if (op->room < sizeof(out))
		return -EMSGSIZE;
	ret = SYS2(SYS_stat, op->path, &st);
	if (ret < 0)
		return ret;
	out = (struct tsma_stat){
		.mode = htole32(st.st_mode),
		.uid = htole32(st.st_uid),
		.gid = htole32(st.st_gid),
		.nlink = htole32((uint32_t)st.st_nlink),
		.size = htole64((uint64_t)st.st_size),
	};
	memcpy(op->out, &out, sizeof(out));
	op->out_len = sizeof(out);
	return 0;
}

/* Loads a module file, compressed or not. Returns 0, or -errno as finit_module(2) has it. */
long insmod(const char *path, const char *params)
{
	size_t n = strlen(path);
	bool plain = n > 3 && !strcmp(path + n - 3, ".ko");
	long fd = SYS3(SYS_open, path, O_RDONLY | O_CLOEXEC, 0), ret;

	if (fd < 0)
		return fd;
	ret = SYS3(SYS_finit_module, fd, params, plain ? 0 : MODULE_COMPRESSED);
	SYS1(SYS_close, fd);
	return ret;
}

/* SCHED_FIFO with priority op->arg for the task op->offset, sched_setscheduler(2). */
static long set_fifo_priority(struct op *op)
{
	struct sched_param param = { .sched_priority = (int)op->arg };

	return SYS3(SYS_sched_setscheduler, (pid_t)op->offset, SCHED_FIFO, &param);
}

/*
 * Sends the signal op->mode to an actor. It may end the actor, which must not
 * have written a part of a frame then: hence the port lock.
 */
static long signal_actor(struct op *op)
{
	pid_t pid = atomic_load(&actor_pids[op->arg]);
	long ret;

	if (!pid)
		return -ESRCH;
	port_lock(op->owner);
	ret = SYS2(SYS_kill, pid, (int)op->mode);
	port_unlock();
	return ret;
}

static long take_data(struct op *op, long n)
{
	if (n > 0)
		op->out_len = (size_t)n;
	return n;
}

static long read_fd(struct op *op, int fd)
{
	if (op->count > op->room)
		return -EMSGSIZE;
	return take_data(op, SYS3(SYS_read, fd, op->out, op->count));
}

static long pread_fd(struct op *op, int fd)
{
	if (op->count > op->room)
		return -EMSGSIZE;
	return take_data(op, SYS4(SYS_pread64, fd, op->out, op->count, op->offset));
}

static long write_fd(struct op *op, int fd)
{
	return SYS3(SYS_write, fd, op->data, op->data_len);
}

static long pwrite_fd(struct op *op, int fd)
{
	return SYS4(SYS_pwrite64, fd, op->data, op->data_len, op->offset);
}

static long lseek_fd(struct op *op, int fd)
{
	return SYS3(SYS_lseek, fd, op->offset, op->arg);
}

static long close_fd(struct op *op, int fd)
{
	(void)op;
	return SYS1(SYS_close, fd);
}

static long open_path(struct op *op)
{
	op->last_fd = (int)SYS3(SYS_open, op->path, op->arg, op->mode);
	return op->last_fd;
}

static long make_dir(struct op *op)
{
	return SYS2(SYS_mkdir, op->path, op->arg);
}

static long remove_dir(struct op *op)
{
	return SYS1(SYS_rmdir, op->path);
}

/* The parameters are behind the NUL that ends the path. */
static long load_module(struct op *op)
{
	size_t n = strlen(op->path);

	return insmod(op->path, n < op->data_len ? op->path + n + 1 : "");
}

static long unload_module(struct op *op)
{
	return SYS2(SYS_delete_module, op->path, op->arg);
}

/* Each operation is a function of a descriptor, of a path, or of neither. */
static const struct operation {
	long (*on_fd)(struct op *op, int fd);
	long (*on_path)(struct op *op);
	long (*on_task)(struct op *op);
} operations[] = {
	[TSMA_OPEN] = { .on_path = open_path },
	[TSMA_CLOSE] = { .on_fd = close_fd },
	[TSMA_READ] = { .on_fd = read_fd },
	[TSMA_PREAD] = { .on_fd = pread_fd },
	[TSMA_WRITE] = { .on_fd = write_fd },
	[TSMA_PWRITE] = { .on_fd = pwrite_fd },
	[TSMA_LSEEK] = { .on_fd = lseek_fd },
	[TSMA_MKDIR] = { .on_path = make_dir },
	[TSMA_RMDIR] = { .on_path = remove_dir },
	[TSMA_STAT] = { .on_path = stat_path },
	[TSMA_LIST] = { .on_path = list_dir },
	[TSMA_INSMOD] = { .on_path = load_module },
	[TSMA_RMMOD] = { .on_path = unload_module },
	[TSMA_PRIORITY] = { .on_task = set_fifo_priority },
	[TSMA_SIGNAL] = { .on_task = signal_actor },
};

/* Copies the data to op->path. Only INSMOD has parameters, after a NUL. */
static long take_path(struct op *op)
{
	if (op->data_len >= PATH_LIMIT)
		return -ENAMETOOLONG;
	memcpy(op->path, op->data, op->data_len);
	op->path[op->data_len] = '\0';
	return op->code == TSMA_INSMOD || strlen(op->path) == op->data_len ? 0 : -EINVAL;
}

bool call_known(uint16_t code)
{
	return code >= TSMA_OPEN && code < ARRAY_SIZE(operations);
}

/* Makes the call of an operation. Returns its value, or -errno. */
long call_run(struct op *op)
{
	const struct operation *operation = &operations[op->code];
	int fd = op->fd == TSMA_FD_LAST ? op->last_fd : op->fd;

	if (operation->on_fd)
		return fd < 0 || fd >= FD_RESERVED ? -EBADF : operation->on_fd(op, fd);
	if (operation->on_path)
		return take_path(op) ?: operation->on_path(op);
	return operation->on_task(op);
}


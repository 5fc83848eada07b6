/* SPDX-License-Identifier: MIT */
/*
 * The operations of a batch, run by an actor. Requests come checked by
 * ops_valid(); results are written straight into the reply frame. Nothing here
 * may touch the C library's state: see sys.h.
 *
 * LIST data: the names without . and .., each followed by a NUL; ret is their
 * number. STAT data: struct tsma_stat.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"
#include "sys.h"

#define MODULE_COMPRESSED 4	/* MODULE_INIT_COMPRESSED_FILE of linux/module.h */

struct op {
	struct tsma_op head;
	const uint8_t *data;
	char path[PATH_LIMIT];	/* data as a string, for operations that name something */
	uint8_t *out;
	size_t room, out_len;
	int *last_fd;
};

/* A record of getdents64(2). */
struct entry {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* The batch's structure, before anything of it runs. */
bool ops_valid(const uint8_t *payload, size_t len)
{
	struct tsma_run run;
	size_t at = sizeof(run);
	size_t results = (TSMW_MAX_PAYLOAD - sizeof(struct tsma_run_reply)) /
			 sizeof(struct tsma_result);

	if (len < sizeof(run))
		return false;
	memcpy(&run, payload, sizeof(run));
	if (run.nops > results || run.flags & ~TSMA_RUN_STOP_ON_ERROR)
		return false;
	for (uint32_t i = 0; i < run.nops; i++) {
		struct tsma_op op;

		if (len - at < sizeof(op))
			return false;
		memcpy(&op, payload + at, sizeof(op));
		at += sizeof(op);
		if (len - at < op.data_len || op.code < TSMA_OPEN || op.code > TSMA_PRIORITY)
			return false;
		at += op.data_len;
	}
	return at == len;
}

/* Appends the names of one getdents64() result; -EMSGSIZE when they do not fit. */
static long append_names(struct op *op, const uint8_t *entries, long len)
{
	long count = 0;

	for (long at = 0; at < len;) {
		const struct entry *e = (const void *)(entries + at);
		size_t n = strlen(e->name) + 1;

		at += e->len;
		if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
			continue;
		if (op->room - op->out_len < n)
			return -EMSGSIZE;
		memcpy(op->out + op->out_len, e->name, n);
		op->out_len += n;
		count++;
	}
	return count;
}

static long list_dir(struct op *op)
{
	long fd = SYS3(SYS_open, op->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	uint8_t entries[4096] __attribute__((aligned(8)));
	long n, got, count = 0;

	if (fd < 0)
		return fd;
	while ((n = SYS3(SYS_getdents64, fd, entries, sizeof(entries))) > 0) {
		got = append_names(op, entries, n);
		if (got < 0) {
			n = got;
			break;
		}
		count += got;
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
	out = (struct tsma_stat){ st.st_mode, st.st_uid, st.st_gid, (uint32_t)st.st_nlink,
				  (uint64_t)st.st_size };
	memcpy(op->out, &out, sizeof(out));
	op->out_len = sizeof(out);
	return 0;
}

/* Loads the module file, compressed or not: 0 or -errno as finit_module(2) gives it. */
long insmod_path(const char *path, const char *params)
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

static long read_data(struct op *op, int fd)
{
	long n;

	if (op->head.count > op->room)
		return -EMSGSIZE;
	if (op->head.code == TSMA_READ)
		n = SYS3(SYS_read, fd, op->out, op->head.count);
	else
		n = SYS4(SYS_pread64, fd, op->out, op->head.count, op->head.offset);
	if (n > 0)
		op->out_len = (size_t)n;
	return n;
}

static long on_descriptor(struct op *op)
{
	const struct tsma_op *h = &op->head;
	int fd = h->fd == TSMA_FD_LAST ? *op->last_fd : h->fd;

	if (fd < 0 || fd >= FD_BASE)
		return -EBADF;
	switch (h->code) {
	case TSMA_CLOSE:
		return SYS1(SYS_close, fd);
	case TSMA_WRITE:
		return SYS3(SYS_write, fd, op->data, h->data_len);
	case TSMA_PWRITE:
		return SYS4(SYS_pwrite64, fd, op->data, h->data_len, h->offset);
	case TSMA_LSEEK:
		return SYS3(SYS_lseek, fd, h->offset, h->arg);
	default:
		return read_data(op, fd);
	}
}

/* The data as a path: 0 or -errno. INSMOD's may have a NUL and parameters behind it. */
static long take_path(struct op *op)
{
	size_t n = op->head.data_len;

	if (n >= PATH_LIMIT)
		return -ENAMETOOLONG;
	memcpy(op->path, op->data, n);
	op->path[n] = '\0';
	return op->head.code == TSMA_INSMOD || strlen(op->path) == n ? 0 : -EINVAL;
}

static long on_path(struct op *op)
{
	const struct tsma_op *h = &op->head;
	const char *path = op->path;
	long err = take_path(op);
	size_t n;

	if (err)
		return err;
	switch (h->code) {
	case TSMA_OPEN:
		*op->last_fd = (int)SYS3(SYS_open, path, h->arg, h->mode);
		return *op->last_fd;
	case TSMA_MKDIR:
		return SYS2(SYS_mkdir, path, h->arg);
	case TSMA_RMDIR:
		return SYS1(SYS_rmdir, path);
	case TSMA_STAT:
		return stat_path(op);
	case TSMA_LIST:
		return list_dir(op);
	case TSMA_RMMOD:
		return SYS2(SYS_delete_module, path, h->arg);
	default:
		n = strlen(path);
		return insmod_path(path, n < h->data_len ? path + n + 1 : "");
	}
}

/* SCHED_FIFO for any task, sched_setscheduler(2). */
static long prefer(const struct tsma_op *h)
{
	struct sched_param param = { .sched_priority = (int)h->arg };

	return SYS3(SYS_sched_setscheduler, (pid_t)h->offset, SCHED_FIFO, &param);
}

static long run_one(struct op *op)
{
	switch (op->head.code) {
	case TSMA_PRIORITY:
		return prefer(&op->head);
	case TSMA_CLOSE:
	case TSMA_READ:
	case TSMA_PREAD:
	case TSMA_WRITE:
	case TSMA_PWRITE:
	case TSMA_LSEEK:
		return on_descriptor(op);
	default:
		return on_path(op);
	}
}

/* lseek(2) may return an offset that is negative as a long, but no such small one. */
static bool is_error(long ret)
{
	return ret < 0 && ret >= -4095;
}

/* Runs the batch in box->request; returns the length of the reply's payload. */
uint32_t ops_run(struct mailbox *box)
{
	uint8_t *reply = box->frame + FRAME_HEADER, *out = reply + sizeof(struct tsma_run_reply);
	const uint8_t *in = box->request + sizeof(struct tsma_run);
	struct tsma_run_reply head = { 0 };
	uint64_t clock = now_ns();
	int last_fd = -1;
	bool failed = false;
	struct tsma_run run;
	struct op op;
	long ret;

	memcpy(&run, box->request, sizeof(run));
	op.last_fd = &last_fd;
	for (uint32_t i = 0; i < run.nops; i++) {
		struct tsma_result r = { .start_ns = clock };
		size_t later = (size_t)(run.nops - i - 1) * sizeof(r);

		memcpy(&op.head, in, sizeof(op.head));
		op.data = in + sizeof(op.head);
		in = op.data + op.head.data_len;
		/* A failed batch still gives back the descriptors it opened. */
		if (failed && op.head.code != TSMA_CLOSE)
			continue;
		atomic_store_explicit(&box->op_index, i, memory_order_relaxed);
		op.out = out + sizeof(r);
		op.room = (size_t)(reply + TSMW_MAX_PAYLOAD - op.out) - later;
		op.out_len = 0;
		ret = run_one(&op);
		r.ret = is_error(ret) ? -1 : ret;
		r.err = is_error(ret) ? (int32_t)-ret : 0;
		r.data_len = (uint32_t)op.out_len;
		/* One clock reading serves as this end and the next start. */
		r.end_ns = clock = now_ns();
		memcpy(out, &r, sizeof(r));
		out = op.out + op.out_len;
		head.nresults++;
		failed |= r.err && run.flags & TSMA_RUN_STOP_ON_ERROR;
	}
	memcpy(reply, &head, sizeof(head));
	return (uint32_t)(out - reply);
}

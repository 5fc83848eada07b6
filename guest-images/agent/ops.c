// SPDX-License-Identifier: MIT
/* Actors run this code: no call may touch the C library's state, see sys.h. */
#include <endian.h>
#include <string.h>

#include "calls.h"
#include "ops.h"
#include "util.h"

#define ERRNO_MAX	4095

/* *repeated is the number of operations that a REPEAT before this one still covers. */
static bool op_valid(const struct tsma_op *op, uint32_t following, uint32_t *repeated)
{
	uint32_t arg = le32toh(op->arg), rounds = le32toh(op->count);
	uint16_t code = le16toh(op->code);

	if (code != TSMA_REPEAT) {
		*repeated -= !!*repeated;
		return call_known(code) && (code != TSMA_SIGNAL || arg < ACTORS);
	}
	if (*repeated || !arg || arg > following || !rounds || rounds > TSMA_MAX_ROUNDS ||
	    op->data_len)
		return false;
	*repeated = arg;
	return true;
}

/* Checks the structure of a RUN request before any of it runs. */
bool ops_valid(const uint8_t *request, size_t len)
{
	const size_t most = (TSMW_MAX_PAYLOAD - sizeof(struct tsma_run_reply)) /
			    sizeof(struct tsma_result);
	size_t at = sizeof(struct tsma_run);
	struct tsma_run run;
	uint32_t left, repeated = 0;

	if (len < sizeof(run))
		return false;
	memcpy(&run, request, sizeof(run));
	if (le32toh(run.nops) > most || le32toh(run.flags) & ~TSMA_RUN_STOP_ON_ERROR)
		return false;
	for (left = le32toh(run.nops); left; left--) {
		struct tsma_op op;

		if (len - at < sizeof(op))
			return false;
		memcpy(&op, request + at, sizeof(op));
		at += sizeof(op);
		if (len - at < le32toh(op.data_len) || !op_valid(&op, left - 1, &repeated))
			return false;
		at += le32toh(op.data_len);
	}
	return at == len;
}

static void op_decode(struct op *op, const uint8_t *request)
{
	struct tsma_op wire;

	memcpy(&wire, request, sizeof(wire));
	op->code = le16toh(wire.code);
	op->fd = (int)le32toh((uint32_t)wire.fd);
	op->arg = le32toh(wire.arg);
	op->mode = le32toh(wire.mode);
	op->offset = le64toh(wire.offset);
	op->count = le32toh(wire.count);
	op->data_len = le32toh(wire.data_len);
	op->data = request + sizeof(wire);
}

/* lseek(2) may return an offset that is negative as a long, but none of these. */
static bool is_error(long ret)
{
	return ret < 0 && ret >= -ERRNO_MAX;
}

/* Writes a result without data to out. */
static void put_result(uint8_t *out, long ret, uint64_t start_ns, uint64_t end_ns, size_t data_len)
{
	bool error = is_error(ret);
	struct tsma_result result = {
		.ret = (int64_t)htole64((uint64_t)(error ? -1 : ret)),
		.err = (int32_t)htole32(error ? (uint32_t)-ret : 0),
		.data_len = htole32((uint32_t)data_len),
		.start_ns = htole64(start_ns),
		.end_ns = htole64(end_ns),
	};

	memcpy(out, &result, sizeof(result));
}

/* How far a batch has come. */
struct position {
	const uint8_t *in;	/* the next operation */
	uint8_t *out;		/* where its result goes */
	uint32_t left;		/* operations from in on */
	uint32_t done;		/* results before out */
};

struct batch {
	struct position at;
	const uint8_t *end;	/* of the room for results */
	uint32_t nops;
	bool stop_on_error, stopped;
	uint64_t clock;
	atomic_uint *op_index;
	struct op op;
};

/* Runs the next operation and writes its result, with its data. Returns whether it failed. */
static bool run_next(struct batch *batch)
{
	struct position *at = &batch->at;
	struct op *op = &batch->op;
	uint64_t start_ns = batch->clock;
	size_t left = at->left--;
	long ret;

	op_decode(op, at->in);
	at->in = op->data + op->data_len;
	/* A batch that failed still closes the descriptors that it opened. */
	if (batch->stopped && op->code != TSMA_CLOSE)
		return false;
	atomic_store_explicit(batch->op_index, batch->nops - (uint32_t)left, memory_order_relaxed);
	op->out = at->out + sizeof(struct tsma_result);
	op->out_len = 0;
	/* The results of the operations that follow have to fit as well. */
	op->room = (size_t)(batch->end - at->out) - left * sizeof(struct tsma_result);
	ret = call_run(op);
	/* The end of a call is the start of the next: reading the clock is slow. */
	batch->clock = now_ns();
	put_result(at->out, ret, start_ns, batch->clock, op->out_len);
	at->out = op->out + op->out_len;
	at->done++;
	batch->stopped |= is_error(ret) && batch->stop_on_error;
	return is_error(ret);
}

/* Runs n operations once. Returns whether one failed. */
static bool run_round(struct batch *batch, uint32_t n)
{
	bool failed = false;

	while (n--)
		failed |= run_next(batch);
	return failed;
}

/* Runs a REPEAT and its operations. Each round overwrites the results of the one before. */
static void run_repeat(struct batch *batch)
{
	uint64_t start_ns = batch->clock;
	uint8_t *result = batch->at.out;
	struct position first;
	uint32_t n, rounds, complete = 0;

	op_decode(&batch->op, batch->at.in);
	n = batch->op.arg;
	rounds = batch->op.count;
	first = (struct position){
		.in = batch->op.data,
		.out = result + sizeof(struct tsma_result),
		.left = batch->at.left - 1,
		.done = batch->at.done + 1,
	};
	do {
		batch->at = first;
		if (run_round(batch, n))
			break;
		complete++;
	} while (complete < rounds);
	put_result(result, complete, start_ns, batch->clock, 0);
}

static bool at_repeat(const struct batch *batch)
{
	struct tsma_op wire;

	memcpy(&wire, batch->at.in, sizeof(wire));
	return le16toh(wire.code) == TSMA_REPEAT;
}

/*
 * Runs a batch that ops_valid() has checked. Writes the payload of the reply,
 * which has room for TSMW_MAX_PAYLOAD bytes, and returns its length. op_index
 * shows which operation runs; owner is the actor's for the port lock.
 */
size_t ops_run(const uint8_t *request, uint8_t *reply, atomic_uint *op_index, uint32_t owner)
{
	struct tsma_run_reply head;
	struct batch batch;
	struct tsma_run run;

	memcpy(&run, request, sizeof(run));
	batch.at = (struct position){
		.in = request + sizeof(run),
		.out = reply + sizeof(head),
		.left = le32toh(run.nops),
	};
	batch.end = reply + TSMW_MAX_PAYLOAD;
	batch.nops = le32toh(run.nops);
	batch.stop_on_error = le32toh(run.flags) & TSMA_RUN_STOP_ON_ERROR;
	batch.stopped = false;
	batch.clock = now_ns();
	batch.op_index = op_index;
	batch.op.last_fd = -1;
	batch.op.owner = owner;
	while (batch.at.left) {
		if (!batch.stopped && at_repeat(&batch))
			run_repeat(&batch);
		else
			run_next(&batch);
	}
	head = (struct tsma_run_reply){ .nresults = htole32(batch.at.done) };
	memcpy(reply, &head, sizeof(head));
	return (size_t)(batch.at.out - reply);
}

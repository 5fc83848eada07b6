// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests in flight. A reader puts its request into the table and waits;
 * whoever finishes it takes it out, under sim->lock, and with that gives
 * result and blobs to the waiter. An id is never used twice, so a late answer
 * finds nothing.
 */
#include <linux/cleanup.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "sim.h"

/* As long as a throttled SEV-SNP guest keeps trying. */
#define THROTTLED_MAX_MS	60000U

void sim_reply_free(struct sim_reply *reply)
{
	int i;

	for (i = 0; i < SIM_BLOB_COUNT; i++) {
		kvfree(reply->blob[i].data);
		reply->blob[i].data = NULL;
		reply->blob[i].len = 0;
	}
}

static int slot_of(struct sim *sim, u32 id)
{
	int i;

	for (i = 0; i < TSMW_MAX_IN_FLIGHT; i++)
		if (sim->slots[i] && sim->slots[i]->id == id)
			return i;
	return -1;
}

/* The request a reply is for; NULL, counted, when there is none. Locked. */
struct sim_request *sim_find(struct sim *sim, u32 session, u32 id)
{
	bool ours = session && session == sim->session && id;
	int slot = ours ? slot_of(sim, id) : -1;
	int i;

	if (slot >= 0)
		return sim->slots[slot];
	for (i = 0; ours && i < SIM_ANSWERED; i++) {
		if (sim->answered[i] == id) {
			sim_count(SIM_DUPLICATES);
			return NULL;
		}
	}
	sim_count(SIM_STALE);
	return NULL;
}

static void take_out(struct sim *sim, struct sim_request *request)
{
	sim->slots[slot_of(sim, request->id)] = NULL;
	request->id = 0;
	sim_uncount(SIM_IN_FLIGHT);
}

/* Give the request, with its result, back to its waiter. Locked. */
void sim_finish(struct sim *sim, struct sim_request *request, int result)
{
	request->result = result;
	take_out(sim, request);
	complete(&request->done);
}

/* Finish all requests, and those that wait to be repeated. Locked. */
void sim_fail_all(struct sim *sim, int result)
{
	int i;

	for (i = 0; i < TSMW_MAX_IN_FLIGHT; i++)
		if (sim->slots[i])
			sim_finish(sim, sim->slots[i], result);
	wake_up_all(&sim->lost);
}

static bool accepts(struct sim *sim, u32 session)
{
	return sim->session && sim->session == session && !sim->leaving;
}

static int submit(struct sim *sim, struct sim_request *request, u32 session,
		  const u8 *payload, size_t len)
{
	int slot, used = 0, free = -1;
	int rc;

	guard(mutex)(&sim->lock);
	if (!accepts(sim, session) || sim->last_id == U32_MAX)
		return -ENXIO;
	for (slot = 0; slot < TSMW_MAX_IN_FLIGHT; slot++) {
		if (sim->slots[slot])
			used++;
		else
			free = slot;
	}
	if (used >= sim->max_in_flight)
		return -EBUSY;
	rc = sim_send(sim, TSMW_REPORT, session, sim->last_id + 1, TSMW_OK,
		      payload, len);
	if (rc)
		return rc;
	request->id = ++sim->last_id;
	sim->slots[free] = request;
	sim_count(SIM_IN_FLIGHT);
	return 0;
}

/* Take back a request nobody waits for any more, unless it was just finished. */
static void abandon(struct sim *sim, struct sim_request *request, int result)
{
	guard(mutex)(&sim->lock);
	if (!request->id)
		return;
	sim_count(result == -ETIMEDOUT ? SIM_TIMEOUTS : SIM_CANCELLED);
	sim_send_u32(sim, TSMW_CANCEL, sim->session, request->id);
	request->result = result;
	take_out(sim, request);
}

static int attempt(struct sim *sim, struct sim_request *request, u32 session,
		   u32 timeout_ms, const u8 *payload, size_t len)
{
	long rc;

	memset(request, 0, sizeof(*request));
	init_completion(&request->done);
	rc = submit(sim, request, session, payload, len);
	if (rc)
		return rc;
	rc = wait_for_completion_interruptible_timeout(&request->done,
			timeout_ms ? msecs_to_jiffies(timeout_ms) :
				     MAX_SCHEDULE_TIMEOUT);
	if (rc <= 0)
		abandon(sim, request, rc ? -EINTR : -ETIMEDOUT);
	return request->result;
}

/* Wait until a throttled request may be repeated. */
static int pause(struct sim *sim, u32 session, u32 ms)
{
	long rc;

	rc = wait_event_interruptible_timeout(sim->lost, !accepts(sim, session),
					      msecs_to_jiffies(ms));
	if (rc < 0)
		return -EINTR;
	return rc ? -ENXIO : 0;
}

/**
 * sim_request - ask the host for a report and wait for it
 * @sim: the provider
 * @payload: TLVs of the request
 * @len: bytes of @payload
 * @reply: filled when 0 is returned; sim_reply_free() frees its blobs
 *
 * Return: 0; the value of TSMW_INJECT, which may be positive; or
 *	-ENXIO		no session, or it ended meanwhile
 *	-EBUSY		too many requests in flight
 *	-EINTR		a signal came
 *	-ETIMEDOUT	no answer in the host's time, or throttled for too long
 *	-EMSGSIZE, -EBADMSG, -EPROTO	the answer broke the protocol
 *	-ENOMEM, -ENOBUFS, and the errno of the answer's status
 */
int sim_request(struct sim *sim, const u8 *payload, size_t len,
		struct sim_reply *reply)
{
	struct sim_request request;
	u32 session, timeout_ms;
	unsigned long give_up;
	int rc;

	scoped_guard(mutex, &sim->lock) {
		session = sim->session;
		timeout_ms = sim->timeout_ms;
	}
	give_up = jiffies + msecs_to_jiffies(timeout_ms ?
			min(timeout_ms, THROTTLED_MAX_MS) : THROTTLED_MAX_MS);
	for (;;) {
		rc = attempt(sim, &request, session, timeout_ms, payload, len);
		if (rc != SIM_THROTTLED)
			break;
		if (time_after(jiffies + msecs_to_jiffies(request.retry_ms),
			       give_up))
			return -ETIMEDOUT;
		rc = pause(sim, session, request.retry_ms);
		if (rc)
			return rc;
	}
	if (rc)
		sim_reply_free(&request.reply);
	else
		*reply = request.reply;
	return rc;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of requests in flight. A reader puts its request into the table and
 * waits. Completion removes the request from the table, under tsm_sim.lock, and
 * thereby returns it, with result and blobs, to the reader. No id is used twice,
 * so that a late reply finds no request.
 */
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "sim.h"

/* As long as the kernel's SEV-SNP driver repeats a throttled request. */
#define THROTTLED_MAX_MS	60000U

static int find_slot(struct tsm_sim *sim, u32 id)
{
	int i;

	for (i = 0; i < TSMW_MAX_IN_FLIGHT; i++)
		if (sim->slots[i] && sim->slots[i]->id == id)
			return i;
	return -1;
}

static bool was_answered(struct tsm_sim *sim, u32 id)
{
	int i;

	for (i = 0; i < TSM_SIM_ANSWERED; i++)
		if (sim->answered[i] == id)
			return true;
	return false;
}

/* The request that a reply belongs to; NULL, counted, when there is none. */
struct tsm_sim_request *tsm_sim_find_request(struct tsm_sim *sim, u32 session,
					     u32 id)
{
	int slot;

	lockdep_assert_held(&sim->lock);
	if (!session || session != sim->session || !id) {
		tsm_sim_count(TSM_SIM_STALE);
		return NULL;
	}
	slot = find_slot(sim, id);
	if (slot >= 0)
		return sim->slots[slot];
	tsm_sim_count(was_answered(sim, id) ? TSM_SIM_DUPLICATES :
					      TSM_SIM_STALE);
	return NULL;
}

static void remove_request(struct tsm_sim *sim, struct tsm_sim_request *request)
{
	lockdep_assert_held(&sim->lock);
	sim->slots[find_slot(sim, request->id)] = NULL;
	request->id = 0;
	tsm_sim_uncount(TSM_SIM_IN_FLIGHT);
}

void tsm_sim_complete_request(struct tsm_sim *sim,
			      struct tsm_sim_request *request, int result)
{
	request->result = result;
	remove_request(sim, request);
	complete(&request->done);
}

/* Complete all requests, also those that wait to be repeated. */
void tsm_sim_fail_requests(struct tsm_sim *sim, int result)
{
	int i;

	lockdep_assert_held(&sim->lock);
	for (i = 0; i < TSMW_MAX_IN_FLIGHT; i++)
		if (sim->slots[i])
			tsm_sim_complete_request(sim, sim->slots[i], result);
	wake_up_all(&sim->session_ended);
}

static bool accepts_requests(struct tsm_sim *sim, u32 session)
{
	return sim->session && sim->session == session && !sim->closing;
}

static int submit_request(struct tsm_sim *sim, struct tsm_sim_request *request,
			  u32 session, const u8 *payload, size_t len)
{
	struct tsm_sim_head head = {
		.type = TSMW_REPORT,
		.session = session,
		.length = len,
	};
	int slot, used = 0, free = -1;
	int rc;

	guard(mutex)(&sim->lock);
	if (!accepts_requests(sim, session) || sim->last_id == U32_MAX)
		return -ENXIO;
	for (slot = 0; slot < TSMW_MAX_IN_FLIGHT; slot++) {
		if (sim->slots[slot])
			used++;
		else
			free = slot;
	}
	if (used >= sim->max_in_flight)
		return -EBUSY;
	head.id = sim->last_id + 1;
	rc = tsm_sim_send(&sim->queue, &head, payload);
	if (rc)
		return rc;
	sim->last_id = head.id;
	request->id = head.id;
	sim->slots[free] = request;
	tsm_sim_count(TSM_SIM_IN_FLIGHT);
	return 0;
}

/* Take back a request that its reader gave up, unless it was just completed. */
static void cancel_request(struct tsm_sim *sim, struct tsm_sim_request *request,
			   int result)
{
	guard(mutex)(&sim->lock);
	if (!request->id)
		return;
	tsm_sim_count(result == -ETIMEDOUT ? TSM_SIM_TIMEOUTS :
					     TSM_SIM_CANCELLED);
	tsm_sim_send_u32(&sim->queue, TSMW_CANCEL, sim->session, request->id);
	request->result = result;
	remove_request(sim, request);
}

static int submit_and_wait(struct tsm_sim *sim, struct tsm_sim_request *request,
			   u32 session, u32 timeout_ms, const u8 *payload,
			   size_t len)
{
	long timeout = timeout_ms ? msecs_to_jiffies(timeout_ms) :
				    MAX_SCHEDULE_TIMEOUT;
	long rc;

	memset(request, 0, sizeof(*request));
	init_completion(&request->done);
	rc = submit_request(sim, request, session, payload, len);
	if (rc)
		return rc;
	rc = wait_for_completion_interruptible_timeout(&request->done, timeout);
	if (rc <= 0)
		cancel_request(sim, request, rc ? -EINTR : -ETIMEDOUT);
	return request->result;
}

/* Wait until a throttled request may be repeated. */
static int wait_for_retry(struct tsm_sim *sim, u32 session, u32 ms)
{
	long rc;

	rc = wait_event_interruptible_timeout(sim->session_ended,
					      !accepts_requests(sim, session),
					      msecs_to_jiffies(ms));
	if (rc < 0)
		return -EINTR;
	return rc ? -ENXIO : 0;
}

/**
 * tsm_sim_request - send a REPORT request to the host and wait for the reply
 * @sim: the provider
 * @payload: TLVs of the request
 * @len: bytes of @payload
 * @reply: filled when 0 is returned; tsm_sim_free_blobs() frees its blobs
 *
 * Return: 0; the value of TSMW_INJECT, which may be positive; or
 *	-ENXIO		no session, or it ended meanwhile
 *	-EBUSY		too many requests in flight
 *	-EINTR		a signal arrived
 *	-ETIMEDOUT	no reply within the timeout, or throttled for too long
 *	-EMSGSIZE, -EBADMSG, -EPROTO	the reply violates the protocol
 *	-ENOMEM, -ENOBUFS, and the errno of the reply's status
 */
int tsm_sim_request(struct tsm_sim *sim, const u8 *payload, size_t len,
		    struct tsm_sim_reply *reply)
{
	struct tsm_sim_request request;
	u32 session, timeout_ms, total_ms;
	unsigned long deadline;
	int rc;

	scoped_guard(mutex, &sim->lock) {
		session = sim->session;
		timeout_ms = sim->timeout_ms;
	}
	total_ms = min(timeout_ms ?: THROTTLED_MAX_MS, THROTTLED_MAX_MS);
	deadline = jiffies + msecs_to_jiffies(total_ms);
	for (;;) {
		rc = submit_and_wait(sim, &request, session, timeout_ms, payload,
				     len);
		if (rc != TSM_SIM_THROTTLED)
			break;
		if (time_after(jiffies + msecs_to_jiffies(request.retry_ms),
			       deadline))
			return -ETIMEDOUT;
		rc = wait_for_retry(sim, session, request.retry_ms);
		if (rc)
			return rc;
	}
	if (rc)
		tsm_sim_free_blobs(&request.reply);
	else
		*reply = request.reply;
	return rc;
}

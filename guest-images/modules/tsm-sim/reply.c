// SPDX-License-Identifier: GPL-2.0-only
/* From the frames of a REPORT reply to a request's result and blobs. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "sim.h"

#define MAX_TOTAL_LIMIT		SZ_64M

static unsigned int max_total;
module_param(max_total, uint, 0444);
MODULE_PARM_DESC(max_total,
		 "Largest sum of the blobs of one report, in bytes, at most 64 MiB (default: each blob one byte over the implementation's limit)");

/* @fallback: the value without the parameter */
int tsm_sim_max_total_init(u32 fallback)
{
	if (!max_total)
		max_total = min_t(u32, fallback, MAX_TOTAL_LIMIT);
	if (max_total <= MAX_TOTAL_LIMIT)
		return 0;
	pr_err("max_total=%u is over %u\n", max_total, MAX_TOTAL_LIMIT);
	return -EINVAL;
}

u32 tsm_sim_max_total(void)
{
	return max_total;
}

static const int errno_of_status[] = {
	[TSMW_BUSY] = EBUSY,
	[TSMW_INVALID] = EINVAL,
	[TSMW_UNSUPPORTED] = EOPNOTSUPP,
	[TSMW_NO_DEVICE] = ENXIO,
	[TSMW_IO] = EIO,
	[TSMW_TOO_BIG] = EFBIG,
	[TSMW_NO_KEY] = ENOTTY,
	[TSMW_BAD_MESSAGE] = EBADMSG,
	[TSMW_TIMEOUT] = ETIMEDOUT,
	[TSMW_INTERNAL] = EPROTO,
};

/* The result of a reply whose status is not TSMW_OK. */
static int result_of_status(struct tsm_sim_request *request, u32 status,
			    const u8 *payload, u32 len)
{
	s32 value;

	if (status == TSMW_THROTTLED || status == TSMW_INJECT) {
		if (len != sizeof(__le32))
			return -EPROTO;
		value = le32_to_cpup((const __le32 *)payload);
		if (status == TSMW_THROTTLED) {
			request->retry_ms = value;
			return TSM_SIM_THROTTLED;
		}
		if (value < -MAX_ERRNO || value > MAX_ERRNO)
			return -EPROTO;
		request->reply.flags = TSMW_REPLY_NO_OUTBLOB |
				       TSMW_REPLY_KEEP_LENGTHS;
		return value;
	}
	if (status >= ARRAY_SIZE(errno_of_status) || !errno_of_status[status])
		return -EPROTO;
	return -errno_of_status[status];
}

/* Check the lengths at the start of a reply, and allocate the blobs. */
static int start_blobs(struct tsm_sim_request *request, const u8 *payload,
		       u32 len)
{
	const struct tsmw_report_reply *announced = (const void *)payload;
	struct tsm_sim_reply *reply = &request->reply;
	u64 total = 0;
	int i, rc;

	if (len < sizeof(*announced))
		return -EBADMSG;
	reply->flags = le32_to_cpu(announced->flags);
	reply->blob[0].len = le32_to_cpu(announced->outblob_len);
	reply->blob[1].len = le32_to_cpu(announced->auxblob_len);
	reply->blob[2].len = le32_to_cpu(announced->manifestblob_len);
	for (i = 0; i < TSM_SIM_BLOBS; i++)
		total += reply->blob[i].len;
	if (total > max_total)
		return -EMSGSIZE;
	if (reply->flags & TSMW_REPLY_NO_OUTBLOB && reply->blob[0].len)
		return -EBADMSG;

	for (i = 0; i < TSM_SIM_BLOBS; i++) {
		/* Only an outblob can exist and be empty. */
		if (!reply->blob[i].len &&
		    (i || reply->flags & TSMW_REPLY_NO_OUTBLOB))
			continue;
		rc = tsm_sim_alloc_blob(reply, i);
		if (rc)
			return rc;
	}
	request->announced = true;
	request->expected = total;
	return 0;
}

/* Append bytes to the blobs, which follow each other on the wire. */
static int append_to_blobs(struct tsm_sim_request *request, const u8 *data,
			   u32 len)
{
	u32 start = 0, at, n;
	int i;

	if (len > request->expected - request->received)
		return -EBADMSG;
	for (i = 0; i < TSM_SIM_BLOBS && len; i++) {
		u32 blob_len = request->reply.blob[i].len;

		at = request->received - start;
		if (at < blob_len) {
			n = min(len, blob_len - at);
			memcpy(request->reply.blob[i].data + at, data, n);
			request->received += n;
			data += n;
			len -= n;
		}
		start += blob_len;
	}
	return 0;
}

static int add_payload(struct tsm_sim_request *request, const u8 *payload,
		       u32 len)
{
	int rc;

	if (!request->announced) {
		rc = start_blobs(request, payload, len);
		if (rc)
			return rc;
		payload += sizeof(struct tsmw_report_reply);
		len -= sizeof(struct tsmw_report_reply);
	}
	return append_to_blobs(request, payload, len);
}

/*
 * Handle one frame of a reply. @error: see struct tsm_sim_rx; a frame whose
 * payload is not valid fails its request.
 */
void tsm_sim_handle_reply(struct tsm_sim *sim, const struct tsm_sim_head *head,
			  const u8 *payload, int error)
{
	struct tsm_sim_request *request;
	bool more = head->flags & TSMW_F_MORE;
	int rc;

	guard(mutex)(&sim->lock);
	request = tsm_sim_find_request(sim, head->session, head->id);
	if (!request)
		return;
	if (error) {
		rc = error;
	} else if (head->flags & ~TSMW_F_MORE) {
		rc = -EBADMSG;
	} else if (head->status != TSMW_OK) {
		/* No frame will complete the blobs of earlier frames. */
		tsm_sim_free_blobs(&request->reply);
		rc = result_of_status(request, head->status, payload,
				      head->length);
	} else {
		rc = add_payload(request, payload, head->length);
		if (!rc && more)
			return;
		if (!rc && request->received != request->expected)
			rc = -EBADMSG;
	}
	if (!more && !error)
		sim->answered[sim->answered_next++ % TSM_SIM_ANSWERED] = head->id;
	tsm_sim_complete_request(sim, request, rc);
}

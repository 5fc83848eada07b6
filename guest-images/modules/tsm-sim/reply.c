// SPDX-License-Identifier: GPL-2.0-only
/* From the frames of a REPORT reply to a request's result and blobs. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "sim.h"

#define MAX_TOTAL_LIMIT		SZ_64M

static unsigned int max_total;
module_param(max_total, uint, 0444);
MODULE_PARM_DESC(max_total,
		 "Largest sum of the blobs of one report, in bytes, at most 64 MiB (default: each blob one byte over what the core accepts)");

u32 sim_max_total(void)
{
	return max_total;
}

int sim_max_total_init(void)
{
	if (!max_total)
		max_total = min_t(u32, sim_core_max, MAX_TOTAL_LIMIT);
	if (max_total <= MAX_TOTAL_LIMIT)
		return 0;
	pr_err("max_total=%u is over %u\n", max_total, MAX_TOTAL_LIMIT);
	return -EINVAL;
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

/* The result of a reply that is not TSMW_OK. */
static int failure(struct sim_request *request, u32 status, const u8 *payload,
		   u32 len)
{
	s32 value;

	if (status == TSMW_THROTTLED || status == TSMW_INJECT) {
		if (len != sizeof(value))
			return -EPROTO;
		value = get_unaligned_le32(payload);
		if (status == TSMW_THROTTLED) {
			request->retry_ms = value;
			return SIM_THROTTLED;
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

/* One byte at least, since not every allocator gives a pointer for none. */
static u8 *allocate(u32 len, u32 flags)
{
	if (flags & TSMW_REPLY_VMALLOC)
		return vmalloc(max(len, 1U));
	return kvmalloc(max(len, 1U), GFP_KERNEL);
}

/* Take the head of a reply: check what it announces, then make room for it. */
static int begin(struct sim_request *request, const u8 *payload, u32 len)
{
	struct sim_reply *reply = &request->reply;
	u64 total = 0;
	int i;

	if (len < sizeof(struct tsmw_report_reply))
		return -EBADMSG;
	for (i = 0; i < SIM_BLOB_COUNT; i++) {
		reply->blob[i].len = get_unaligned_le32(payload + 4 * i);
		total += reply->blob[i].len;
	}
	reply->flags = get_unaligned_le32(payload + 4 * SIM_BLOB_COUNT);
	if (total > max_total)
		return -EMSGSIZE;
	if (reply->flags & TSMW_REPLY_NO_OUTBLOB && reply->blob[0].len)
		return -EBADMSG;

	for (i = 0; i < SIM_BLOB_COUNT; i++) {
		/* Only the outblob may be there and empty. */
		if (!reply->blob[i].len &&
		    (i || reply->flags & TSMW_REPLY_NO_OUTBLOB))
			continue;
		reply->blob[i].data = allocate(reply->blob[i].len, reply->flags);
		if (!reply->blob[i].data)
			return -ENOMEM;
	}
	request->begun = true;
	request->expected = total;
	return 0;
}

/* Put bytes where they belong: the blobs follow each other. */
static int append(struct sim_request *request, const u8 *data, u32 len)
{
	u32 start = 0, at, n;
	int i;

	if (len > request->expected - request->received)
		return -EBADMSG;
	for (i = 0; i < SIM_BLOB_COUNT && len; i++) {
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

static int take_payload(struct sim_request *request, const u8 *payload, u32 len)
{
	int rc;

	if (!request->begun) {
		rc = begin(request, payload, len);
		if (rc)
			return rc;
		payload += sizeof(struct tsmw_report_reply);
		len -= sizeof(struct tsmw_report_reply);
	}
	return append(request, payload, len);
}

/* Handle one frame of a reply; @head is in the CPU's byte order. */
void sim_report_reply(struct sim *sim, const struct tsmw_header *head,
		      const u8 *payload)
{
	struct sim_request *request;
	int rc;

	guard(mutex)(&sim->lock);
	request = sim_find(sim, head->session, head->id);
	if (!request)
		return;
	if (head->flags & ~TSMW_F_MORE) {
		rc = -EBADMSG;
	} else if (head->status != TSMW_OK) {
		/* What earlier frames of it began will not be filled any more. */
		sim_reply_free(&request->reply);
		rc = failure(request, head->status, payload, head->length);
	} else {
		rc = take_payload(request, payload, head->length);
		if (!rc && head->flags & TSMW_F_MORE)
			return;
		if (!rc && request->received != request->expected)
			rc = -EBADMSG;
	}
	if (!(head->flags & TSMW_F_MORE))
		sim->answered[sim->answered_next++ % SIM_ANSWERED] = head->id;
	sim_finish(sim, request, rc);
}

/* A frame came whose payload is of no use: fail the request it was for. */
void sim_broken_frame(struct sim *sim, const struct tsmw_header *head,
		      int result)
{
	struct sim_request *request;

	if (head->type != (TSMW_REPORT | TSMW_REPLY))
		return;
	guard(mutex)(&sim->lock);
	request = sim_find(sim, head->session, head->id);
	if (request)
		sim_finish(sim, request, result);
}

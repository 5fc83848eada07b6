// SPDX-License-Identifier: GPL-2.0-only
/* Frames that wait to be read. */
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "sim.h"

#define QUEUE_MAX	SZ_256K	/* bytes of frames */

void tsm_sim_queue_init(struct tsm_sim_queue *queue)
{
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->frames);
	init_waitqueue_head(&queue->readable);
}

static bool add_frame(struct tsm_sim_queue *queue, struct tsm_sim_frame *frame)
{
	guard(spinlock)(&queue->lock);
	if (queue->bytes + frame->size > QUEUE_MAX)
		return false;
	list_add_tail(&frame->list, &queue->frames);
	queue->bytes += frame->size;
	return true;
}

/*
 * Queue one frame. -ENOBUFS, counted as dropped, when the queue is full because
 * the host does not read.
 */
int tsm_sim_send(struct tsm_sim_queue *queue, const struct tsm_sim_head *head,
		 const void *payload)
{
	size_t size = sizeof(struct tsmw_header) + head->length;
	struct tsm_sim_frame *frame;

	frame = kmalloc(struct_size(frame, data, size), GFP_KERNEL);
	if (!frame)
		return -ENOMEM;
	frame->size = size;
	tsm_sim_encode_header((struct tsmw_header *)frame->data, head, payload);
	memcpy(frame->data + sizeof(struct tsmw_header), payload, head->length);

	if (!add_frame(queue, frame)) {
		kfree(frame);
		tsm_sim_count(TSM_SIM_DROPPED);
		return -ENOBUFS;
	}
	tsm_sim_count(TSM_SIM_FRAMES_OUT);
	wake_up_interruptible(&queue->readable);
	return 0;
}

int tsm_sim_send_u32(struct tsm_sim_queue *queue, u8 type, u32 session,
		     u32 value)
{
	struct tsm_sim_head head = {
		.type = type,
		.session = session,
		.length = sizeof(value),
	};
	__le32 payload = cpu_to_le32(value);

	return tsm_sim_send(queue, &head, &payload);
}

/* Remove the oldest frame and return it; NULL when there is none. */
struct tsm_sim_frame *tsm_sim_queue_pop(struct tsm_sim_queue *queue)
{
	struct tsm_sim_frame *frame;

	guard(spinlock)(&queue->lock);
	frame = list_first_entry_or_null(&queue->frames, struct tsm_sim_frame,
					 list);
	if (frame) {
		list_del(&frame->list);
		queue->bytes -= frame->size;
	}
	return frame;
}

bool tsm_sim_queue_empty(struct tsm_sim_queue *queue)
{
	guard(spinlock)(&queue->lock);
	return list_empty(&queue->frames);
}

void tsm_sim_queue_purge(struct tsm_sim_queue *queue)
{
	struct tsm_sim_frame *frame;

	while ((frame = tsm_sim_queue_pop(queue)))
		kfree(frame);
}

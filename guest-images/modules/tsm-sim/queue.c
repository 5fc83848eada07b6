// SPDX-License-Identifier: GPL-2.0-only
/* Frames waiting to be read, at most SIM_QUEUE_MAX bytes of them. */
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "sim.h"

static void fill_header(struct tsmw_header *head, u8 type, u32 session, u32 id,
			u32 status, u32 len)
{
	const u8 *payload = (const u8 *)(head + 1);

	head->magic = (__force u32)cpu_to_le32(TSMW_MAGIC);
	head->version = TSMW_VERSION;
	head->type = type;
	head->flags = 0;
	head->session = (__force u32)cpu_to_le32(session);
	head->id = (__force u32)cpu_to_le32(id);
	head->length = (__force u32)cpu_to_le32(len);
	head->status = (__force u32)cpu_to_le32(status);
	head->payload_crc = (__force u32)cpu_to_le32(sim_crc(payload, len));
	head->header_crc = (__force u32)cpu_to_le32(
		sim_crc(head, offsetof(struct tsmw_header, header_crc)));
}

/*
 * Queue one frame. -ENOBUFS, counted as dropped, when nobody has read for so
 * long that the queue is full.
 */
int sim_send(struct sim *sim, u8 type, u32 session, u32 id, u32 status,
	     const void *payload, size_t len)
{
	size_t size = sizeof(struct tsmw_header) + len;
	struct sim_frame *frame;

	frame = kmalloc(struct_size(frame, data, size), GFP_KERNEL);
	if (!frame)
		return -ENOMEM;
	frame->size = size;
	memcpy(frame->data + sizeof(struct tsmw_header), payload, len);
	fill_header((struct tsmw_header *)frame->data, type, session, id, status,
		    len);

	scoped_guard(spinlock, &sim->queue_lock) {
		if (sim->queued + size <= SIM_QUEUE_MAX) {
			list_add_tail(&frame->list, &sim->queue);
			sim->queued += size;
			frame = NULL;
		}
	}
	if (frame) {
		kfree(frame);
		sim_count(SIM_DROPPED);
		return -ENOBUFS;
	}
	sim_count(SIM_FRAMES_OUT);
	wake_up_interruptible(&sim->readable);
	return 0;
}

int sim_send_u32(struct sim *sim, u8 type, u32 session, u32 value)
{
	__le32 payload = cpu_to_le32(value);

	return sim_send(sim, type, session, 0, TSMW_OK, &payload,
			sizeof(payload));
}

/* Take the first frame off the queue; NULL when there is none. */
struct sim_frame *sim_queue_pop(struct sim *sim)
{
	struct sim_frame *frame;

	guard(spinlock)(&sim->queue_lock);
	frame = list_first_entry_or_null(&sim->queue, struct sim_frame, list);
	if (frame) {
		list_del(&frame->list);
		sim->queued -= frame->size;
	}
	return frame;
}

bool sim_queue_empty(struct sim *sim)
{
	guard(spinlock)(&sim->queue_lock);
	return list_empty(&sim->queue);
}

/* Drop what nobody has begun to read. */
void sim_queue_purge(struct sim *sim)
{
	struct sim_frame *frame;

	while ((frame = sim_queue_pop(sim)))
		kfree(frame);
}

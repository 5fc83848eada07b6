/* SPDX-License-Identifier: MIT */
/*
 * What main sends on the agent port: a bounded queue, flushed without ever
 * blocking. While it holds bytes, shared->backlog makes the actors hand their
 * replies over instead of writing them past the queue.
 */
#include <errno.h>
#include <string.h>

#include "agent.h"
#include "sys.h"

#define QUEUE_SIZE	(4 * FRAME_MAX)

static uint8_t queue[QUEUE_SIZE];
static size_t head, tail;
static size_t boundary;		/* start of the first frame of which nothing was sent */

/* Room for the largest reply and a few small events besides. */
bool out_room(void)
{
	return QUEUE_SIZE - (tail - head) >= 2 * FRAME_MAX;
}

static uint8_t *reserve(size_t len)
{
	if (QUEUE_SIZE - tail < len) {
		memmove(queue, queue + head, tail - head);
		tail -= head;
		boundary -= head;
		head = 0;
	}
	return QUEUE_SIZE - tail < len ? NULL : queue + tail;
}

/* Queues one frame; callers see to room with out_room(). */
void out_frame(uint8_t type, uint32_t session, uint32_t id, uint32_t status,
	       const void *payload, size_t len)
{
	uint8_t *frame = len > TSMW_MAX_PAYLOAD ? NULL : reserve(FRAME_HEADER + len);

	if (!frame)
		return;
	if (len)
		memcpy(frame + FRAME_HEADER, payload, len);
	frame_seal(frame, type, session, id, status, (uint32_t)len);
	tail += FRAME_HEADER + len;
}

/* Queues one frame that is already built. */
void out_bytes(const void *bytes, size_t len)
{
	uint8_t *at = reserve(len);

	if (!at)
		return;
	memcpy(at, bytes, len);
	tail += len;
}

/* How much of it could be written now: 0 to len. Actors use it too. */
size_t write_some(int fd, const void *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		long n = SYS3(SYS_write, fd, (const uint8_t *)bytes + done, len - done);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static void partial_done(uint32_t slot)
{
	struct mailbox *box = &shared->box[slot];

	atomic_store(&shared->partial, 0);
	atomic_store(&box->handed, 0);
	futex_wake(&box->handed, 1);
}

/* The rest of a reply that its actor could send only half of goes before all else. */
static bool finish_partial(void)
{
	uint32_t slot = atomic_load(&shared->partial);
	struct mailbox *box;

	if (!slot)
		return true;
	box = &shared->box[--slot];
	if (box->frame_len > FRAME_MAX || box->frame_sent > box->frame_len)
		box->frame_sent = box->frame_len = 0;
	box->frame_sent += (uint32_t)write_some(port_fd, box->frame + box->frame_sent,
						box->frame_len - box->frame_sent);
	if (box->frame_sent < box->frame_len)
		return false;
	partial_done(slot);
	return true;
}

static void consume(size_t n)
{
	head += n;
	while (boundary < head) {
		struct tsmw_header h;

		memcpy(&h, queue + boundary, sizeof(h));
		boundary += FRAME_HEADER + h.length;
	}
	if (head == tail)
		head = tail = boundary = 0;
}

/* Sends what the port takes now; true when nothing is left. */
bool out_flush(void)
{
	bool empty;

	if (head == tail && !atomic_load(&shared->backlog))
		return true;
	port_lock_main();
	if (finish_partial() && head < tail)
		consume(write_some(port_fd, queue + head, tail - head));
	empty = head == tail && !atomic_load(&shared->partial);
	atomic_store(&shared->backlog, !empty);
	port_unlock();
	if (empty)
		kmsg_delivered();
	return empty;
}

/*
 * Forgets what is queued. A frame that the host has the first half of is kept,
 * unless that host is gone.
 */
void out_drop(bool host_gone)
{
	port_lock_main();
	if (host_gone) {
		if (atomic_load(&shared->partial))
			partial_done(atomic_load(&shared->partial) - 1);
		head = tail = boundary = 0;
	} else {
		tail = boundary;
	}
	atomic_store(&shared->backlog, head < tail || atomic_load(&shared->partial));
	port_unlock();
}

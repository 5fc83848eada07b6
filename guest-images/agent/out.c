// SPDX-License-Identifier: MIT
#include <endian.h>
#include <string.h>
#include <sys/eventfd.h>

#include "lock.h"
#include "out.h"
#include "util.h"

#define QUEUE_SIZE	(4 * FRAME_MAX)

static struct {
	uint8_t bytes[QUEUE_SIZE];
	size_t head, tail;
	size_t unsent;		/* start of the first frame of which nothing was sent */
} queue;

static int port_fd = -1;
static int wake_fd = -1;	/* eventfd: an actor left its reply to main */
static atomic_uint session;		/* 0 before the first HELLO */
static atomic_bool backlog;		/* main has bytes to send */
static struct actor_reply *half_sent;	/* guarded by the port lock */

/* Takes over the agent port, which must not block. */
bool out_init(int port)
{
	port_fd = port;
	wake_fd = fd_move_up(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	return wake_fd >= 0;
}

/* Readable when an actor left its reply to main. */
int out_wake_fd(void)
{
	return wake_fd;
}

uint32_t out_session(void)
{
	return atomic_load(&session);
}

/* Returns whether the largest reply and a few small events fit. */
bool out_room(void)
{
	return QUEUE_SIZE - (queue.tail - queue.head) >= 2 * FRAME_MAX;
}

/* Returns whether the port has to become writable before the rest can be sent. */
bool out_backlog(void)
{
	return atomic_load(&backlog);
}

static uint8_t *reserve(size_t len)
{
	if (QUEUE_SIZE - queue.tail < len) {
		memmove(queue.bytes, queue.bytes + queue.head, queue.tail - queue.head);
		queue.tail -= queue.head;
		queue.unsent -= queue.head;
		queue.head = 0;
	}
	return QUEUE_SIZE - queue.tail < len ? NULL : queue.bytes + queue.tail;
}

static void queue_frame(const struct request *request, uint32_t status,
			const void *payload, size_t len)
{
	uint8_t *frame = len > TSMW_MAX_PAYLOAD ? NULL : reserve(FRAME_HEADER + len);

	if (!frame)
		return;
	if (len)
		memcpy(frame + FRAME_HEADER, payload, len);
	frame_seal(frame, request->type, request->session, request->id, status, len);
	queue.tail += FRAME_HEADER + len;
}

/* Queues a reply, unless its session has ended. The caller checks out_room() first. */
void out_reply(const struct request *request, uint32_t status, const void *payload, size_t len)
{
	struct request reply = *request;

	reply.type |= TSMW_REPLY;
	if (reply.session == out_session())
		queue_frame(&reply, status, payload, len);
}

/* Queues an event of the current session. The caller checks out_room() first. */
void out_event(uint8_t type, const void *payload, size_t len)
{
	struct request event = { .session = out_session(), .type = type };

	queue_frame(&event, TSMW_OK, payload, len);
}

static void reply_done(struct actor_reply *reply)
{
	atomic_store(&reply->state, REPLY_SENT);
	futex_wake(&reply->state, 1);
}

/* Sends the rest of the reply that its actor could not send completely. The port lock is held. */
static bool finish_half_sent(void)
{
	struct actor_reply *reply = half_sent;

	if (!reply)
		return true;
	reply->sent += write_some(port_fd, reply->frame + reply->sent, reply->len - reply->sent);
	if (reply->sent < reply->len)
		return false;
	half_sent = NULL;
	reply_done(reply);
	return true;
}

static void consume(size_t n)
{
	queue.head += n;
	while (queue.unsent < queue.head) {
		struct tsmw_header h;

		memcpy(&h, queue.bytes + queue.unsent, sizeof(h));
		queue.unsent += FRAME_HEADER + le32toh(h.length);
	}
	if (queue.head == queue.tail) {
		queue.head = 0;
		queue.tail = 0;
		queue.unsent = 0;
	}
}

/* The port lock is held. */
static bool nothing_left(void)
{
	return queue.head == queue.tail && !half_sent;
}

/* Sends what the port takes now. Returns true when nothing is left. */
bool out_flush(void)
{
	bool empty;

	if (queue.head == queue.tail && !out_backlog())
		return true;
	port_lock_main();
	if (finish_half_sent() && queue.head < queue.tail)
		consume(write_some(port_fd, queue.bytes + queue.head, queue.tail - queue.head));
	empty = nothing_left();
	atomic_store(&backlog, !empty);
	port_unlock();
	return empty;
}

/*
 * Starts a session and drops what is queued for the one before. A frame that
 * has been sent in part stays, so that the next one begins where it ends.
 */
void out_start_session(uint32_t new_session)
{
	port_lock_main();
	queue.tail = queue.unsent;
	atomic_store(&session, new_session);
	atomic_store(&backlog, !nothing_left());
	port_unlock();
}

/* The port lock is held. */
static void send_or_leave_to_main(struct actor_reply *reply)
{
	uint64_t one = 1;

	if (reply->session != out_session())
		return;
	reply->sent = 0;
	if (!out_backlog())
		reply->sent = write_some(port_fd, reply->frame, reply->len);
	if (reply->sent == reply->len)
		return;
	if (reply->sent)
		half_sent = reply;
	atomic_store(&reply->state, reply->sent ? REPLY_HALF_SENT : REPLY_LEFT_TO_MAIN);
	atomic_store(&backlog, true);
	write_some(wake_fd, &one, sizeof(one));
}

/* Sends an actor's reply; an actor calls it. */
void out_actor_reply(struct actor_reply *reply, uint32_t owner)
{
	port_lock(owner);
	send_or_leave_to_main(reply);
	port_unlock();
}

/* Waits until the frame of the last reply may be overwritten; an actor calls it. */
void out_actor_wait(struct actor_reply *reply)
{
	unsigned int state;

	while ((state = atomic_load(&reply->state)) != REPLY_SENT)
		futex_wait(&reply->state, state, -1);
}

/* Queues a reply that its actor left to main. Returns false when there is no room for it. */
bool out_collect(struct actor_reply *reply)
{
	uint8_t *copy;

	if (atomic_load(&reply->state) != REPLY_LEFT_TO_MAIN)
		return true;
	if (!out_room())
		return false;
	copy = reply->session == out_session() ? reserve(reply->len) : NULL;
	if (copy) {
		memcpy(copy, reply->frame, reply->len);
		queue.tail += reply->len;
	}
	reply_done(reply);
	return true;
}

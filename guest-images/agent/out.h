/* SPDX-License-Identifier: MIT */
/*
 * The write side of the agent port. Main sends from a bounded queue and never
 * blocks. An actor writes its reply itself, which saves a switch to main. While
 * the queue holds bytes, actors leave their replies to main, so that none
 * overtakes the queue.
 */
#ifndef OUT_H
#define OUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

enum reply_state { REPLY_SENT, REPLY_LEFT_TO_MAIN, REPLY_HALF_SENT };

/* The reply of one actor. The actor fills frame, len and session. */
struct actor_reply {
	atomic_uint state;	/* futex: enum reply_state */
	uint32_t session;
	size_t len, sent;
	uint8_t frame[FRAME_MAX];
};

bool out_init(int port);
int out_wake_fd(void);

uint32_t out_session(void);
void out_start_session(uint32_t session);

bool out_room(void);
bool out_backlog(void);
void out_reply(const struct request *request, uint32_t status, const void *payload, size_t len);
void out_event(uint8_t type, const void *payload, size_t len);
bool out_flush(void);

void out_actor_reply(struct actor_reply *reply, uint32_t owner);
void out_actor_wait(struct actor_reply *reply);
bool out_collect(struct actor_reply *reply);

#endif

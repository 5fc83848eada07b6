/* SPDX-License-Identifier: MIT */
/*
 * Actors: processes that run one batch of operations at a time. They are not
 * threads, so that one can be killed or die in an oops alone. They share main's
 * memory (CLONE_VM), because a switch of page tables takes an emulated guest
 * longer than the rest of a round trip. sys.h says what that forbids.
 */
#ifndef ACTOR_H
#define ACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "calls.h"
#include "frame.h"
#include "procfs.h"

#define ACTOR_STATE_MAX	(sizeof(struct tsma_state_reply) + PROC_READ_MAX)

void actors_start(void);
uint32_t actor_spawn(const struct tsma_spawn *spawn, uint32_t *pid);
uint32_t actor_run(const struct request *request, const uint8_t *payload, size_t len);
uint32_t actor_kill(uint32_t slot);
uint32_t actor_state(uint32_t slot, uint8_t *out, size_t *len);
bool actor_reaped(pid_t pid, int status);
void actors_collect_replies(void);
void actors_report_deaths(void);

#endif

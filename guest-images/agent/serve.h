/* SPDX-License-Identifier: MIT */
/* The session on the agent port: requests in, replies out. */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>
#include <stdint.h>

bool serve_read(void);
void serve_work(bool log_ready);
void serve_reset(void);
bool serve_partial(void);
void serve_give_up(void);
uint32_t serve_session(void);

#endif

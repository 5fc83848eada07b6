/* SPDX-License-Identifier: MIT */
/*
 * The host's requests on the agent port. HELLO may come at any time. It starts
 * the session that its header names, or a new one when that is 0. A frame of
 * another session is dropped.
 */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>

void serve_init(int port);
bool serve_read(void);
void serve_host_left(void);
void serve_work(bool log_ready);
bool serve_wants_log(void);
bool serve_half_frame(void);
void serve_skip_half_frame(void);

#endif

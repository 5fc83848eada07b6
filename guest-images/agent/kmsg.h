/* SPDX-License-Identifier: MIT */
/* The kernel log as events on the agent port. */
#ifndef KMSG_H
#define KMSG_H

#include <stdbool.h>

#include "frame.h"

void kmsg_open(int fd);
int kmsg_fd(void);
bool kmsg_sync(const struct request *request);
bool kmsg_sync_pending(void);
bool kmsg_send(void);
void kmsg_delivered(void);
void kmsg_rewind(void);

#endif

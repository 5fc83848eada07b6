/* SPDX-License-Identifier: MIT */
/* Processes that main forks and that serve one port or one request each. */
#ifndef HELPERS_H
#define HELPERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "frame.h"

/* relay.c: between the provider device and the provider port. */
uint32_t relay_start(void);
bool relay_stop(const struct request *request, uint32_t *status);
bool relay_reaped(pid_t pid);
int relay_timeout_ms(void);
void relay_check_timeout(void);

/* ssh.c: an ssh server on the ssh port. */
void ssh_start(void);

/* tty.c: a shell on the serial console. */
void tty_start(void);

/* stress.c: a load on memory, processes and files. */
uint32_t stress_start(const struct request *request, uint32_t procs, uint32_t rounds);
bool stress_reaped(pid_t pid, int status);

#endif

/* SPDX-License-Identifier: MIT */
/* What the agent does as PID 1 before it serves the host. */
#ifndef INIT_H
#define INIT_H

#include <stdnoreturn.h>

void init_system(void);
noreturn void power_off(void);

#endif

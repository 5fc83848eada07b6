/* SPDX-License-Identifier: MIT */
/* The raw echo that the benchmark compares the frames with. */
#ifndef ECHO_H
#define ECHO_H

#include <stdint.h>

#include "frame.h"

#define ECHO_MAX	(1024u * 1024 * 1024)

void echo(int port, struct parser *parser, uint64_t count);

#endif

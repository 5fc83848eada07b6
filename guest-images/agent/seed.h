/* SPDX-License-Identifier: MIT */
/* A clone starts with the clock and the random state of its template; the host sends new ones. */
#ifndef SEED_H
#define SEED_H

#include <stddef.h>
#include <stdint.h>

uint32_t reseed(const uint8_t *payload, size_t len);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Futexes, and the lock on the write side of the agent port. The lock word
 * holds its owner, so that main can release the lock of an actor that died.
 */
#ifndef LOCK_H
#define LOCK_H

#include <stdatomic.h>
#include <stdint.h>

void port_lock(uint32_t owner);
void port_lock_main(void);
void port_unlock(void);
void port_lock_release_dead(uint32_t owner);

void futex_wait(atomic_uint *word, uint32_t expected, int timeout_ms);
void futex_wake(atomic_uint *word, int count);

#endif

// SPDX-License-Identifier: MIT
#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lock.h"
#include "sys.h"
#include "util.h"

#define OWNER_MAIN	0x7fffffffu
#define WAITERS		0x80000000u	/* somebody sleeps until the lock is released */
#define STUCK_MS	1000

static atomic_uint lock_word;	/* futex: the owner and WAITERS; 0 is free */

/* Sleeps while the word has the expected value; a timeout below 0 is none. */
void futex_wait(atomic_uint *word, uint32_t expected, int timeout_ms)
{
	struct timespec ts = { timeout_ms / 1000, (timeout_ms % 1000) * 1000000L };

	SYS4(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ms < 0 ? NULL : &ts);
}

void futex_wake(atomic_uint *word, int count)
{
	SYS3(SYS_futex, word, FUTEX_WAKE_PRIVATE, count);
}

/* Returns false when the lock could not be taken in time; a timeout below 0 is none. */
static bool take_lock(uint32_t owner, int timeout_ms)
{
	uint32_t seen = 0, wanted = owner;
	uint64_t deadline = 0;

	while (!atomic_compare_exchange_strong(&lock_word, &seen, wanted)) {
		uint64_t now = timeout_ms < 0 ? 0 : now_ns();

		if (timeout_ms >= 0 && !deadline)
			deadline = now + (uint64_t)timeout_ms * NSEC_PER_MSEC;
		if (now > deadline)
			return false;
		/* Others may sleep as well, hence the mark once this one has slept. */
		wanted = owner | WAITERS;
		if (seen & WAITERS ||
		    atomic_compare_exchange_strong(&lock_word, &seen, seen | WAITERS))
			futex_wait(&lock_word, seen | WAITERS, timeout_ms);
		seen = 0;
	}
	return true;
}

/* For actors; the owner is not 0. */
void port_lock(uint32_t owner)
{
	take_lock(owner, -1);
}

/*
 * For main. A holder makes one non-blocking write. A holder that keeps the lock
 * for a second is dead or stuck in the kernel, and main takes the lock from it.
 */
void port_lock_main(void)
{
	if (!take_lock(OWNER_MAIN, STUCK_MS))
		atomic_store(&lock_word, OWNER_MAIN);
}

/* Wakes every waiter: one that was killed takes its wake-up with it. */
void port_unlock(void)
{
	if (atomic_exchange(&lock_word, 0) & WAITERS)
		futex_wake(&lock_word, INT_MAX);
}

/* Releases the lock if an owner that died holds it. */
void port_lock_release_dead(uint32_t owner)
{
	if ((atomic_load(&lock_word) & ~WAITERS) != owner)
		return;
	atomic_store(&lock_word, 0);
	futex_wake(&lock_word, INT_MAX);
}

/* SPDX-License-Identifier: MIT */
/*
 * Futex calls, and the lock on the port's write side. The lock word holds its
 * owner, so that main can take it from an actor that died with it.
 */
#include <linux/futex.h>
#include <time.h>

#include "agent.h"
#include "sys.h"

#define WAITERS 0x80000000u
#define STUCK_MS 1000

void futex_wait(_Atomic uint32_t *word, uint32_t seen, int timeout_ms)
{
	struct timespec ts = { timeout_ms / 1000, (timeout_ms % 1000) * 1000000L };

	SYS4(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, timeout_ms < 0 ? NULL : &ts);
}

void futex_wake(_Atomic uint32_t *word, int count)
{
	SYS3(SYS_futex, word, FUTEX_WAKE_PRIVATE, count);
}

/* False when the lock could not be had in time; -1 waits for ever. */
bool port_lock(uint32_t owner, int timeout_ms)
{
	uint32_t seen = 0, mine = owner;
	uint64_t deadline = 0;

	while (!atomic_compare_exchange_strong(&shared->lock, &seen, mine)) {
		uint64_t now = timeout_ms < 0 ? 0 : now_ns();

		if (!deadline)
			deadline = now + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000u;
		if (timeout_ms >= 0 && now > deadline)
			return false;
		mine = owner | WAITERS;
		if (seen & WAITERS ||
		    atomic_compare_exchange_strong(&shared->lock, &seen, seen | WAITERS))
			futex_wait(&shared->lock, seen | WAITERS, timeout_ms);
		seen = 0;
	}
	return true;
}

/*
 * For main. A holder does nothing but a non-blocking write; one that keeps the
 * lock for a second is dead or stuck inside the kernel, and loses it.
 */
void port_lock_main(void)
{
	if (!port_lock(OWNER_MAIN, STUCK_MS))
		atomic_store(&shared->lock, OWNER_MAIN);
}

void port_unlock(void)
{
	if (atomic_exchange(&shared->lock, 0) & WAITERS)
		futex_wake(&shared->lock, 1);
}

/* Frees the lock when the dead owner had it. */
void port_lock_recover(uint32_t dead)
{
	if ((atomic_load(&shared->lock) & ~WAITERS) != dead)
		return;
	atomic_store(&shared->lock, 0);
	futex_wake(&shared->lock, ACTORS + 1);
}

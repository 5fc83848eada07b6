// SPDX-License-Identifier: GPL-2.0-only
/* The guards of a spinlock and of RCU are structures; the result is set under them. */
#include <linux/spinlock.h>

#include "skeleton.h"

static DEFINE_SPINLOCK(state_lock);

static int state_of(struct entry *entry)
{
	int rc;

	scoped_guard(spinlock_irq, &state_lock)
		rc = entry->valid ? 0 : -ENODATA;
	return rc;
}

static ssize_t length_show(struct item *item, char *page)
{
	ssize_t rc;

	scoped_guard(rcu) {
		rc = state_of(to_entry(item));
		if (!rc)
			rc = to_entry(item)->report.outblob_len;
	}
	guard(spinlock)(&state_lock);
	to_entry(item)->written++;
	return rc;
}

OPERATIONS(length_show);

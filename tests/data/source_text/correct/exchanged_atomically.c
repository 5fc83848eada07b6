// SPDX-License-Identifier: GPL-2.0-only
/* xchg() takes the pointer away, then it is freed. */
#include "skeleton.h"

static ssize_t flush_store(struct item *item, const char *page, size_t count)
{
	struct entry *entry = to_entry(item);

	kvfree(xchg(&entry->report.outblob, NULL));
	smp_store_release(&entry->valid, false);
	kfree(cmpxchg(&entry->blob, entry->blob, NULL));
	return count;
}

OPERATIONS(flush_store);

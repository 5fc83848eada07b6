// SPDX-License-Identifier: GPL-2.0-only
/* A callback after the grace period frees the entry. */
#include "skeleton.h"

static void entry_reclaim(struct rcu_head *head)
{
	struct entry *entry = container_of(head, struct entry, rcu);

	kvfree(entry->report.outblob);
	kfree(entry);
}

static ssize_t drop_store(struct item *item, const char *page, size_t count)
{
	struct entry *entry = to_entry(item);

	kvfree(entry->report.auxblob);
	call_rcu(&entry->rcu, entry_reclaim);
	return count;
}

OPERATIONS(drop_store);

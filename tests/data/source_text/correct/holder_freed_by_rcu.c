// SPDX-License-Identifier: GPL-2.0-only
/* The entry goes after its member: after a grace period, and at once. */
#include "skeleton.h"

static ssize_t remove_store(struct item *item, const char *page, size_t count)
{
	struct entry *entry = to_entry(item);

	mutex_lock(&lock);
	list_del(&entry->node);
	mutex_unlock(&lock);
	kvfree(entry->report.outblob);
	if (count > 1) {
		kfree_rcu(entry, rcu);
		return count;
	}
	kfree(entry->blob);
	kfree(entry);
	return count;
}

OPERATIONS(remove_store);

// SPDX-License-Identifier: GPL-2.0-only
/* kref_put() frees blob and entry when the last user has gone. */
#include "skeleton.h"

static void entry_free(struct kref *users)
{
	struct entry *entry = container_of(users, struct entry, users);

	kvfree(entry->report.outblob);
	kfree(entry);
}

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	size_t len;

	kref_get(&entry->users);
	len = entry->report.outblob_len;
	if (count < len) {
		kref_put(&entry->users, entry_free);
		return -EAGAIN;
	}
	kref_put(&entry->users, entry_free);
	return len;
}

static ssize_t put_store(struct item *item, const char *page, size_t count)
{
	kref_put(&to_entry(item)->users, entry_free);
	return count;
}

OPERATIONS(read_outblob, put_store);

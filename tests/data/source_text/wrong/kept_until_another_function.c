// SPDX-License-Identifier: GPL-2.0-only
/* What one operation frees, another one reads. */
#include "skeleton.h"

static ssize_t reset_store(struct item *item, const char *page, size_t count)
{
	struct entry *entry = to_entry(item);

	guard(mutex)(&entry->lock);
	if (entry->blob) {
		kfree(entry->blob); /* kept */
		entry->valid = false;
	}
	return count;
}

static ssize_t blob_show(struct item *item, char *page)
{
	struct entry *entry = to_entry(item);

	guard(mutex)(&entry->lock);
	return entry->blob ? entry->blob->len : -ENODATA;
}

OPERATIONS(reset_store, blob_show);

// SPDX-License-Identifier: GPL-2.0-only
/* One helper frees the blobs, the next one what held them. */
#include "skeleton.h"

static struct kmem_cache *entry_cache;

static void free_blobs(struct entry *entry)
{
	kvfree(entry->report.auxblob);
	kvfree(entry->report.outblob);
}

static void free_entry(struct entry *entry)
{
	kmem_cache_free(entry_cache, entry);
}

static ssize_t delete_store(struct item *item, const char *page, size_t count)
{
	free_blobs(to_entry(item));
	free_entry(to_entry(item));
	return count;
}

OPERATIONS(delete_store, &entry_cache);

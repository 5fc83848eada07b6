// SPDX-License-Identifier: GPL-2.0-only
/* The length is read from the blob that was freed. */
#include "skeleton.h"

static ssize_t release_store(struct item *item, const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	struct blob *blob = entry->blob;

	entry->blob = NULL;
	kfree(blob); /* kept */
	return blob->len;
}

OPERATIONS(release_store);

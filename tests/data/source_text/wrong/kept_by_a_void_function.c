// SPDX-License-Identifier: GPL-2.0-only
/* The helper returns nothing and falls off its end; the provider then fails. */
#include "skeleton.h"

static void free_blobs(struct entry *entry)
{
	kvfree(entry->report.outblob); /* kept */
	entry->report.outblob_len = 0;
}

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	int rc;

	guard(mutex)(&entry->lock);
	if (entry->made != entry->written) {
		free_blobs(entry);
		rc = provider->report_new(&entry->report, NULL);
		if (rc)
			return rc;
		entry->made = entry->written;
	}
	return entry->report.outblob_len;
}

OPERATIONS(read_outblob);

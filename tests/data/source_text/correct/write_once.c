// SPDX-License-Identifier: GPL-2.0-only
/* WRITE_ONCE() clears the pointer, for readers without the lock. */
#include "skeleton.h"

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	int rc;

	guard(mutex)(&entry->lock);
	kvfree(entry->report.outblob);
	WRITE_ONCE(entry->report.outblob, NULL);
	rc = provider->report_new(&entry->report, NULL);
	return rc ?: entry->report.outblob_len;
}

OPERATIONS(read_outblob);

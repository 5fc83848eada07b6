// SPDX-License-Identifier: GPL-2.0-only
/* The pointer stays, but a flag says that there is nothing behind it. */
#include "skeleton.h"

static void discard(struct entry *entry)
{
	if (entry->valid)
		kvfree(entry->report.outblob);
	entry->valid = false;
}

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	int rc;

	guard(mutex)(&entry->lock);
	if (!entry->valid || entry->made != entry->written) {
		discard(entry);
		rc = provider->report_new(&entry->report, NULL);
		if (rc)
			return rc;
		entry->valid = true;
		entry->made = entry->written;
	}
	if (buf)
		memcpy(buf, entry->report.outblob, min(count, entry->report.outblob_len));
	return entry->report.outblob_len;
}

OPERATIONS(read_outblob);

// SPDX-License-Identifier: GPL-2.0-only
/* memset() of the structure clears all pointers in it. */
#include "skeleton.h"

static void reset(struct report *report)
{
	kvfree(report->outblob);
	kvfree(report->auxblob);
	memset(report, 0, sizeof(*report));
}

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	int rc;

	mutex_lock(&entry->lock);
	reset(&entry->report);
	rc = provider->report_new(&entry->report, NULL);
	if (!rc)
		rc = entry->report.outblob_len;
	mutex_unlock(&entry->lock);
	return rc;
}

OPERATIONS(read_outblob);

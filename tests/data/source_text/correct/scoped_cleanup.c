// SPDX-License-Identifier: GPL-2.0-only
/* The compiler frees what was not handed over. */
#include "skeleton.h"

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	u8 *copy __free(kvfree) = kvmalloc(count, GFP_KERNEL);
	int rc;

	if (!copy)
		return -ENOMEM;
	scoped_guard(mutex, &entry->lock) {
		rc = provider->report_new(&entry->report, NULL);
		if (!rc)
			memcpy(copy, entry->report.outblob, count);
	}
	if (rc)
		return rc;
	memcpy(buf, copy, count);
	return count;
}

OPERATIONS(read_outblob);

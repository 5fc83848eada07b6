// SPDX-License-Identifier: GPL-2.0-only
/* Only the failures set the result. */
#include "skeleton.h"

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	ssize_t rc;

	scoped_guard(mutex, &entry->lock) {
		if (!entry->report.inblob_len)
			rc = -ENODATA;
		else if (provider->report_new(&entry->report, NULL))
			rc = -EIO;
	}
	return rc; /* unset */
}

OPERATIONS(read_outblob);

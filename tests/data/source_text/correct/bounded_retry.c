// SPDX-License-Identifier: GPL-2.0-only
/* Three attempts; the loop runs at least once. */
#include "skeleton.h"

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	int i, rc;

	for (i = 0; i < 3; i++) {
		rc = provider->report_new(&entry->report, NULL);
		if (rc != -EBUSY && rc != -EINTR)
			break;
	}
	return rc;
}

static ssize_t read_auxblob(struct item *item, void *buf, size_t count)
{
	int tries = 5;
	int rc;

	do {
		rc = provider->report_new(&to_entry(item)->report, NULL);
	} while (rc == -EAGAIN && --tries);
	return rc;
}

OPERATIONS(read_outblob, read_auxblob);

// SPDX-License-Identifier: GPL-2.0-only
/* Every way out of while (true) and for (;;) comes after the assignment. */
#include "skeleton.h"

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	int rc;

	while (true) {
		rc = provider->report_new(&entry->report, NULL);
		if (rc != -EAGAIN)
			break;
		cond_resched();
	}
	return rc;
}

static ssize_t read_auxblob(struct item *item, void *buf, size_t count)
{
	ssize_t rc;

	for (;;) {
		mutex_lock(&lock);
		rc = provider ? 0 : -ENXIO;
		mutex_unlock(&lock);
		if (!rc || count)
			return rc;
	}
}

OPERATIONS(read_outblob, read_auxblob);

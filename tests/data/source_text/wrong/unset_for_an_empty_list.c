// SPDX-License-Identifier: GPL-2.0-only
/* The list is empty when the module is loaded. */
#include "skeleton.h"

static ssize_t notify_store(struct item *item, const char *page, size_t count)
{
	struct entry *entry;
	int rc;

	guard(mutex)(&lock);
	list_for_each_entry(entry, &entries, node) {
		rc = provider->report_new(&entry->report, NULL);
		if (rc)
			break;
	}
	return rc; /* unset */
}

OPERATIONS(notify_store);

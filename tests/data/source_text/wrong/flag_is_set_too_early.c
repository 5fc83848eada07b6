// SPDX-License-Identifier: GPL-2.0-only
/* The flag that guards the pointer stays set when the report cannot be made. */
#include "skeleton.h"

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	int rc;

	mutex_lock(&entry->lock);
	if (entry->valid && entry->made != entry->written)
		kvfree(entry->report.outblob); /* kept */
	if (entry->made != entry->written) {
		rc = provider->report_new(&entry->report, NULL);
		if (rc) {
			mutex_unlock(&entry->lock);
			return rc;
		}
		entry->valid = true;
		entry->made = entry->written;
	}
	mutex_unlock(&entry->lock);
	return 0;
}

OPERATIONS(read_outblob);

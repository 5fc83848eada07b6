// SPDX-License-Identifier: GPL-2.0-only
/* Two tests of one condition: the variable is set where it is returned. */
#include "skeleton.h"

static ssize_t state_store(struct item *item, const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	bool locked = count > 4;
	int rc;

	if (locked) {
		mutex_lock(&entry->lock);
		rc = entry->valid ? -EBUSY : -EINVAL;
	}
	if (entry->written && locked) {
		mutex_unlock(&entry->lock);
		return rc;
	}
	if (locked)
		mutex_unlock(&entry->lock);
	return count;
}

OPERATIONS(state_store);

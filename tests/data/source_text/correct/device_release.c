// SPDX-License-Identifier: GPL-2.0-only
/* The last reference to the device frees the entry. */
#include "skeleton.h"

static void entry_release(struct device *dev)
{
	kfree(container_of(dev, struct entry, dev));
}

static ssize_t unbind_store(struct item *item, const char *page, size_t count)
{
	struct entry *entry = to_entry(item);

	kvfree(entry->report.outblob);
	device_del(&entry->dev);
	put_device(&entry->dev);
	return count;
}

OPERATIONS(unbind_store, entry_release);

// SPDX-License-Identifier: GPL-2.0-only
/* The cursor of a list is returned from within the loop, and set by it. */
#include "skeleton.h"

static struct entry *find(const char *name)
{
	struct entry *entry;

	list_for_each_entry(entry, &entries, node)
		if (!strcmp(entry->item.name, name))
			return entry;
	return NULL;
}

static ssize_t length_show(struct item *item, char *page)
{
	struct entry *entry, *next, *found;

	guard(mutex)(&lock);
	list_for_each_entry_safe(entry, next, &entries, node) {
		if (entry->valid)
			continue;
		list_del(&entry->node);
		kvfree(entry->report.outblob);
		kfree(entry);
	}
	found = find(item->name);
	return found ? found->report.outblob_len : -ENOENT;
}

OPERATIONS(length_show);

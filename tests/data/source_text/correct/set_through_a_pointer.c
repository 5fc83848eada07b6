// SPDX-License-Identifier: GPL-2.0-only
/* A helper sets the result through a pointer. */
#include "skeleton.h"

static bool check(struct entry *entry, int *rc)
{
	if (!entry->valid) {
		*rc = -EINVAL;
		return false;
	}
	return true;
}

static ssize_t number_store(struct item *item, const char *page, size_t count)
{
	unsigned long number;
	int rc;

	if (!check(to_entry(item), &rc))
		return rc;
	rc = kstrtoul(page, 0, &number);
	if (rc)
		return rc;
	return number > count ? -ERANGE : number;
}

OPERATIONS(number_store);

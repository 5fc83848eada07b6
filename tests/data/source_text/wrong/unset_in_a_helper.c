// SPDX-License-Identifier: GPL-2.0-only
/* The helper returns what it has not set for an empty input. */
#include "skeleton.h"

static int parse(const char *page, size_t count, unsigned int *value)
{
	int rc;

	if (count)
		rc = kstrtouint(page, 0, value);
	return rc; /* unset */
}

static ssize_t level_store(struct item *item, const char *page, size_t count)
{
	unsigned int value = 0;
	int rc = parse(page, count, &value);

	return rc ? rc : value;
}

OPERATIONS(level_store);

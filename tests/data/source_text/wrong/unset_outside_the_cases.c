// SPDX-License-Identifier: GPL-2.0-only
/* The argument is a number, and the cases are not all of them. */
#include "skeleton.h"

static ssize_t command_store(struct item *item, unsigned int command, size_t count)
{
	struct entry *entry = to_entry(item);
	int rc;

	if (command > 2)
		goto out;
	rc = entry->valid ? command : -EINVAL;
out:
	return rc; /* unset */
}

OPERATIONS(command_store);

// SPDX-License-Identifier: GPL-2.0-only
/* The report is replaced as a whole. */
#include "skeleton.h"

static struct report cached;

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct report made = {};
	int rc;

	guard(mutex)(&lock);
	rc = provider->report_new(&made, NULL);
	kvfree(cached.outblob);
	kvfree(cached.auxblob);
	cached = rc ? (struct report){} : made;
	if (rc)
		return rc;
	return cached.outblob_len;
}

OPERATIONS(read_outblob);

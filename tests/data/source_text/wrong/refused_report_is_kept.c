// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
/* A bad report is freed but stays in the structure. */
static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *e = to_entry(item);
	int rc;

	guard(mutex)(&e->lock);
	if (e->valid)
		return e->report.outblob_len;
	kvfree(e->report.outblob);
	e->report.outblob = NULL;
	rc = provider->report_new(&e->report, NULL);
	if (rc)
		return rc;
	if (e->report.outblob_len > 32768) {
		kvfree(e->report.outblob); /* kept */
		return -EFBIG;
	}
	e->valid = true;
	return e->report.outblob_len;
}
OPERATIONS(read_outblob);

// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
/* An error pointer takes the place of the freed one. */
static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *e = to_entry(item);
	int rc;

	guard(mutex)(&e->lock);
	if (!IS_ERR_OR_NULL(e->report.outblob))
		kvfree(e->report.outblob);
	e->report.outblob = ERR_PTR(-ENODATA);
	rc = provider->report_new(&e->report, NULL);
	if (rc < 0)
		return rc;
	if (IS_ERR(e->report.outblob))
		return PTR_ERR(e->report.outblob);
	return e->report.outblob_len;
}
OPERATIONS(read_outblob);

// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
/* A reader copies from the report that the failed regeneration freed. */
static ssize_t renew_store(struct item *item, const char *page, size_t count)
{
	struct entry *e = to_entry(item);
	struct report next = { };
	int rc;

	mutex_lock(&e->lock);
	kvfree(e->report.outblob); /* kept */
	rc = provider->report_new(&next, NULL);
	if (!rc)
		e->report = next;
	mutex_unlock(&e->lock);
	return rc ?: count;
}
static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *e = to_entry(item);

	guard(mutex)(&e->lock);
	if (!e->report.outblob)
		return -ENODATA;
	memcpy(buf, e->report.outblob, min(count, e->report.outblob_len));
	return count;
}
OPERATIONS(renew_store, read_outblob);

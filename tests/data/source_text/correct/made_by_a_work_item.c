// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
/* The work item makes the report; the reader only waits for it. */
static struct report latest;
static int latest_rc;
static void make_fn(struct work_struct *work)
{
	struct report next = { };
	int rc = provider->report_new(&next, NULL);

	scoped_guard(mutex, &lock) {
		swap(latest, next);
		latest_rc = rc;
	}
	kvfree(next.outblob);
	kvfree(next.auxblob);
}
static DECLARE_WORK(make_work, make_fn);
static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	int rc;

	queue_work(system_wq, &make_work);
	flush_work(&make_work);
	scoped_guard(mutex, &lock) {
		rc = latest_rc;
		if (!rc && buf)
			memcpy(buf, latest.outblob, min(count, latest.outblob_len));
	}
	return rc;
}
OPERATIONS(read_outblob, make_fn);

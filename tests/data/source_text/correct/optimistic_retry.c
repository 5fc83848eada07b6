// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
/* Optimistic: begin again when a writer came in between. */
static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct entry *e = to_entry(item);
	unsigned long gen;
	struct report tmp;
	int rc;

	do {
		scoped_guard(mutex, &e->lock) {
			gen = e->written;
			tmp = e->report;
		}
		tmp.outblob = NULL;
		tmp.auxblob = NULL;
		rc = provider->report_new(&tmp, NULL);
		if (rc)
			return rc;
		guard(mutex)(&e->lock);
		if (gen == e->written) {
			kvfree(e->report.outblob);
			kvfree(e->report.auxblob);
			e->report = tmp;
			return e->report.outblob_len;
		}
		kvfree(tmp.outblob);
		kvfree(tmp.auxblob);
	} while (gen < ULONG_MAX);
	return -EAGAIN;
}
OPERATIONS(read_outblob);

// SPDX-License-Identifier: GPL-2.0-only
/* The structure with the pointer ends with the function. */
#include "skeleton.h"

static ssize_t read_outblob(struct item *item, void *buf, size_t count)
{
	struct report report = { .inblob_len = 64 };
	ssize_t len;
	int rc;

	rc = provider->report_new(&report, item);
	if (rc)
		return rc;
	len = min(count, report.outblob_len);
	if (buf)
		memcpy(buf, report.outblob, len);
	kvfree(report.outblob);
	kvfree(report.auxblob);
	return len;
}

OPERATIONS(read_outblob);

// SPDX-License-Identifier: GPL-2.0-only
/* A switch has a case for each value. */
#include "skeleton.h"

static ssize_t length(struct report *report, enum which which)
{
	ssize_t len;

	switch (which) {
	case WHICH_OUT:
		len = report->outblob_len;
		break;
	case WHICH_AUX:
		len = report->auxblob_len;
		break;
	}
	return len;
}

static ssize_t read_any(struct item *item, enum which which, size_t count)
{
	return length(&to_entry(item)->report, which);
}

OPERATIONS(read_any);

// SPDX-License-Identifier: GPL-2.0-only
/* Waking other tasks clears nothing. */
#include <linux/wait.h>

#include "skeleton.h"

static DECLARE_WAIT_QUEUE_HEAD(made);
static struct report cached;

static ssize_t renew_store(struct item *item, const char *page, size_t count)
{
	int rc;

	guard(mutex)(&lock);
	kvfree(cached.auxblob); /* kept */
	rc = provider->report_new(&cached, NULL);
	wake_up_all(&made);
	return rc ?: count;
}

OPERATIONS(renew_store);

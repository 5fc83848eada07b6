// SPDX-License-Identifier: GPL-2.0-only
/* Only the way through the error handler forgets to clear the pointer. */
#include "skeleton.h"

static u8 *cached;
static size_t cached_len;

static ssize_t refresh_store(struct item *item, const char *page, size_t count)
{
	int rc = 0;
	u8 *copy;

	mutex_lock(&lock);
	kvfree(cached); /* kept */
	copy = kmemdup(page, count, GFP_KERNEL);
	if (!copy) {
		rc = -ENOMEM;
		goto out;
	}
	cached = copy;
	cached_len = count;
out:
	mutex_unlock(&lock);
	return rc ? rc : count;
}

OPERATIONS(refresh_store);

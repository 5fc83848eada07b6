// SPDX-License-Identifier: GPL-2.0-only
/* A length of 0 says that there is no blob. */
#include "skeleton.h"

static u8 *blob;
static size_t blob_len;

static ssize_t blob_read(struct item *item, void *buf, size_t count)
{
	u8 *made;

	guard(mutex)(&lock);
	if (blob_len) {
		blob_len = 0;
		kvfree(blob);
	}
	made = kvmalloc(count, GFP_KERNEL);
	if (!made)
		return -ENOMEM;
	blob = made;
	blob_len = count;
	return blob_len;
}

OPERATIONS(blob_read);

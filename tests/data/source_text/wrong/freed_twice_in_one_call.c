// SPDX-License-Identifier: GPL-2.0-only
/* The helper has freed it already. */
#include "skeleton.h"

static int make(struct blob *blob, size_t len)
{
	blob->data = kmalloc(len, GFP_KERNEL);
	if (!blob->data || len > 64) {
		kfree(blob->data); /* kept */
		return -EFBIG;
	}
	return 0;
}

static ssize_t blob_write(struct item *item, const void *buf, size_t count)
{
	struct blob blob = {};
	int rc;

	rc = make(&blob, count);
	if (rc) {
		kfree(blob.data);
		return rc;
	}
	memcpy(blob.data, buf, count);
	kfree(blob.data);
	return count;
}

OPERATIONS(blob_write);

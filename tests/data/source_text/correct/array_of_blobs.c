// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
/* Three blobs in an array, freed in a loop and cleared. */
static struct { u8 *ptr; size_t len; } slots[3];
static void drop_all(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		kvfree(slots[i].ptr);
		slots[i].ptr = NULL;
		slots[i].len = 0;
	}
}
static ssize_t slot_write(struct item *item, const void *buf, size_t count)
{
	u8 *p;

	if (!count)
		return -EINVAL;
	p = kvmalloc(count, GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	memcpy(p, buf, count);
	guard(mutex)(&lock);
	drop_all();
	slots[count % 3].ptr = p;
	slots[count % 3].len = count;
	return count;
}
OPERATIONS(slot_write);

// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
/* no_free_ptr() was forgotten: the cleanup frees what the entry holds. */
static ssize_t put_store(struct item *item, const char *page, size_t count)
{
	struct entry *e = to_entry(item);
	struct blob *b __free(kfree) = kzalloc(sizeof(*b), GFP_KERNEL); /* kept */

	if (!b)
		return -ENOMEM;
	guard(mutex)(&e->lock);
	kfree(e->blob);
	e->blob = b;
	return count;
}
OPERATIONS(put_store);

// SPDX-License-Identifier: GPL-2.0-only
/* An RCU pointer is replaced before the old blob is freed. */
#include "skeleton.h"

static struct blob __rcu *current_blob;

static ssize_t write_blob(struct item *item, const char *page, size_t count)
{
	struct blob *new, *old;

	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	new->len = count;
	mutex_lock(&lock);
	old = rcu_dereference_protected(current_blob, lockdep_is_held(&lock));
	rcu_assign_pointer(current_blob, new);
	mutex_unlock(&lock);
	if (old)
		kfree_rcu(old, rcu);
	return count;
}

static ssize_t show_len(struct item *item, char *page)
{
	struct blob *blob;
	ssize_t len = 0;

	rcu_read_lock();
	blob = rcu_dereference(current_blob);
	if (blob)
		len = blob->len;
	rcu_read_unlock();
	return len;
}

OPERATIONS(write_blob, show_len);

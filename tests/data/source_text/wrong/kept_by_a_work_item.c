// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
/* Work that is queued again frees the same list of blobs. */
static void flush_fn(struct work_struct *work)
{
	struct entry *e = container_of(work, struct entry, work);

	kfree(e->blob); /* kept */
}
OPERATIONS(flush_fn);

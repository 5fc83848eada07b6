// SPDX-License-Identifier: GPL-2.0-only
/* The blobs of a reply: allocated, handed to an implementation, freed. */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "sim.h"

/* Allocate a blob of the length that is set, as the reply's flags demand. */
int tsm_sim_alloc_blob(struct tsm_sim_reply *reply, int index)
{
	/* Not every allocator returns a pointer for 0 bytes. */
	u32 size = max(reply->blob[index].len, 1U);
	u8 *data;

	data = reply->flags & TSMW_REPLY_VMALLOC ? vmalloc(size) :
						   kvmalloc(size, GFP_KERNEL);
	reply->blob[index].data = data;
	return data ? 0 : -ENOMEM;
}

/*
 * Hand a blob over to the caller. Without one, only *@len is set to 0, unless the
 * reply has TSMW_REPLY_KEEP_LENGTHS.
 */
void tsm_sim_move_blob(struct tsm_sim_reply *reply, int index, u8 **data,
		       size_t *len)
{
	if (!reply->blob[index].data) {
		if (!(reply->flags & TSMW_REPLY_KEEP_LENGTHS))
			*len = 0;
		return;
	}
	*data = reply->blob[index].data;
	*len = reply->blob[index].len;
	reply->blob[index].data = NULL;
}

void tsm_sim_free_blobs(struct tsm_sim_reply *reply)
{
	int i;

	for (i = 0; i < TSM_SIM_BLOBS; i++) {
		kvfree(reply->blob[i].data);
		reply->blob[i].data = NULL;
		reply->blob[i].len = 0;
	}
}

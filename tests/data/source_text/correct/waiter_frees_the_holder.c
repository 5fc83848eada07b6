// SPDX-License-Identifier: GPL-2.0-only
/* Who waits for the entry's completion frees the entry. */
#include <linux/completion.h>

#include "skeleton.h"

struct request {
	struct item item;
	u8 *blob;
	struct completion done;
};

static ssize_t finish_store(struct item *item, const char *page, size_t count)
{
	struct request *request = container_of(item, struct request, item);

	kvfree(request->blob);
	complete(&request->done);
	return count;
}

OPERATIONS(finish_store);

// SPDX-License-Identifier: GPL-2.0-only
#include "skeleton.h"
static ssize_t mode_store(struct item *item, const char *page, size_t count)
{
	int rc;

	switch (page[0]) {
	case 'a':
		rc = 1;
		break;
	case 'b':
		rc = 2;
		break;
	default:
		pr_info("no such mode\n");
		break;
	}
	return rc; /* unset */
}
OPERATIONS(mode_store);

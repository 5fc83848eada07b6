/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What can be wrong with a configfs core: defects of the kernel's own, present
 * and past, and mistakes that its documentation rules out.
 */
#ifndef TSM_CONFIGFS_DEFECTS_H
#define TSM_CONFIGFS_DEFECTS_H

#include <linux/types.h>

enum defect {
	DEFECT_STALE_LENGTH,
	DEFECT_UNCHECKED_SIZE,
	DEFECT_WIPING_REFUSAL,
	DEFECT_SILENT_REFUSAL,
	DEFECT_ORPHAN_REPORT,
	DEFECT_ONE_LOCK,
	DEFECT_ANYBODY_ASKS,
	DEFECT_LATE_ATTRIBUTES,
	DEFECT_UNCHECKED_PROVIDER,
	DEFECT_SHORT_NAMES,
	DEFECT_READABLE_NONCE,
	DEFECT_TRUNCATED_NONCE,
	DEFECT_ONE_ERRNO,
	DEFECT_LOOSE_PRIVLEVEL,
	DEFECT_LOOSE_GUID,
	DEFECT_OLD_ERRNO,
	DEFECT_UNCOUNTED_ENTRIES,
	DEFECT_INVERTED_MANIFEST,
	DEFECT_DOUBLE_COUNT,
	DEFECT_NO_CACHE,
	DEFECT_COALESCED_COUNT,
	DEFECT_COUNT,
};

/* Read the module parameter; -EINVAL, after a message, for an unknown name. */
int defects_init(void);
bool has_defect(enum defect defect);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The defects reported against the proposed class, each a switch of its own.
 * They are chosen when the module is loaded and do not change afterwards.
 */
#ifndef TSM_CLASS_DEFECTS_H
#define TSM_CLASS_DEFECTS_H

#include <linux/bits.h>
#include <linux/types.h>

enum defect {
	DEFECT_DOUBLE_FREE,
	DEFECT_READER_RACE,
	DEFECT_SAME_VALUE,
	DEFECT_PREFIX_MATCH,
	DEFECT_STALE_TAIL,
	DEFECT_SECOND_REGISTER,
	DEFECT_PRIVLEVEL_UNBOUNDED,
	DEFECT_HEX_INPUT,
	DEFECT_UNREGISTER_DEADLOCK,
	DEFECT_STATE_SURVIVES,
	DEFECT_TORN_REPORT,
	DEFECT_UNLOCKED_SHOW,
	DEFECT_NULL_REPORT,
	DEFECT_DYNAMIC_CLASS,
	DEFECT_COUNT,
};

/* Read the module parameter; -EINVAL, after a message, for an unknown name. */
int defects_init(void);

#ifdef TSM_DEFECTS	/* a bit for each, for who judges the text of one choice */
static inline bool has_defect(enum defect defect)
{
	return TSM_DEFECTS & BIT(defect);
}
#else
bool has_defect(enum defect defect);
#endif

#endif

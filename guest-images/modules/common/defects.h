/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One switch for each DEFECT() of the including module's defect_list.h. The
 * module parameter "defects" sets them when the module is loaded.
 *
 * A build with -DTSM_DEFECTS=MASK ignores the parameter: the switches are
 * constants, and the compiler drops the code of all other defects.
 */
#ifndef TSM_DEFECTS_H
#define TSM_DEFECTS_H

#include <linux/bits.h>
#include <linux/types.h>

#define DEFECT(id, name, claims, effect)	DEFECT_##id,
enum defect {
#include "defect_list.h"
	DEFECT_COUNT
};

#undef DEFECT

extern unsigned long tsm_defects_enabled;

#ifndef TSM_DEFECTS
#define TSM_DEFECTS	tsm_defects_enabled
#endif

static inline bool has_defect(enum defect defect)
{
	return TSM_DEFECTS & BIT(defect);
}

/* Parse the parameter; -EINVAL, after a message, for an unknown name. */
int tsm_defects_init(void);

#endif

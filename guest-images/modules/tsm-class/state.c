// SPDX-License-Identifier: GPL-2.0-only
/* The state of the class, its locks, and the generation. */
#include <linux/lockdep.h>
#include <linux/limits.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "defects.h"
#include "state.h"

/* state.h says what each lock is for. */
DEFINE_MUTEX(tsm_class_registration_mutex);
DECLARE_RWSEM(tsm_class_lock);
struct tsm_class_state tsm_class_state;
struct tsm_class_slips tsm_class_slips;

void tsm_class_count_write(void)
{
	static struct tsm_desc *snapshot;

	lockdep_assert_held_write(&tsm_class_lock);
	tsm_class_state.generation++;
	if (has_defect(DEFECT_GENERATION_U16))
		tsm_class_state.generation &= U16_MAX;
	if (has_defect(DEFECT_LEAK_16TH_WRITE) &&
	    !(tsm_class_state.generation % 16))
		snapshot = kmemdup(&tsm_class_state.desc, sizeof(*snapshot),
				   GFP_KERNEL);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* What belongs to one registration. It ends with the device. */
#ifndef TSM_RWSEM_STATE_H
#define TSM_RWSEM_STATE_H

#include <linux/container_of.h>
#include <linux/device.h>
#include <linux/rwsem.h>
#include <linux/tsm.h>

struct tsm_state {
	struct device dev;
	const struct tsm_ops *ops;
	bool leaves;		/* without a lock; callers then get ENXIO */
	struct rw_semaphore sem;
	/* Below: with the semaphore. */
	struct tsm_desc desc;
	unsigned long generation;
	u8 *outblob;
	size_t outblob_len;
	unsigned long outblob_generation;
	unsigned long outblob_serial;	/* the first is 1 */
};

static inline struct tsm_state *to_tsm_state(struct device *dev)
{
	return container_of(dev, struct tsm_state, dev);
}

int tsm_lock_shared(struct tsm_state *tsm);
int tsm_lock(struct tsm_state *tsm);
int tsm_update_report(struct tsm_state *tsm);
bool tsm_report_is_current(const struct tsm_state *tsm);

extern const struct attribute_group *tsm_default_groups[];

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* The one report that all users of the class share, and its lock. */
#ifndef TSM_CLASS_STATE_H
#define TSM_CLASS_STATE_H

#include <linux/rwsem.h>
#include <linux/tsm.h>

struct attribute_group;
struct device;

/**
 * struct tsm_state - provider, options, and the report made from them
 * @ops: the provider, NULL while there is none
 * @desc: what was written
 * @generation: successful writes since the provider came
 * @report_generation: @generation when @outblob was made
 * @outblob: the cached report, NULL when there is none
 * @outblob_len: its length in bytes
 * @serial: number of the cached report, never 0 and never reused
 */
struct tsm_state {
	const struct tsm_ops *ops;
	struct tsm_desc desc;
	unsigned long generation;
	unsigned long report_generation;
	u8 *outblob;
	size_t outblob_len;
	unsigned long serial;
};

/* Everything in tsm_state is under tsm_lock. */
extern struct rw_semaphore tsm_lock;
extern struct tsm_state tsm_state;

extern const struct attribute_group *tsm_default_groups[];

/*
 * Copy a piece of the report to @buf, after making a new one if need be.
 * *@bound is the serial of the report an open file is served from, 0 before
 * its first read. Returns the bytes copied, or
 *   -EINVAL  no inblob was written
 *   -ENXIO   the provider went away
 *   -ESTALE  @pos is not 0, and the report the file was being served from has
 *            been replaced; reading again from the start gives the new one
 *   -EFBIG, -EIO  the provider's report is too long, or none
 * and every errno of report_new.
 */
ssize_t tsm_report_read(struct device *dev, unsigned long *bound, char *buf,
			loff_t pos, size_t count);

#endif

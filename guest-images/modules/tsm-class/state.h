/* SPDX-License-Identifier: GPL-2.0-only */
/* The one report that all users of the class share, and its lock. */
#ifndef TSM_CLASS_STATE_H
#define TSM_CLASS_STATE_H

#include <linux/rwsem.h>
#include <linux/tsm.h>

struct attribute_group;
struct device;

/**
 * struct tsm_class_state - provider, options, and the report made from them
 * @ops: the provider, NULL while there is none
 * @desc: the options that were written
 * @generation: count of successful writes since the provider registered
 * @report_generation: @generation when @outblob was made
 * @outblob: the cached report, NULL when there is none
 * @outblob_len: its length in bytes
 * @serial: number of the cached report, never 0 and never reused
 */
struct tsm_class_state {
	const struct tsm_ops *ops;
	struct tsm_desc desc;
	unsigned long generation;
	unsigned long report_generation;
	u8 *outblob;
	size_t outblob_len;
	unsigned long serial;
};

/* Protects tsm_class_state. */
extern struct rw_semaphore tsm_class_lock;
extern struct tsm_class_state tsm_class_state;

extern const struct attribute_group *tsm_class_default_groups[];

/*
 * Copy a piece of the report to @buf, after making a new report if necessary.
 * *@bound is the serial of the report that an open file reads, 0 before its first
 * read. Returns the number of bytes copied, or
 *   -EINVAL  no inblob was written
 *   -ENXIO   there is no provider
 *   -ESTALE  @pos is not 0, and the report that the file was reading has been
 *            replaced; a read from the start returns the new one
 *   -EFBIG, -EIO  the provider's report is too long, or missing
 * or an errno of report_new.
 */
ssize_t tsm_class_read_report(struct device *dev, unsigned long *bound,
			      char *buf, loff_t pos, size_t count);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* The one report that all users of the class share, and its lock. */
#ifndef TSM_CLASS_STATE_H
#define TSM_CLASS_STATE_H

#include <linux/mutex.h>
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

/**
 * struct tsm_class_slips - what only code with a defect remembers
 * @privlevel: the value before the last write of privlevel
 * @format: one more than the format of the provider's first report
 * @inblob: the inblob of the cached report
 * @inblob_len: its length in bytes
 * @old: the report before the cached one, which is freed
 * @old_len: its length in bytes
 * @failed: generation of the request that timed out, 0 for none
 * @making: a provider is being asked
 */
struct tsm_class_slips {
	unsigned int privlevel;
	unsigned int format;
	u8 inblob[TSM_INBLOB_MAX];
	size_t inblob_len;
	u8 *old;
	size_t old_len;
	unsigned long failed;
	bool making;
};

/*
 * Serialises registrations. It is taken outside tsm_class_lock, and by no
 * attribute: the device can be removed while attributes finish.
 */
extern struct mutex tsm_class_registration_mutex;
/* Protects tsm_class_state and tsm_class_slips. */
extern struct rw_semaphore tsm_class_lock;
extern struct tsm_class_state tsm_class_state;
extern struct tsm_class_slips tsm_class_slips;

extern const struct attribute_group *tsm_class_default_groups[];

/* Count a successful write. */
void tsm_class_count_write(void);

/*
 * Ask the provider for a report over the options, as report_new. The caller has
 * freed the cached report, unless tsm_class_keeps_report().
 */
u8 *tsm_class_ask_provider(struct device *dev, size_t *len);

/*
 * Give the errno that the reader gets after a request for a report ended with
 * @rc, or 0 when there is a report nevertheless. @old was the cached report.
 */
int tsm_class_fail_request(u8 *old, int rc);

/* Whether the cached report must not be freed before a new one is there. */
bool tsm_class_keeps_report(void);

/* Whether the inblob is that of the cached report, two writes after it. */
bool tsm_class_inblob_returned(void);

/* Wait until there is a provider; for queued-reader-stuck. */
void tsm_class_wait_for_provider(void);

/* Wait until no other reader makes a report; -EINTR after a fatal signal. */
int tsm_class_wait_for_maker(void);

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

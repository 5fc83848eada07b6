/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WORK_ITEM_JOB_H
#define WORK_ITEM_JOB_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/tsm.h>
#include <linux/workqueue.h>

/* Jobs with the same line run one after the other. */
struct job_line {
	struct kref ref;
	struct mutex turn;
};

/*
 * The making of one report: @result is valid once @done is completed. The work
 * holds one reference, and each reader that waits or copies another one.
 */
struct job {
	struct kref ref;
	struct work_struct work;
	struct tsm_report report;
	struct completion done;
	struct job_line *line;
	int result;
	bool outdated;		/* the options have changed since */
};

int job_init(void);
void job_exit(void);

struct job_line *job_line_new(void);
void job_line_put(struct job_line *line);

struct job *job_start(const struct tsm_report_desc *desc,
		      struct job_line *line);
void job_put(struct job *job);

/* Provider: valid until the mutex is released; its callbacks run without it. */
extern struct mutex job_provider_lock;
extern const struct tsm_report_ops *job_provider;
extern unsigned int job_entries;	/* that the provider may have */

#endif

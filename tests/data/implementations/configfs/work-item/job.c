// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: a work item makes the report, on a queue of its own, and the reader
 * waits for it. A reader that is killed goes at once; the work item ends later.
 * Unregistering takes the provider away and then flushes the queue.
 *
 * Freedoms: EBUSY for a second provider; a reader whose report is outdated
 * before it is made gets EAGAIN; a report that was asked for is made even if
 * all readers have been killed; a service's name must fit into one write.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "job.h"

static struct workqueue_struct *job_queue;

DEFINE_MUTEX(job_provider_lock);
const struct tsm_report_ops *job_provider;
static void *provider_data;
unsigned int job_entries;

int job_init(void)
{
	job_queue = alloc_workqueue("tsm-report", WQ_UNBOUND, 0);
	return job_queue ? 0 : -ENOMEM;
}

void job_exit(void)
{
	destroy_workqueue(job_queue);
}

struct job_line *job_line_new(void)
{
	struct job_line *line = kzalloc(sizeof(*line), GFP_KERNEL);

	if (line) {
		kref_init(&line->ref);
		mutex_init(&line->turn);
	}
	return line;
}

static void line_free(struct kref *ref)
{
	kfree(container_of(ref, struct job_line, ref));
}

void job_line_put(struct job_line *line)
{
	kref_put(&line->ref, line_free);
}

static void job_free(struct kref *ref)
{
	struct job *job = container_of(ref, struct job, ref);
	struct tsm_report *report = &job->report;

	job_line_put(job->line);
	kvfree(report->outblob);
	kvfree(report->auxblob);
	kvfree(report->manifestblob);
	kfree(report->desc.service_provider);
	kfree(job);
}

void job_put(struct job *job)
{
	if (job)
		kref_put(&job->ref, job_free);
}

static int check_report(struct tsm_report *report)
{
	size_t longest = report->outblob_len;

	if (!report->outblob)
		return -EIO;
	if (report->auxblob)
		longest = max(longest, report->auxblob_len);
	else
		report->auxblob_len = 0;
	if (report->manifestblob)
		longest = max(longest, report->manifestblob_len);
	else
		report->manifestblob_len = 0;
	return longest > TSM_REPORT_OUTBLOB_MAX ? -EFBIG : 0;
}

static int make_report(struct job *job)
{
	const struct tsm_report_ops *ops;
	void *data;
	int rc;

	/* Unregistering waits for this work item if it sees the provider. */
	mutex_lock(&job_provider_lock);
	ops = job_provider;
	data = provider_data;
	mutex_unlock(&job_provider_lock);
	if (!ops)
		return -ENXIO;
	rc = ops->report_new(&job->report, data);
	if (rc > 0)
		return -EIO;
	return rc ?: check_report(&job->report);
}

static void job_work(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, work);

	mutex_lock(&job->line->turn);
	job->result = READ_ONCE(job->outdated) ? -EAGAIN : make_report(job);
	mutex_unlock(&job->line->turn);
	complete_all(&job->done);
	job_put(job);
}

/* Copies @desc. The caller gets a reference. NULL: no memory. */
struct job *job_start(const struct tsm_report_desc *desc, struct job_line *line)
{
	struct job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return NULL;
	job->report.desc = *desc;
	if (desc->service_provider) {
		job->report.desc.service_provider =
			kstrdup(desc->service_provider, GFP_KERNEL);
		if (!job->report.desc.service_provider) {
			kfree(job);
			return NULL;
		}
	}
	kref_get(&line->ref);
	job->line = line;
	init_completion(&job->done);
	INIT_WORK(&job->work, job_work);
	kref_init(&job->ref);		/* the caller's */
	kref_get(&job->ref);		/* the work's */
	queue_work(job_queue, &job->work);
	return job;
}

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	int rc = 0;

	mutex_lock(&job_provider_lock);
	if (job_provider || job_entries) {
		rc = -EBUSY;
	} else {
		job_provider = ops;
		provider_data = priv;
	}
	mutex_unlock(&job_provider_lock);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	int rc = 0;

	mutex_lock(&job_provider_lock);
	if (job_provider == ops)
		job_provider = NULL;
	else
		rc = -EBUSY;
	mutex_unlock(&job_provider_lock);
	if (!rc)
		flush_workqueue(job_queue);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

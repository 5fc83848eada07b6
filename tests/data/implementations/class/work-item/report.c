// SPDX-License-Identifier: GPL-2.0-only
/* Makes the report in a work item, and keeps it. */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "report.h"

/* A reader whose options change during that many attempts gets EAGAIN. */
#define MAX_ATTEMPTS	8

static void make_report(struct work_struct *work);

static struct workqueue_struct *tsm_wq;
static DECLARE_WORK(tsm_work, make_report);
static DECLARE_WAIT_QUEUE_HEAD(tsm_wait);

/* Protects everything below. It is never held while a report is made. */
static DEFINE_MUTEX(tsm_lock);
static const struct tsm_ops *tsm_provider;
static struct device *tsm_for;		/* of the last request */
static struct tsm_desc tsm_desc;
static unsigned long tsm_generation;
static u8 *tsm_blob;
static size_t tsm_blob_len;
static unsigned long tsm_blob_generation;
static unsigned long tsm_blob_number;	/* of all providers; the first is 1 */

/* Attempts that were started and ended, and the result of the last one. */
static unsigned long tsm_started, tsm_ended;
static unsigned long tsm_result_generation;
static int tsm_result;

int tsm_report_init(void)
{
	tsm_wq = alloc_ordered_workqueue("tsm_report", 0);
	return tsm_wq ? 0 : -ENOMEM;
}

void tsm_report_exit(void)
{
	destroy_workqueue(tsm_wq);
}

void tsm_report_open(const struct tsm_ops *ops)
{
	mutex_lock(&tsm_lock);
	tsm_provider = ops;
	mutex_unlock(&tsm_lock);
}

/* From now on all calls fail. Waits for an attempt that is in report_new. */
void tsm_report_close(void)
{
	mutex_lock(&tsm_lock);
	WRITE_ONCE(tsm_provider, NULL);
	mutex_unlock(&tsm_lock);
	wake_up_all(&tsm_wait);
	cancel_work_sync(&tsm_work);
}

/* Forget what was written and made. Called when nothing can be read. */
void tsm_report_reset(void)
{
	mutex_lock(&tsm_lock);
	kvfree(tsm_blob);
	tsm_blob = NULL;
	tsm_blob_len = 0;
	tsm_blob_generation = 0;
	tsm_generation = 0;
	tsm_started = 0;
	tsm_ended = 0;
	tsm_result_generation = 0;
	tsm_result = 0;
	tsm_for = NULL;
	memset(&tsm_desc, 0, sizeof(tsm_desc));
	mutex_unlock(&tsm_lock);
}

int tsm_change_option(const struct tsm_change *change)
{
	int rc = 0;

	mutex_lock(&tsm_lock);
	if (!tsm_provider) {
		rc = -ENODEV;
		goto out;
	}
	switch (change->option) {
	case TSM_SET_INBLOB:
		memset(tsm_desc.inblob, 0, sizeof(tsm_desc.inblob));
		memcpy(tsm_desc.inblob, change->inblob, change->inblob_len);
		tsm_desc.inblob_len = change->inblob_len;
		break;
	case TSM_SET_PRIVLEVEL:
		tsm_desc.privlevel = change->value;
		break;
	case TSM_SET_FORMAT:
		tsm_desc.outblob_format = change->value;
		break;
	}
	tsm_generation++;
out:
	mutex_unlock(&tsm_lock);
	return rc;
}

int tsm_get_options(struct tsm_desc *desc, unsigned long *generation)
{
	int rc = -ENODEV;

	mutex_lock(&tsm_lock);
	if (tsm_provider) {
		*desc = tsm_desc;
		*generation = tsm_generation;
		rc = 0;
	}
	mutex_unlock(&tsm_lock);
	return rc;
}

static int check_report(const u8 *blob, size_t len)
{
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	if (!blob || !len)
		return -ENODATA;
	return len > TSM_OUTBLOB_MAX ? -EFBIG : 0;
}

static void make_report(struct work_struct *work)
{
	const struct tsm_ops *ops;
	unsigned long generation;
	struct tsm_desc desc;
	struct device *dev;
	size_t len = 0;
	u8 *blob;
	int rc;

	mutex_lock(&tsm_lock);
	ops = tsm_provider;
	dev = tsm_for;
	desc = tsm_desc;
	generation = tsm_generation;
	mutex_unlock(&tsm_lock);
	/* The provider leaves, and waits until this has returned. */
	if (!ops)
		return;

	blob = ops->report_new(dev, &desc, &len);
	rc = check_report(blob, len);
	if (rc && !IS_ERR(blob))
		kvfree(blob);

	mutex_lock(&tsm_lock);
	if (!rc) {
		kvfree(tsm_blob);
		tsm_blob = blob;
		tsm_blob_len = len;
		tsm_blob_generation = generation;
		tsm_blob_number++;
	}
	tsm_result = rc;
	tsm_result_generation = generation;
	WRITE_ONCE(tsm_ended, tsm_ended + 1);
	mutex_unlock(&tsm_lock);
	wake_up_all(&tsm_wait);
}

static bool is_current(void)
{
	lockdep_assert_held(&tsm_lock);
	return tsm_blob && tsm_blob_generation == tsm_generation;
}

/* Called while the task is about to sleep, therefore without the mutex. */
static bool has_ended(unsigned long attempt)
{
	return !READ_ONCE(tsm_provider) || READ_ONCE(tsm_ended) >= attempt;
}

/* Start an attempt, or join the one that runs, and wait for its end. */
static int attempt_once(struct device *dev)
{
	unsigned long attempt;
	int rc;

	lockdep_assert_held(&tsm_lock);
	if (tsm_started == tsm_ended) {
		tsm_started++;
		tsm_for = dev;
		queue_work(tsm_wq, &tsm_work);
	}
	attempt = tsm_started;
	mutex_unlock(&tsm_lock);
	rc = wait_event_killable(tsm_wait, has_ended(attempt));
	mutex_lock(&tsm_lock);
	return rc ? -EINTR : 0;
}

static int ensure_report(struct device *dev)
{
	int rc, i;

	for (i = 0; i < MAX_ATTEMPTS; i++) {
		if (!tsm_provider)
			return -ENODEV;
		if (!tsm_desc.inblob_len)
			return -ENODATA;
		if (is_current())
			return 0;
		rc = attempt_once(dev);
		if (rc)
			return rc;
		/* A failure with other options does not concern this caller. */
		if (tsm_provider && tsm_result &&
		    tsm_result_generation == tsm_generation)
			return tsm_result;
	}
	return is_current() ? 0 : -EAGAIN;
}

/*
 * @begun: the number of the report that the caller has begun to read, NULL for
 *	none
 */
ssize_t tsm_read_report(struct device *dev, void **begun, char *buf, loff_t pos,
			size_t count)
{
	ssize_t rc;

	mutex_lock(&tsm_lock);
	if (!pos || !*begun)
		rc = ensure_report(dev);
	else if (!tsm_provider)
		rc = -ENODEV;
	else
		rc = *begun == (void *)tsm_blob_number ? 0 : -ESTALE;
	if (!rc) {
		*begun = (void *)tsm_blob_number;
		rc = memory_read_from_buffer(buf, count, &pos, tsm_blob,
					     tsm_blob_len);
	}
	mutex_unlock(&tsm_lock);
	return rc;
}

// SPDX-License-Identifier: GPL-2.0-only
/* Finished reports. */
#include <linux/capability.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "snapshots.h"

static void result_free(struct kref *ref)
{
	struct result *result = container_of(ref, struct result, ref);

	kvfree(result->report.outblob);
	kvfree(result->report.auxblob);
	kvfree(result->report.manifestblob);
	options_put(result->options);
	kfree(result);
}

void result_put(struct result *result)
{
	if (result)
		kref_put(&result->ref, result_free);
}

/* The result over the current options, if there is one. */
static struct result *find_result(struct entry *entry)
{
	struct result *result;

	spin_lock(&entry->lock);
	result = entry->result;
	if (result && result->options == entry->options)
		kref_get(&result->ref);
	else
		result = NULL;
	spin_unlock(&entry->lock);
	return result;
}

static void keep_result(struct entry *entry, struct result *result)
{
	struct result *old;

	kref_get(&result->ref);
	spin_lock(&entry->lock);
	old = entry->result;
	entry->result = result;
	spin_unlock(&entry->lock);
	result_put(old);
}

static int check_length(const u8 *blob, size_t *len)
{
	if (!blob)
		*len = 0;
	return *len > TSM_REPORT_OUTBLOB_MAX ? -EFBIG : 0;
}

static int fill_result(struct result *result,
		       const struct registration *registration)
{
	struct tsm_report *report = &result->report;
	int rc;

	report->desc = result->options->desc;
	rc = registration->ops->report_new(report, registration->data);
	if (rc > 0 || rc < -MAX_ERRNO)
		return -EIO;
	if (!rc)
		rc = check_length(report->outblob, &report->outblob_len);
	if (!rc)
		rc = check_length(report->auxblob, &report->auxblob_len);
	if (!rc)
		rc = check_length(report->manifestblob,
				  &report->manifestblob_len);
	return rc;
}

static struct result *make_result(struct entry *entry,
				  const struct registration *registration)
{
	struct result *result;
	int rc;

	if (!capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EACCES);
	result = kzalloc(sizeof(*result), GFP_KERNEL);
	if (!result)
		return ERR_PTR(-ENOMEM);
	kref_init(&result->ref);
	result->options = options_get(entry);
	rc = -EINVAL;
	if (result->options->desc.inblob_len)
		rc = fill_result(result, registration);
	if (rc) {
		result_put(result);
		return ERR_PTR(rc);
	}
	keep_result(entry, result);
	return result;
}

/* The caller holds registration->in_use, and puts the result. */
struct result *result_get(struct entry *entry,
			  const struct registration *registration)
{
	struct result *result = find_result(entry);

	if (result)
		return result;
	if (mutex_lock_killable(&entry->making))
		return ERR_PTR(-EINTR);
	result = find_result(entry) ?: make_result(entry, registration);
	mutex_unlock(&entry->making);
	return result;
}

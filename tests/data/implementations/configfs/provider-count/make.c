// SPDX-License-Identifier: GPL-2.0-only
/* Making a report, and reading it. */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "report.h"

struct blob {
	u8 **bytes;
	size_t *len;
};

static struct blob blob_of(struct tsm_report *report, unsigned int number)
{
	struct blob blobs[] = {
		{ &report->outblob, &report->outblob_len },
		{ &report->auxblob, &report->auxblob_len },
		{ &report->manifestblob, &report->manifestblob_len },
	};

	return blobs[number];
}

void report_entry_free_blobs(struct report_entry *entry)
{
	unsigned int n;

	entry->has_report = false;
	for (n = 0; n < 3; n++) {
		struct blob blob = blob_of(&entry->report, n);

		kvfree(*blob.bytes);
		*blob.bytes = NULL;
		*blob.len = 0;
	}
}

static int check_blobs(struct tsm_report *report)
{
	unsigned int n;

	for (n = 0; n < 3; n++) {
		struct blob blob = blob_of(report, n);

		if (!*blob.bytes)
			*blob.len = 0;
		if (*blob.len > TSM_REPORT_OUTBLOB_MAX)
			return -EFBIG;
	}
	return report->outblob ? 0 : -EIO;
}

static int make_report(struct report_entry *entry,
		       const struct tsm_report_ops *ops, void *data)
{
	int rc;

	report_entry_free_blobs(entry);
	rc = ops->report_new(&entry->report, data);
	if (!rc)
		rc = check_blobs(&entry->report);
	if (rc) {
		report_entry_free_blobs(entry);
		return rc < 0 ? rc : -EIO;
	}
	entry->made_at = entry->writes;
	entry->has_report = true;
	return 0;
}

static int update_report(struct report_entry *entry,
			 const struct tsm_report_ops *ops, void *data)
{
	if (!entry->report.desc.inblob_len)
		return -EINVAL;
	if (entry->has_report && entry->made_at == entry->writes)
		return 0;
	if (!capable(CAP_SYS_ADMIN))
		return -EACCES;
	return make_report(entry, ops, data);
}

static ssize_t copy_blob(struct report_entry *entry, unsigned int number,
			 void *buf, size_t count)
{
	struct blob blob = blob_of(&entry->report, number);

	if (!buf)
		return *blob.len;
	if (count != *blob.len)
		return -EAGAIN;
	memcpy(buf, *blob.bytes, count);
	return count;
}

ssize_t report_entry_read(struct report_entry *entry, unsigned int blob,
			  void *buf, size_t count)
{
	const struct tsm_report_ops *ops;
	void *data;
	ssize_t rc;

	ops = report_provider_get(&data);
	if (!ops)
		return -ENXIO;
	rc = mutex_lock_killable(&entry->lock);
	if (rc)
		goto out;
	rc = update_report(entry, ops, data);
	if (!rc)
		rc = copy_blob(entry, blob, buf, count);
	mutex_unlock(&entry->lock);
out:
	report_provider_put();
	return rc;
}

// SPDX-License-Identifier: GPL-2.0-only
/* The report of an entry: made, read, freed. */
#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "defects.h"
#include "entry.h"

void tsm_configfs_free_report(struct entry *entry)
{
	struct tsm_report *report = &entry->report;

	entry->valid = false;
	kvfree(report->outblob);
	kvfree(report->auxblob);
	kvfree(report->manifestblob);
	report->outblob = NULL;
	report->auxblob = NULL;
	report->manifestblob = NULL;
	if (has_defect(DEFECT_STALE_LENGTH))
		return;
	report->outblob_len = 0;
	report->auxblob_len = 0;
	report->manifestblob_len = 0;
}

/* Check the report of report_new, which returned @rc. */
static int check_report(const struct tsm_report *report, int rc)
{
	if (rc)
		return rc < 0 && !has_defect(DEFECT_ONE_ERRNO) ? rc : -EIO;
	if (!report->outblob)
		return -EIO;
	if (max3(report->outblob_len, report->auxblob_len,
		 report->manifestblob_len) > TSM_REPORT_OUTBLOB_MAX)
		return -EFBIG;
	return 0;
}

static int make_report(struct entry *entry)
{
	const struct provider *provider = &tsm_configfs_provider;
	int rc;

	tsm_configfs_free_report(entry);
	rc = provider->ops->report_new(&entry->report, provider->priv);
	rc = check_report(&entry->report, rc);
	if (rc) {
		tsm_configfs_free_report(entry);
		return rc;
	}
	entry->made = entry->written;
	entry->valid = true;
	return 0;
}

/* Make the report unless there is a valid one. @anew: also if there is. */
static int ensure_report(struct entry *entry, bool anew)
{
	lockdep_assert_held(&tsm_configfs_registration);
	lockdep_assert_held(&entry->lock);
	if (!tsm_configfs_provider.ops &&
	    !(has_defect(DEFECT_ORPHAN_REPORT) && entry->valid))
		return has_defect(DEFECT_OLD_ERRNO) ? -ENOTTY : -ENXIO;
	if (!entry->report.desc.inblob_len)
		return -EINVAL;
	if (entry->valid && !anew)
		return 0;
	if (!capable(CAP_SYS_ADMIN) && !has_defect(DEFECT_ANYBODY_ASKS))
		return -EACCES;
	return make_report(entry);
}

static ssize_t copy_blob(const u8 *blob, size_t len, void *buf, size_t count)
{
	if (!buf)
		return len;
	if (count != len && !has_defect(DEFECT_UNCHECKED_SIZE))
		return -EAGAIN;
	memcpy(buf, blob, min(count, len));
	return len;
}

static ssize_t read_blob_locked(struct entry *entry, enum blob which, void *buf,
				size_t count)
{
	const struct tsm_report *report = &entry->report;
	int rc;

	guard(mutex)(&entry->lock);
	rc = ensure_report(entry, !buf && has_defect(DEFECT_NO_CACHE));
	if (rc)
		return rc;
	switch (which) {
	case BLOB_AUX:
		return copy_blob(report->auxblob, report->auxblob_len, buf,
				 count);
	case BLOB_MANIFEST:
		return copy_blob(report->manifestblob, report->manifestblob_len,
				 buf, count);
	default:
		return copy_blob(report->outblob, report->outblob_len, buf,
				 count);
	}
}

ssize_t tsm_configfs_read_blob(struct entry *entry, enum blob which, void *buf,
			       size_t count)
{
	if (has_defect(DEFECT_ONE_LOCK)) {
		guard(rwsem_write)(&tsm_configfs_registration);
		return read_blob_locked(entry, which, buf, count);
	}
	guard(rwsem_read)(&tsm_configfs_registration);
	return read_blob_locked(entry, which, buf, count);
}

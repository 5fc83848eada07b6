// SPDX-License-Identifier: GPL-2.0-only
/* The report of an entry: made, read, freed. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "defects.h"
#include "entry.h"

static void free_blob(const u8 *blob)
{
	if (has_defect(DEFECT_LEAKED_VMALLOC) && is_vmalloc_addr(blob))
		return;
	kvfree(blob);
}

static void clear_blobs(struct tsm_report *report)
{
	report->outblob = NULL;
	report->auxblob = NULL;
	report->manifestblob = NULL;
	if (has_defect(DEFECT_STALE_LENGTH))
		return;
	report->outblob_len = 0;
	report->auxblob_len = 0;
	report->manifestblob_len = 0;
}

void tsm_configfs_free_report(struct entry *entry)
{
	struct tsm_report *report = &entry->report;

	free_blob(report->outblob);
	if (entry->valid || !has_defect(DEFECT_LEAKED_AUXBLOB))
		free_blob(report->auxblob);
	free_blob(report->manifestblob);
	entry->valid = false;
	clear_blobs(report);
}

/* Check the report of report_new, which returned @rc. */
static int check_report(const struct tsm_report *report, int rc)
{
	size_t longest;

	if (rc > 0 && has_defect(DEFECT_POSITIVE_LENGTH))
		return rc;
	if (rc)
		return rc < 0 && !has_defect(DEFECT_ONE_ERRNO) ? rc : -EIO;
	if (!report->outblob)
		return -EIO;
	longest = max3(report->outblob_len, report->auxblob_len,
		       report->manifestblob_len);
	if (longest > TSM_REPORT_OUTBLOB_MAX)
		return -EFBIG;
	if (longest == TSM_REPORT_OUTBLOB_MAX && has_defect(DEFECT_MAX_REFUSED))
		return -EFBIG;
	return 0;
}

/* Ask the provider for a report. */
static int request_report(struct entry *entry, const struct provider *provider)
{
	int rc;

	if (has_defect(DEFECT_PINNED_MODULE))
		__module_get(THIS_MODULE);
	entry->making = true;
	rc = provider->ops->report_new(&entry->report, provider->priv);
	if (!fatal_signal_pending(current) || !has_defect(DEFECT_STUCK_FLAG))
		entry->making = false;
	rc = check_report(&entry->report, rc);
	if (rc && has_defect(DEFECT_LOGGED_NONCE))
		pr_err("no report over %*phN (%d)\n",
		       (int)entry->report.desc.inblob_len,
		       entry->report.desc.inblob, rc);
	if (rc)
		return rc;
	if (has_defect(DEFECT_PINNED_MODULE))
		module_put(THIS_MODULE);
	if (has_defect(DEFECT_LOST_WAKEUP))
		wake_up_all(&entry->made_report);
	return 0;
}

/* With defects that need the last report when a new one cannot be made. */
static int replace_report(struct entry *entry, const struct provider *provider)
{
	struct tsm_report last = entry->report;
	int rc;

	clear_blobs(&entry->report);
	rc = request_report(entry, provider);
	if (rc == -ETIMEDOUT && last.outblob &&
	    has_defect(DEFECT_OLD_ON_TIMEOUT)) {
		entry->report = last;
		return 0;
	}
	if (rc && has_defect(DEFECT_LEAKED_REPORT))
		return rc;
	free_blob(last.outblob);
	free_blob(last.auxblob);
	free_blob(last.manifestblob);
	return rc;
}

/* Free what report_new set before it failed with @rc, or before it was refused. */
static void discard_report(struct entry *entry, int rc, u8 *last_manifest)
{
	if (rc == -EFBIG && has_defect(DEFECT_AUX_FREED_TWICE))
		free_blob(entry->report.auxblob);
	tsm_configfs_free_report(entry);
	if (rc == -EINTR && has_defect(DEFECT_MANIFEST_FREED_TWICE))
		entry->report.manifestblob = last_manifest;
}

static int make_report(struct entry *entry, const struct provider *provider)
{
	u8 *last_manifest = entry->report.manifestblob;
	int rc;

	if (has_defect(DEFECT_OLD_ON_TIMEOUT) || has_defect(DEFECT_LEAKED_REPORT)) {
		rc = replace_report(entry, provider);
	} else {
		tsm_configfs_free_report(entry);
		rc = request_report(entry, provider);
	}
	if (rc) {
		discard_report(entry, rc, last_manifest);
		return rc;
	}
	entry->made = entry->written;
	entry->valid = true;
	return 0;
}

/* Make the report unless there is a valid one. @anew: also if there is. */
static int ensure_report(struct entry *entry, const struct provider *provider,
			 bool anew)
{
	if (!has_defect(DEFECT_UNPINNED_OPS))
		lockdep_assert_held(&tsm_configfs_registration);
	lockdep_assert_held(&entry->lock);
	if (!provider->ops && !(has_defect(DEFECT_ORPHAN_REPORT) && entry->valid))
		return -ENXIO;
	if (!entry->report.desc.inblob_len)
		return -EINVAL;
	if (has_defect(DEFECT_STUCK_FLAG) && entry->making)
		return -EBUSY;
	if (entry->valid && !anew)
		return 0;
	if (!capable(CAP_SYS_ADMIN) && !has_defect(DEFECT_ANYBODY_ASKS))
		return -EACCES;
	return make_report(entry, provider);
}

/* A defect: does a read of @which at its first call ignore a valid report? */
static bool is_cache_ignored(enum blob which)
{
	return has_defect(DEFECT_NO_CACHE) ||
	       (which == BLOB_AUX && has_defect(DEFECT_AUX_ANEW));
}

/* A defect: is the size that configfs allocated for @which not compared? */
static bool is_size_ignored(enum blob which)
{
	return has_defect(DEFECT_UNCHECKED_SIZE) ||
	       (which == BLOB_AUX && has_defect(DEFECT_UNCHECKED_AUX));
}

static ssize_t copy_blob(const struct tsm_report *report, enum blob which,
			 void *buf, size_t count)
{
	const u8 *blob = report->outblob;
	size_t len = report->outblob_len;

	if (which == BLOB_AUX) {
		blob = report->auxblob;
		len = report->auxblob_len;
	} else if (which == BLOB_MANIFEST) {
		blob = report->manifestblob;
		len = has_defect(DEFECT_MANIFEST_LENGTH) && blob ?
			      report->auxblob_len : report->manifestblob_len;
	}
	if (!buf)
		return len;
	if (count != len && !is_size_ignored(which))
		return -EAGAIN;
	memcpy(buf, blob, min(count, len));
	return len;
}

/* Like mutex_lock(), which never fails, unless there is a defect. */
static int lock_entry(struct entry *entry)
{
	int rc;

	if (has_defect(DEFECT_LOST_WAKEUP)) {
		rc = wait_event_killable(entry->made_report,
					 !READ_ONCE(entry->making));
		if (rc)
			return rc;
	}
	if (has_defect(DEFECT_KILLED_WAITER)) {
		rc = mutex_lock_killable(&entry->lock);
		if (rc)
			mutex_unlock(&entry->lock);
		return rc;
	}
	if (has_defect(DEFECT_SPINNING_READER)) {
		while (!mutex_trylock(&entry->lock))
			cond_resched();
		return 0;
	}
	mutex_lock(&entry->lock);
	return 0;
}

static ssize_t read_blob(struct entry *entry, const struct provider *provider,
			 enum blob which, void *buf, size_t count)
{
	ssize_t rc;

	rc = lock_entry(entry);
	if (rc)
		return rc;
	rc = ensure_report(entry, provider, !buf && is_cache_ignored(which));
	if (!rc)
		rc = copy_blob(&entry->report, which, buf, count);
	if (rc != -EACCES || !has_defect(DEFECT_LOCKED_DENIAL))
		mutex_unlock(&entry->lock);
	return rc;
}

/* With DEFECT_UNPINNED_OPS: the provider may leave while it makes a report. */
static ssize_t read_blob_unpinned(struct entry *entry, enum blob which, void *buf,
				  size_t count)
{
	struct provider provider = {};

	scoped_guard(rwsem_read, &tsm_configfs_registration) {
		provider.ops = tsm_configfs_provider.ops;
		provider.priv = tsm_configfs_provider.priv;
	}
	return read_blob(entry, &provider, which, buf, count);
}

ssize_t tsm_configfs_read_blob(struct entry *entry, enum blob which, void *buf,
			       size_t count)
{
	ssize_t rc;

	if (has_defect(DEFECT_UNPINNED_OPS))
		return read_blob_unpinned(entry, which, buf, count);
	if (has_defect(DEFECT_ONE_LOCK)) {
		guard(rwsem_write)(&tsm_configfs_registration);
		return read_blob(entry, &tsm_configfs_provider, which, buf, count);
	}
	down_read(&tsm_configfs_registration);
	rc = read_blob(entry, &tsm_configfs_provider, which, buf, count);
	up_read(&tsm_configfs_registration);
	if (rc == -EINVAL && has_defect(DEFECT_RELEASED_TWICE))
		up_read(&tsm_configfs_registration);
	return rc;
}

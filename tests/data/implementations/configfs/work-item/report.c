// SPDX-License-Identifier: GPL-2.0-only
/* The entries and their files. */
#include <linux/capability.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "job.h"

struct entry {
	struct config_item item;
	u32 files;			/* bits 0 to 6: text, 8 to 11: binary */
	struct mutex lock;		/* never held while a report is made */
	struct tsm_report_desc desc;
	unsigned long generation;
	struct job *job;		/* over the current options */
	struct job_line *line;
};

static struct entry *entry_of(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

/* The entry is locked. */
static void abandon_job(struct entry *entry)
{
	struct job *job = entry->job;

	if (!job)
		return;
	WRITE_ONCE(job->outdated, true);
	entry->job = NULL;
	job_put(job);
}

static void commit(struct entry *entry)
{
	abandon_job(entry);
	WRITE_ONCE(entry->generation, entry->generation + 1);
}

/* A job over the current options, with a reference for the caller. */
static struct job *current_job(struct entry *entry)
{
	struct job *job;

	mutex_lock(&entry->lock);
	job = entry->job;
	if (job) {
		kref_get(&job->ref);
	} else if (!entry->desc.inblob_len) {
		job = ERR_PTR(-EINVAL);
	} else if (!capable(CAP_SYS_ADMIN)) {
		job = ERR_PTR(-EACCES);
	} else {
		job = job_start(&entry->desc, entry->line);
		if (job) {
			kref_get(&job->ref);
			entry->job = job;
		} else {
			job = ERR_PTR(-ENOMEM);
		}
	}
	mutex_unlock(&entry->lock);
	return job;
}

/* The next reader tries again. */
static void forget_failure(struct entry *entry, struct job *job)
{
	mutex_lock(&entry->lock);
	if (entry->job == job)
		abandon_job(entry);
	mutex_unlock(&entry->lock);
}

static bool has_provider(void)
{
	bool has;

	mutex_lock(&job_provider_lock);
	has = job_provider;
	mutex_unlock(&job_provider_lock);
	return has;
}

static ssize_t copy(const void *blob, size_t len, void *buf, size_t count)
{
	/* Unregistered in the meantime? */
	if (!has_provider())
		return -ENXIO;
	if (!buf)
		return len;
	if (len != count)
		return -EAGAIN;
	if (len)
		memcpy(buf, blob, len);
	return len;
}

/* Wait for a report; the caller puts the job. */
static struct job *wait_for_report(struct entry *entry)
{
	struct job *job;
	int rc;

	if (!has_provider())
		return ERR_PTR(-ENXIO);
	job = current_job(entry);
	if (IS_ERR(job))
		return job;
	rc = wait_for_completion_killable(&job->done);
	if (!rc) {
		rc = job->result;
		if (rc)
			forget_failure(entry, job);
	}
	if (!rc)
		return job;
	job_put(job);
	return ERR_PTR(rc < -MAX_ERRNO ? -EIO : rc);
}

#define BLOB(name)                                                       \
	static ssize_t entry_##name##_read(struct config_item *item,     \
					   void *buf, size_t count)      \
	{                                                                \
		struct job *job = wait_for_report(entry_of(item));       \
		ssize_t rc;                                              \
                                                                         \
		if (IS_ERR(job))                                         \
			return PTR_ERR(job);                             \
		rc = copy(job->report.name, job->report.name##_len, buf, \
			  count);                                        \
		job_put(job);                                            \
		return rc;                                               \
	}                                                                \
	CONFIGFS_BIN_ATTR_RO(entry_, name, NULL, TSM_REPORT_OUTBLOB_MAX)

BLOB(outblob);
BLOB(auxblob);
BLOB(manifestblob);

static ssize_t entry_inblob_write(struct config_item *item, const void *buf,
				  size_t count)
{
	struct entry *entry = entry_of(item);

	if (!count || count > TSM_REPORT_INBLOB_MAX)
		return -EINVAL;
	mutex_lock(&entry->lock);
	memset(entry->desc.inblob, 0, TSM_REPORT_INBLOB_MAX);
	memcpy(entry->desc.inblob, buf, count);
	entry->desc.inblob_len = count;
	commit(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_BIN_ATTR_WO(entry_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

static ssize_t entry_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%lu\n", READ_ONCE(entry_of(item)->generation));
}
CONFIGFS_ATTR_RO(entry_, generation);

static ssize_t entry_provider_show(struct config_item *item, char *page)
{
	ssize_t rc = -ENXIO;

	mutex_lock(&job_provider_lock);
	if (job_provider)
		rc = sysfs_emit(page, "%s\n", job_provider->name);
	mutex_unlock(&job_provider_lock);
	return rc;
}
CONFIGFS_ATTR_RO(entry_, provider);

static ssize_t entry_privlevel_floor_show(struct config_item *item, char *page)
{
	ssize_t rc = -ENXIO;

	mutex_lock(&job_provider_lock);
	if (job_provider)
		rc = sysfs_emit(page, "%u\n", job_provider->privlevel_floor);
	mutex_unlock(&job_provider_lock);
	return rc;
}
CONFIGFS_ATTR_RO(entry_, privlevel_floor);

static ssize_t entry_privlevel_store(struct config_item *item, const char *page,
				     size_t count)
{
	struct entry *entry = entry_of(item);
	unsigned int level;
	int rc;

	rc = kstrtouint(page, 0, &level);
	if (rc)
		return rc;
	mutex_lock(&job_provider_lock);
	if (!job_provider)
		rc = -ENXIO;
	else if (level < job_provider->privlevel_floor)
		rc = -EINVAL;
	mutex_unlock(&job_provider_lock);
	if (level > TSM_REPORT_PRIVLEVEL_MAX)
		rc = rc ?: -EINVAL;
	if (rc)
		return rc;
	mutex_lock(&entry->lock);
	entry->desc.privlevel = level;
	commit(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_ATTR_WO(entry_, privlevel);

static ssize_t entry_service_provider_store(struct config_item *item,
					    const char *page, size_t count)
{
	struct entry *entry = entry_of(item);
	char *name = NULL;

	/* configfs cuts what does not fit into a page. */
	if (count == PAGE_SIZE - 1)
		return -ENAMETOOLONG;
	if (strlen(page) != count || strcspn(page, "\n") < count - 1)
		return -EINVAL;
	if (!sysfs_streq(page, "")) {
		name = kstrndup(page, strcspn(page, "\n"), GFP_KERNEL);
		if (!name)
			return -ENOMEM;
	}
	mutex_lock(&entry->lock);
	swap(entry->desc.service_provider, name);
	commit(entry);
	mutex_unlock(&entry->lock);
	kfree(name);
	return count;
}
CONFIGFS_ATTR_WO(entry_, service_provider);

static ssize_t entry_service_guid_store(struct config_item *item,
					const char *page, size_t count)
{
	struct entry *entry = entry_of(item);
	guid_t guid;

	if (guid_parse(page, &guid) || !sysfs_streq(page + UUID_STRING_LEN, ""))
		return -EINVAL;
	mutex_lock(&entry->lock);
	entry->desc.service_guid = guid;
	commit(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_ATTR_WO(entry_, service_guid);

static ssize_t entry_service_manifest_version_store(struct config_item *item,
						    const char *page,
						    size_t count)
{
	struct entry *entry = entry_of(item);
	unsigned int version;
	int rc;

	rc = kstrtouint(page, 0, &version);
	if (rc)
		return rc;
	mutex_lock(&entry->lock);
	entry->desc.service_manifest_version = version;
	commit(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_ATTR_WO(entry_, service_manifest_version);

static struct configfs_attribute *text_files[] = {
	&entry_attr_generation,
	&entry_attr_provider,
	&entry_attr_privlevel,
	&entry_attr_privlevel_floor,
	&entry_attr_service_provider,
	&entry_attr_service_guid,
	&entry_attr_service_manifest_version,
	NULL
};

static struct configfs_bin_attribute *binary_files[] = {
	&entry_attr_inblob,
	&entry_attr_outblob,
	&entry_attr_auxblob,
	&entry_attr_manifestblob,
	NULL
};

static bool has_text_file(struct config_item *item,
			  struct configfs_attribute *attr, int n)
{
	return entry_of(item)->files & BIT(n);
}

static bool has_binary_file(struct config_item *item,
			    struct configfs_bin_attribute *attr, int n)
{
	return entry_of(item)->files & BIT(8 + n);
}

static void entry_release(struct config_item *item)
{
	struct entry *entry = entry_of(item);

	abandon_job(entry);
	job_line_put(entry->line);
	kfree(entry->desc.service_provider);
	kfree(entry);

	mutex_lock(&job_provider_lock);
	job_entries--;
	mutex_unlock(&job_provider_lock);
}

static struct configfs_item_operations entry_ops = { .release = entry_release };

static struct configfs_group_operations entry_file_ops = {
	.is_visible = has_text_file,
	.is_bin_visible = has_binary_file,
};

static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &entry_ops,
	.ct_group_ops = &entry_file_ops,
	.ct_attrs = text_files,
	.ct_bin_attrs = binary_files,
};

static u32 ask_for_files(const struct tsm_report_ops *ops)
{
	u32 files = 0;
	int n;

	for (n = 0; text_files[n]; n++)
		if (!ops->report_attr_visible || ops->report_attr_visible(n))
			files |= BIT(n);
	for (n = 0; binary_files[n]; n++)
		if (!ops->report_bin_attr_visible ||
		    ops->report_bin_attr_visible(n))
			files |= BIT(8 + n);
	return files;
}

static struct config_item *entry_make(struct config_group *group,
				      const char *name)
{
	struct entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	int rc = -ENOMEM;

	if (!entry)
		return ERR_PTR(rc);
	entry->line = job_line_new();
	if (!entry->line)
		goto no_line;
	mutex_init(&entry->lock);
	mutex_lock(&job_provider_lock);
	if (!job_provider)
		goto no_provider;
	entry->files = ask_for_files(job_provider);
	job_entries++;
	mutex_unlock(&job_provider_lock);
	config_item_init_type_name(&entry->item, name, &entry_type);
	return &entry->item;

no_provider:
	mutex_unlock(&job_provider_lock);
	job_line_put(entry->line);
	rc = -ENXIO;
no_line:
	kfree(entry);
	return ERR_PTR(rc);
}

static struct configfs_group_operations report_ops = { .make_item =
							       entry_make };

static const struct config_item_type report_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &report_ops,
};

static const struct config_item_type tsm_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem tsm = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &tsm_type },
	.su_mutex = __MUTEX_INITIALIZER(tsm.su_mutex),
};

static struct config_group *report;

static int __init work_item_init(void)
{
	int rc;

	rc = job_init();
	if (rc)
		return rc;
	config_group_init(&tsm.su_group);
	rc = configfs_register_subsystem(&tsm);
	if (rc)
		goto err_job;
	report = configfs_register_default_group(&tsm.su_group, "report",
						 &report_type);
	if (IS_ERR(report)) {
		rc = PTR_ERR(report);
		goto err_subsystem;
	}
	return 0;

err_subsystem:
	configfs_unregister_subsystem(&tsm);
err_job:
	job_exit();
	return rc;
}
module_init(work_item_init);

static void __exit work_item_exit(void)
{
	configfs_unregister_default_group(report);
	configfs_unregister_subsystem(&tsm);
	job_exit();
}
module_exit(work_item_exit);

MODULE_DESCRIPTION("TSM reports that a work item makes");
MODULE_LICENSE("GPL");

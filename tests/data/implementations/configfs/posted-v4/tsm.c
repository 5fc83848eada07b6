// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: the API of the fourth posting, with certs beside the report. The kernel's
 * layout of an entry: counters behind the report. Whether the report is fresh is
 * a flag of its own, which no counter that wraps can set. Scope-based locks.
 *
 * Freedoms: EBUSY for a provider while entries of another one exist; ENODATA for
 * a report that is none; EPERM for an unprivileged reader.
 */
#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>

struct entry {
	struct tsm_report report;
	unsigned long written;
	unsigned long made;
	bool fresh;
	struct mutex lock;
	struct config_item item;
};

static DECLARE_RWSEM(tsm_sem);
static struct {
	const struct tsm_ops *ops;
	const struct config_item_type *type;
	void *data;
} tsm;
static atomic_t entry_count = ATOMIC_INIT(0);

static struct entry *get_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static void clear_report(struct tsm_report *report)
{
	kvfree(report->outblob);
	kvfree(report->certs);
	report->outblob = NULL;
	report->certs = NULL;
	report->outblob_len = 0;
	report->certs_len = 0;
}

static void touch(struct entry *entry)
{
	lockdep_assert_held(&entry->lock);
	entry->fresh = false;
	WRITE_ONCE(entry->written, entry->written + 1);
}

static int refresh(struct entry *entry)
{
	struct tsm_report *report = &entry->report;
	int rc;

	lockdep_assert_held(&entry->lock);
	if (!report->desc.inblob_len)
		return -EINVAL;
	if (entry->fresh)
		return 0;
	clear_report(report);
	rc = tsm.ops->report_new(report, tsm.data);
	if (!report->certs)
		report->certs_len = 0;
	if (rc >= 0 && (rc || !report->outblob))
		rc = -ENODATA;
	if (!rc && max(report->outblob_len, report->certs_len) > TSM_OUTBLOB_MAX)
		rc = -EFBIG;
	if (rc) {
		clear_report(report);
		return rc;
	}
	entry->made = entry->written;
	entry->fresh = true;
	return 0;
}

static ssize_t copy_blob(const void *blob, size_t len, void *buf, size_t count)
{
	if (!buf)
		return len;
	/* A report that changed between the two calls has to be read anew. */
	if (count != len)
		return -EAGAIN;
	memcpy(buf, blob, len);
	return len;
}

static ssize_t read_blob(struct config_item *item, void *buf, size_t count,
			 bool certs)
{
	struct entry *entry = get_entry(item);
	const struct tsm_report *report = &entry->report;
	int rc;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	guard(rwsem_read)(&tsm_sem);
	if (!tsm.ops)
		return -ENXIO;
	guard(mutex)(&entry->lock);
	rc = refresh(entry);
	if (rc)
		return rc;
	return certs ? copy_blob(report->certs, report->certs_len, buf, count) :
		       copy_blob(report->outblob, report->outblob_len, buf,
				 count);
}

static ssize_t entry_outblob_read(struct config_item *item, void *buf,
				  size_t count)
{
	return read_blob(item, buf, count, false);
}
CONFIGFS_BIN_ATTR_RO(entry_, outblob, NULL, TSM_OUTBLOB_MAX);

static ssize_t entry_certs_read(struct config_item *item, void *buf,
				size_t count)
{
	return read_blob(item, buf, count, true);
}
CONFIGFS_BIN_ATTR_RO(entry_, certs, NULL, TSM_OUTBLOB_MAX);

static ssize_t entry_inblob_write(struct config_item *item, const void *buf,
				  size_t count)
{
	struct entry *entry = get_entry(item);
	struct tsm_desc *desc = &entry->report.desc;

	if (!count || count > sizeof(desc->inblob))
		return -EINVAL;
	guard(mutex)(&entry->lock);
	memset(desc->inblob, 0, sizeof(desc->inblob));
	memcpy(desc->inblob, buf, count);
	desc->inblob_len = count;
	touch(entry);
	return count;
}
CONFIGFS_BIN_ATTR_WO(entry_, inblob, NULL, TSM_INBLOB_MAX);

static ssize_t entry_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%lu\n", READ_ONCE(get_entry(item)->written));
}
CONFIGFS_ATTR_RO(entry_, generation);

static ssize_t entry_provider_show(struct config_item *item, char *page)
{
	guard(rwsem_read)(&tsm_sem);
	return tsm.ops ? sysfs_emit(page, "%s\n", tsm.ops->name) : -ENXIO;
}
CONFIGFS_ATTR_RO(entry_, provider);

static ssize_t entry_privlevel_floor_show(struct config_item *item, char *page)
{
	guard(rwsem_read)(&tsm_sem);
	return tsm.ops ? sysfs_emit(page, "%d\n", tsm.ops->privlevel_floor) :
			 -ENXIO;
}
CONFIGFS_ATTR_RO(entry_, privlevel_floor);

static ssize_t entry_privlevel_store(struct config_item *item, const char *page,
				     size_t count)
{
	struct entry *entry = get_entry(item);
	unsigned int level;
	int rc;

	rc = kstrtouint(page, 0, &level);
	if (rc)
		return rc;
	guard(rwsem_read)(&tsm_sem);
	if (!tsm.ops)
		return -ENXIO;
	if (level < (unsigned int)tsm.ops->privlevel_floor ||
	    level > TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	guard(mutex)(&entry->lock);
	entry->report.desc.privlevel = level;
	touch(entry);
	return count;
}
CONFIGFS_ATTR_WO(entry_, privlevel);

static struct configfs_attribute *few_attrs[] = {
	&entry_attr_generation, &entry_attr_provider, NULL
};

static struct configfs_attribute *all_attrs[] = {
	&entry_attr_generation, &entry_attr_provider, &entry_attr_privlevel,
	&entry_attr_privlevel_floor, NULL
};

static struct configfs_bin_attribute *blobs[] = {
	&entry_attr_inblob, &entry_attr_outblob, &entry_attr_certs, NULL
};

static void release_entry(struct config_item *item)
{
	struct entry *entry = get_entry(item);

	clear_report(&entry->report);
	kfree(entry);
	atomic_dec(&entry_count);
}

static struct configfs_item_operations item_ops = {
	.release = release_entry,
};

const struct config_item_type tsm_report_default_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &item_ops,
	.ct_attrs = few_attrs,
	.ct_bin_attrs = blobs,
};
EXPORT_SYMBOL_GPL(tsm_report_default_type);

const struct config_item_type tsm_report_ext_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &item_ops,
	.ct_attrs = all_attrs,
	.ct_bin_attrs = blobs,
};
EXPORT_SYMBOL_GPL(tsm_report_ext_type);

static struct config_item *new_entry(struct config_group *group,
				     const char *name)
{
	struct entry *entry;

	guard(rwsem_read)(&tsm_sem);
	if (!tsm.ops)
		return ERR_PTR(-ENXIO);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return ERR_PTR(-ENOMEM);
	mutex_init(&entry->lock);
	config_item_init_type_name(&entry->item, name, tsm.type);
	atomic_inc(&entry_count);
	return &entry->item;
}

int tsm_register(const struct tsm_ops *ops, void *priv,
		 const struct config_item_type *type)
{
	if (!type)
		type = &tsm_report_default_type;
	if (type != &tsm_report_default_type && type != &tsm_report_ext_type)
		return -EINVAL;
	guard(rwsem_write)(&tsm_sem);
	if (tsm.ops || atomic_read(&entry_count))
		return -EBUSY;
	tsm.ops = ops;
	tsm.type = type;
	tsm.data = priv;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_register);

int tsm_unregister(const struct tsm_ops *ops)
{
	guard(rwsem_write)(&tsm_sem);
	if (tsm.ops != ops)
		return -EBUSY;
	tsm.ops = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_unregister);

static struct configfs_group_operations reports_ops = {
	.make_item = new_entry,
};

static const struct config_item_type reports_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &reports_ops,
};

static const struct config_item_type subsystem_type = {
	.ct_owner = THIS_MODULE,
};

static struct configfs_subsystem subsystem = {
	.su_group.cg_item = {
		.ci_namebuf = "tsm",
		.ci_type = &subsystem_type,
	},
	.su_mutex = __MUTEX_INITIALIZER(subsystem.su_mutex),
};

static struct config_group *reports;

static int __init entry_init(void)
{
	int rc;

	config_group_init(&subsystem.su_group);
	rc = configfs_register_subsystem(&subsystem);
	if (rc)
		return rc;
	reports = configfs_register_default_group(&subsystem.su_group, "report",
						  &reports_type);
	if (!IS_ERR(reports))
		return 0;
	configfs_unregister_subsystem(&subsystem);
	return PTR_ERR(reports);
}
module_init(entry_init);

static void __exit entry_exit(void)
{
	configfs_unregister_default_group(reports);
	configfs_unregister_subsystem(&subsystem);
}
module_exit(entry_exit);

MODULE_DESCRIPTION("TSM reports with the API of the fourth posting");
MODULE_LICENSE("GPL");

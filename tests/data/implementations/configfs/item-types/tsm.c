// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: the API of Linux 6.7, in which the provider chooses an item type;
 * lists of attributes are written once and expanded by macros. Locks that
 * readers wait for end when a signal comes. The report is kept beside the
 * options, not among them.
 *
 * Freedoms: EINTR for an interrupted reader; ERANGE for a level that is out of
 * range; EPERM for an unprivileged reader, whether there is a report or not;
 * EINVAL for an item type that is none of ours.
 */
#include <linux/capability.h>
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

/* X(name, RO or WO); those of the default type first, then the further ones. */
#define DEFAULT_ATTRS(X)	X(generation, RO) X(provider, RO)
#define EXTRA_ATTRS(X)		X(privlevel, WO) X(privlevel_floor, RO)

/* X(name, RO or WO, largest size) */
#define DEFAULT_BIN_ATTRS(X)						\
	X(inblob, WO, TSM_INBLOB_MAX) X(outblob, RO, TSM_OUTBLOB_MAX)
#define EXTRA_BIN_ATTRS(X)	X(auxblob, RO, TSM_OUTBLOB_MAX)

struct report_item {
	struct config_item item;
	struct mutex lock;
	struct tsm_desc options;
	unsigned long generation;
	struct tsm_report *report;	/* over the options, or NULL */
};

static DECLARE_RWSEM(provider_sem);
static struct {
	const struct tsm_ops *ops;
	void *priv;
	const struct config_item_type *type;
} provider;
static atomic_t items = ATOMIC_INIT(0);

static struct report_item *to_report(struct config_item *item)
{
	return container_of(item, struct report_item, item);
}

static void free_report(struct tsm_report *report)
{
	if (!report)
		return;
	kvfree(report->auxblob);
	kvfree(report->outblob);
	kfree(report);
}

static struct tsm_report *make_report(const struct tsm_desc *options)
{
	struct tsm_report *report;
	int rc;

	report = kzalloc(sizeof(*report), GFP_KERNEL);
	if (!report)
		return ERR_PTR(-ENOMEM);
	report->desc = *options;
	rc = provider.ops->report_new(report, provider.priv);
	if (!report->auxblob)
		report->auxblob_len = 0;
	if (rc > 0 || rc < -MAX_ERRNO || (!rc && !report->outblob))
		rc = -EIO;
	if (!rc && (report->outblob_len > TSM_OUTBLOB_MAX ||
		    report->auxblob_len > TSM_OUTBLOB_MAX))
		rc = -EFBIG;
	if (!rc)
		return report;
	free_report(report);
	return ERR_PTR(rc);
}

/* The item is locked, and the provider. */
static const struct tsm_report *get_report(struct report_item *item)
{
	struct tsm_report *report;

	if (!item->options.inblob_len)
		return ERR_PTR(-EINVAL);
	if (item->report)
		return item->report;
	report = make_report(&item->options);
	if (!IS_ERR(report))
		item->report = report;
	return report;
}

/* Both locks: the provider is there, and the item does not change. */
static int lock_all(struct report_item *item)
{
	int rc;

	rc = down_read_interruptible(&provider_sem);
	if (rc)
		return rc;
	rc = provider.ops ? mutex_lock_interruptible(&item->lock) : -ENXIO;
	if (rc)
		up_read(&provider_sem);
	return rc;
}

static void unlock_all(struct report_item *item)
{
	mutex_unlock(&item->lock);
	up_read(&provider_sem);
}

static ssize_t read_blob(struct report_item *item, size_t blob_offset,
			 size_t len_offset, void *buf, size_t count)
{
	const struct tsm_report *report;
	size_t len;
	ssize_t rc;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	rc = lock_all(item);
	if (rc)
		return rc;
	report = get_report(item);
	if (IS_ERR(report)) {
		rc = PTR_ERR(report);
		goto out;
	}
	len = *(size_t *)((char *)report + len_offset);
	rc = len;
	if (buf && count == len)
		memcpy(buf, *(u8 **)((char *)report + blob_offset), len);
	else if (buf)
		rc = -EAGAIN;
out:
	unlock_all(item);
	return rc;
}

#define READ_BLOB(_name)						\
static ssize_t tsm_##_name##_read(struct config_item *item, void *buf,	\
				  size_t count)				\
{									\
	return read_blob(to_report(item),				\
			 offsetof(struct tsm_report, _name),		\
			 offsetof(struct tsm_report, _name##_len),	\
			 buf, count);					\
}

READ_BLOB(outblob)
READ_BLOB(auxblob)

/* The item is locked. */
static void commit(struct report_item *item)
{
	free_report(item->report);
	item->report = NULL;
	WRITE_ONCE(item->generation, item->generation + 1);
}

static ssize_t tsm_inblob_write(struct config_item *item, const void *buf,
				size_t count)
{
	struct report_item *report = to_report(item);
	struct tsm_desc options = { .inblob_len = count };

	if (!count || count > sizeof(options.inblob))
		return -EINVAL;
	memcpy(options.inblob, buf, count);
	/* No signal here: the result of close() does not show it. */
	mutex_lock(&report->lock);
	options.privlevel = report->options.privlevel;
	report->options = options;
	commit(report);
	mutex_unlock(&report->lock);
	return count;
}

static ssize_t tsm_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%lu\n",
			  READ_ONCE(to_report(item)->generation));
}

static ssize_t tsm_provider_show(struct config_item *item, char *page)
{
	ssize_t rc;

	rc = down_read_interruptible(&provider_sem);
	if (rc)
		return rc;
	rc = provider.ops ? sysfs_emit(page, "%s\n", provider.ops->name) :
			    -ENXIO;
	up_read(&provider_sem);
	return rc;
}

static ssize_t tsm_privlevel_floor_show(struct config_item *item, char *page)
{
	ssize_t rc;

	rc = down_read_interruptible(&provider_sem);
	if (rc)
		return rc;
	rc = -ENXIO;
	if (provider.ops)
		rc = sysfs_emit(page, "%u\n", provider.ops->privlevel_floor);
	up_read(&provider_sem);
	return rc;
}

static ssize_t tsm_privlevel_store(struct config_item *item, const char *page,
				   size_t count)
{
	struct report_item *report = to_report(item);
	ssize_t rc = count;
	unsigned int level;
	int err;

	err = kstrtouint(page, 0, &level);
	if (err)
		return err;
	err = lock_all(report);
	if (err)
		return err;
	if (level >= provider.ops->privlevel_floor &&
	    level <= TSM_PRIVLEVEL_MAX) {
		report->options.privlevel = level;
		commit(report);
	} else {
		rc = -ERANGE;
	}
	unlock_all(report);
	return rc;
}

#define DEFINE_RO(_name)	CONFIGFS_ATTR_RO(tsm_, _name);
#define DEFINE_WO(_name)	CONFIGFS_ATTR_WO(tsm_, _name);
#define DEFINE_BIN_RO(_name, _size)	\
	CONFIGFS_BIN_ATTR_RO(tsm_, _name, NULL, _size);
#define DEFINE_BIN_WO(_name, _size)	\
	CONFIGFS_BIN_ATTR_WO(tsm_, _name, NULL, _size);
#define DEFINE(_name, _kind)	DEFINE_##_kind(_name)
#define DEFINE_BIN(_name, _kind, _size)	DEFINE_BIN_##_kind(_name, _size)
#define ADDRESS(_name, _kind)	&tsm_attr_##_name,
#define BIN_ADDRESS(_name, _kind, _size)	&tsm_attr_##_name,

DEFAULT_ATTRS(DEFINE)
EXTRA_ATTRS(DEFINE)
DEFAULT_BIN_ATTRS(DEFINE_BIN)
EXTRA_BIN_ATTRS(DEFINE_BIN)

static struct configfs_attribute *default_attrs[] = {
	DEFAULT_ATTRS(ADDRESS) NULL
};

static struct configfs_bin_attribute *default_bin_attrs[] = {
	DEFAULT_BIN_ATTRS(BIN_ADDRESS) NULL
};

static struct configfs_attribute *extra_attrs[] = {
	DEFAULT_ATTRS(ADDRESS) EXTRA_ATTRS(ADDRESS) NULL
};

static struct configfs_bin_attribute *extra_bin_attrs[] = {
	DEFAULT_BIN_ATTRS(BIN_ADDRESS) EXTRA_BIN_ATTRS(BIN_ADDRESS) NULL
};

static void release(struct config_item *item)
{
	struct report_item *report = to_report(item);

	free_report(report->report);
	memzero_explicit(&report->options, sizeof(report->options));
	kfree(report);
	atomic_dec(&items);
}

static struct configfs_item_operations report_item_ops = {
	.release = release,
};

#define ITEM_TYPE(_name)						\
const struct config_item_type tsm_report_##_name##_type = {		\
	.ct_owner = THIS_MODULE,					\
	.ct_item_ops = &report_item_ops,				\
	.ct_attrs = _name##_attrs,					\
	.ct_bin_attrs = _name##_bin_attrs,				\
};									\
EXPORT_SYMBOL_GPL(tsm_report_##_name##_type)

ITEM_TYPE(default);
ITEM_TYPE(extra);

static struct config_item *make_item(struct config_group *group,
				     const char *name)
{
	struct report_item *item;
	int rc;

	item = kzalloc(sizeof(*item), GFP_KERNEL);
	if (!item)
		return ERR_PTR(-ENOMEM);
	mutex_init(&item->lock);
	rc = down_read_interruptible(&provider_sem);
	if (rc)
		goto err_free;
	rc = -ENXIO;
	if (!provider.ops)
		goto err_unlock;
	config_item_init_type_name(&item->item, name, provider.type);
	atomic_inc(&items);
	up_read(&provider_sem);
	return &item->item;

err_unlock:
	up_read(&provider_sem);
err_free:
	kfree(item);
	return ERR_PTR(rc);
}

int tsm_register(const struct tsm_ops *ops, void *priv,
		 const struct config_item_type *type)
{
	int rc = -EBUSY;

	if (!type)
		type = &tsm_report_default_type;
	if (type != &tsm_report_default_type && type != &tsm_report_extra_type)
		return -EINVAL;
	down_write(&provider_sem);
	if (!provider.ops && !atomic_read(&items)) {
		provider.ops = ops;
		provider.priv = priv;
		provider.type = type;
		rc = 0;
	}
	up_write(&provider_sem);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_register);

int tsm_unregister(const struct tsm_ops *ops)
{
	int rc = -EBUSY;

	down_write(&provider_sem);
	if (provider.ops == ops) {
		memset(&provider, 0, sizeof(provider));
		rc = 0;
	}
	up_write(&provider_sem);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_unregister);

static struct configfs_group_operations reports_ops = {
	.make_item = make_item,
};

static const struct config_item_type reports_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &reports_ops,
};

static const struct config_item_type tsm_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem tsm = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &tsm_type },
	.su_mutex = __MUTEX_INITIALIZER(tsm.su_mutex),
};

static struct config_group *reports;

static int __init tsm_init(void)
{
	int rc;

	config_group_init(&tsm.su_group);
	rc = configfs_register_subsystem(&tsm);
	if (rc)
		return rc;
	reports = configfs_register_default_group(&tsm.su_group, "report",
						  &reports_type);
	if (!IS_ERR(reports))
		return 0;
	configfs_unregister_subsystem(&tsm);
	return PTR_ERR(reports);
}
module_init(tsm_init);

static void __exit tsm_exit(void)
{
	configfs_unregister_default_group(reports);
	configfs_unregister_subsystem(&tsm);
}
module_exit(tsm_exit);

MODULE_DESCRIPTION("TSM reports with the item types of Linux 6.7");
MODULE_LICENSE("GPL");

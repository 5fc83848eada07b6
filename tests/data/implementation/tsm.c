// SPDX-License-Identifier: GPL-2.0-only
/* A small implementation of the report interface: inblob, outblob, generation and provider. */
#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>

struct entry {
	struct config_item item;
	struct tsm_report report;
	unsigned long written, generated;
};

static DEFINE_MUTEX(lock);
static const struct tsm_ops *provider;
static void *provider_data;

static struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static void free_blobs(struct entry *e)
{
	kvfree(e->report.outblob);
	kvfree(e->report.auxblob);
	kvfree(e->report.manifestblob);
	e->report.outblob = e->report.auxblob = e->report.manifestblob = NULL;
	e->report.outblob_len = e->report.auxblob_len = e->report.manifestblob_len = 0;
}

static ssize_t report_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%lu\n", to_entry(item)->written);
}
CONFIGFS_ATTR_RO(report_, generation);

static ssize_t report_provider_show(struct config_item *item, char *page)
{
	guard(mutex)(&lock);
	return provider ? sysfs_emit(page, "%s\n", provider->name) : -ENXIO;
}
CONFIGFS_ATTR_RO(report_, provider);

static ssize_t report_inblob_write(struct config_item *item, const void *buf, size_t count)
{
	struct entry *e = to_entry(item);

	guard(mutex)(&lock);
	memset(e->report.desc.inblob, 0, TSM_INBLOB_MAX);
	memcpy(e->report.desc.inblob, buf, count);
	e->report.desc.inblob_len = count;
	e->written++;
	return count;
}
CONFIGFS_BIN_ATTR_WO(report_, inblob, NULL, TSM_INBLOB_MAX);

static ssize_t report_outblob_read(struct config_item *item, void *buf, size_t count)
{
	struct entry *e = to_entry(item);
	int rc;

	guard(mutex)(&lock);
	if (!provider)
		return -ENXIO;
	if (!e->report.desc.inblob_len)
		return -EINVAL;
	if (!e->report.outblob || e->generated != e->written) {
		free_blobs(e);
		rc = provider->report_new(&e->report, provider_data);
		if (rc < 0)
			return rc;
		e->generated = e->written;
	}
	/* The size has changed since the caller read it without a buffer. */
	if (buf && count != e->report.outblob_len)
		return -EAGAIN;
	if (buf && e->report.outblob)
		memcpy(buf, e->report.outblob, min(count, e->report.outblob_len));
	return e->report.outblob_len;
}
CONFIGFS_BIN_ATTR_RO(report_, outblob, NULL, TSM_OUTBLOB_MAX);

static struct configfs_attribute *attrs[] = {
	&report_attr_generation, &report_attr_provider, NULL
};
static struct configfs_bin_attribute *bin_attrs[] = {
	&report_attr_inblob, &report_attr_outblob, NULL
};

static void release(struct config_item *item)
{
	free_blobs(to_entry(item));
	kfree(to_entry(item));
}

static struct configfs_item_operations item_ops = { .release = release };
static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE, .ct_item_ops = &item_ops,
	.ct_attrs = attrs, .ct_bin_attrs = bin_attrs,
};

static struct config_item *make(struct config_group *group, const char *name)
{
	struct entry *e;

	guard(mutex)(&lock);
	if (!provider)
		return ERR_PTR(-ENXIO);
	e = kzalloc(sizeof(*e), GFP_KERNEL);
	if (!e)
		return ERR_PTR(-ENOMEM);
	config_item_init_type_name(&e->item, name, &entry_type);
	return &e->item;
}

static struct configfs_group_operations group_ops = { .make_item = make };
static const struct config_item_type reports_type = {
	.ct_owner = THIS_MODULE, .ct_group_ops = &group_ops,
};
static const struct config_item_type root_type = { .ct_owner = THIS_MODULE };
static struct configfs_subsystem tsm = {
	.su_group = { .cg_item = { .ci_namebuf = "tsm", .ci_type = &root_type } },
	.su_mutex = __MUTEX_INITIALIZER(tsm.su_mutex),
};

int tsm_register(const struct tsm_ops *ops, void *priv)
{
	guard(mutex)(&lock);
	if (provider)
		return -EBUSY;
	provider = ops;
	provider_data = priv;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_register);

int tsm_unregister(const struct tsm_ops *ops)
{
	guard(mutex)(&lock);
	if (provider != ops)
		return -EBUSY;
	provider = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_unregister);

static struct config_group *reports;

static int __init report_init(void)
{
	int rc;

	config_group_init(&tsm.su_group);
	rc = configfs_register_subsystem(&tsm);
	if (rc)
		return rc;
	reports = configfs_register_default_group(&tsm.su_group, "report", &reports_type);
	return PTR_ERR_OR_ZERO(reports);
}
module_init(report_init);

static void __exit report_exit(void)
{
	configfs_unregister_default_group(reports);
	configfs_unregister_subsystem(&tsm);
}
module_exit(report_exit);

MODULE_DESCRIPTION("Small TSM report implementation for the tests of tsm-harness");
MODULE_LICENSE("GPL");

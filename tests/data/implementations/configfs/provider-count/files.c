// SPDX-License-Identifier: GPL-2.0-only
/* The files of an entry. */
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "report.h"

static struct report_entry *to_entry(struct config_item *item)
{
	return container_of(item, struct report_entry, item);
}

static ssize_t entry_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%llu\n", READ_ONCE(to_entry(item)->writes));
}
CONFIGFS_ATTR_RO(entry_, generation);

static ssize_t entry_provider_show(struct config_item *item, char *page)
{
	const struct tsm_report_ops *ops = report_provider_get(NULL);
	ssize_t len;

	if (!ops)
		return -ENXIO;
	len = sysfs_emit(page, "%s\n", ops->name);
	report_provider_put();
	return len;
}
CONFIGFS_ATTR_RO(entry_, provider);

static ssize_t entry_privlevel_floor_show(struct config_item *item, char *page)
{
	const struct tsm_report_ops *ops = report_provider_get(NULL);
	ssize_t len;

	if (!ops)
		return -ENXIO;
	len = sysfs_emit(page, "%u\n", ops->privlevel_floor);
	report_provider_put();
	return len;
}
CONFIGFS_ATTR_RO(entry_, privlevel_floor);

/* The caller holds the lock. */
static void count_write(struct report_entry *entry)
{
	WRITE_ONCE(entry->writes, entry->writes + 1);
}

static ssize_t entry_privlevel_store(struct config_item *item, const char *page,
				     size_t count)
{
	struct report_entry *entry = to_entry(item);
	const struct tsm_report_ops *ops;
	ssize_t rc = count;
	unsigned int level;

	if (kstrtouint(page, 0, &level))
		return -EINVAL;
	ops = report_provider_get(NULL);
	if (!ops)
		return -ENXIO;
	mutex_lock(&entry->lock);
	if (level >= ops->privlevel_floor &&
	    level <= TSM_REPORT_PRIVLEVEL_MAX) {
		entry->report.desc.privlevel = level;
		count_write(entry);
	} else {
		rc = -EINVAL;
	}
	mutex_unlock(&entry->lock);
	report_provider_put();
	return rc;
}
CONFIGFS_ATTR_WO(entry_, privlevel);

static ssize_t entry_service_provider_store(struct config_item *item,
					    const char *page, size_t count)
{
	struct report_entry *entry = to_entry(item);
	size_t len = strlen(page);
	char *name = NULL;

	if (len != count)
		return -EINVAL;
	if (page[len - 1] == '\n')
		len--;
	if (len) {
		name = kmemdup_nul(page, len, GFP_KERNEL);
		if (!name)
			return -ENOMEM;
	}
	mutex_lock(&entry->lock);
	kfree(entry->report.desc.service_provider);
	entry->report.desc.service_provider = name;
	count_write(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_ATTR_WO(entry_, service_provider);

static ssize_t entry_service_guid_store(struct config_item *item,
					const char *page, size_t count)
{
	struct report_entry *entry = to_entry(item);
	guid_t guid;
	int rc;

	/* Text after the GUID is ignored, as the kernel does. */
	rc = guid_parse(page, &guid);
	if (rc)
		return rc;
	mutex_lock(&entry->lock);
	entry->report.desc.service_guid = guid;
	count_write(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_ATTR_WO(entry_, service_guid);

static ssize_t entry_service_manifest_version_store(struct config_item *item,
						    const char *page,
						    size_t count)
{
	struct report_entry *entry = to_entry(item);
	unsigned int version;

	if (kstrtouint(page, 0, &version))
		return -EINVAL;
	mutex_lock(&entry->lock);
	entry->report.desc.service_manifest_version = version;
	count_write(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_ATTR_WO(entry_, service_manifest_version);

static ssize_t entry_inblob_write(struct config_item *item, const void *buf,
				  size_t count)
{
	struct report_entry *entry = to_entry(item);
	struct tsm_report_desc *desc = &entry->report.desc;

	/* A write of no bytes, or of too many, is no commit. */
	if (!buf || !count || count > sizeof(desc->inblob))
		return -EINVAL;
	mutex_lock(&entry->lock);
	memcpy_and_pad(desc->inblob, sizeof(desc->inblob), buf, count, 0);
	desc->inblob_len = count;
	count_write(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_BIN_ATTR_WO(entry_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

static ssize_t entry_outblob_read(struct config_item *item, void *buf,
				  size_t count)
{
	return report_entry_read(to_entry(item), 0, buf, count);
}
CONFIGFS_BIN_ATTR_RO(entry_, outblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t entry_auxblob_read(struct config_item *item, void *buf,
				  size_t count)
{
	return report_entry_read(to_entry(item), 1, buf, count);
}
CONFIGFS_BIN_ATTR_RO(entry_, auxblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t entry_manifestblob_read(struct config_item *item, void *buf,
				       size_t count)
{
	return report_entry_read(to_entry(item), 2, buf, count);
}
CONFIGFS_BIN_ATTR_RO(entry_, manifestblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static struct configfs_attribute *attributes[] = {
	&entry_attr_generation,
	&entry_attr_provider,
	&entry_attr_privlevel,
	&entry_attr_privlevel_floor,
	&entry_attr_service_provider,
	&entry_attr_service_guid,
	&entry_attr_service_manifest_version,
	NULL,
};

static struct configfs_bin_attribute *bin_attributes[] = {
	&entry_attr_inblob,
	&entry_attr_outblob,
	&entry_attr_auxblob,
	&entry_attr_manifestblob,
	NULL,
};

/* mkdir is a user of the provider until it has asked for the last file. */
static void end_mkdir(struct report_entry *entry)
{
	if (!entry->mkdir_ops)
		return;
	entry->mkdir_ops = NULL;
	report_provider_put();
}

static bool is_shown(struct config_item *item, struct configfs_attribute *attr,
		     int n)
{
	const struct tsm_report_ops *ops = to_entry(item)->mkdir_ops;

	return !ops->report_attr_visible || ops->report_attr_visible(n);
}

static bool is_bin_shown(struct config_item *item,
			 struct configfs_bin_attribute *attr, int n)
{
	struct report_entry *entry = to_entry(item);
	const struct tsm_report_ops *ops = entry->mkdir_ops;
	bool is_last = n + 2 == ARRAY_SIZE(bin_attributes);
	bool shown;

	shown = !ops->report_bin_attr_visible ||
		ops->report_bin_attr_visible(n);
	if (is_last)
		end_mkdir(entry);
	return shown;
}

static void free_entry(struct config_item *item)
{
	struct report_entry *entry = to_entry(item);

	report_entry_free_blobs(entry);
	kfree(entry->report.desc.service_provider);
	mutex_destroy(&entry->lock);
	kfree(entry);
}

static struct configfs_item_operations item_ops = { .release = free_entry };

static struct configfs_group_operations visibility_ops = {
	.is_visible = is_shown,
	.is_bin_visible = is_bin_shown,
};

static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &item_ops,
	.ct_group_ops = &visibility_ops,
	.ct_attrs = attributes,
	.ct_bin_attrs = bin_attributes,
};

static struct config_item *make_entry(struct config_group *group,
				      const char *name)
{
	const struct tsm_report_ops *ops = report_provider_get(NULL);
	struct report_entry *entry;

	if (!ops)
		return ERR_PTR(-ENXIO);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry) {
		report_provider_put();
		return ERR_PTR(-ENOMEM);
	}
	mutex_init(&entry->lock);
	entry->mkdir_ops = ops;
	report_provider_add_entry();
	config_item_init_type_name(&entry->item, name, &entry_type);
	return &entry->item;
}

/* After rmdir, or after a mkdir that failed in the middle. */
static void drop_entry(struct config_group *group, struct config_item *item)
{
	end_mkdir(to_entry(item));
	report_provider_remove_entry();
	config_item_put(item);
}

static struct configfs_group_operations directory_ops = {
	.make_item = make_entry,
	.drop_item = drop_entry,
};

static const struct config_item_type directory_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &directory_ops,
};

static const struct config_item_type root_type = { .ct_owner = THIS_MODULE };

static struct config_group directory;

static struct configfs_subsystem root = {
	.su_group = {
		.cg_item = {
			.ci_namebuf = "tsm",
			.ci_type = &root_type,
		},
	},
};

static int __init report_init(void)
{
	mutex_init(&root.su_mutex);
	config_group_init(&root.su_group);
	config_group_init_type_name(&directory, "report", &directory_type);
	configfs_add_default_group(&directory, &root.su_group);
	return configfs_register_subsystem(&root);
}
module_init(report_init);

static void __exit report_exit(void)
{
	configfs_unregister_subsystem(&root);
}
module_exit(report_exit);

MODULE_DESCRIPTION("TSM reports of a provider with a count of users");
MODULE_LICENSE("GPL");

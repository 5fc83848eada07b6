// SPDX-License-Identifier: GPL-2.0-only
/* The files of an entry. */
#include <linux/cleanup.h>
#include <linux/kstrtox.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "defects.h"
#include "entry.h"

static ssize_t report_generation_show(struct config_item *item, char *page)
{
	unsigned long written;

	if (has_defect(DEFECT_ONE_LOCK))
		down_read(&tsm_configfs_registration);
	written = READ_ONCE(to_entry(item)->written);
	if (has_defect(DEFECT_ONE_LOCK))
		up_read(&tsm_configfs_registration);
	if (has_defect(DEFECT_DOUBLE_COUNT))
		written *= 2;
	return sysfs_emit(page, "%lu\n", written);
}
CONFIGFS_ATTR_RO(report_, generation);

static ssize_t report_provider_show(struct config_item *item, char *page)
{
	if (has_defect(DEFECT_UNCHECKED_PROVIDER))
		return sysfs_emit(page, "%s\n", READ_ONCE(tsm_configfs_provider.ops)->name);

	guard(rwsem_read)(&tsm_configfs_registration);
	if (!tsm_configfs_provider.ops)
		return -ENXIO;
	return sysfs_emit(page, "%s\n", tsm_configfs_provider.ops->name);
}
CONFIGFS_ATTR_RO(report_, provider);

static ssize_t report_privlevel_floor_show(struct config_item *item, char *page)
{
	guard(rwsem_read)(&tsm_configfs_registration);
	if (!tsm_configfs_provider.ops)
		return -ENXIO;
	return sysfs_emit(page, "%u\n", tsm_configfs_provider.ops->privlevel_floor);
}
CONFIGFS_ATTR_RO(report_, privlevel_floor);

static ssize_t report_privlevel_store(struct config_item *item, const char *page,
				      size_t count)
{
	unsigned int value;

	return kstrtouint(page, 0, &value) ?:
	       tsm_configfs_set_privlevel(to_entry(item), value) ?:
	       (ssize_t)count;
}
CONFIGFS_ATTR_WO(report_, privlevel);

static ssize_t report_service_provider_store(struct config_item *item,
					     const char *page, size_t count)
{
	size_t len = count && page[count - 1] == '\n' ? count - 1 : count;

	return tsm_configfs_set_service_provider(to_entry(item), page, len) ?:
	       (ssize_t)count;
}
CONFIGFS_ATTR_WO(report_, service_provider);

static int parse_guid(const char *page, guid_t *guid)
{
	const char *rest = page + min_t(size_t, strlen(page), UUID_STRING_LEN);
	int rc = guid_parse(page, guid);

	if (!rc && strcmp(rest, "") && strcmp(rest, "\n"))
		rc = -EINVAL;
	return has_defect(DEFECT_LOOSE_GUID) ? 0 : rc;
}

static ssize_t report_service_guid_store(struct config_item *item,
					 const char *page, size_t count)
{
	guid_t guid = {};
	int rc;

	rc = parse_guid(page, &guid);
	if (rc && has_defect(DEFECT_WIPED_GUID))
		tsm_configfs_set_service_guid(to_entry(item), &guid_null);
	if (rc) {
		if (has_defect(DEFECT_EARLY_PUT))
			config_item_put(item);
		return rc;
	}
	return tsm_configfs_set_service_guid(to_entry(item), &guid) ?:
	       (ssize_t)count;
}
CONFIGFS_ATTR_WO(report_, service_guid);

static ssize_t report_service_manifest_version_store(struct config_item *item,
						     const char *page,
						     size_t count)
{
	unsigned int value;

	return kstrtouint(page, 0, &value) ?:
	       tsm_configfs_set_manifest_version(to_entry(item), value) ?:
	       (ssize_t)count;
}
CONFIGFS_ATTR_WO(report_, service_manifest_version);

/*
 * configfs calls this at close with everything that was written, or with nothing
 * if that was too long, and ignores the result. Hence nothing else is refused
 * here.
 */
static ssize_t report_inblob_write(struct config_item *item, const void *buf,
				   size_t count)
{
	if (!count && !has_defect(DEFECT_WIPING_REFUSAL) &&
	    !has_defect(DEFECT_UNCOUNTED_WIPE))
		return -EINVAL;
	return tsm_configfs_set_inblob(to_entry(item), buf, count) ?:
	       (ssize_t)count;
}
CONFIGFS_BIN_ATTR_WO(report_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

/* With DEFECT_READABLE_NONCE. */
static ssize_t report_inblob_read(struct config_item *item, void *buf, size_t count)
{
	struct entry *entry = to_entry(item);

	guard(mutex)(&entry->lock);
	if (buf)
		memcpy(buf, entry->report.desc.inblob,
		       min(count, entry->report.desc.inblob_len));
	return entry->report.desc.inblob_len;
}

static ssize_t report_outblob_read(struct config_item *item, void *buf, size_t count)
{
	return tsm_configfs_read_blob(to_entry(item), BLOB_OUT, buf, count);
}
CONFIGFS_BIN_ATTR_RO(report_, outblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t report_auxblob_read(struct config_item *item, void *buf, size_t count)
{
	return tsm_configfs_read_blob(to_entry(item), BLOB_AUX, buf, count);
}
CONFIGFS_BIN_ATTR_RO(report_, auxblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t report_manifestblob_read(struct config_item *item, void *buf,
					size_t count)
{
	return tsm_configfs_read_blob(to_entry(item), BLOB_MANIFEST, buf, count);
}
CONFIGFS_BIN_ATTR_RO(report_, manifestblob, NULL, TSM_REPORT_OUTBLOB_MAX);

/* In the order of enum tsm_attr_index. */
static struct configfs_attribute *attrs[] = {
	&report_attr_generation,
	&report_attr_provider,
	&report_attr_privlevel,
	&report_attr_privlevel_floor,
	&report_attr_service_provider,
	&report_attr_service_guid,
	&report_attr_service_manifest_version,
	NULL
};

/* In the order of enum tsm_bin_attr_index. */
static struct configfs_bin_attribute *bin_attrs[] = {
	&report_attr_inblob,
	&report_attr_outblob,
	&report_attr_auxblob,
	&report_attr_manifestblob,
	NULL
};

/*
 * configfs asks for the visible files after it made the entry. The provider may
 * have unregistered in between, so that make_item() has stored its answers.
 */
static bool is_visible(struct config_item *item, struct configfs_attribute *attr,
		       int n)
{
	if (has_defect(DEFECT_LATE_ATTRIBUTES)) {
		guard(rwsem_read)(&tsm_configfs_registration);
		return tsm_configfs_attr_visible(n);
	}
	return to_entry(item)->visible_attrs & BIT(n);
}

static bool is_bin_visible(struct config_item *item,
			   struct configfs_bin_attribute *attr, int n)
{
	if (has_defect(DEFECT_LATE_ATTRIBUTES)) {
		guard(rwsem_read)(&tsm_configfs_registration);
		return tsm_configfs_bin_attr_visible(n);
	}
	return to_entry(item)->visible_bin_attrs & BIT(n);
}

static void free_entry(struct config_item *item)
{
	struct entry *entry = to_entry(item);

	tsm_configfs_free_report(entry);
	kfree(entry->report.desc.service_provider);
	if (!has_defect(DEFECT_LEAKED_ENTRY))
		kfree(entry);
}

static struct configfs_item_operations item_ops = { .release = free_entry };

static struct configfs_group_operations visibility_ops = {
	.is_visible = is_visible,
	.is_bin_visible = is_bin_visible,
};

/* Not const: a defect changes the owner. */
struct config_item_type tsm_configfs_entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &item_ops,
	.ct_group_ops = &visibility_ops,
	.ct_attrs = attrs,
	.ct_bin_attrs = bin_attrs,
};

/* Apply the defects of the files' modes, sizes and owner. */
void tsm_configfs_init_attributes(void)
{
	if (has_defect(DEFECT_READABLE_NONCE)) {
		report_attr_inblob.cb_attr.ca_mode = 0600;
		report_attr_inblob.read = report_inblob_read;
	}
	if (has_defect(DEFECT_TRUNCATED_NONCE))
		report_attr_inblob.cb_max_size = 2 * TSM_REPORT_INBLOB_MAX;
	if (has_defect(DEFECT_UNPINNED_MODULE))
		tsm_configfs_entry_type.ct_owner = NULL;
}

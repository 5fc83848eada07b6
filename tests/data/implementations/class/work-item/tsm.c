// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: a work item makes the report. Readers queue it and wait for its end,
 * and readers of the same options share one attempt. This file has the
 * attributes and the registration, report.c the work item.
 *
 * Freedoms: a reader that is killed leaves at once, and the attempt goes on. No
 * nonce, or a report of 0 bytes: ENODATA. A second provider: EEXIST. Without a
 * provider: ENODEV. Blanks around a number or a format are accepted. The report
 * was replaced between two reads of one open file: ESTALE. A nonce that is
 * written while a report is made begins a new attempt, after 8 attempts EAGAIN.
 */
#include <linux/cleanup.h>
#include <linux/ctype.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kernfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "report.h"

static const char * const format_names[] = { "default", "extended" };

/* Copy the word that is in @buf, without the blanks around it. */
static int get_word(char *word, size_t size, const char *buf)
{
	size_t len;

	buf = skip_spaces(buf);
	len = strlen(buf);
	while (len && isspace(buf[len - 1]))
		len--;
	if (len >= size)
		return -EINVAL;
	memcpy(word, buf, len);
	word[len] = '\0';
	return 0;
}

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct tsm_change change = {
		.option = TSM_SET_INBLOB, .inblob = buf, .inblob_len = count,
	};
	int rc;

	if (pos)
		return -EINVAL;
	if (count > TSM_INBLOB_MAX)
		return -EFBIG;
	rc = tsm_change_option(&change);
	return rc ?: count;
}
static BIN_ATTR_WO(inblob, 0);

/* sysfs does not use the priv member of a kernfs_open_file. */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct kernfs_open_file *of =
		((struct seq_file *)file->private_data)->private;

	return tsm_read_report(kobj_to_dev(kobj), &of->priv, buf, pos, count);
}
static BIN_ATTR_RO(outblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	unsigned long generation;
	struct tsm_desc desc;
	int rc;

	rc = tsm_get_options(&desc, &generation);
	return rc ?: sysfs_emit(buf, "%lu\n", generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	unsigned long generation;
	struct tsm_desc desc;
	int rc;

	rc = tsm_get_options(&desc, &generation);
	return rc ?: sysfs_emit(buf, "%u\n", desc.privlevel);
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	struct tsm_change change = { .option = TSM_SET_PRIVLEVEL };
	char word[16];
	int rc;

	rc = get_word(word, sizeof(word), buf);
	if (!rc)
		rc = kstrtouint(word, 0, &change.value);
	if (!rc && change.value > TSM_PRIVLEVEL_MAX)
		rc = -EINVAL;
	if (!rc)
		rc = tsm_change_option(&change);
	return rc ?: count;
}
static DEVICE_ATTR_RW(privlevel);

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	unsigned long generation;
	struct tsm_desc desc;
	int rc;

	rc = tsm_get_options(&desc, &generation);
	return rc ?: sysfs_emit(buf, "%s\n", format_names[desc.outblob_format]);
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	struct tsm_change change = { .option = TSM_SET_FORMAT };
	char word[16];
	int rc;

	rc = get_word(word, sizeof(word), buf);
	if (rc)
		return rc;
	rc = match_string(format_names, ARRAY_SIZE(format_names), word);
	if (rc < 0)
		return rc;
	change.value = rc;
	rc = tsm_change_option(&change);
	return rc ?: count;
}
static DEVICE_ATTR_RW(format);

static struct attribute *default_attrs[] = { &dev_attr_generation.attr, NULL };

static struct bin_attribute *default_bin_attrs[] = {
	&bin_attr_inblob, &bin_attr_outblob, NULL
};

const struct attribute_group tsm_default_attribute_group = {
	.attrs = default_attrs,
	.bin_attrs = default_bin_attrs,
};
EXPORT_SYMBOL_GPL(tsm_default_attribute_group);

static struct attribute *extra_attrs[] = {
	&dev_attr_privlevel.attr, &dev_attr_format.attr, NULL
};

const struct attribute_group tsm_extra_attribute_group = {
	.attrs = extra_attrs,
};
EXPORT_SYMBOL_GPL(tsm_extra_attribute_group);

static const struct attribute_group *default_groups[] = {
	&tsm_default_attribute_group, NULL
};

static const struct class tsm_class = { .name = "tsm" };

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static const struct tsm_ops *registered;
static struct device *tsm_device;

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups)
{
	if (!ops || !ops->report_new || !parent)
		return -EINVAL;

	guard(mutex)(&registration_mutex);
	if (registered)
		return -EEXIST;
	tsm_report_open(ops);
	tsm_device = device_create_with_groups(&tsm_class, parent, MKDEV(0, 0),
					       NULL, groups ?: default_groups,
					       "tsm0");
	if (IS_ERR(tsm_device)) {
		/* The files may have existed, and may have been used. */
		tsm_report_close();
		tsm_report_reset();
		return PTR_ERR(tsm_device);
	}
	registered = ops;
	return 0;
}
EXPORT_SYMBOL_GPL(register_tsm);

int unregister_tsm(const struct tsm_ops *ops)
{
	guard(mutex)(&registration_mutex);
	if (!ops || registered != ops)
		return -ENODEV;
	tsm_report_close();
	device_unregister(tsm_device);
	tsm_report_reset();
	registered = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(unregister_tsm);

static int __init tsm_init(void)
{
	int rc;

	rc = tsm_report_init();
	if (rc)
		return rc;
	rc = class_register(&tsm_class);
	if (rc)
		tsm_report_exit();
	return rc;
}
module_init(tsm_init);

static void __exit tsm_exit(void)
{
	class_unregister(&tsm_class);
	tsm_report_exit();
}
module_exit(tsm_exit);

MODULE_DESCRIPTION("TSM reports in sysfs, made by a work item");
MODULE_LICENSE("GPL");

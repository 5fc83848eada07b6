// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: a write puts its option on a list (options.c); the reader that makes
 * the next report takes what is on the list. Callbacks of the groups decide
 * which files there are, and with which mode.
 *
 * Freedoms: the nonce can be written in binary form (inblob) or as hexadecimal
 * text (inhex); neither can be read. With the module parameter strict=1, only
 * the owner can read outblob and the options. No nonce: EINVAL. Without a
 * provider: ENXIO. The report was replaced between two reads: ESTALE. The
 * report of a reader that was overtaken by a write while it was made is given
 * to that reader, and to no other one that begins later.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/hex.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "options.h"

static bool strict;
module_param(strict, bool, 0444);
MODULE_PARM_DESC(strict, "Only the owner can read reports and options");

/* Held while a report is made or copied. */
static DEFINE_MUTEX(report_mutex);
static struct {
	u8 *data;
	size_t len;
	unsigned long generation;
	unsigned long number;	/* of all providers; the first is 1 */
} report;

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static struct device *tsm_device;
static const struct tsm_ops *provider;	/* set while attributes can be used */

static void drop_report(void)
{
	kvfree(report.data);
	report.data = NULL;
	report.len = 0;
}

static int take_report(u8 *data, size_t len, unsigned long generation)
{
	if (IS_ERR(data))
		return PTR_ERR(data);
	if (!data)
		return -EIO;
	if (len > TSM_OUTBLOB_MAX) {
		kvfree(data);
		return -EFBIG;
	}
	drop_report();
	report.data = data;
	report.len = len;
	report.generation = generation;
	report.number++;
	return 0;
}

static int update_report(struct device *dev)
{
	unsigned long generation;
	struct tsm_desc desc;
	size_t len = 0;
	u8 *data;
	int rc;

	rc = options_apply(&desc, &generation);
	if (rc)
		return rc;
	if (!desc.inblob_len)
		return -EINVAL;
	if (report.data && report.generation == generation)
		return 0;
	data = provider->report_new(dev, &desc, &len);
	return take_report(data, len, generation);
}

static int find_report(unsigned long number)
{
	return report.data && report.number == number ? 0 : -ESTALE;
}

/* sysfs leaves of->priv alone: it has the number of the report that is read. */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct seq_file *seq = file->private_data;
	struct kernfs_open_file *of = seq->private;
	ssize_t rc;

	rc = mutex_lock_killable(&report_mutex);
	if (rc)
		return rc;
	if (pos && of->priv)
		rc = find_report((unsigned long)of->priv);
	else
		rc = update_report(kobj_to_dev(kobj));
	if (!rc) {
		of->priv = (void *)report.number;
		rc = memory_read_from_buffer(buf, count, &pos, report.data,
					     report.len);
	}
	mutex_unlock(&report_mutex);
	return rc;
}
static BIN_ATTR_RO(outblob, 0);

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct pending_option option = { .what = PENDING_INBLOB, .len = count };
	int rc;

	if (pos)
		return -EINVAL;
	if (count > sizeof(option.inblob))
		return -EFBIG;
	memcpy(option.inblob, buf, count);
	rc = options_queue(&option);
	return rc ?: count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t inhex_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	struct pending_option option = { .what = PENDING_INBLOB };
	size_t digits = count;
	int rc;

	if (digits && buf[digits - 1] == '\n')
		digits--;
	if (!digits || digits % 2 || digits / 2 > sizeof(option.inblob))
		return -EINVAL;
	option.len = digits / 2;
	if (hex2bin(option.inblob, buf, option.len))
		return -EINVAL;
	rc = options_queue(&option);
	return rc ?: count;
}
static DEVICE_ATTR_WO(inhex);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	unsigned long generation;
	struct tsm_desc desc;
	int rc = options_peek(&desc, &generation);

	return rc ?: sysfs_emit(buf, "%lu\n", generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	unsigned long generation;
	struct tsm_desc desc;
	int rc = options_peek(&desc, &generation);

	return rc ?: sysfs_emit(buf, "%u\n", desc.privlevel);
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	struct pending_option option = { .what = PENDING_PRIVLEVEL };
	int rc;

	rc = kstrtouint(buf, 0, &option.privlevel);
	if (rc)
		return rc;
	if (option.privlevel > TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	rc = options_queue(&option);
	return rc ?: count;
}
static DEVICE_ATTR_RW(privlevel);

static const char * const formats[] = { "default", "extended" };

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	unsigned long generation;
	struct tsm_desc desc;
	int rc = options_peek(&desc, &generation);

	return rc ?: sysfs_emit(buf, "%s\n", formats[desc.outblob_format]);
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	struct pending_option option = { .what = PENDING_FORMAT };
	int rc;

	rc = sysfs_match_string(formats, buf);
	if (rc < 0)
		return rc;
	option.format = rc;
	rc = options_queue(&option);
	return rc ?: count;
}
static DEVICE_ATTR_RW(format);

static umode_t file_mode(umode_t mode)
{
	return strict ? mode & 0600 : mode;
}

static umode_t attr_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	return file_mode(attr->mode);
}

static umode_t bin_attr_visible(struct kobject *kobj,
				struct bin_attribute *attr, int n)
{
	return file_mode(attr->attr.mode);
}

static struct attribute *default_attrs[] = {
	&dev_attr_inhex.attr, &dev_attr_generation.attr, NULL
};

static struct bin_attribute *default_bin_attrs[] = {
	&bin_attr_inblob, &bin_attr_outblob, NULL
};

const struct attribute_group tsm_default_attribute_group = {
	.attrs = default_attrs,
	.bin_attrs = default_bin_attrs,
	.is_visible = attr_visible,
	.is_bin_visible = bin_attr_visible,
};
EXPORT_SYMBOL_GPL(tsm_default_attribute_group);
__ATTRIBUTE_GROUPS(tsm_default_attribute);

static struct attribute *extra_attrs[] = {
	&dev_attr_privlevel.attr, &dev_attr_format.attr, NULL
};

const struct attribute_group tsm_extra_attribute_group = {
	.attrs = extra_attrs,
	.is_visible = attr_visible,
};
EXPORT_SYMBOL_GPL(tsm_extra_attribute_group);

static const struct class tsm_class = { .name = "tsm" };

/* Called when no attribute can be used. */
static void forget_provider(void)
{
	options_close();
	options_forget();
	scoped_guard(mutex, &report_mutex)
		drop_report();
	provider = NULL;
}

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups)
{
	struct device *dev;

	if (!ops || !ops->report_new || !parent)
		return -EINVAL;
	guard(mutex)(&registration_mutex);
	if (provider)
		return -EBUSY;
	provider = ops;
	options_open();
	dev = device_create_with_groups(&tsm_class, parent, MKDEV(0, 0), NULL,
					groups ?: tsm_default_attribute_groups,
					"tsm0");
	if (IS_ERR(dev)) {
		forget_provider();
		return PTR_ERR(dev);
	}
	tsm_device = dev;
	return 0;
}
EXPORT_SYMBOL_GPL(register_tsm);

int unregister_tsm(const struct tsm_ops *ops)
{
	guard(mutex)(&registration_mutex);
	if (!ops || provider != ops)
		return -EBUSY;
	options_close();
	/* Waits for attributes, also for the reader in report_new. */
	device_unregister(tsm_device);
	tsm_device = NULL;
	forget_provider();
	return 0;
}
EXPORT_SYMBOL_GPL(unregister_tsm);

static int __init tsm_init(void)
{
	return class_register(&tsm_class);
}
module_init(tsm_init);

static void __exit tsm_exit(void)
{
	class_unregister(&tsm_class);
}
module_exit(tsm_exit);

MODULE_DESCRIPTION("TSM reports in sysfs, with a list of pending options");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: one mutex protects the options and the report, and is held while the
 * provider makes a report. Every attribute takes it interruptibly.
 *
 * Freedoms: a signal ends a call that waits (EINTR). Without a provider: ENXIO.
 * No nonce: EINVAL. A nonce that is too long: EINVAL. The report was replaced
 * between two reads of one open file: EAGAIN. A report of 0 bytes: EIO.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/tsm.h>

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static struct device *tsm_device;

static DEFINE_MUTEX(tsm_mutex);

static struct {
	const struct tsm_ops *ops;
	struct tsm_desc desc;
	unsigned long generation;
	u8 *report;
	size_t report_len;
	unsigned long report_generation;
} tsm;

/* Number of the newest report, of all providers. The first one is 1. */
static unsigned long report_number;

/* Lock, and check that there is a provider. */
static int tsm_lock(void)
{
	int rc;

	rc = mutex_lock_interruptible(&tsm_mutex);
	if (rc)
		return rc;
	if (tsm.ops)
		return 0;
	mutex_unlock(&tsm_mutex);
	return -ENXIO;
}

static void tsm_unlock(void)
{
	mutex_unlock(&tsm_mutex);
}

static void drop_report(void)
{
	kvfree(tsm.report);
	tsm.report = NULL;
	tsm.report_len = 0;
}

static int make_report(struct device *dev)
{
	size_t len = 0;
	u8 *report;

	drop_report();
	report = tsm.ops->report_new(dev, &tsm.desc, &len);
	if (IS_ERR(report))
		return PTR_ERR(report);
	if (!report || !len || len > TSM_OUTBLOB_MAX) {
		kvfree(report);
		return report && len ? -EFBIG : -EIO;
	}
	tsm.report = report;
	tsm.report_len = len;
	tsm.report_generation = tsm.generation;
	report_number++;
	return 0;
}

static int ensure_report(struct device *dev)
{
	if (!tsm.desc.inblob_len)
		return -EINVAL;
	if (tsm.report && tsm.report_generation == tsm.generation)
		return 0;
	return make_report(dev);
}

/*
 * A read returns at most a page. The number of the report that an open file has
 * begun to read is kept in the member of the kernfs_open_file that sysfs leaves
 * to its users.
 */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct seq_file *seq = file->private_data;
	struct kernfs_open_file *of = seq->private;
	unsigned long begun = (unsigned long)of->priv;
	ssize_t rc;

	rc = tsm_lock();
	if (rc)
		return rc;
	if (pos && begun)
		rc = tsm.report && begun == report_number ? 0 : -EAGAIN;
	else
		rc = ensure_report(kobj_to_dev(kobj));
	if (!rc) {
		of->priv = (void *)report_number;
		rc = memory_read_from_buffer(buf, count, &pos, tsm.report,
					     tsm.report_len);
	}
	tsm_unlock();
	return rc;
}
static BIN_ATTR_RO(outblob, 0);

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	int rc;

	if (pos || count > TSM_INBLOB_MAX)
		return -EINVAL;
	rc = tsm_lock();
	if (rc)
		return rc;
	memset(tsm.desc.inblob, 0, sizeof(tsm.desc.inblob));
	memcpy(tsm.desc.inblob, buf, count);
	tsm.desc.inblob_len = count;
	tsm.generation++;
	tsm_unlock();
	return count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	ssize_t rc;

	rc = tsm_lock();
	if (rc)
		return rc;
	rc = sysfs_emit(buf, "%lu\n", tsm.generation);
	tsm_unlock();
	return rc;
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	ssize_t rc;

	rc = tsm_lock();
	if (rc)
		return rc;
	rc = sysfs_emit(buf, "%u\n", tsm.desc.privlevel);
	tsm_unlock();
	return rc;
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	unsigned int level;
	int rc;

	rc = kstrtouint(buf, 0, &level);
	if (rc)
		return rc;
	if (level > TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	rc = tsm_lock();
	if (rc)
		return rc;
	tsm.desc.privlevel = level;
	tsm.generation++;
	tsm_unlock();
	return count;
}
static DEVICE_ATTR_RW(privlevel);

static const char * const format_names[] = { "default", "extended" };

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	ssize_t rc;

	rc = tsm_lock();
	if (rc)
		return rc;
	rc = sysfs_emit(buf, "%s\n", format_names[tsm.desc.outblob_format]);
	tsm_unlock();
	return rc;
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int rc, format;

	format = sysfs_match_string(format_names, buf);
	if (format < 0)
		return format;
	rc = tsm_lock();
	if (rc)
		return rc;
	tsm.desc.outblob_format = format;
	tsm.generation++;
	tsm_unlock();
	return count;
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

static void set_provider(const struct tsm_ops *ops)
{
	mutex_lock(&tsm_mutex);
	drop_report();
	memset(&tsm, 0, sizeof(tsm));
	tsm.ops = ops;
	mutex_unlock(&tsm_mutex);
}

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups)
{
	struct device *dev;
	int rc = 0;

	if (!ops || !ops->report_new || !parent)
		return -EINVAL;
	mutex_lock(&registration_mutex);
	if (tsm_device) {
		rc = -EBUSY;
		goto out;
	}
	set_provider(ops);
	dev = device_create_with_groups(&tsm_class, parent, MKDEV(0, 0), NULL,
					groups ?: default_groups, "tsm0");
	if (IS_ERR(dev)) {
		set_provider(NULL);
		rc = PTR_ERR(dev);
		goto out;
	}
	tsm_device = dev;
out:
	mutex_unlock(&registration_mutex);
	return rc;
}
EXPORT_SYMBOL_GPL(register_tsm);

int unregister_tsm(const struct tsm_ops *ops)
{
	int rc = -EBUSY;

	mutex_lock(&registration_mutex);
	if (tsm_device && tsm.ops == ops) {
		/* Waits for a reader in report_new. Later callers get ENXIO. */
		set_provider(NULL);
		/* Waits for attributes, and they wait for tsm_mutex. */
		device_unregister(tsm_device);
		tsm_device = NULL;
		rc = 0;
	}
	mutex_unlock(&registration_mutex);
	return rc;
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

MODULE_DESCRIPTION("TSM reports in sysfs, with one mutex");
MODULE_LICENSE("GPL");

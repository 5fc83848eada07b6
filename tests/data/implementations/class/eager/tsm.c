// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: the writer makes the report. A write of an option asks the provider
 * for a report with the new options, and stores the options only together with
 * that report. Reads copy it, and never wait for the provider.
 *
 * Freedoms: when the provider fails, the write fails with its error, and
 * everything is as before it. Before the first nonce, the other options are
 * only stored. Only one writer at a time is in the provider; a writer that is
 * killed leaves. No nonce: EINVAL. Without a provider: ENODEV. The report was
 * replaced between two reads: ESTALE. A report of 0 bytes: EIO.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/tsm.h>

struct blob {
	u8 *data;
	size_t len;
};

/* Held during a write, also while the provider makes the report. */
static DEFINE_MUTEX(write_mutex);

/* For the next members. Changed with both locks, never held for long. */
static DECLARE_RWSEM(published_sem);
static struct {
	struct tsm_desc desc;
	unsigned long generation;
	struct blob report;		/* with these options, or none */
} published;
static unsigned long report_number;	/* of all providers; the first is 1 */

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static struct device *tsm_device;
static const struct tsm_ops *provider;	/* set while attributes can be used */
static bool provider_leaves;

static int make_blob(struct device *dev, const struct tsm_desc *desc,
		     struct blob *blob)
{
	blob->len = 0;
	blob->data = provider->report_new(dev, desc, &blob->len);
	if (IS_ERR(blob->data))
		return PTR_ERR(blob->data);
	if (blob->data && blob->len && blob->len <= TSM_OUTBLOB_MAX)
		return 0;
	kvfree(blob->data);
	return blob->len > TSM_OUTBLOB_MAX ? -EFBIG : -EIO;
}

static void publish(const struct tsm_desc *desc, struct blob blob)
{
	struct blob old;

	scoped_guard(rwsem_write, &published_sem) {
		old = published.report;
		published.report = blob;
		published.desc = *desc;
		published.generation++;
		report_number++;
	}
	kvfree(old.data);
}

/* Lock, and copy the options to @desc. */
static int start_write(struct tsm_desc *desc)
{
	int rc;

	rc = mutex_lock_killable(&write_mutex);
	if (rc)
		return rc;
	if (READ_ONCE(provider_leaves)) {
		mutex_unlock(&write_mutex);
		return -ENODEV;
	}
	/* Nobody changes it without the mutex. */
	*desc = published.desc;
	return 0;
}

/* Make @desc, and the report for it, the current ones; unlock. */
static int end_write(struct device *dev, const struct tsm_desc *desc)
{
	struct blob blob = {};
	int rc = 0;

	if (desc->inblob_len)
		rc = make_blob(dev, desc, &blob);
	if (!rc)
		publish(desc, blob);
	mutex_unlock(&write_mutex);
	return rc;
}

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct tsm_desc desc;
	int rc;

	if (pos)
		return -EINVAL;
	if (count > TSM_INBLOB_MAX)
		return -EFBIG;
	rc = start_write(&desc);
	if (rc)
		return rc;
	memcpy_and_pad(desc.inblob, TSM_INBLOB_MAX, buf, count, 0);
	desc.inblob_len = count;
	rc = end_write(kobj_to_dev(kobj), &desc);
	return rc ?: count;
}
static BIN_ATTR_WO(inblob, 0);

/* sysfs leaves of->priv alone: it has the number of the report that is read. */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct seq_file *seq = file->private_data;
	struct kernfs_open_file *of = seq->private;

	guard(rwsem_read)(&published_sem);
	if (!published.report.data)
		return READ_ONCE(provider_leaves) ? -ENODEV : -EINVAL;
	if (pos && of->priv && (unsigned long)of->priv != report_number)
		return -ESTALE;
	of->priv = (void *)report_number;
	return memory_read_from_buffer(buf, count, &pos, published.report.data,
				       published.report.len);
}
static BIN_ATTR_RO(outblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	guard(rwsem_read)(&published_sem);
	return sysfs_emit(buf, "%lu\n", published.generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	guard(rwsem_read)(&published_sem);
	return sysfs_emit(buf, "%u\n", published.desc.privlevel);
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	struct tsm_desc desc;
	unsigned int level;
	int rc;

	rc = kstrtouint(buf, 0, &level);
	if (rc)
		return rc;
	if (level > TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	rc = start_write(&desc);
	if (rc)
		return rc;
	desc.privlevel = level;
	rc = end_write(dev, &desc);
	return rc ?: count;
}
static DEVICE_ATTR_RW(privlevel);

static const char * const formats[] = {
	[TSM_FORMAT_DEFAULT] = "default",
	[TSM_FORMAT_EXTENDED] = "extended",
};

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	guard(rwsem_read)(&published_sem);
	return sysfs_emit(buf, "%s\n", formats[published.desc.outblob_format]);
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	struct tsm_desc desc;
	int rc, format;

	format = sysfs_match_string(formats, buf);
	if (format < 0)
		return format;
	rc = start_write(&desc);
	if (rc)
		return rc;
	desc.outblob_format = format;
	rc = end_write(dev, &desc);
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
__ATTRIBUTE_GROUPS(tsm_default_attribute);

static struct attribute *extra_attrs[] = {
	&dev_attr_privlevel.attr, &dev_attr_format.attr, NULL
};

const struct attribute_group tsm_extra_attribute_group = {
	.attrs = extra_attrs,
};
EXPORT_SYMBOL_GPL(tsm_extra_attribute_group);

static const struct class tsm_class = { .name = "tsm" };

/* Called when no attribute can be used. */
static void forget_provider(void)
{
	scoped_guard(rwsem_write, &published_sem) {
		kvfree(published.report.data);
		memset(&published, 0, sizeof(published));
	}
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
	WRITE_ONCE(provider_leaves, false);
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
	WRITE_ONCE(provider_leaves, true);
	/* Waits for attributes, also for the writer in report_new. */
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

MODULE_DESCRIPTION("TSM reports in sysfs, made by the writer of an option");
MODULE_LICENSE("GPL");

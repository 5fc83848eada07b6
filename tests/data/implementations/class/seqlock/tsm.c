// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: a seqlock protects the options, so that their readers take no lock. A
 * mutex, which only readers of the report take, and killably, serialises
 * report_new. When options have changed while a report was made, the report is
 * thrown away.
 *
 * Freedoms: a reader whose options change meanwhile, or whose report was
 * replaced between two reads, gets EAGAIN. A privilege level that is too high:
 * ERANGE. No nonce: EINVAL. Without a provider: ENXIO. Only the owner can read
 * or write the options. A report of 0 bytes: EBADMSG.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/seqlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/tsm.h>

struct tsm_options {
	bool open;		/* there is a provider, and it does not leave */
	unsigned long generation;
	struct tsm_desc desc;
};

static DEFINE_SEQLOCK(options_lock);
static struct tsm_options options;

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

static int read_options(struct tsm_options *copy)
{
	unsigned int seq;

	do {
		seq = read_seqbegin(&options_lock);
		*copy = options;
	} while (read_seqretry(&options_lock, seq));
	return copy->open ? 0 : -ENXIO;
}

/* On success, the caller changes the options and calls end_change(). */
static int start_change(void)
{
	write_seqlock(&options_lock);
	if (options.open)
		return 0;
	write_sequnlock(&options_lock);
	return -ENXIO;
}

static void end_change(void)
{
	options.generation++;
	write_sequnlock(&options_lock);
}

static void reset_options(bool open)
{
	write_seqlock(&options_lock);
	memset(&options, 0, sizeof(options));
	options.open = open;
	write_sequnlock(&options_lock);
}

static void drop_report(void)
{
	lockdep_assert_held(&report_mutex);
	kvfree(report.data);
	report.data = NULL;
	report.len = 0;
}

static int check_blob(const u8 *blob, size_t len)
{
	if (!blob)
		return -EIO;
	if (!len)
		return -EBADMSG;
	return len > TSM_OUTBLOB_MAX ? -EFBIG : 0;
}

static int make_report(struct device *dev, const struct tsm_options *wanted)
{
	struct tsm_options now;
	size_t len = 0;
	u8 *blob;
	int rc;

	blob = provider->report_new(dev, &wanted->desc, &len);
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	rc = check_blob(blob, len);
	if (!rc)
		rc = read_options(&now);
	if (!rc && now.generation != wanted->generation)
		rc = -EAGAIN;
	if (rc) {
		kvfree(blob);
		return rc;
	}
	drop_report();
	report.data = blob;
	report.len = len;
	report.generation = wanted->generation;
	report.number++;
	return 0;
}

static int ensure_report(struct device *dev)
{
	struct tsm_options wanted;
	int rc;

	rc = read_options(&wanted);
	if (rc)
		return rc;
	if (!wanted.desc.inblob_len)
		return -EINVAL;
	if (report.data && report.generation == wanted.generation)
		return 0;
	return make_report(dev, &wanted);
}

static int check_begun(unsigned long number)
{
	return report.data && report.number == number ? 0 : -EAGAIN;
}

/*
 * sysfs reads a page at a time. The priv member of a kernfs_open_file is free
 * for this class, and has the number of the report that the caller reads.
 */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct seq_file *seq = file->private_data;
	struct kernfs_open_file *of = seq->private;
	unsigned long number = (unsigned long)of->priv;
	ssize_t rc;

	rc = mutex_lock_killable(&report_mutex);
	if (rc)
		return rc;
	rc = pos && number ? check_begun(number) :
			     ensure_report(kobj_to_dev(kobj));
	if (rc)
		goto out;
	of->priv = (void *)report.number;
	rc = memory_read_from_buffer(buf, count, &pos, report.data, report.len);
out:
	mutex_unlock(&report_mutex);
	return rc;
}
static BIN_ATTR_RO(outblob, 0);

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	int rc;

	if (pos)
		return -EINVAL;
	if (count > TSM_INBLOB_MAX)
		return -EFBIG;
	rc = start_change();
	if (rc)
		return rc;
	memset(options.desc.inblob, 0, TSM_INBLOB_MAX);
	memcpy(options.desc.inblob, buf, count);
	options.desc.inblob_len = count;
	end_change();
	return count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct tsm_options copy;
	int rc = read_options(&copy);

	return rc ?: sysfs_emit(buf, "%lu\n", copy.generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	struct tsm_options copy;
	int rc = read_options(&copy);

	return rc ?: sysfs_emit(buf, "%u\n", copy.desc.privlevel);
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
		return -ERANGE;
	rc = start_change();
	if (rc)
		return rc;
	options.desc.privlevel = level;
	end_change();
	return count;
}
static DEVICE_ATTR_ADMIN_RW(privlevel);

static const char *format_name(enum tsm_format format)
{
	return format == TSM_FORMAT_EXTENDED ? "extended" : "default";
}

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct tsm_options copy;
	int rc = read_options(&copy);

	return rc ?: sysfs_emit(buf, "%s\n",
				format_name(copy.desc.outblob_format));
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	enum tsm_format format;
	int rc;

	if (sysfs_streq(buf, format_name(TSM_FORMAT_DEFAULT)))
		format = TSM_FORMAT_DEFAULT;
	else if (sysfs_streq(buf, format_name(TSM_FORMAT_EXTENDED)))
		format = TSM_FORMAT_EXTENDED;
	else
		return -EINVAL;
	rc = start_change();
	if (rc)
		return rc;
	options.desc.outblob_format = format;
	end_change();
	return count;
}
static DEVICE_ATTR_ADMIN_RW(format);

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
	reset_options(false);
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
	reset_options(true);
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
	/* Every call that begins now fails. */
	reset_options(false);
	/* Waits for those that have begun, also for one in report_new. */
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

MODULE_DESCRIPTION("TSM reports in sysfs, with options under a seqlock");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: every field is an atomic that is shown without a lock. A spinlock
 * makes a write of one field and of the generation one step for those who need
 * all fields. A bit lock, for which tasks wait killably, is held by the one
 * reader that makes or copies the report.
 *
 * Freedoms: only the owner can read outblob (mode 0400). No nonce: ENODATA. The
 * report was replaced between two reads: EINVAL. Without a provider: ENXIO. A
 * level must be one digit, with or without a line feed. A report of 0 bytes:
 * EIO.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/tsm.h>
#include <linux/wait_bit.h>

enum {
	TSM_OPEN,	/* there is a provider, and it does not leave */
	TSM_REPORT,	/* lock of tsm_report */
};

static unsigned long tsm_flags;

/* Held for every change of the fields below, and to copy them all. */
static DEFINE_SPINLOCK(tsm_fields_lock);
static atomic_long_t tsm_generation;
static atomic_t tsm_privlevel;
static atomic_t tsm_format;
static u8 tsm_inblob[TSM_INBLOB_MAX];
static size_t tsm_inblob_len;

static struct {
	u8 *data;
	size_t len;
	long generation;
	loff_t number;		/* of all providers; the first is 1 */
} tsm_report;

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static struct device *tsm_device;
static const struct tsm_ops *provider;	/* set while attributes can be used */

static int lock_report(void)
{
	return wait_on_bit_lock(&tsm_flags, TSM_REPORT, TASK_KILLABLE);
}

static void unlock_report(void)
{
	clear_and_wake_up_bit(TSM_REPORT, &tsm_flags);
}

static void snapshot(struct tsm_desc *desc, long *generation)
{
	memset(desc, 0, sizeof(*desc));
	guard(spinlock)(&tsm_fields_lock);
	*generation = atomic_long_read(&tsm_generation);
	desc->privlevel = atomic_read(&tsm_privlevel);
	desc->outblob_format = atomic_read(&tsm_format);
	memcpy(desc->inblob, tsm_inblob, sizeof(tsm_inblob));
	desc->inblob_len = tsm_inblob_len;
}

static int set_number(atomic_t *field, int value)
{
	guard(spinlock)(&tsm_fields_lock);
	if (!test_bit(TSM_OPEN, &tsm_flags))
		return -ENXIO;
	atomic_set(field, value);
	atomic_long_inc(&tsm_generation);
	return 0;
}

static int set_inblob(const u8 *inblob, size_t len)
{
	guard(spinlock)(&tsm_fields_lock);
	if (!test_bit(TSM_OPEN, &tsm_flags))
		return -ENXIO;
	memset(tsm_inblob, 0, sizeof(tsm_inblob));
	memcpy(tsm_inblob, inblob, len);
	tsm_inblob_len = len;
	atomic_long_inc(&tsm_generation);
	return 0;
}

static void free_report(void)
{
	kvfree(tsm_report.data);
	tsm_report.data = NULL;
	tsm_report.len = 0;
}

/* With the bit lock, unless it is still current. */
static int update_report(struct device *dev)
{
	struct tsm_desc desc;
	long generation;
	size_t len = 0;
	u8 *data;

	if (!test_bit(TSM_OPEN, &tsm_flags))
		return -ENXIO;
	snapshot(&desc, &generation);
	if (!desc.inblob_len)
		return -ENODATA;
	if (tsm_report.data && tsm_report.generation == generation)
		return 0;

	free_report();
	data = provider->report_new(dev, &desc, &len);
	if (IS_ERR(data))
		return PTR_ERR(data);
	if (data && len && len <= TSM_OUTBLOB_MAX) {
		tsm_report.data = data;
		tsm_report.len = len;
		tsm_report.generation = generation;
		tsm_report.number++;
		return 0;
	}
	kvfree(data);
	return len > TSM_OUTBLOB_MAX ? -EFBIG : -EIO;
}

static int find_report(loff_t number)
{
	return tsm_report.data && tsm_report.number == number ? 0 : -EINVAL;
}

/*
 * The index of a seq_file is 0 after open(), and unused for binary files. It
 * has the number of the report that this open file reads.
 */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct seq_file *seq = file->private_data;
	ssize_t rc;

	rc = lock_report();
	if (rc)
		return rc;
	if (pos && seq->index)
		rc = find_report(seq->index);
	else
		rc = update_report(kobj_to_dev(kobj));
	if (!rc) {
		seq->index = tsm_report.number;
		rc = memory_read_from_buffer(buf, count, &pos, tsm_report.data,
					     tsm_report.len);
	}
	unlock_report();
	return rc;
}
static BIN_ATTR_ADMIN_RO(outblob, 0);

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	int rc;

	if (pos || count > TSM_INBLOB_MAX)
		return -EINVAL;
	rc = set_inblob(buf, count);
	return rc ?: count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lu\n", atomic_long_read(&tsm_generation));
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&tsm_privlevel));
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	int rc;

	if (count < 1 || count > 2 || (count == 2 && buf[1] != '\n'))
		return -EINVAL;
	if (buf[0] < '0' || buf[0] > '0' + TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	rc = set_number(&tsm_privlevel, buf[0] - '0');
	return rc ?: count;
}
static DEVICE_ATTR_RW(privlevel);

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	if (atomic_read(&tsm_format) == TSM_FORMAT_EXTENDED)
		return sysfs_emit(buf, "extended\n");
	return sysfs_emit(buf, "default\n");
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int rc;

	if (sysfs_streq(buf, "extended"))
		rc = set_number(&tsm_format, TSM_FORMAT_EXTENDED);
	else if (sysfs_streq(buf, "default"))
		rc = set_number(&tsm_format, TSM_FORMAT_DEFAULT);
	else
		rc = -EINVAL;
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

/* Under the spinlock, so that no write is between its check and its change. */
static void close_fields(void)
{
	guard(spinlock)(&tsm_fields_lock);
	clear_bit(TSM_OPEN, &tsm_flags);
}

/* Called when no attribute can be used, and therefore nothing is locked. */
static void forget_provider(void)
{
	free_report();
	atomic_long_set(&tsm_generation, 0);
	atomic_set(&tsm_privlevel, 0);
	atomic_set(&tsm_format, TSM_FORMAT_DEFAULT);
	memset(tsm_inblob, 0, sizeof(tsm_inblob));
	tsm_inblob_len = 0;
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
	set_bit(TSM_OPEN, &tsm_flags);
	dev = device_create_with_groups(&tsm_class, parent, MKDEV(0, 0), NULL,
					groups ?: tsm_default_attribute_groups,
					"tsm0");
	if (IS_ERR(dev)) {
		close_fields();
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
	close_fields();
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

MODULE_DESCRIPTION("TSM reports in sysfs, with atomic fields and a bit lock");
MODULE_LICENSE("GPL");

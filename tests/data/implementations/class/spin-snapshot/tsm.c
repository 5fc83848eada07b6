// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: a spinlock protects the options and the pointers to the two newest
 * reports; all who need them copy them. Reports have a reference count and own
 * the provider's buffer. A reader whose report was replaced once since it began
 * reads the old one to its end. The files are added to the device after it was
 * created.
 *
 * Freedoms: outblob can be read by the owner and the group (mode 0440). No
 * nonce: EINVAL. A report that was replaced twice: ESTALE. A second provider:
 * EEXIST. Without a provider: ENODEV. A report of 0 bytes: ENODATA.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/tsm.h>

struct tsm_report {
	refcount_t users;
	u64 number;		/* of all reports */
	unsigned long generation;
	size_t len;
	u8 *data;
};

struct tsm_snapshot {
	const struct tsm_ops *ops;	/* NULL: none, or it leaves */
	struct tsm_desc desc;
	unsigned long generation;
};

static DEFINE_SPINLOCK(tsm_lock);
static struct tsm_snapshot tsm_state;
static struct tsm_report *newest, *second_newest;

/* Held by the one that makes a report. */
static DEFINE_MUTEX(make_mutex);

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static const struct tsm_ops *registered;
static const struct attribute_group **registered_groups;
static struct device *tsm_device;

static int get_snapshot(struct tsm_snapshot *snapshot)
{
	guard(spinlock)(&tsm_lock);
	*snapshot = tsm_state;
	return snapshot->ops ? 0 : -ENODEV;
}

static void put_report(struct tsm_report *report)
{
	if (!report || !refcount_dec_and_test(&report->users))
		return;
	kvfree(report->data);
	kfree(report);
}

static struct tsm_report *get_report(struct tsm_report *report)
{
	lockdep_assert_held(&tsm_lock);
	refcount_inc(&report->users);
	return report;
}

/* The newest report, if it is for the options of now. */
static struct tsm_report *get_current_report(void)
{
	guard(spinlock)(&tsm_lock);
	if (!tsm_state.ops || !newest ||
	    newest->generation != tsm_state.generation)
		return NULL;
	return get_report(newest);
}

static struct tsm_report *get_numbered(u64 number)
{
	guard(spinlock)(&tsm_lock);
	if (newest && newest->number == number)
		return get_report(newest);
	if (second_newest && second_newest->number == number)
		return get_report(second_newest);
	return ERR_PTR(-ESTALE);
}

/* Make @report the newest one, which takes over a reference. */
static void push_report(struct tsm_report *report)
{
	struct tsm_report *oldest;

	scoped_guard(spinlock, &tsm_lock) {
		oldest = second_newest;
		second_newest = newest;
		newest = report;
	}
	put_report(oldest);
}

static int check_blob(const u8 *blob, size_t len)
{
	if (!blob)
		return -EIO;
	if (!len)
		return -ENODATA;
	return len > TSM_OUTBLOB_MAX ? -EFBIG : 0;
}

/* A report with two references, one of them for the caller. */
static struct tsm_report *make_report(struct device *dev,
				      const struct tsm_snapshot *snapshot)
{
	static u64 number;
	struct tsm_report *report;
	size_t len = 0;
	u8 *blob;
	int rc;

	lockdep_assert_held(&make_mutex);
	report = kzalloc(sizeof(*report), GFP_KERNEL);
	if (!report)
		return ERR_PTR(-ENOMEM);
	blob = snapshot->ops->report_new(dev, &snapshot->desc, &len);
	rc = IS_ERR(blob) ? PTR_ERR(blob) : check_blob(blob, len);
	if (rc) {
		if (!IS_ERR(blob))
			kvfree(blob);
		kfree(report);
		return ERR_PTR(rc);
	}
	refcount_set(&report->users, 2);
	report->number = ++number;
	report->generation = snapshot->generation;
	report->len = len;
	report->data = blob;
	return report;
}

static struct tsm_report *get_or_make(struct device *dev)
{
	struct tsm_snapshot snapshot;
	struct tsm_report *report;
	int rc;

	report = get_current_report();
	if (report)
		return report;
	rc = mutex_lock_killable(&make_mutex);
	if (rc)
		return ERR_PTR(rc);
	report = get_current_report();
	if (report)
		goto out;
	rc = get_snapshot(&snapshot);
	if (!rc && !snapshot.desc.inblob_len)
		rc = -EINVAL;
	report = rc ? ERR_PTR(rc) : make_report(dev, &snapshot);
	if (!IS_ERR(report))
		push_report(report);
out:
	mutex_unlock(&make_mutex);
	return report;
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
	struct tsm_report *report;
	ssize_t rc;

	report = pos && seq->index ? get_numbered(seq->index) :
				     get_or_make(kobj_to_dev(kobj));
	if (IS_ERR(report))
		return PTR_ERR(report);
	seq->index = report->number;
	rc = memory_read_from_buffer(buf, count, &pos, report->data,
				     report->len);
	put_report(report);
	return rc;
}
static BIN_ATTR(outblob, 0440, outblob_read, NULL, 0);

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct tsm_desc *desc = &tsm_state.desc;

	if (pos)
		return -EINVAL;
	if (count > TSM_INBLOB_MAX)
		return -EFBIG;
	guard(spinlock)(&tsm_lock);
	if (!tsm_state.ops)
		return -ENODEV;
	memcpy_and_pad(desc->inblob, TSM_INBLOB_MAX, buf, count, 0);
	desc->inblob_len = count;
	tsm_state.generation++;
	return count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct tsm_snapshot snapshot;
	int rc = get_snapshot(&snapshot);

	return rc ?: sysfs_emit(buf, "%lu\n", snapshot.generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	struct tsm_snapshot snapshot;
	int rc = get_snapshot(&snapshot);

	return rc ?: sysfs_emit(buf, "%u\n", snapshot.desc.privlevel);
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
	guard(spinlock)(&tsm_lock);
	if (!tsm_state.ops)
		return -ENODEV;
	tsm_state.desc.privlevel = level;
	tsm_state.generation++;
	return count;
}
static DEVICE_ATTR_RW(privlevel);

static const char * const format_names[] = { "default", "extended" };

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct tsm_snapshot snapshot;
	int rc = get_snapshot(&snapshot);

	return rc ?: sysfs_emit(buf, "%s\n",
				format_names[snapshot.desc.outblob_format]);
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int format = sysfs_match_string(format_names, buf);

	if (format < 0)
		return format;
	guard(spinlock)(&tsm_lock);
	if (!tsm_state.ops)
		return -ENODEV;
	tsm_state.desc.outblob_format = format;
	tsm_state.generation++;
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
__ATTRIBUTE_GROUPS(tsm_default_attribute);

static struct attribute *extra_attrs[] = {
	&dev_attr_privlevel.attr, &dev_attr_format.attr, NULL
};

const struct attribute_group tsm_extra_attribute_group = {
	.attrs = extra_attrs,
};
EXPORT_SYMBOL_GPL(tsm_extra_attribute_group);

static const struct class tsm_class = { .name = "tsm" };

static void set_ops(const struct tsm_ops *ops)
{
	guard(spinlock)(&tsm_lock);
	tsm_state.ops = ops;
}

/* Called when no attribute can be used. */
static void forget_provider(void)
{
	scoped_guard(spinlock, &tsm_lock)
		tsm_state = (struct tsm_snapshot){};
	push_report(NULL);
	push_report(NULL);
}

static int create_device(struct device *parent,
			 const struct attribute_group **groups)
{
	struct device *dev;
	int rc;

	dev = device_create(&tsm_class, parent, MKDEV(0, 0), NULL, "tsm0");
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	rc = device_add_groups(dev, groups);
	if (rc) {
		device_unregister(dev);
		return rc;
	}
	tsm_device = dev;
	registered_groups = groups;
	return 0;
}

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups)
{
	int rc;

	if (!ops || !ops->report_new || !parent)
		return -EINVAL;
	guard(mutex)(&registration_mutex);
	if (registered)
		return -EEXIST;
	set_ops(ops);
	rc = create_device(parent, groups ?: tsm_default_attribute_groups);
	if (rc) {
		forget_provider();
		return rc;
	}
	registered = ops;
	return 0;
}
EXPORT_SYMBOL_GPL(register_tsm);

int unregister_tsm(const struct tsm_ops *ops)
{
	guard(mutex)(&registration_mutex);
	if (!ops || registered != ops)
		return -EINVAL;
	set_ops(NULL);
	/* Waits for the files in use, also for the reader in report_new. */
	device_remove_groups(tsm_device, registered_groups);
	device_unregister(tsm_device);
	tsm_device = NULL;
	forget_provider();
	registered = NULL;
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

MODULE_DESCRIPTION("TSM reports in sysfs, with snapshots under a spinlock");
MODULE_LICENSE("GPL");

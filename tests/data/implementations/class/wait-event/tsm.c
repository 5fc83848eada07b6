// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: the report is in one of three phases, under a spinlock. A reader that
 * finds another one making it waits for an event, interruptibly. The provider
 * is called without locks; when options have changed meanwhile, the reader
 * throws the report away and tries again.
 *
 * Freedoms: a signal ends a reader that waits. After four attempts it gets
 * EAGAIN. The report was replaced between two reads: EAGAIN. No nonce: ENODATA.
 * Without a provider: ENXIO. A nonce that is not written at offset 0: ESPIPE.
 * Numbers and formats must not have blanks around them.
 */
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
#include <linux/wait.h>

#define TSM_ATTEMPTS	4

enum tsm_phase { TSM_EMPTY, TSM_MAKING, TSM_READY };

/* Protects the state. */
static DEFINE_SPINLOCK(tsm_lock);
/* The phase is no longer TSM_MAKING. */
static DECLARE_WAIT_QUEUE_HEAD(tsm_made);

static struct tsm_state {
	const struct tsm_ops *ops;	/* NULL: none, or it leaves */
	struct tsm_desc desc;
	unsigned long generation;
	enum tsm_phase phase;
	u8 *blob;			/* NULL unless the phase is TSM_READY */
	size_t len;
	unsigned long made_for;
} tsm;
static unsigned long tsm_blob_number;	/* of all providers; the first is 1 */

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static const struct tsm_ops *registered;
static struct device *tsm_device;

static int check_report(const u8 *blob, size_t len)
{
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	if (!blob || !len)
		return -EIO;
	return len > TSM_OUTBLOB_MAX ? -EFBIG : 0;
}

/*
 * Make a report without the lock. 0: tsm has a report for the options of
 * @asked, which are current. 1: options have changed.
 */
static int make_report(struct device *dev)
	__releases(&tsm_lock) __acquires(&tsm_lock)
{
	struct tsm_state asked = tsm;
	u8 *blob, *unused;
	size_t len = 0;
	int rc;

	tsm.phase = TSM_MAKING;
	tsm.blob = NULL;
	spin_unlock_irq(&tsm_lock);

	kvfree(asked.blob);
	blob = asked.ops->report_new(dev, &asked.desc, &len);
	rc = check_report(blob, len);
	unused = IS_ERR(blob) ? NULL : blob;

	spin_lock_irq(&tsm_lock);
	tsm.phase = TSM_EMPTY;
	if (!rc && !tsm.ops)
		rc = -ENXIO;
	if (!rc && tsm.generation != asked.generation)
		rc = 1;
	if (!rc) {
		tsm.phase = TSM_READY;
		tsm.blob = blob;
		tsm.len = len;
		tsm.made_for = asked.generation;
		tsm_blob_number++;
		unused = NULL;
	}
	wake_up_all(&tsm_made);
	if (unused) {
		spin_unlock_irq(&tsm_lock);
		kvfree(unused);
		spin_lock_irq(&tsm_lock);
	}
	return rc;
}

/* With the lock, which is released while this waits or calls the provider. */
static int ensure_report(struct device *dev)
{
	int rc, i;

	for (i = 0; i < TSM_ATTEMPTS; i++) {
		rc = wait_event_interruptible_lock_irq(tsm_made,
						       tsm.phase != TSM_MAKING,
						       tsm_lock);
		if (rc)
			return rc;
		if (!tsm.ops)
			return -ENXIO;
		if (!tsm.desc.inblob_len)
			return -ENODATA;
		if (tsm.phase == TSM_READY && tsm.made_for == tsm.generation)
			return 0;
		rc = make_report(dev);
		if (rc <= 0)
			return rc;
	}
	return -EAGAIN;
}

static int check_begun(unsigned long number)
{
	if (!tsm.ops)
		return -ENXIO;
	if (tsm.phase != TSM_READY || tsm_blob_number != number)
		return -EAGAIN;
	return 0;
}

/* sysfs leaves of->priv alone: it has the number of the report that is read. */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct seq_file *seq = file->private_data;
	struct kernfs_open_file *of = seq->private;
	ssize_t rc;

	spin_lock_irq(&tsm_lock);
	rc = pos && of->priv ? check_begun((unsigned long)of->priv) :
			       ensure_report(kobj_to_dev(kobj));
	if (!rc) {
		of->priv = (void *)tsm_blob_number;
		rc = memory_read_from_buffer(buf, count, &pos, tsm.blob,
					     tsm.len);
	}
	spin_unlock_irq(&tsm_lock);
	return rc;
}
static BIN_ATTR_RO(outblob, 0);

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	if (pos)
		return -ESPIPE;
	if (count > TSM_INBLOB_MAX)
		return -EFBIG;
	guard(spinlock_irq)(&tsm_lock);
	if (!tsm.ops)
		return -ENXIO;
	memset(tsm.desc.inblob, 0, TSM_INBLOB_MAX);
	memcpy(tsm.desc.inblob, buf, count);
	tsm.desc.inblob_len = count;
	tsm.generation++;
	return count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	guard(spinlock_irq)(&tsm_lock);
	return sysfs_emit(buf, "%lu\n", tsm.generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	guard(spinlock_irq)(&tsm_lock);
	return sysfs_emit(buf, "%u\n", tsm.desc.privlevel);
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	unsigned int level;
	int rc = kstrtouint(buf, 0, &level);

	if (rc)
		return rc;
	if (level > TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	guard(spinlock_irq)(&tsm_lock);
	if (!tsm.ops)
		return -ENXIO;
	tsm.desc.privlevel = level;
	tsm.generation++;
	return count;
}
static DEVICE_ATTR_RW(privlevel);

static const char * const formats[] = { "default", "extended" };

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	guard(spinlock_irq)(&tsm_lock);
	return sysfs_emit(buf, "%s\n", formats[tsm.desc.outblob_format]);
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int format = sysfs_match_string(formats, buf);

	if (format < 0)
		return format;
	guard(spinlock_irq)(&tsm_lock);
	if (!tsm.ops)
		return -ENXIO;
	tsm.desc.outblob_format = format;
	tsm.generation++;
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

static void open_state(const struct tsm_ops *ops)
{
	guard(spinlock_irq)(&tsm_lock);
	tsm.ops = ops;
}

/*
 * Remove the device, when there is one, and forget what was written and made. A
 * reader that is in report_new finds no provider when it has returned, and
 * frees its report; device_unregister() waits for it.
 */
static void close_state(struct device *dev)
{
	u8 *blob;

	open_state(NULL);
	if (dev)
		device_unregister(dev);
	scoped_guard(spinlock_irq, &tsm_lock) {
		blob = tsm.blob;
		tsm = (struct tsm_state){};
	}
	kvfree(blob);
}

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups)
{
	struct device *dev;

	if (!ops || !ops->report_new || !parent)
		return -EINVAL;
	guard(mutex)(&registration_mutex);
	if (registered)
		return -EBUSY;
	open_state(ops);
	dev = device_create_with_groups(&tsm_class, parent, MKDEV(0, 0), NULL,
					groups ?: tsm_default_attribute_groups,
					"tsm0");
	if (IS_ERR(dev)) {
		close_state(NULL);
		return PTR_ERR(dev);
	}
	tsm_device = dev;
	registered = ops;
	return 0;
}
EXPORT_SYMBOL_GPL(register_tsm);

int unregister_tsm(const struct tsm_ops *ops)
{
	guard(mutex)(&registration_mutex);
	if (!ops || registered != ops)
		return -EBUSY;
	close_state(tsm_device);
	tsm_device = NULL;
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

MODULE_DESCRIPTION("TSM reports in sysfs, with phases and a wait queue");
MODULE_LICENSE("GPL");

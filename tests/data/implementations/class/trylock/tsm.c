// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: nobody waits for the provider. A semaphore protects the state for
 * short accesses. Making a report needs a second lock, which is only tried:
 * while one reader has it, another reader that needs a new report gets EBUSY. A
 * report that is still current is read by any number of readers at once.
 *
 * The provider makes the report without the semaphore. When options change
 * meanwhile, the reader gets the report that it asked for, and the generation
 * shows the change; the next reader gets a new report.
 *
 * Freedoms: EBUSY, as said. A reader who opened outblob without CAP_SYS_ADMIN
 * gets EPERM from read(). The report was replaced between two reads: EINVAL. No
 * nonce: ENODATA. Without a provider: ENODEV. A nonce that is too long: EFBIG.
 * Levels are decimal numbers; every other text is EINVAL.
 */
#include <linux/capability.h>
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
#include <linux/user_namespace.h>

struct tsm_state {
	const struct tsm_ops *ops;	/* NULL: none, or it leaves */
	struct tsm_desc desc;
	unsigned long generation;
	u8 *blob;
	size_t blob_len;
	unsigned long blob_generation;
};

static DECLARE_RWSEM(state_sem);
static struct tsm_state state;
static unsigned long blob_number;	/* of all providers; the first is 1 */

/* Held by the reader that makes a report. Never waited for. */
static DEFINE_MUTEX(making_mutex);

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static const struct tsm_ops *registered;
static struct device *tsm_device;

static bool has_current_blob(void)
{
	lockdep_assert_held(&state_sem);
	return state.blob && state.blob_generation == state.generation;
}

static ssize_t copy_blob(struct kernfs_open_file *of, char *buf, loff_t pos,
			 size_t count)
{
	lockdep_assert_held(&state_sem);
	of->priv = (void *)blob_number;
	return memory_read_from_buffer(buf, count, &pos, state.blob,
				       state.blob_len);
}

/* Store the report, of which @asked has the options, or free it. */
static ssize_t take_blob(u8 *blob, size_t len, const struct tsm_state *asked,
			 struct kernfs_open_file *of, char *buf, loff_t pos,
			 size_t count)
{
	u8 *unused = blob;
	ssize_t rc;

	if (!blob)
		return -EIO;
	down_write(&state_sem);
	if (len > TSM_OUTBLOB_MAX) {
		rc = -EFBIG;
	} else if (!state.ops) {
		rc = -ENODEV;
	} else {
		unused = state.blob;
		state.blob = blob;
		state.blob_len = len;
		state.blob_generation = asked->generation;
		blob_number++;
		rc = copy_blob(of, buf, pos, count);
	}
	up_write(&state_sem);
	kvfree(unused);
	return rc;
}

static ssize_t make_and_read(struct device *dev, struct kernfs_open_file *of,
			     char *buf, loff_t pos, size_t count)
{
	struct tsm_state asked;
	size_t len = 0;
	u8 *blob;

	lockdep_assert_held(&making_mutex);
	scoped_guard(rwsem_read, &state_sem) {
		if (has_current_blob())
			return copy_blob(of, buf, pos, count);
		asked = state;
	}
	if (!asked.ops)
		return -ENODEV;
	if (!asked.desc.inblob_len)
		return -ENODATA;
	blob = asked.ops->report_new(dev, &asked.desc, &len);
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	return take_blob(blob, len, &asked, of, buf, pos, count);
}

static ssize_t read_first(struct device *dev, struct kernfs_open_file *of,
			  char *buf, loff_t pos, size_t count)
{
	ssize_t rc;

	scoped_guard(rwsem_read, &state_sem) {
		if (has_current_blob())
			return copy_blob(of, buf, pos, count);
	}
	if (!mutex_trylock(&making_mutex))
		return -EBUSY;
	rc = make_and_read(dev, of, buf, pos, count);
	mutex_unlock(&making_mutex);
	return rc;
}

static ssize_t read_on(struct kernfs_open_file *of, char *buf, loff_t pos,
		       size_t count)
{
	guard(rwsem_read)(&state_sem);
	if (!state.blob || (unsigned long)of->priv != blob_number)
		return -EINVAL;
	return copy_blob(of, buf, pos, count);
}

/* sysfs leaves of->priv alone: it has the number of the report that is read. */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct kernfs_open_file *of =
		((struct seq_file *)file->private_data)->private;

	if (!file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN))
		return -EPERM;
	if (pos && of->priv)
		return read_on(of, buf, pos, count);
	return read_first(kobj_to_dev(kobj), of, buf, pos, count);
}
static BIN_ATTR_RO(outblob, 0);

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct tsm_desc *desc = &state.desc;

	if (pos)
		return -EINVAL;
	if (count > sizeof(desc->inblob))
		return -EFBIG;
	guard(rwsem_write)(&state_sem);
	if (!state.ops)
		return -ENODEV;
	memcpy_and_pad(desc->inblob, sizeof(desc->inblob), buf, count, 0);
	desc->inblob_len = count;
	state.generation++;
	return count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	guard(rwsem_read)(&state_sem);
	return sysfs_emit(buf, "%lu\n", state.generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	guard(rwsem_read)(&state_sem);
	return sysfs_emit(buf, "%u\n", state.desc.privlevel);
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	u8 level;
	int rc;

	rc = kstrtou8(buf, 10, &level);
	if (rc || level > TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	guard(rwsem_write)(&state_sem);
	if (!state.ops)
		return -ENODEV;
	state.desc.privlevel = level;
	state.generation++;
	return count;
}
static DEVICE_ATTR_RW(privlevel);

static const char * const formats[] = { "default", "extended" };

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	guard(rwsem_read)(&state_sem);
	return sysfs_emit(buf, "%s\n", formats[state.desc.outblob_format]);
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int format = sysfs_match_string(formats, buf);

	if (format < 0)
		return format;
	guard(rwsem_write)(&state_sem);
	if (!state.ops)
		return -ENODEV;
	state.desc.outblob_format = format;
	state.generation++;
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

/* Free the report, forget all that was written, and begin with @ops or NULL. */
static void reset_state(const struct tsm_ops *ops)
{
	u8 *blob;

	scoped_guard(rwsem_write, &state_sem) {
		blob = state.blob;
		state = (struct tsm_state){ .ops = ops };
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
	reset_state(ops);
	dev = device_create_with_groups(&tsm_class, parent, MKDEV(0, 0), NULL,
					groups ?: tsm_default_attribute_groups,
					"tsm0");
	if (IS_ERR(dev)) {
		reset_state(NULL);
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
	/* take_blob() then keeps nothing, so that nothing is left to free. */
	reset_state(NULL);
	/* Waits for the reader in report_new. */
	device_unregister(tsm_device);
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

MODULE_DESCRIPTION("TSM reports in sysfs, with a lock that is only tried");
MODULE_LICENSE("GPL");

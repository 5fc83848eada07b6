// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: options and report are objects that never change once they are
 * published with RCU. A write publishes a new copy of the options; a report is
 * copied out of the provider's buffer into an object with a kref. Only the call
 * of report_new is serialised.
 *
 * A reader gets the report for the options that were current when it began to
 * make it, also if they have changed meanwhile; the generation shows that.
 *
 * Freedoms: without a provider ENODEV. No nonce: EINVAL. The report was
 * replaced between two reads of one open file: ESTALE. A report of 0 bytes is
 * read as 0 bytes. A signal that is not fatal does not interrupt a reader that
 * waits.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kernfs.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/tsm.h>

struct tsm_options {
	struct rcu_head rcu;
	unsigned long generation;
	struct tsm_desc desc;
};

struct tsm_evidence {
	struct rcu_head rcu;
	struct kref refs;
	loff_t number;
	unsigned long generation;
	size_t len;
	u8 data[] __counted_by(len);
};

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static struct device *tsm_device;
/* Set while tsm0 exists, that is, while attributes can be used. */
static const struct tsm_ops *provider;

/* Serialises those that replace the options. NULL: there is no provider. */
static DEFINE_MUTEX(options_mutex);
static struct tsm_options __rcu *current_options;

/* Serialises those that replace the report. */
static DEFINE_MUTEX(make_mutex);
static struct tsm_evidence __rcu *current_evidence;

static void free_options(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct tsm_options, rcu));
}

static void free_evidence(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct tsm_evidence, rcu));
}

static void release_evidence(struct kref *refs)
{
	struct tsm_evidence *evidence =
		container_of(refs, struct tsm_evidence, refs);

	call_rcu(&evidence->rcu, free_evidence);
}

static void put_evidence(struct tsm_evidence *evidence)
{
	if (evidence)
		kref_put(&evidence->refs, release_evidence);
}

/* The newest report with a reference, or NULL. */
static struct tsm_evidence *get_evidence(void)
{
	struct tsm_evidence *evidence;

	guard(rcu)();
	evidence = rcu_dereference(current_evidence);
	if (evidence && !kref_get_unless_zero(&evidence->refs))
		return NULL;
	return evidence;
}

static bool is_current(const struct tsm_evidence *evidence)
{
	const struct tsm_options *options;

	guard(rcu)();
	options = rcu_dereference(current_options);
	return options && options->generation == evidence->generation;
}

static int copy_options(struct tsm_desc *desc, unsigned long *generation)
{
	const struct tsm_options *options;

	guard(rcu)();
	options = rcu_dereference(current_options);
	if (!options)
		return -ENODEV;
	*desc = options->desc;
	*generation = options->generation;
	return 0;
}

/* Copy the provider's buffer and free it. */
static struct tsm_evidence *take_over(u8 *blob, size_t len)
{
	struct tsm_evidence *evidence;

	if (IS_ERR(blob))
		return ERR_CAST(blob);
	if (!blob)
		return ERR_PTR(-EIO);
	if (len > TSM_OUTBLOB_MAX) {
		kvfree(blob);
		return ERR_PTR(-EFBIG);
	}
	evidence = kvmalloc(struct_size(evidence, data, len), GFP_KERNEL);
	if (evidence) {
		kref_init(&evidence->refs);
		evidence->len = len;
		memcpy(evidence->data, blob, len);
	}
	kvfree(blob);
	return evidence ?: ERR_PTR(-ENOMEM);
}

/* Make and publish a report. The caller gets a reference of its own. */
static struct tsm_evidence *make_evidence(struct device *dev)
{
	static loff_t number;
	struct tsm_evidence *evidence, *old;
	unsigned long generation;
	struct tsm_desc desc;
	size_t len = 0;
	u8 *blob;
	int rc;

	lockdep_assert_held(&make_mutex);
	rc = copy_options(&desc, &generation);
	if (rc)
		return ERR_PTR(rc);
	if (!desc.inblob_len)
		return ERR_PTR(-EINVAL);

	blob = provider->report_new(dev, &desc, &len);
	evidence = take_over(blob, len);
	if (IS_ERR(evidence))
		return evidence;
	evidence->generation = generation;
	evidence->number = ++number;
	kref_get(&evidence->refs);
	old = rcu_replace_pointer(current_evidence, evidence,
				  lockdep_is_held(&make_mutex));
	put_evidence(old);
	return evidence;
}

/* The cached report, when it was made for the current options. */
static struct tsm_evidence *get_current_evidence(void)
{
	struct tsm_evidence *evidence = get_evidence();

	if (!evidence || is_current(evidence))
		return evidence;
	put_evidence(evidence);
	return NULL;
}

static struct tsm_evidence *get_or_make_evidence(struct device *dev)
{
	struct tsm_evidence *evidence;

	evidence = get_current_evidence();
	if (evidence)
		return evidence;
	if (mutex_lock_killable(&make_mutex))
		return ERR_PTR(-EINTR);
	/* Another reader may have made it while this one waited. */
	evidence = get_current_evidence();
	if (!evidence)
		evidence = make_evidence(dev);
	mutex_unlock(&make_mutex);
	return evidence;
}

/* The report with this number, as long as it is the newest one. */
static struct tsm_evidence *get_numbered_evidence(loff_t number)
{
	struct tsm_evidence *evidence = get_evidence();

	if (evidence && evidence->number == number)
		return evidence;
	put_evidence(evidence);
	return ERR_PTR(-ESTALE);
}

/*
 * A binary file of sysfs does not use the index of its seq_file, which is 0
 * after open(): it holds the number of the report that the caller has begun to
 * read.
 */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct seq_file *seq = file->private_data;
	struct tsm_evidence *evidence;
	ssize_t rc;

	if (pos && seq->index)
		evidence = get_numbered_evidence(seq->index);
	else
		evidence = get_or_make_evidence(kobj_to_dev(kobj));
	if (IS_ERR(evidence))
		return PTR_ERR(evidence);
	seq->index = evidence->number;
	rc = memory_read_from_buffer(buf, count, &pos, evidence->data,
				     evidence->len);
	put_evidence(evidence);
	return rc;
}
static BIN_ATTR_RO(outblob, 0);

/* Publish a copy of the options in which @change has stored @to. */
static int change_options(void (*change)(struct tsm_desc *desc, const void *to,
					 size_t len),
			  const void *to, size_t len)
{
	struct tsm_options *new, *old;

	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	guard(mutex)(&options_mutex);
	old = rcu_dereference_protected(current_options,
					lockdep_is_held(&options_mutex));
	if (!old) {
		kfree(new);
		return -ENODEV;
	}
	new->desc = old->desc;
	new->generation = old->generation + 1;
	change(&new->desc, to, len);
	rcu_assign_pointer(current_options, new);
	call_rcu(&old->rcu, free_options);
	return 0;
}

static void change_inblob(struct tsm_desc *desc, const void *to, size_t len)
{
	memcpy_and_pad(desc->inblob, sizeof(desc->inblob), to, len, 0);
	desc->inblob_len = len;
}

static void change_privlevel(struct tsm_desc *desc, const void *to, size_t len)
{
	desc->privlevel = *(const unsigned int *)to;
}

static void change_format(struct tsm_desc *desc, const void *to, size_t len)
{
	desc->outblob_format = *(const int *)to;
}

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	int rc;

	if (pos)
		return -EINVAL;
	if (count > TSM_INBLOB_MAX)
		return -EFBIG;
	rc = change_options(change_inblob, buf, count);
	return rc ?: count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	const struct tsm_options *options;

	guard(rcu)();
	options = rcu_dereference(current_options);
	if (!options)
		return -ENODEV;
	return sysfs_emit(buf, "%lu\n", options->generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	const struct tsm_options *options;

	guard(rcu)();
	options = rcu_dereference(current_options);
	if (!options)
		return -ENODEV;
	return sysfs_emit(buf, "%u\n", options->desc.privlevel);
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	unsigned int level;
	int rc;

	rc = kstrtouint(buf, 0, &level);
	if (!rc && level > TSM_PRIVLEVEL_MAX)
		rc = -EINVAL;
	if (!rc)
		rc = change_options(change_privlevel, &level, sizeof(level));
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
	const struct tsm_options *options;

	guard(rcu)();
	options = rcu_dereference(current_options);
	if (!options)
		return -ENODEV;
	return sysfs_emit(buf, "%s\n", formats[options->desc.outblob_format]);
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int rc, format = sysfs_match_string(formats, buf);

	if (format < 0)
		return format;
	rc = change_options(change_format, &format, sizeof(format));
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

/* Replace the options by @new, which is NULL when the provider leaves. */
static void reset_options(struct tsm_options *new)
{
	struct tsm_options *old;

	guard(mutex)(&options_mutex);
	old = rcu_replace_pointer(current_options, new,
				  lockdep_is_held(&options_mutex));
	if (old)
		call_rcu(&old->rcu, free_options);
}

/* Free everything. Called when no attribute can be used. */
static void forget_provider(void)
{
	struct tsm_evidence *old;

	reset_options(NULL);
	scoped_guard(mutex, &make_mutex)
		old = rcu_replace_pointer(current_evidence, NULL,
					  lockdep_is_held(&make_mutex));
	put_evidence(old);
	provider = NULL;
	rcu_barrier();
}

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups)
{
	struct tsm_options *options;
	struct device *dev;

	if (!ops || !ops->report_new || !parent)
		return -EINVAL;
	guard(mutex)(&registration_mutex);
	if (provider)
		return -EBUSY;
	options = kzalloc(sizeof(*options), GFP_KERNEL);
	if (!options)
		return -ENOMEM;
	provider = ops;
	reset_options(options);
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
		return -EINVAL;
	/* Readers that wait for make_mutex then leave without a request. */
	reset_options(NULL);
	/* Waits for all attributes, also for one that is in report_new. */
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

MODULE_DESCRIPTION("TSM reports in sysfs, published with RCU");
MODULE_LICENSE("GPL");

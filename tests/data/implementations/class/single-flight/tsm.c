// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: a flight is one call of report_new and its result. The first reader
 * that needs a report makes it, and those that come meanwhile wait for its
 * completion and take the same result. A flight that ended well is the cached
 * report. There is at most one flight at a time.
 *
 * Freedoms: readers that wait share an error; one that waits for a reader that
 * was interrupted begins anew. No nonce: EINVAL. Without a provider: ENODEV.
 * The report was replaced between two reads: ESTALE. A report of 0 bytes is
 * read as 0 bytes. Numbers may be hexadecimal or octal.
 */
#include <linux/cleanup.h>
#include <linux/completion.h>
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

struct flight {
	refcount_t users;
	struct completion landed;
	/* Set by the one that starts it. */
	unsigned long generation, number;
	struct tsm_desc desc;
	/* Set before it lands. */
	int error;
	u8 *blob;
	size_t len;
};

/* Protects the next members, and is never held for long. */
static DEFINE_SPINLOCK(tsm_lock);
static bool tsm_open;			/* there is a provider that stays */
static struct tsm_desc tsm_desc;
static unsigned long tsm_generation;
/* In the air, or the cached report; NULL after an error. */
static struct flight *tsm_flight;

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static struct device *tsm_device;
static const struct tsm_ops *provider;	/* set while attributes can be used */

static void put_flight(struct flight *flight)
{
	if (!flight || !refcount_dec_and_test(&flight->users))
		return;
	kvfree(flight->blob);
	kfree(flight);
}

static struct flight *get_flight(struct flight *flight)
{
	refcount_inc(&flight->users);
	return flight;
}

static struct flight *alloc_flight(void)
{
	struct flight *flight = kzalloc(sizeof(*flight), GFP_KERNEL);

	if (!flight)
		return NULL;
	refcount_set(&flight->users, 1);
	init_completion(&flight->landed);
	return flight;
}

/* Call the provider; on return, @flight has a report or an error. */
static void fly(struct flight *flight, struct device *dev)
{
	size_t len = 0;
	u8 *blob;

	blob = provider->report_new(dev, &flight->desc, &len);
	if (IS_ERR_OR_NULL(blob)) {
		flight->error = blob ? PTR_ERR(blob) : -EIO;
	} else if (len > TSM_OUTBLOB_MAX) {
		kvfree(blob);
		flight->error = -EFBIG;
	} else {
		flight->blob = blob;
		flight->len = len;
	}
}

/* Publish the result. After an error, the next reader tries again. */
static void land(struct flight *flight)
{
	bool failed = flight->error;

	spin_lock(&tsm_lock);
	if (failed)
		tsm_flight = NULL;
	complete_all(&flight->landed);
	spin_unlock(&tsm_lock);
	/* The caller has a reference of its own. */
	if (failed)
		put_flight(flight);
}

/*
 * Under the lock: make @fresh the flight for the current options. The previous
 * one, if any, has landed, and is returned, to be put without the lock.
 */
static struct flight *start(struct flight *fresh)
{
	static unsigned long number;
	struct flight *old = tsm_flight;

	lockdep_assert_held(&tsm_lock);
	fresh->generation = tsm_generation;
	fresh->number = ++number;
	fresh->desc = tsm_desc;
	tsm_flight = get_flight(fresh);
	return old;
}

static int check_options(void)
{
	lockdep_assert_held(&tsm_lock);
	if (!tsm_open)
		return -ENODEV;
	return tsm_desc.inblob_len ? 0 : -EINVAL;
}

/*
 * The flight for the options of now, with a reference: the one that is there,
 * or
 * @fresh, which the caller then flies. @joins tells whether the result of the
 * former is that of the caller, or only has to be waited for.
 */
static struct flight *join_or_start(struct flight *fresh, bool *joins)
{
	struct flight *flight, *old = NULL;
	int rc;

	spin_lock(&tsm_lock);
	rc = check_options();
	if (rc) {
		flight = ERR_PTR(rc);
	} else if (tsm_flight &&
		   (tsm_flight->generation == tsm_generation ||
		    !completion_done(&tsm_flight->landed))) {
		flight = get_flight(tsm_flight);
		*joins = flight->generation == tsm_generation;
	} else {
		old = start(fresh);
		flight = get_flight(fresh);
		*joins = true;
	}
	spin_unlock(&tsm_lock);
	put_flight(old);
	return flight;
}

static bool was_interrupted(const struct flight *flight)
{
	return flight->error == -EINTR || flight->error == -ERESTARTSYS;
}

/* Wait for another reader's flight. 1: its result is not for this reader. */
static int wait_for_flight(struct flight *flight, bool joins)
{
	int rc;

	rc = wait_for_completion_killable(&flight->landed);
	if (rc)
		return rc;
	return !joins || was_interrupted(flight) ? 1 : flight->error;
}

/* A flight that has landed with a report, with a reference. */
static struct flight *find_report(struct device *dev)
{
	struct flight *flight, *fresh;
	bool joins;
	int rc;

	do {
		fresh = alloc_flight();
		if (!fresh)
			return ERR_PTR(-ENOMEM);
		flight = join_or_start(fresh, &joins);
		if (IS_ERR(flight)) {
			put_flight(fresh);
			return flight;
		}
		if (flight == fresh) {
			fly(flight, dev);
			land(flight);
			rc = flight->error;
		} else {
			rc = wait_for_flight(flight, joins);
		}
		put_flight(fresh);
		if (rc)
			put_flight(flight);
	} while (rc > 0);
	return rc ? ERR_PTR(rc) : flight;
}

/* The cached report, if it is still the one with @number. */
static struct flight *find_numbered(unsigned long number)
{
	guard(spinlock)(&tsm_lock);
	if (!tsm_open)
		return ERR_PTR(-ENODEV);
	if (!tsm_flight || tsm_flight->number != number)
		return ERR_PTR(-ESTALE);
	return get_flight(tsm_flight);
}

/* sysfs leaves of->priv alone: it has the number of the report that is read. */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct kernfs_open_file *of =
		((struct seq_file *)file->private_data)->private;
	struct flight *flight;
	ssize_t rc;

	if (pos && of->priv)
		flight = find_numbered((unsigned long)of->priv);
	else
		flight = find_report(kobj_to_dev(kobj));
	if (IS_ERR(flight))
		return PTR_ERR(flight);
	of->priv = (void *)flight->number;
	rc = memory_read_from_buffer(buf, count, &pos, flight->blob,
				     flight->len);
	put_flight(flight);
	return rc;
}
static BIN_ATTR_RO(outblob, 0);

/* Lock for a write of an option; on success, the caller calls end_write(). */
static int start_write(void)
{
	spin_lock(&tsm_lock);
	if (tsm_open)
		return 0;
	spin_unlock(&tsm_lock);
	return -ENODEV;
}

static void end_write(void)
{
	tsm_generation++;
	spin_unlock(&tsm_lock);
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
	rc = start_write();
	if (rc)
		return rc;
	memcpy_and_pad(tsm_desc.inblob, TSM_INBLOB_MAX, buf, count, 0);
	tsm_desc.inblob_len = count;
	end_write();
	return count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	guard(spinlock)(&tsm_lock);
	return sysfs_emit(buf, "%lu\n", tsm_generation);
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	guard(spinlock)(&tsm_lock);
	return sysfs_emit(buf, "%u\n", tsm_desc.privlevel);
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	unsigned long level;
	int rc;

	rc = kstrtoul(buf, 0, &level);
	if (rc)
		return rc;
	if (level > TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	rc = start_write();
	if (rc)
		return rc;
	tsm_desc.privlevel = level;
	end_write();
	return count;
}
static DEVICE_ATTR_RW(privlevel);

static const char * const formats[] = {
	[TSM_FORMAT_DEFAULT] = "default",
	[TSM_FORMAT_EXTENDED] = "extended",
};

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	guard(spinlock)(&tsm_lock);
	return sysfs_emit(buf, "%s\n", formats[tsm_desc.outblob_format]);
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int rc, format;

	format = sysfs_match_string(formats, buf);
	if (format < 0)
		return format;
	rc = start_write();
	if (rc)
		return rc;
	tsm_desc.outblob_format = format;
	end_write();
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

static void set_open(bool open)
{
	guard(spinlock)(&tsm_lock);
	tsm_open = open;
}

/* Called when no attribute can be used, and therefore nothing is in the air. */
static void forget_provider(void)
{
	struct flight *flight;

	scoped_guard(spinlock, &tsm_lock) {
		flight = tsm_flight;
		tsm_flight = NULL;
		tsm_generation = 0;
		memset(&tsm_desc, 0, sizeof(tsm_desc));
	}
	put_flight(flight);
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
	set_open(true);
	dev = device_create_with_groups(&tsm_class, parent, MKDEV(0, 0), NULL,
					groups ?: tsm_default_attribute_groups,
					"tsm0");
	if (IS_ERR(dev)) {
		set_open(false);
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
		return -ENODEV;
	set_open(false);
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

MODULE_DESCRIPTION("TSM reports in sysfs, made by one reader for all");
MODULE_LICENSE("GPL");

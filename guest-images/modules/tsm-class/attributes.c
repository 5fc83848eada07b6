// SPDX-License-Identifier: GPL-2.0-only
/* The files of tsm0 that every provider has. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/hex.h>
#include <linux/kernfs.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "bin_attr.h"
#include "defects.h"
#include "state.h"

static unsigned int sum_of(const u8 *value, size_t len)
{
	unsigned int sum = 0;

	while (len--)
		sum += *value++;
	return sum;
}

/* Whether a comparison that is too weak finds the stored inblob in @value. */
static bool looks_stored(const u8 *value, size_t len)
{
	const struct tsm_desc *desc = &tsm_class_state.desc;

	if (has_defect(DEFECT_STORED_BY_STRNCMP))
		return len == desc->inblob_len &&
		       !strncmp(desc->inblob, value, len);
	return has_defect(DEFECT_STORED_BY_SUM) && len == desc->inblob_len &&
	       sum_of(desc->inblob, len) == sum_of(value, len);
}

static void set_inblob(const u8 *value, size_t len)
{
	struct tsm_desc *desc = &tsm_class_state.desc;
	bool first = !desc->inblob_len;

	lockdep_assert_held_write(&tsm_class_lock);
	if (!memcmp(desc->inblob, value, len)) {
		if (has_defect(DEFECT_SAME_VALUE) && len == desc->inblob_len)
			return;
		if (has_defect(DEFECT_PREFIX_MATCH) && len != desc->inblob_len)
			return;
	}
	if (!looks_stored(value, len))
		memcpy(desc->inblob, value, len);
	if (!has_defect(DEFECT_STALE_TAIL))
		memset(desc->inblob + len, 0, sizeof(desc->inblob) - len);
	desc->inblob_len = len;
	if (has_defect(DEFECT_NONCE_ALIGNED))
		desc->inblob_len = ALIGN(len, 8);
	if (has_defect(DEFECT_NONCE_IN_LOG))
		pr_info("new inblob %*phN\n", (int)len, value);
	if (!has_defect(DEFECT_FIRST_WRITE_UNCOUNTED) || !first)
		tsm_class_count_write();
}

static ssize_t refuse_oversized(void)
{
	if (has_defect(DEFECT_COUNT_OVERSIZED)) {
		guard(rwsem_write)(&tsm_class_lock);
		tsm_class_count_write();
	}
	return -EFBIG;
}

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    bin_attr_arg attr, char *buf, loff_t pos,
			    size_t count)
{
	if (pos || !count)
		return -EINVAL;
	if (has_defect(DEFECT_ONE_BYTE_REFUSED) && count == 1)
		return -EINVAL;
	if (count > TSM_INBLOB_MAX)
		return refuse_oversized();

	guard(rwsem_write)(&tsm_class_lock);
	if (!tsm_class_state.ops)
		return -ENXIO;
	set_inblob(buf, count);
	return count;
}

static ssize_t inhex_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	guard(rwsem_read)(&tsm_class_lock);
	return sysfs_emit(buf, "%*phN\n", (int)tsm_class_state.desc.inblob_len,
			  tsm_class_state.desc.inblob);
}

static ssize_t inhex_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	size_t digits = strcspn(buf, "\n");
	u8 value[TSM_INBLOB_MAX];

	if (digits % 2 || digits / 2 > sizeof(value) ||
	    count - digits > 1 || hex2bin(value, buf, digits / 2))
		return -EINVAL;

	guard(rwsem_write)(&tsm_class_lock);
	if (!tsm_class_state.ops)
		return -ENXIO;
	set_inblob(value, digits / 2);
	return count;
}
static DEVICE_ATTR_RW(inhex);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	guard(rwsem_read)(&tsm_class_lock);
	return sysfs_emit(buf, "%lu\n", tsm_class_state.generation);
}
static DEVICE_ATTR_RO(generation);

/* As tsm_class_read_report(), but through a buffer of its own. */
static ssize_t read_buffered(struct device *dev, unsigned long *bound,
			     char *buf, loff_t pos, size_t count)
{
	void *buffer = kvmalloc(count, GFP_KERNEL);
	ssize_t rc;

	if (!buffer)
		return -ENOMEM;
	rc = tsm_class_read_report(dev, bound, buffer, pos, count);
	if (rc <= 0)
		return rc;
	memcpy(buf, buffer, rc);
	kvfree(buffer);
	return rc;
}

/*
 * sysfs reads a binary file in pieces of a page and has no callback for open(),
 * which could keep the report. The priv pointer of a kernfs_open_file is NULL at
 * first and not used by sysfs: it holds the serial of the report. kernfs
 * serialises the reads of one open file.
 */
static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    bin_attr_arg attr, char *buf, loff_t pos,
			    size_t count)
{
	struct seq_file *seq = file->private_data;
	struct kernfs_open_file *open_file = seq->private;
	unsigned long bound = (unsigned long)open_file->priv;
	ssize_t rc;

	if (has_defect(DEFECT_LEAK_AT_EOF))
		rc = read_buffered(kobj_to_dev(kobj), &bound, buf, pos, count);
	else
		rc = tsm_class_read_report(kobj_to_dev(kobj), &bound, buf, pos,
					   count);
	open_file->priv = (void *)bound;
	return rc;
}

static struct bin_attribute bin_attr_inblob = {
	.attr = { .name = "inblob", .mode = 0200 },
	.write = inblob_write,
};

static struct bin_attribute bin_attr_outblob = {
	.attr = { .name = "outblob", .mode = 0444 },
	.read = outblob_read,
};

static umode_t default_visible(struct kobject *kobj, struct attribute *attr,
			       int n)
{
	if (attr == &dev_attr_inhex.attr && !has_defect(DEFECT_HEX_INPUT))
		return 0;
	return attr->mode;
}

static umode_t default_bin_visible(struct kobject *kobj, bin_visible_arg attr,
				   int n)
{
	if (attr == &bin_attr_inblob && has_defect(DEFECT_HEX_INPUT))
		return 0;
	return attr->attr.mode;
}

static struct attribute *default_attrs[] = {
	&dev_attr_inhex.attr,
	&dev_attr_generation.attr,
	NULL
};

static bin_attr_entry default_bin_attrs[] = {
	&bin_attr_inblob,
	&bin_attr_outblob,
	NULL
};

const struct attribute_group tsm_default_attribute_group = {
	.attrs = default_attrs,
	.bin_attrs = default_bin_attrs,
	.is_visible = default_visible,
	.is_bin_visible = default_bin_visible,
};
EXPORT_SYMBOL_GPL(tsm_default_attribute_group);

const struct attribute_group *tsm_class_default_groups[] = {
	&tsm_default_attribute_group,
	NULL
};

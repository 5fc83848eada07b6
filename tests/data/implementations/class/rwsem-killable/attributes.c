// SPDX-License-Identifier: GPL-2.0-only
/* The files of tsm0. */
#include <linux/export.h>
#include <linux/kernfs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "state.h"

/* sysfs leaves of->priv alone: it has the serial of the report that is read. */
static ssize_t copy_report(struct tsm_state *tsm, struct kernfs_open_file *of,
			   char *buf, loff_t pos, size_t count)
{
	of->priv = (void *)tsm->outblob_serial;
	return memory_read_from_buffer(buf, count, &pos, tsm->outblob,
				       tsm->outblob_len);
}

/* The next part of the report that was begun. -ESTALE: it was replaced. */
static ssize_t read_on(struct tsm_state *tsm, struct kernfs_open_file *of,
		       char *buf, loff_t pos, size_t count)
{
	ssize_t rc;

	rc = tsm_lock_shared(tsm);
	if (rc)
		return rc;
	if (tsm->outblob && (unsigned long)of->priv == tsm->outblob_serial)
		rc = copy_report(tsm, of, buf, pos, count);
	else
		rc = -ESTALE;
	up_read(&tsm->sem);
	return rc;
}

static ssize_t outblob_read(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct tsm_state *tsm = to_tsm_state(kobj_to_dev(kobj));
	struct kernfs_open_file *of =
		((struct seq_file *)file->private_data)->private;
	bool current_one;
	ssize_t rc;

	if (pos && of->priv)
		return read_on(tsm, of, buf, pos, count);

	rc = tsm_lock_shared(tsm);
	if (rc)
		return rc;
	current_one = tsm_report_is_current(tsm);
	if (current_one)
		rc = copy_report(tsm, of, buf, pos, count);
	up_read(&tsm->sem);
	if (current_one)
		return rc;

	rc = tsm_lock(tsm);
	if (rc)
		return rc;
	rc = tsm_update_report(tsm);
	if (!rc)
		rc = copy_report(tsm, of, buf, pos, count);
	up_write(&tsm->sem);
	return rc;
}
static BIN_ATTR_RO(outblob, 0);

static ssize_t inblob_write(struct file *file, struct kobject *kobj,
			    struct bin_attribute *attr, char *buf, loff_t pos,
			    size_t count)
{
	struct tsm_state *tsm = to_tsm_state(kobj_to_dev(kobj));
	int rc;

	if (pos)
		return -EINVAL;
	if (count > TSM_INBLOB_MAX)
		return -EFBIG;
	rc = tsm_lock(tsm);
	if (rc)
		return rc;
	memcpy(tsm->desc.inblob, buf, count);
	memset(tsm->desc.inblob + count, 0, TSM_INBLOB_MAX - count);
	tsm->desc.inblob_len = count;
	tsm->generation++;
	up_write(&tsm->sem);
	return count;
}
static BIN_ATTR_WO(inblob, 0);

static ssize_t generation_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct tsm_state *tsm = to_tsm_state(dev);
	ssize_t rc;

	rc = tsm_lock_shared(tsm);
	if (rc)
		return rc;
	rc = sysfs_emit(buf, "%lu\n", tsm->generation);
	up_read(&tsm->sem);
	return rc;
}
static DEVICE_ATTR_RO(generation);

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	struct tsm_state *tsm = to_tsm_state(dev);
	ssize_t rc;

	rc = tsm_lock_shared(tsm);
	if (rc)
		return rc;
	rc = sysfs_emit(buf, "%u\n", tsm->desc.privlevel);
	up_read(&tsm->sem);
	return rc;
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	struct tsm_state *tsm = to_tsm_state(dev);
	unsigned int level;
	int rc;

	rc = kstrtouint(buf, 0, &level);
	if (rc)
		return rc;
	if (level > TSM_PRIVLEVEL_MAX)
		return -EINVAL;
	rc = tsm_lock(tsm);
	if (rc)
		return rc;
	tsm->desc.privlevel = level;
	tsm->generation++;
	up_write(&tsm->sem);
	return count;
}
static DEVICE_ATTR_RW(privlevel);

static const char * const format_names[] = {
	[TSM_FORMAT_DEFAULT] = "default",
	[TSM_FORMAT_EXTENDED] = "extended",
};

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct tsm_state *tsm = to_tsm_state(dev);
	ssize_t rc;

	rc = tsm_lock_shared(tsm);
	if (rc)
		return rc;
	rc = sysfs_emit(buf, "%s\n", format_names[tsm->desc.outblob_format]);
	up_read(&tsm->sem);
	return rc;
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	struct tsm_state *tsm = to_tsm_state(dev);
	int rc, format;

	format = sysfs_match_string(format_names, buf);
	if (format < 0)
		return format;
	rc = tsm_lock(tsm);
	if (rc)
		return rc;
	tsm->desc.outblob_format = format;
	tsm->generation++;
	up_write(&tsm->sem);
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

const struct attribute_group *tsm_default_groups[] = {
	&tsm_default_attribute_group, NULL
};

// SPDX-License-Identifier: GPL-2.0-only
/* The files of tsm0 for the options of a report, which a provider asks for. */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/limits.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "defects.h"
#include "state.h"

static void lock_for_show(void)
{
	if (!has_defect(DEFECT_UNLOCKED_SHOW))
		down_read(&tsm_class_lock);
}

static void unlock_after_show(void)
{
	if (!has_defect(DEFECT_UNLOCKED_SHOW))
		up_read(&tsm_class_lock);
}

static ssize_t privlevel_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	ssize_t len;

	lock_for_show();
	len = sysfs_emit(buf, "%u\n", tsm_class_state.desc.privlevel);
	unlock_after_show();
	return len;
}

static ssize_t privlevel_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	unsigned int value;
	int rc;

	rc = kstrtouint(buf, 0, &value);
	if (rc)
		return rc;
	if (has_defect(DEFECT_PRIVLEVEL_CUT))
		value &= U8_MAX;
	if (value > TSM_PRIVLEVEL_MAX && !has_defect(DEFECT_PRIVLEVEL_UNBOUNDED))
		return -EINVAL;

	guard(rwsem_write)(&tsm_class_lock);
	if (!tsm_class_state.ops)
		return -ENXIO;
	if (value != tsm_class_state.desc.privlevel || !has_defect(DEFECT_SAME_VALUE)) {
		tsm_class_slips.privlevel = tsm_class_state.desc.privlevel;
		tsm_class_state.desc.privlevel = value;
		tsm_class_count_write();
	}
	return count;
}
static DEVICE_ATTR_RW(privlevel);

static const char *const format_names[] = {
	[TSM_FORMAT_DEFAULT] = "default",
	[TSM_FORMAT_EXTENDED] = "extended",
};

static ssize_t format_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	ssize_t len;

	lock_for_show();
	len = sysfs_emit(buf, "%s\n",
			 format_names[tsm_class_state.desc.outblob_format]);
	unlock_after_show();
	return len;
}

static ssize_t format_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int value = sysfs_match_string(format_names, buf);

	if (value < 0) {
		if (has_defect(DEFECT_LOCK_KEPT_REFUSED))
			down_write(&tsm_class_lock);
		return value;
	}

	guard(rwsem_write)(&tsm_class_lock);
	if (has_defect(DEFECT_LOCK_ORDER_INVERTED)) {
		/* As if the provider could change under tsm_class_lock. */
		guard(mutex)(&tsm_class_registration_mutex);
	}
	if (!tsm_class_state.ops)
		return -ENXIO;
	if (value != (int)tsm_class_state.desc.outblob_format ||
	    !has_defect(DEFECT_SAME_VALUE)) {
		tsm_class_state.desc.outblob_format = value;
		if (value != TSM_FORMAT_DEFAULT ||
		    !has_defect(DEFECT_DEFAULT_UNCOUNTED))
			tsm_class_count_write();
	}
	return count;
}
static DEVICE_ATTR_RW(format);

static struct attribute *extra_attrs[] = {
	&dev_attr_privlevel.attr,
	&dev_attr_format.attr,
	NULL
};

const struct attribute_group tsm_extra_attribute_group = {
	.attrs = extra_attrs,
};
EXPORT_SYMBOL_GPL(tsm_extra_attribute_group);

// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/class/misc/tsm_sim/mark: a number that the guest sets and that every
 * REPORT request repeats. The host learns from it between which two operations
 * of the guest a request was sent.
 */
#include <linux/compiler.h>
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/sysfs.h>

#include "sim.h"

static u32 mark;

u32 tsm_sim_mark(void)
{
	return READ_ONCE(mark);
}

static ssize_t mark_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%u\n", tsm_sim_mark());
}

static ssize_t mark_store(struct device *dev, struct device_attribute *attr,
			  const char *buf, size_t count)
{
	u32 value;
	int rc;

	rc = kstrtou32(buf, 0, &value);
	if (rc)
		return rc;
	WRITE_ONCE(mark, value);
	return count;
}

struct device_attribute tsm_sim_mark_attr =
	__ATTR(mark, 0600, mark_show, mark_store);

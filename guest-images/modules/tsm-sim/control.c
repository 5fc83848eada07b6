// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/class/misc/tsm_sim/control: what a guest writes is done before write()
 * returns, and its result is that of the implementation's function.
 *
 *   leave		unregister the provider; requests in flight go on
 *   return		register it again, as the host described it
 *   return NAME FLOOR ATTRS BIN_ATTRS
 *			register it again with this name, lowest privilege level
 *			and masks of visible attributes
 *   second		register another provider; if that succeeds, unregister it
 *   stranger		unregister a provider that was never registered
 *
 * The session with the host stays, and the host is not informed.
 */
#include <linux/device.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "sim.h"

/* A name that is too long is read up to its first excess byte. */
#define NAME_SIZE	(TSM_SIM_NAME_MAX + 2)

static int return_as(const char *buf)
{
	struct tsm_sim_info info = {};
	int floor, attrs, bin_attrs, end = 0;
	char name[NAME_SIZE];

	BUILD_BUG_ON(NAME_SIZE != 66);
	if (sscanf(buf, "return %65s %i %i %i %n", name, &floor, &attrs,
		   &bin_attrs, &end) != 4 || buf[end])
		return -EINVAL;
	if (strscpy(info.name, name, sizeof(info.name)) < 0)
		return -ENAMETOOLONG;
	info.privlevel_floor = floor;
	info.attrs = attrs;
	info.bin_attrs = bin_attrs;
	return tsm_sim_run_command(TSM_SIM_RETURN, &info);
}

static int run_line(const char *buf)
{
	static const char * const names[] = {
		[TSM_SIM_LEAVE] = "leave",
		[TSM_SIM_RETURN] = "return",
		[TSM_SIM_SECOND] = "second",
		[TSM_SIM_STRANGER] = "stranger",
	};
	int command = __sysfs_match_string(names, ARRAY_SIZE(names), buf);

	if (command < 0)
		return return_as(buf);
	return tsm_sim_run_command(command, NULL);
}

static ssize_t control_store(struct device *dev, struct device_attribute *attr,
			     const char *buf, size_t count)
{
	return run_line(buf) ?: count;
}

struct device_attribute tsm_sim_control_attr =
	__ATTR(control, 0200, NULL, control_store);

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of all open files together, since the module was loaded:
 * /sys/class/misc/tsm_sim/<name>, readable by all. in_flight is a level.
 */
#include <linux/atomic.h>
#include <linux/device.h>
#include <linux/sysfs.h>

#include "sim.h"

static atomic_long_t counters[TSM_SIM_COUNTERS];

void tsm_sim_count(enum tsm_sim_counter counter)
{
	atomic_long_inc(&counters[counter]);
}

void tsm_sim_uncount(enum tsm_sim_counter counter)
{
	atomic_long_dec(&counters[counter]);
}

static ssize_t counter_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	struct dev_ext_attribute *ext =
		container_of(attr, struct dev_ext_attribute, attr);

	return sysfs_emit(buf, "%ld\n", atomic_long_read(ext->var));
}

#define COUNTER(_name, _index)						\
	static struct dev_ext_attribute counter_##_name = {		\
		__ATTR(_name, 0444, counter_show, NULL),		\
		&counters[_index]					\
	}

COUNTER(frames_in, TSM_SIM_FRAMES_IN);
COUNTER(frames_out, TSM_SIM_FRAMES_OUT);
COUNTER(resyncs, TSM_SIM_RESYNCS);
COUNTER(stale, TSM_SIM_STALE);
COUNTER(duplicates, TSM_SIM_DUPLICATES);
COUNTER(crc_errors, TSM_SIM_CRC_ERRORS);
COUNTER(oversize, TSM_SIM_OVERSIZE);
COUNTER(timeouts, TSM_SIM_TIMEOUTS);
COUNTER(cancelled, TSM_SIM_CANCELLED);
COUNTER(dropped, TSM_SIM_DROPPED);
COUNTER(in_flight, TSM_SIM_IN_FLIGHT);

static struct attribute *counter_attrs[] = {
	&counter_frames_in.attr.attr,
	&counter_frames_out.attr.attr,
	&counter_resyncs.attr.attr,
	&counter_stale.attr.attr,
	&counter_duplicates.attr.attr,
	&counter_crc_errors.attr.attr,
	&counter_oversize.attr.attr,
	&counter_timeouts.attr.attr,
	&counter_cancelled.attr.attr,
	&counter_dropped.attr.attr,
	&counter_in_flight.attr.attr,
	NULL
};

const struct attribute_group tsm_sim_counter_group = {
	.attrs = counter_attrs,
};

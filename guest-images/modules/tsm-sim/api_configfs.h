/* SPDX-License-Identifier: GPL-2.0-only */
/* What the configfs APIs have in common. */
#ifndef TSM_SIM_API_CONFIGFS_H
#define TSM_SIM_API_CONFIGFS_H

#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/tsm.h>

/* The start of the kernel's struct tsm_report_state, in its tsm.c or report.c. */
struct counted_report {
	struct tsm_report report;
	unsigned long write_generation;
	unsigned long read_generation;
};

/*
 * Set the counter of writes to the value after 2^64 - 1 further writes, so that
 * the next write makes both counters equal. A report that is not exactly one
 * write old may have other members there: it is left alone.
 */
static inline int wrap_counters(struct tsm_report *report)
{
	struct counted_report *counted =
		container_of(report, struct counted_report, report);

	if (counted->write_generation != counted->read_generation + 1)
		return -EOPNOTSUPP;
	counted->write_generation = counted->read_generation - 1;
	return -EAGAIN;
}

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* The cached report: made, replaced, read. */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "defects.h"
#include "state.h"

static bool report_is_current(void)
{
	if (has_defect(DEFECT_CACHED_TWO_AGO) && tsm_class_state.outblob &&
	    tsm_class_inblob_returned())
		return true;
	return tsm_class_state.outblob &&
	       tsm_class_state.report_generation == tsm_class_state.generation;
}

static bool is_too_long(size_t len)
{
	return len > TSM_OUTBLOB_MAX - has_defect(DEFECT_LARGEST_REFUSED);
}

static int check_report(u8 *blob, size_t len)
{
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	if (has_defect(DEFECT_NULL_REPORT))
		return 0;
	if (!blob)
		return -EIO;
	if (is_too_long(len)) {
		if (!has_defect(DEFECT_LEAK_OVERSIZED))
			kvfree(blob);
		if (has_defect(DEFECT_DOUBLE_FREE_OVERSIZED))
			tsm_class_slips.old = blob;
		return -EFBIG;
	}
	return 0;
}

/* Record, after a success, what code with a defect uses later. */
static void remember_request(u8 *old)
{
	const struct tsm_desc *desc = &tsm_class_state.desc;

	if (has_defect(DEFECT_BUSY_SERVES_OLD))
		kvfree(old);
	if (has_defect(DEFECT_FREED_BEFORE_READER)) {
		tsm_class_slips.old = old;
		tsm_class_slips.old_len = tsm_class_state.outblob_len;
	}
	memcpy(tsm_class_slips.inblob, desc->inblob, sizeof(desc->inblob));
	tsm_class_slips.inblob_len = desc->inblob_len;
}

/*
 * Replace the cached report. The posted code left the pointer to the freed
 * report in place during report_new, for a second reader, and after a failure of
 * report_new, for the next one. Each of the two has a defect of its own.
 */
static int make_report(struct device *dev)
{
	u8 *old = tsm_class_state.outblob;
	size_t len = 0;
	u8 *blob;
	int rc;

	/* In the posted code, a length that report_new does not set is stale. */
	if (has_defect(DEFECT_NULL_REPORT))
		len = tsm_class_state.outblob_len;
	if (!tsm_class_keeps_report())
		kvfree(tsm_class_state.outblob);
	if (!has_defect(DEFECT_DOUBLE_FREE) && !has_defect(DEFECT_READER_RACE))
		tsm_class_state.outblob = NULL;

	blob = tsm_class_ask_provider(dev, &len);
	rc = check_report(blob, len);
	if (rc) {
		if (!has_defect(DEFECT_DOUBLE_FREE))
			tsm_class_state.outblob = NULL;
		return tsm_class_fail_request(old, rc);
	}
	if (has_defect(DEFECT_REPORT_CUT_16K))
		len = min_t(size_t, len, SZ_16K);
	remember_request(old);
	tsm_class_state.outblob = blob;
	tsm_class_state.outblob_len = len;
	tsm_class_state.report_generation = tsm_class_state.generation;
	tsm_class_state.serial++;
	return 0;
}

/* Make the report unless the cached one is current. */
static int ensure_report(struct device *dev)
{
	/* For write, except with DEFECT_READER_RACE. */
	lockdep_assert_held(&tsm_class_lock);
	if (!tsm_class_state.ops)
		return -ENXIO;
	if (!tsm_class_state.desc.inblob_len)
		return -EINVAL;
	if (report_is_current())
		return 0;
	if (has_defect(DEFECT_TIMEOUT_CACHED) &&
	    tsm_class_slips.failed == tsm_class_state.generation)
		return -ETIMEDOUT;
	return make_report(dev);
}

static ssize_t copy_report(char *buf, loff_t pos, size_t count)
{
	while (has_defect(DEFECT_SPINS_ON_EMPTY) &&
	       !tsm_class_state.outblob_len)
		cond_resched();
	if (has_defect(DEFECT_PAGE_EDGE_REPEATS) && pos && !(pos % PAGE_SIZE))
		pos--;
	if (has_defect(DEFECT_READ_PAST_END)) {
		count = min(count, tsm_class_state.outblob_len - (size_t)pos);
		memcpy(buf, tsm_class_state.outblob + pos, count);
		return count;
	}
	return memory_read_from_buffer(buf, count, &pos, tsm_class_state.outblob,
				       tsm_class_state.outblob_len);
}

static ssize_t start_reading(unsigned long *bound, char *buf, loff_t pos,
			     size_t count)
{
	*bound = tsm_class_state.serial;
	return copy_report(buf, pos, count);
}

/*
 * Read a further piece of a report. A report that was current when the reader
 * began can be read to its end, also after a write.
 */
static ssize_t continue_reading(unsigned long bound, char *buf, loff_t pos,
				size_t count)
{
	guard(rwsem_read)(&tsm_class_lock);
	if (!tsm_class_state.ops)
		return -ENXIO;
	if (!tsm_class_state.outblob)
		return -ESTALE;
	if (tsm_class_state.serial != bound) {
		if (has_defect(DEFECT_FREED_BEFORE_READER) &&
		    bound + 1 == tsm_class_state.serial)
			return memory_read_from_buffer(buf, count, &pos,
						       tsm_class_slips.old,
						       tsm_class_slips.old_len);
		if (!has_defect(DEFECT_MIXED_ABOVE_8192) || pos < SZ_8K)
			return -ESTALE;
	}
	return copy_report(buf, pos, count);
}

/* End the request for a report that ended with @rc. */
static void unlock_after(int rc)
{
	if (has_defect(DEFECT_LOCK_KEPT_ENOMEM) && rc == -ENOMEM)
		return;
	up_write(&tsm_class_lock);
	if (has_defect(DEFECT_LOCK_RELEASED_TWICE) && rc == -ETIMEDOUT)
		up_write(&tsm_class_lock);
	if (has_defect(DEFECT_QUEUED_READER_STUCK) && rc == -ENXIO)
		tsm_class_wait_for_provider();
}

static ssize_t read_from_start(struct device *dev, unsigned long *bound,
			       char *buf, loff_t pos, size_t count)
{
	ssize_t copied = 0;
	int rc;

	rc = tsm_class_wait_for_maker();
	if (rc)
		return rc;
	scoped_guard(rwsem_read, &tsm_class_lock) {
		if (tsm_class_state.ops && report_is_current())
			return start_reading(bound, buf, pos, count);
	}

	/* Another reader may have made it meanwhile: ensure_report() checks again. */
	down_write(&tsm_class_lock);
	rc = ensure_report(dev);
	if (!rc)
		copied = start_reading(bound, buf, pos, count);
	unlock_after(rc);
	return rc ? rc : copied;
}

ssize_t tsm_class_read_report(struct device *dev, unsigned long *bound,
			      char *buf, loff_t pos, size_t count)
{
	int rc;

	if (pos && *bound && !has_defect(DEFECT_TORN_REPORT))
		return continue_reading(*bound, buf, pos, count);
	if (!has_defect(DEFECT_READER_RACE))
		return read_from_start(dev, bound, buf, pos, count);

	guard(rwsem_read)(&tsm_class_lock);
	rc = ensure_report(dev);
	return rc ? rc : start_reading(bound, buf, pos, count);
}

// SPDX-License-Identifier: GPL-2.0-only
/* The cached report: when it is valid, how it is replaced, how it is read. */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "defects.h"
#include "state.h"

static bool report_is_current(void)
{
	return tsm_state.outblob &&
	       tsm_state.report_generation == tsm_state.generation;
}

static int check_report(u8 *blob, size_t len)
{
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	if (has_defect(DEFECT_NULL_REPORT))
		return 0;
	if (!blob)
		return -EIO;
	if (len > TSM_OUTBLOB_MAX) {
		kvfree(blob);
		return -EFBIG;
	}
	return 0;
}

/*
 * Replace the cached report. As proposed, the freed report stayed in place
 * during the call, where a second reader found it, and after a failed one,
 * where the next reader did; each defect brings back one of the two.
 */
static int make_report(struct device *dev)
{
	size_t len = 0;
	u8 *blob;
	int rc;

	/* As proposed, a length that was not set was whatever had been there. */
	if (has_defect(DEFECT_NULL_REPORT))
		len = tsm_state.outblob_len;
	kvfree(tsm_state.outblob);
	if (!has_defect(DEFECT_DOUBLE_FREE) && !has_defect(DEFECT_READER_RACE))
		tsm_state.outblob = NULL;

	blob = tsm_state.ops->report_new(dev, &tsm_state.desc, &len);
	rc = check_report(blob, len);
	if (rc) {
		if (!has_defect(DEFECT_DOUBLE_FREE))
			tsm_state.outblob = NULL;
		return rc;
	}
	tsm_state.outblob = blob;
	tsm_state.outblob_len = len;
	tsm_state.report_generation = tsm_state.generation;
	tsm_state.serial++;
	return 0;
}

/* Under tsm_lock, for write if the report may have to be made. */
static int ensure_report(struct device *dev)
{
	if (!tsm_state.ops)
		return -ENXIO;
	if (!tsm_state.desc.inblob_len)
		return -EINVAL;
	if (report_is_current())
		return 0;
	return make_report(dev);
}

static ssize_t copy_report(char *buf, loff_t pos, size_t count)
{
	return memory_read_from_buffer(buf, count, &pos, tsm_state.outblob,
				       tsm_state.outblob_len);
}

static ssize_t start_reading(unsigned long *bound, char *buf, loff_t pos,
			     size_t count)
{
	*bound = tsm_state.serial;
	return copy_report(buf, pos, count);
}

/*
 * A further piece of a report. Once begun, a report may be read to its end
 * even if something was written meanwhile: it is whole, and it was current
 * when the reader began.
 */
static ssize_t continue_reading(unsigned long bound, char *buf, loff_t pos,
				size_t count)
{
	guard(rwsem_read)(&tsm_lock);
	if (!tsm_state.ops)
		return -ENXIO;
	if (!tsm_state.outblob || tsm_state.serial != bound)
		return -ESTALE;
	return copy_report(buf, pos, count);
}

static ssize_t read_from_start(struct device *dev, unsigned long *bound,
			       char *buf, loff_t pos, size_t count)
{
	int rc;

	scoped_guard(rwsem_read, &tsm_lock) {
		if (tsm_state.ops && report_is_current())
			return start_reading(bound, buf, pos, count);
	}

	/* Another reader may have been here first: ensure_report looks again. */
	guard(rwsem_write)(&tsm_lock);
	rc = ensure_report(dev);
	return rc ? rc : start_reading(bound, buf, pos, count);
}

ssize_t tsm_report_read(struct device *dev, unsigned long *bound, char *buf,
			loff_t pos, size_t count)
{
	int rc;

	if (pos && *bound && !has_defect(DEFECT_TORN_REPORT))
		return continue_reading(*bound, buf, pos, count);
	if (!has_defect(DEFECT_READER_RACE))
		return read_from_start(dev, bound, buf, pos, count);

	guard(rwsem_read)(&tsm_lock);
	rc = ensure_report(dev);
	return rc ? rc : start_reading(bound, buf, pos, count);
}

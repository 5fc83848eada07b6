// SPDX-License-Identifier: GPL-2.0-only
/* The state of the class and the cached report: made, replaced, read. */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "defects.h"
#include "state.h"

DECLARE_RWSEM(tsm_class_lock);
struct tsm_class_state tsm_class_state;

static bool report_is_current(void)
{
	return tsm_class_state.outblob &&
	       tsm_class_state.report_generation == tsm_class_state.generation;
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
 * Replace the cached report. The posted code left the pointer to the freed
 * report in place during report_new, for a second reader, and after a failure of
 * report_new, for the next one. Each of the two has a defect of its own.
 */
static int make_report(struct device *dev)
{
	size_t len = 0;
	u8 *blob;
	int rc;

	/* In the posted code, a length that report_new does not set is stale. */
	if (has_defect(DEFECT_NULL_REPORT))
		len = tsm_class_state.outblob_len;
	kvfree(tsm_class_state.outblob);
	if (!has_defect(DEFECT_DOUBLE_FREE) && !has_defect(DEFECT_READER_RACE))
		tsm_class_state.outblob = NULL;

	blob = tsm_class_state.ops->report_new(dev, &tsm_class_state.desc, &len);
	rc = check_report(blob, len);
	if (rc) {
		if (!has_defect(DEFECT_DOUBLE_FREE))
			tsm_class_state.outblob = NULL;
		return rc;
	}
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
	return make_report(dev);
}

static ssize_t copy_report(char *buf, loff_t pos, size_t count)
{
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
	if (!tsm_class_state.outblob || tsm_class_state.serial != bound)
		return -ESTALE;
	return copy_report(buf, pos, count);
}

static ssize_t read_from_start(struct device *dev, unsigned long *bound,
			       char *buf, loff_t pos, size_t count)
{
	int rc;

	scoped_guard(rwsem_read, &tsm_class_lock) {
		if (tsm_class_state.ops && report_is_current())
			return start_reading(bound, buf, pos, count);
	}

	/* Another reader may have made it meanwhile: ensure_report() checks again. */
	guard(rwsem_write)(&tsm_class_lock);
	rc = ensure_report(dev);
	return rc ? rc : start_reading(bound, buf, pos, count);
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

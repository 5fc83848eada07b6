// SPDX-License-Identifier: GPL-2.0-only
/*
 * The request for a report: what the provider is asked, and what happens when
 * it fails. Without defects it is a call of report_new; the defects are those of
 * code that does more, and does it wrong.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "defects.h"
#include "state.h"

static DECLARE_WAIT_QUEUE_HEAD(request_ended);
static DEFINE_SPINLOCK(request_lock);

/* Change the options that the provider gets as the defects do. */
static void alter_options(struct tsm_desc *desc)
{
	if (has_defect(DEFECT_PRIVLEVEL_LOST))
		desc->privlevel = 0;
	if (has_defect(DEFECT_PRIVLEVEL_LATE))
		desc->privlevel = tsm_class_slips.privlevel;
	if (has_defect(DEFECT_FORMAT_FIRST_ONLY)) {
		if (!tsm_class_slips.format)
			tsm_class_slips.format = desc->outblob_format + 1;
		desc->outblob_format = tsm_class_slips.format - 1;
	}
}

/* Call report_new with a copy of the options on the heap. */
static u8 *ask_with_copy(struct device *dev, const struct tsm_desc *desc,
			 size_t *len)
{
	struct tsm_desc *copy = kmemdup(desc, sizeof(*desc), GFP_KERNEL);
	u8 *blob;

	if (!copy)
		return ERR_PTR(-ENOMEM);
	blob = tsm_class_state.ops->report_new(dev, copy, len);
	if (blob == ERR_PTR(-EINTR))
		return blob;
	kfree(copy);
	return blob;
}

static u8 *ask_once(struct device *dev, const struct tsm_desc *desc,
		    size_t *len)
{
	bool atomic = has_defect(DEFECT_SLEEPS_IN_SPINLOCK) &&
		      desc->outblob_format == TSM_FORMAT_EXTENDED;
	u8 *blob;

	if (has_defect(DEFECT_LEAK_ON_EINTR))
		return ask_with_copy(dev, desc, len);
	if (atomic)
		spin_lock(&request_lock);
	blob = tsm_class_state.ops->report_new(dev, desc, len);
	if (atomic)
		spin_unlock(&request_lock);
	return blob;
}

u8 *tsm_class_ask_provider(struct device *dev, size_t *len)
{
	struct tsm_desc desc = tsm_class_state.desc;
	u8 *blob;

	/* For write, except with DEFECT_READER_RACE. */
	lockdep_assert_held(&tsm_class_lock);
	alter_options(&desc);
	if (has_defect(DEFECT_DEVICE_REFERENCE_KEPT))
		get_device(dev);
	if (has_defect(DEFECT_MAKER_FLAG_KEPT))
		WRITE_ONCE(tsm_class_slips.making, true);

	blob = ask_once(dev, &desc, len);
	if (has_defect(DEFECT_BUSY_RETRIED) && blob == ERR_PTR(-EBUSY))
		blob = ask_once(dev, &desc, len);

	if (has_defect(DEFECT_MAKER_FLAG_KEPT) && blob != ERR_PTR(-EINTR)) {
		WRITE_ONCE(tsm_class_slips.making, false);
		wake_up_all(&request_ended);
	}
	if (has_defect(DEFECT_DEVICE_REFERENCE_KEPT) && !IS_ERR(blob))
		put_device(dev);
	return blob;
}

int tsm_class_fail_request(u8 *old, int rc)
{
	if (has_defect(DEFECT_DOUBLE_FREE_ENOMEM) && rc == -ENOMEM)
		tsm_class_state.outblob = old;
	if (has_defect(DEFECT_DOUBLE_FREE_OVERSIZED) && rc == -EFBIG) {
		tsm_class_state.outblob = tsm_class_slips.old;
		tsm_class_slips.old = NULL;
	}
	if (has_defect(DEFECT_BUSY_SERVES_OLD)) {
		if (rc == -EBUSY && old) {
			tsm_class_state.outblob = old;
			return 0;
		}
		kvfree(old);
	}
	if (has_defect(DEFECT_EAGAIN_AS_EIO) && rc == -EAGAIN)
		return -EIO;
	if (has_defect(DEFECT_TIMEOUT_CACHED) && rc == -ETIMEDOUT)
		tsm_class_slips.failed = tsm_class_state.generation;
	return rc;
}

bool tsm_class_keeps_report(void)
{
	if (has_defect(DEFECT_LEAK_LARGE))
		return tsm_class_state.outblob_len > SZ_16K;
	return has_defect(DEFECT_LEAK_REPLACED) ||
	       has_defect(DEFECT_BUSY_SERVES_OLD);
}

bool tsm_class_inblob_returned(void)
{
	const struct tsm_desc *desc = &tsm_class_state.desc;
	unsigned long writes = tsm_class_state.generation -
			       tsm_class_state.report_generation;

	return writes == 2 &&
	       desc->inblob_len == tsm_class_slips.inblob_len &&
	       !memcmp(desc->inblob, tsm_class_slips.inblob, desc->inblob_len);
}

int tsm_class_wait_for_maker(void)
{
	int rc = 0;

	if (has_defect(DEFECT_MAKER_FLAG_KEPT))
		rc = wait_event_killable(request_ended,
					 !READ_ONCE(tsm_class_slips.making));
	return rc ? -EINTR : 0;
}

void tsm_class_wait_for_provider(void)
{
	wait_event_killable(request_ended,
			    READ_ONCE(tsm_class_state.ops));
}

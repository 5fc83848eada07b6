// SPDX-License-Identifier: GPL-2.0-only
/* The lock of a registration, and its report. */
#include <linux/err.h>
#include <linux/lockdep.h>
#include <linux/mm.h>

#include "state.h"

/* For show and read. The caller releases it with up_read(). */
int tsm_lock_shared(struct tsm_state *tsm)
{
	int rc;

	rc = down_read_killable(&tsm->sem);
	if (!rc && READ_ONCE(tsm->leaves)) {
		up_read(&tsm->sem);
		rc = -ENXIO;
	}
	return rc;
}

/* For all else. The caller releases it with up_write(). */
int tsm_lock(struct tsm_state *tsm)
{
	int rc;

	rc = down_write_killable(&tsm->sem);
	if (!rc && READ_ONCE(tsm->leaves)) {
		up_write(&tsm->sem);
		rc = -ENXIO;
	}
	return rc;
}

bool tsm_report_is_current(const struct tsm_state *tsm)
{
	lockdep_assert_held(&tsm->sem);
	return tsm->outblob && tsm->outblob_generation == tsm->generation;
}

static void drop_report(struct tsm_state *tsm)
{
	kvfree(tsm->outblob);
	tsm->outblob = NULL;
	tsm->outblob_len = 0;
}

/* Make the report unless it is current. */
int tsm_update_report(struct tsm_state *tsm)
{
	size_t len = 0;
	u8 *blob;

	lockdep_assert_held_write(&tsm->sem);
	if (!tsm->desc.inblob_len)
		return -EINVAL;
	if (tsm_report_is_current(tsm))
		return 0;
	drop_report(tsm);
	blob = tsm->ops->report_new(&tsm->dev, &tsm->desc, &len);
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	if (!blob)
		return -EIO;
	if (len > TSM_OUTBLOB_MAX) {
		kvfree(blob);
		return -EFBIG;
	}
	tsm->outblob = blob;
	tsm->outblob_len = len;
	tsm->outblob_generation = tsm->generation;
	tsm->outblob_serial++;
	return 0;
}

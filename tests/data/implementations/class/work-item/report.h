/* SPDX-License-Identifier: GPL-2.0-only */
/* Options and report of the provider, between the files of the class. */
#ifndef TSM_WORK_REPORT_H
#define TSM_WORK_REPORT_H

#include <linux/tsm.h>

struct device;

/* An option and its new value. */
struct tsm_change {
	enum { TSM_SET_INBLOB, TSM_SET_PRIVLEVEL, TSM_SET_FORMAT } option;
	const void *inblob;
	size_t inblob_len;
	unsigned int value;
};

int tsm_report_init(void);
void tsm_report_exit(void);
void tsm_report_open(const struct tsm_ops *ops);
void tsm_report_close(void);
void tsm_report_reset(void);

int tsm_change_option(const struct tsm_change *change);
int tsm_get_options(struct tsm_desc *desc, unsigned long *generation);
ssize_t tsm_read_report(struct device *dev, void **begun, char *buf, loff_t pos,
			size_t count);

#endif

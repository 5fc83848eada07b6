/* SPDX-License-Identifier: GPL-2.0-only */
/* Options that were written, and not yet used for a report. */
#ifndef TSM_PENDING_OPTIONS_H
#define TSM_PENDING_OPTIONS_H

#include <linux/list.h>
#include <linux/tsm.h>

struct pending_option {
	struct list_head node;
	enum { PENDING_INBLOB, PENDING_PRIVLEVEL, PENDING_FORMAT } what;
	size_t len;				/* of the inblob */
	union {
		u8 inblob[TSM_INBLOB_MAX];
		unsigned int privlevel;
		enum tsm_format format;
	};
};

void options_open(void);
void options_close(void);
void options_forget(void);
int options_queue(const struct pending_option *option);
int options_apply(struct tsm_desc *desc, unsigned long *generation);
int options_peek(struct tsm_desc *desc, unsigned long *generation);

#endif

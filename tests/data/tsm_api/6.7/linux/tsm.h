/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The provider interface of the configfs core in Linux 6.7 to 6.10, for
 * compiling against where no such kernel is at hand. Only what a provider
 * can see, in words of our own; nothing here can be linked.
 */
#ifndef TSM_API_6_7_H
#define TSM_API_6_7_H

#include <linux/types.h>

struct config_item_type;

#define TSM_INBLOB_MAX	64
#define TSM_OUTBLOB_MAX	32768

/* What one report is asked for. */
struct tsm_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_INBLOB_MAX];
};

/* A request, and the blobs that answer it: the core frees them with kvfree(). */
struct tsm_report {
	struct tsm_desc desc;
	size_t outblob_len;
	u8 *outblob;
	size_t auxblob_len;
	u8 *auxblob;
};

/* The floor cannot be assigned once the structure exists. */
struct tsm_ops {
	const char *name;
	const unsigned int privlevel_floor;
	int (*report_new)(struct tsm_report *report, void *data);
};

/* Which files an entry has: with privlevel and auxblob, or without. */
extern const struct config_item_type tsm_report_default_type;
extern const struct config_item_type tsm_report_extra_type;

int tsm_register(const struct tsm_ops *ops, void *priv,
		 const struct config_item_type *type);
int tsm_unregister(const struct tsm_ops *ops);

#endif

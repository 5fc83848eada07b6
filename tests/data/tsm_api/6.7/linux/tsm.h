/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The provider interface of Linux 6.7 to 6.10, to compile a provider without
 * such a kernel. It has only the declarations that a provider uses.
 */
#ifndef TSM_API_6_7_H
#define TSM_API_6_7_H

#include <linux/types.h>

struct config_item_type;

#define TSM_INBLOB_MAX	64
#define TSM_OUTBLOB_MAX	32768

/* The parameters of a report. */
struct tsm_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_INBLOB_MAX];
};

/* A request and its blobs; the implementation frees the blobs with kvfree(). */
struct tsm_report {
	struct tsm_desc desc;
	size_t outblob_len;
	u8 *outblob;
	size_t auxblob_len;
	u8 *auxblob;
};

/* privlevel_floor is const: only an initializer can set it. */
struct tsm_ops {
	const char *name;
	const unsigned int privlevel_floor;
	int (*report_new)(struct tsm_report *report, void *data);
};

/* Types of an entry: tsm_report_extra_type adds privlevel and auxblob. */
extern const struct config_item_type tsm_report_default_type;
extern const struct config_item_type tsm_report_extra_type;

int tsm_register(const struct tsm_ops *ops, void *priv,
		 const struct config_item_type *type);
int tsm_unregister(const struct tsm_ops *ops);

#endif

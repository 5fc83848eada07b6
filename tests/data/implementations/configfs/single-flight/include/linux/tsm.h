/* SPDX-License-Identifier: GPL-2.0-only */
/* What a report provider of Linux 6.11 to 6.15 includes. */
#ifndef __TSM_H
#define __TSM_H

#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uuid.h>

#define TSM_INBLOB_MAX	64
#define TSM_PRIVLEVEL_MAX	3
#define TSM_OUTBLOB_MAX	SZ_32K

/* What the user has asked for. */
struct tsm_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_INBLOB_MAX];	/* zero after inblob_len */
	char *service_provider;			/* NULL: none */
	guid_t service_guid;
	unsigned int service_manifest_version;
};

/* The provider reads the first member and sets the others. */
struct tsm_report {
	struct tsm_desc desc;
	size_t outblob_len;
	u8 *outblob;				/* freed with kvfree() */
	size_t auxblob_len;
	u8 *auxblob;				/* optional */
	size_t manifestblob_len;
	u8 *manifestblob;			/* optional */
};

struct tsm_ops {
	const char *name;
	unsigned int privlevel_floor;
	int (*report_new)(struct tsm_report *report, void *data);
	bool (*report_attr_visible)(int n);	/* optional */
	bool (*report_bin_attr_visible)(int n);	/* optional */
};

int tsm_register(const struct tsm_ops *ops, void *priv);
int tsm_unregister(const struct tsm_ops *ops);

#endif

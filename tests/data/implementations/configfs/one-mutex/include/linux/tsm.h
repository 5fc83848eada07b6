/* SPDX-License-Identifier: GPL-2.0-only */
/* What a report provider of Linux 6.16 or later includes. */
#ifndef __TSM_H
#define __TSM_H

#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/version.h>

#define TSM_REPORT_INBLOB_MAX	64
#define TSM_REPORT_PRIVLEVEL_MAX	3
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define TSM_REPORT_OUTBLOB_MAX	SZ_32K
#else
#define TSM_REPORT_OUTBLOB_MAX	SZ_16M
#endif

/* What the user has asked for. */
struct tsm_report_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_REPORT_INBLOB_MAX];	/* zero after inblob_len */
	char *service_provider;			/* NULL: none */
	guid_t service_guid;
	unsigned int service_manifest_version;
};

/* The provider reads the first member and sets the others. */
struct tsm_report {
	struct tsm_report_desc desc;
	size_t outblob_len;
	u8 *outblob;				/* freed with kvfree() */
	size_t auxblob_len;
	u8 *auxblob;				/* optional */
	size_t manifestblob_len;
	u8 *manifestblob;			/* optional */
};

struct tsm_report_ops {
	const char *name;
	unsigned int privlevel_floor;
	int (*report_new)(struct tsm_report *report, void *data);
	bool (*report_attr_visible)(int n);	/* optional */
	bool (*report_bin_attr_visible)(int n);	/* optional */
};

int tsm_report_register(const struct tsm_report_ops *ops, void *priv);
int tsm_report_unregister(const struct tsm_report_ops *ops);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a provider registers in the third posting: with an item type, as in Linux
 * 6.7, and with a callback that returns the report, as in the sysfs class.
 */
#ifndef __TSM_H
#define __TSM_H

#include <linux/sizes.h>
#include <linux/types.h>

struct config_item_type;

#define TSM_INBLOB_MAX		64
#define TSM_OUTBLOB_MAX		SZ_32K
#define TSM_PRIVLEVEL_MAX	3

enum tsm_format {
	TSM_FORMAT_DEFAULT,
	TSM_FORMAT_EXTENDED,
};

struct tsm_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_INBLOB_MAX];
	enum tsm_format outblob_format;
};

struct tsm_ops {
	const char *name;
	const int privlevel_floor;
	/* Returns memory that kvfree() frees, or an ERR_PTR(). */
	u8 *(*report_new)(const struct tsm_desc *desc, void *data,
			  size_t *outblob_len);
};

/* Entries with generation, provider, inblob and outblob. */
extern const struct config_item_type tsm_report_default_type;
/* Entries that also have format, privlevel and privlevel_floor. */
extern const struct config_item_type tsm_report_ext_type;

int register_tsm(const struct tsm_ops *ops, void *priv,
		 const struct config_item_type *type);
int unregister_tsm(const struct tsm_ops *ops);

#endif

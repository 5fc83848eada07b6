/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a provider registers in the fourth posting: as in Linux 6.7, with certs in
 * place of auxblob, and another name of the type that has the privilege level.
 */
#ifndef __TSM_H
#define __TSM_H

#include <linux/configfs.h>
#include <linux/sizes.h>
#include <linux/types.h>

#define TSM_INBLOB_MAX		64
#define TSM_OUTBLOB_MAX		SZ_32K
#define TSM_PRIVLEVEL_MAX	3

struct tsm_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_INBLOB_MAX];
};

struct tsm_report {
	struct tsm_desc desc;
	size_t outblob_len;
	u8 *outblob;
	size_t certs_len;
	u8 *certs;
};

struct tsm_ops {
	const char *name;
	const int privlevel_floor;
	int (*report_new)(struct tsm_report *report, void *data);
};

/* Entries with generation, provider, inblob, outblob and certs. */
extern const struct config_item_type tsm_report_default_type;
/* Entries that also have privlevel and privlevel_floor. */
extern const struct config_item_type tsm_report_ext_type;

int tsm_register(const struct tsm_ops *ops, void *priv,
		 const struct config_item_type *type);
int tsm_unregister(const struct tsm_ops *ops);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Providers of attestation reports register with the class "tsm" by this. */
#ifndef _LINUX_TSM_H
#define _LINUX_TSM_H

#include <linux/sizes.h>
#include <linux/types.h>

struct attribute_group;
struct device;

#define TSM_INBLOB_MAX		64
#define TSM_OUTBLOB_MAX		SZ_32K
#define TSM_PRIVLEVEL_MAX	3

enum tsm_format {
	TSM_FORMAT_DEFAULT,	/* the report */
	TSM_FORMAT_EXTENDED,	/* the report, followed by certificates */
};

/**
 * struct tsm_desc - what a report is wanted for
 * @privlevel: at most %TSM_PRIVLEVEL_MAX
 * @inblob_len: length of the nonce
 * @inblob: the nonce, with zeroes behind it
 * @outblob_format: contents of the report
 */
struct tsm_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_INBLOB_MAX];
	enum tsm_format outblob_format;
};

/**
 * struct tsm_ops - a provider
 * @name: its name
 * @report_new: Called by the first of all readers that want the
 *	report. May sleep. Stores the length and returns memory for
 *	kvfree(), or an ERR_PTR().
 */
struct tsm_ops {
	const char *name;
	u8 *(*report_new)(struct device *dev, const struct tsm_desc *desc,
			  size_t *outblob_len);
};

/* Every device has the first group. A provider asks for both with an array. */
extern const struct attribute_group tsm_default_attribute_group;
extern const struct attribute_group tsm_extra_attribute_group;

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups);
int unregister_tsm(const struct tsm_ops *ops);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interface between the sysfs class "tsm" and a provider, as in the patch that
 * was posted for review.
 *
 * The header replaces the kernel's <linux/tsm.h>, which declares the configfs
 * interface. It defines the kernel's include guards too, so that no compilation
 * unit includes both.
 */
#ifndef TSM_CLASS_TSM_H
#define TSM_CLASS_TSM_H

#ifdef __TSM_H
#error "the kernel's <linux/tsm.h> was included first: put this directory first"
#endif
#define __TSM_H
#define __LINUX_TSM_H

#include <linux/sizes.h>
#include <linux/types.h>

struct attribute_group;
struct device;

#define TSM_INBLOB_MAX		64
#define TSM_OUTBLOB_MAX		SZ_32K
#define TSM_PRIVLEVEL_MAX	3

/**
 * enum tsm_format - what the outblob contains
 * @TSM_FORMAT_DEFAULT: the report alone
 * @TSM_FORMAT_EXTENDED: the report and the certificates to verify it with
 */
enum tsm_format {
	TSM_FORMAT_DEFAULT,
	TSM_FORMAT_EXTENDED,
};

/**
 * struct tsm_desc - the options of a report
 * @privlevel: privilege level, 0 to %TSM_PRIVLEVEL_MAX
 * @inblob_len: bytes of @inblob that were written
 * @inblob: the caller's data, usually a nonce; zero beyond @inblob_len
 * @outblob_format: format of the report
 */
struct tsm_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_INBLOB_MAX];
	enum tsm_format outblob_format;
};

/**
 * struct tsm_ops - a provider
 * @name: for messages
 * @report_new: make a report. Called in process context with the lock of the
 *	class held for write; may sleep. Sets the length and returns memory that
 *	kvfree() frees, or an ERR_PTR(), whose errno the reader gets.
 */
struct tsm_ops {
	const char *name;
	u8 *(*report_new)(struct device *dev, const struct tsm_desc *desc,
			  size_t *outblob_len);
};

/* "inblob", "outblob", "generation"; "inhex" for "inblob" with hex-input */
extern const struct attribute_group tsm_default_attribute_group;
/* "privlevel", "format" */
extern const struct attribute_group tsm_extra_attribute_group;

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups);
int unregister_tsm(const struct tsm_ops *ops);

#endif

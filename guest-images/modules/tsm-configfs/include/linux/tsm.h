/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Provider interface of the configfs core, with the names it has since 6.16.
 *
 * This header stands in for the kernel's <linux/tsm.h>, whose core cannot be
 * loaded beside this one, and defines its include guards too.
 */
#ifndef TSM_CONFIGFS_TSM_H
#define TSM_CONFIGFS_TSM_H

#ifdef __TSM_H
#error "the kernel's <linux/tsm.h> was included first: put this core's include directory first"
#endif
#define __TSM_H
#define __LINUX_TSM_H

#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/version.h>

#define TSM_REPORT_INBLOB_MAX		64
#define TSM_REPORT_PRIVLEVEL_MAX	3

/* What the kernel at hand lets its readers have. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define TSM_REPORT_OUTBLOB_MAX		SZ_16M
#else
#define TSM_REPORT_OUTBLOB_MAX		SZ_32K
#endif

/**
 * struct tsm_report_desc - what a report is asked for
 * @privlevel: privilege level, from the provider's floor to
 *	%TSM_REPORT_PRIVLEVEL_MAX
 * @inblob_len: bytes of @inblob that were written
 * @inblob: the caller's data, a nonce as a rule; zero beyond @inblob_len
 * @service_provider: who is asked for it, NULL for the TSM itself
 * @service_guid: the service asked for, all zero for every one
 * @service_manifest_version: version of the service's manifest
 */
struct tsm_report_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_REPORT_INBLOB_MAX];
	char *service_provider;
	guid_t service_guid;
	unsigned int service_manifest_version;
};

/**
 * struct tsm_report - what a provider is given, and what it gives
 * @desc: what is asked for
 * @outblob: the report; kvfree() frees this and the others
 * @auxblob: what comes with it, certificates as a rule; NULL for nothing
 * @manifestblob: the manifest of the services; NULL for nothing
 */
struct tsm_report {
	struct tsm_report_desc desc;
	size_t outblob_len;
	u8 *outblob;
	size_t auxblob_len;
	u8 *auxblob;
	size_t manifestblob_len;
	u8 *manifestblob;
};

/**
 * struct tsm_report_ops - a provider
 * @name: what "provider" shows
 * @privlevel_floor: lowest privilege level it makes reports for
 * @report_new: fill in the blobs of a report. Called in process context with the
 *	provider's registration and the entry locked; may sleep. What it returns
 *	reaches the reader.
 * @report_attr_visible: whether an entry has the attribute of this index
 * @report_bin_attr_visible: the same of the binary ones
 */
struct tsm_report_ops {
	const char *name;
	unsigned int privlevel_floor;
	int (*report_new)(struct tsm_report *report, void *data);
	bool (*report_attr_visible)(int n);
	bool (*report_bin_attr_visible)(int n);
};

int tsm_report_register(const struct tsm_report_ops *ops, void *priv);
int tsm_report_unregister(const struct tsm_report_ops *ops);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interface between tsm-configfs and a provider, with the names of Linux 6.16.
 *
 * The header replaces the kernel's <linux/tsm.h>, whose implementation cannot be
 * loaded beside tsm-configfs, and defines its include guards too.
 */
#ifndef TSM_CONFIGFS_TSM_H
#define TSM_CONFIGFS_TSM_H

#ifdef __TSM_H
#error "the kernel's <linux/tsm.h> was included first: put this directory first"
#endif
#define __TSM_H
#define __LINUX_TSM_H

#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/version.h>

#define TSM_REPORT_INBLOB_MAX		64
#define TSM_REPORT_PRIVLEVEL_MAX	3

/* As in the header of the kernel that the module is built for. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define TSM_REPORT_OUTBLOB_MAX		SZ_16M
#else
#define TSM_REPORT_OUTBLOB_MAX		SZ_32K
#endif

/**
 * struct tsm_report_desc - the options of a report
 * @privlevel: privilege level, from the provider's floor to
 *	%TSM_REPORT_PRIVLEVEL_MAX
 * @inblob_len: bytes of @inblob that were written
 * @inblob: the caller's data, usually a nonce; zero beyond @inblob_len
 * @service_provider: the service that makes the report, NULL for the TSM itself
 * @service_guid: the service to report on, all zero for all services
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
 * struct tsm_report - argument of report_new: options in, blobs out
 * @desc: the options
 * @outblob_len: bytes of @outblob
 * @outblob: the report; kvfree() frees all blobs
 * @auxblob_len: bytes of @auxblob
 * @auxblob: data that belongs to it, usually certificates; NULL for none
 * @manifestblob_len: bytes of @manifestblob
 * @manifestblob: the manifest of the services; NULL for none
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
 * @name: content of the file "provider"
 * @privlevel_floor: lowest privilege level of its reports
 * @report_new: set the blobs of a report. Called in process context with the
 *	registration and the entry locked; may sleep. The reader gets its errno
 * @report_attr_visible: true if an entry has attribute @n; NULL for all
 * @report_bin_attr_visible: true if an entry has binary attribute @n; NULL for all
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

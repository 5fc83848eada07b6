/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __TSM_H
#define __TSM_H

#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/version.h>

enum {
	TSM_REPORT_PRIVLEVEL_MAX = 3,
};

#define TSM_REPORT_INBLOB_MAX	64
#define TSM_REPORT_OUTBLOB_MAX	\
	(LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0) ? 16 << 20 : 32 << 10)

/**
 * struct tsm_report_desc - options of one report
 * @privlevel: level of the guest that the report speaks for
 * @inblob_len: used part of @inblob
 * @inblob: data to be signed
 * @service_provider: name of the service that attests instead of the TSM
 * @service_guid: service to be attested, or all zero
 * @service_manifest_version: format of the manifest
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
 * struct tsm_report - options and results of one report
 * @desc: the options
 * @outblob_len: length of @outblob
 * @outblob: evidence; this and the other blobs come from kvmalloc()
 * @auxblob_len: length of @auxblob
 * @auxblob: certificates, or NULL
 * @manifestblob_len: length of @manifestblob
 * @manifestblob: list of services, or NULL
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
 * struct tsm_report_ops - functions of a provider
 * @name: shown to users
 * @privlevel_floor: smallest privilege level
 * @report_new: fills a report and returns 0, or returns an errno
 * @report_attr_visible: whether an entry has text file number n
 * @report_bin_attr_visible: whether an entry has binary file number n
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

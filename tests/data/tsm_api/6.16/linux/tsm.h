/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The provider interface of Linux 6.16 and later, to compile a provider
 * without such a kernel. It has only the declarations that a provider uses.
 */
#ifndef TSM_API_6_16_H
#define TSM_API_6_16_H

#include <linux/types.h>
#include <linux/uuid.h>

#define TSM_REPORT_INBLOB_MAX		64
#define TSM_REPORT_OUTBLOB_MAX		32768
#define TSM_REPORT_PRIVLEVEL_MAX	3

/* The parameters of a report. */
struct tsm_report_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_REPORT_INBLOB_MAX];
	char *service_provider;
	guid_t service_guid;
	unsigned int service_manifest_version;
};

/* A request and its blobs; the implementation frees the blobs with kvfree(). */
struct tsm_report {
	struct tsm_report_desc desc;
	size_t outblob_len;
	u8 *outblob;
	size_t auxblob_len;
	u8 *auxblob;
	size_t manifestblob_len;
	u8 *manifestblob;
};

/* Arguments of report_attr_visible() and report_bin_attr_visible(). */
enum tsm_attr_index {
	TSM_REPORT_GENERATION,
	TSM_REPORT_PROVIDER,
	TSM_REPORT_PRIVLEVEL,
	TSM_REPORT_PRIVLEVEL_FLOOR,
	TSM_REPORT_SERVICE_PROVIDER,
	TSM_REPORT_SERVICE_GUID,
	TSM_REPORT_SERVICE_MANIFEST_VER,
};

enum tsm_bin_attr_index {
	TSM_REPORT_INBLOB,
	TSM_REPORT_OUTBLOB,
	TSM_REPORT_AUXBLOB,
	TSM_REPORT_MANIFESTBLOB,
};

struct tsm_report_ops {
	const char *name;
	unsigned int privlevel_floor;
	int (*report_new)(struct tsm_report *report, void *data);
	bool (*report_attr_visible)(int n);
	bool (*report_bin_attr_visible)(int n);
};

int tsm_report_register(const struct tsm_report_ops *ops, void *priv);
int tsm_report_unregister(const struct tsm_report_ops *ops);

/*
 * Since Linux 6.19, a function of this name registers a PCI/TSM device. A
 * provider of reports must not call it.
 */
struct tsm_dev;
struct device;
struct tsm_dev *tsm_register(struct device *parent);

#endif

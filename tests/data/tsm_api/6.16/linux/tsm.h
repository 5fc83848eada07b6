/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The provider interface of the configfs core in Linux 6.16 and later, for
 * compiling against where no such kernel is at hand. Only what a provider
 * can see, in words of our own; nothing here can be linked.
 */
#ifndef TSM_API_6_16_H
#define TSM_API_6_16_H

#include <linux/types.h>
#include <linux/uuid.h>

/* A provider tells this interface from the older ones by the first of these. */
#define TSM_REPORT_INBLOB_MAX		64
#define TSM_REPORT_OUTBLOB_MAX		32768
#define TSM_REPORT_PRIVLEVEL_MAX	3

/* What one report is asked for. */
struct tsm_report_desc {
	unsigned int privlevel;
	size_t inblob_len;
	u8 inblob[TSM_REPORT_INBLOB_MAX];
	char *service_provider;
	guid_t service_guid;
	unsigned int service_manifest_version;
};

/* A request, and the blobs that answer it: the core frees them with kvfree(). */
struct tsm_report {
	struct tsm_report_desc desc;
	size_t outblob_len;
	u8 *outblob;
	size_t auxblob_len;
	u8 *auxblob;
	size_t manifestblob_len;
	u8 *manifestblob;
};

/* What the visibility callbacks are given: text files, then binary ones. */
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
 * From about 6.19 on this name is back with another meaning. A provider of
 * reports must not take it for its own.
 */
struct tsm_dev;
struct device;
struct tsm_dev *tsm_register(struct device *parent);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROVIDER_COUNT_REPORT_H
#define PROVIDER_COUNT_REPORT_H

#include <linux/configfs.h>
#include <linux/mutex.h>
#include <linux/tsm.h>

/**
 * struct report_entry - a directory with its options and its report
 * @item: the directory
 * @mkdir_ops: the provider, while configfs asks which files to make
 * @lock: protects the members below; held while the provider makes the report
 * @report: options, and the blobs if @has_report
 * @writes: number of committed writes
 * @made_at: value of @writes that @report belongs to
 * @has_report: the last report_new succeeded
 */
struct report_entry {
	struct config_item item;
	const struct tsm_report_ops *mkdir_ops;
	struct mutex lock;
	struct tsm_report report;
	u64 writes;
	u64 made_at;
	bool has_report;
};

/* provider.c: between get and put, the provider does not finish leaving. */
const struct tsm_report_ops *report_provider_get(void **data);
void report_provider_put(void);
void report_provider_add_entry(void);
void report_provider_remove_entry(void);

/* make.c */
ssize_t report_entry_read(struct report_entry *entry, unsigned int blob,
			  void *buf, size_t count);
void report_entry_free_blobs(struct report_entry *entry);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OPTION_SNAPSHOTS_H
#define OPTION_SNAPSHOTS_H

#include <linux/configfs.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/tsm.h>

/* Options never change: a write replaces them by a changed copy. */
struct options {
	struct kref ref;
	unsigned long generation;
	struct tsm_report_desc desc;
};

/* A finished report and the options that it was made from. */
struct result {
	struct tsm_report report;
	struct options *options;
	struct kref ref;
};

/* A provider, from its registration until its last entry has gone. */
struct registration {
	struct kref ref;
	struct rw_semaphore in_use;
	const struct tsm_report_ops *ops;	/* NULL: has unregistered */
	void *data;
};

struct entry {
	struct config_item item;
	struct registration *registration;
	unsigned int shows, shows_binary;
	struct mutex writing;		/* taken by writers of options */
	struct mutex making;
	spinlock_t lock;		/* the two pointers */
	struct options *options;
	struct result *result;
};

/* options.c */
struct options *options_alloc(void);
struct options *options_get(struct entry *entry);
struct options *options_change(struct entry *entry, gfp_t extra);
void options_commit(struct entry *entry, struct options *options);
void options_put(struct options *options);

/* registration.c */
struct registration *registration_get(void);
void registration_put(struct registration *registration);

/* result.c */
struct result *result_get(struct entry *entry,
			  const struct registration *registration);
void result_put(struct result *result);

/* files.c */
extern const struct config_item_type entry_type;
extern struct configfs_attribute *entry_attrs[];
extern struct configfs_bin_attribute *entry_bin_attrs[];

#endif

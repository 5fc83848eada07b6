/* SPDX-License-Identifier: GPL-2.0-only */
/* What the functions of this directory share: an entry, a provider, a lock. */
#ifndef SKELETON_H
#define SKELETON_H

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

struct item {
	const char *name;
};

struct blob {
	size_t len;
	u8 *data;
	struct rcu_head rcu;
};

struct report {
	u8 inblob[64];
	size_t inblob_len;
	u8 *outblob;
	size_t outblob_len;
	u8 *auxblob;
	size_t auxblob_len;
};

struct ops {
	const char *name;
	int (*report_new)(struct report *report, void *data);
};

struct entry {
	struct list_head node;
	struct item item;
	struct mutex lock;
	struct kref users;
	struct report report;
	unsigned long written;
	unsigned long made;
	bool valid;
	struct blob *blob;
	struct rcu_head rcu;
	struct device dev;
	struct work_struct work;
};

enum which { WHICH_OUT, WHICH_AUX };

static DEFINE_MUTEX(lock);
static const struct ops *provider;
static LIST_HEAD(entries);

static inline struct entry *to_entry(struct item *item)
{
	return container_of(item, struct entry, item);
}

/* The functions that the kernel calls, in a table as those of a driver are. */
#define OPERATIONS(...)						\
	extern const void *const operations[];			\
	const void *const operations[] = { &lock, &provider, &entries, __VA_ARGS__ }

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Functions for tests of the analysis of sources");

#endif

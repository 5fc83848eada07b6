/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A report entry, and the one provider.
 *
 * Locks, outermost first: registration, the lock of an entry. A report is made
 * with registration held for reading and the entry's lock: it delays who uses
 * the same entry, and the provider's leaving, and nobody else.
 */
#ifndef TSM_CONFIGFS_ENTRY_H
#define TSM_CONFIGFS_ENTRY_H

#include <linux/configfs.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/tsm.h>

/**
 * struct entry - a directory below tsm/report
 * @shown: bit for each attribute the provider wanted to show when it was made
 * @shown_blobs: the same of the binary ones
 * @lock: of all that follows
 * @report: what was written, and what was made of it
 * @written: writes; also read without the lock, to be shown
 * @made: @written when the report was made. Both follow @report, where a
 *	provider that lets counters meet expects them.
 * @valid: the report is of the options as they are
 * @latest: the option that was written last
 */
struct entry {
	struct config_item item;
	unsigned int shown;
	unsigned int shown_blobs;
	struct mutex lock;
	struct tsm_report report;
	unsigned long written;
	unsigned long made;
	bool valid;
	const void *latest;
};

static inline struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

/**
 * struct provider - who makes the reports
 * @ops: NULL while there is nobody
 * @priv: handed to @ops' report_new
 */
struct provider {
	const struct tsm_report_ops *ops;
	void *priv;
};

/* core.c; provider is under registration */
extern struct rw_semaphore registration;
extern struct provider provider;
bool provider_shows(unsigned int n);
bool provider_shows_blob(unsigned int n);

/* attributes.c */
extern const struct config_item_type entry_type;
void attributes_init(void);

/* report.c */
enum blob { BLOB_OUT, BLOB_AUX, BLOB_MANIFEST };

void report_forget(struct entry *entry);

/*
 * What configfs asks for twice when a blob is first read: its size, with no
 * @buf, and then to fill @buf. Returns the blob's length, or
 *   -ENXIO   there is no provider
 *   -EINVAL  no inblob was written
 *   -EACCES  the report is still to be made, and the caller has no privileges
 *   -EAGAIN  the report was replaced by one of another size between the two;
 *            reading again gives that one
 *   -EFBIG, -EIO  a blob of the provider's is too long, or there is no outblob
 * and every errno of report_new.
 */
ssize_t report_read(struct entry *entry, enum blob which, void *buf, size_t count);

#endif

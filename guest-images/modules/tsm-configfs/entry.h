/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An entry of tsm/report, and the provider.
 *
 * Locks, outermost first: tsm_configfs_registration, entry.lock. A report is made
 * with the registration held for reading and with the entry's lock: meanwhile
 * other users of that entry and the provider's unregistration wait, and nothing
 * else does.
 */
#ifndef TSM_CONFIGFS_ENTRY_H
#define TSM_CONFIGFS_ENTRY_H

#include <linux/atomic.h>
#include <linux/configfs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/tsm.h>
#include <linux/wait.h>

/**
 * struct entry - a directory below tsm/report
 * @item: its configfs item
 * @visible_attrs: bit for each attribute that the provider showed when the entry
 *	was made
 * @visible_bin_attrs: bit for each such binary attribute
 * @lock: protects the members from @report to @making
 * @report: the options that were written, and the report made from them
 * @written: count of writes; generation shows it without the lock
 * @made: @written when the report was made. Both counters follow @report, as in
 *	the kernel's struct tsm_report_state: tsm-sim sets them to overflow
 * @valid: the report was made from the current options
 * @latest: the option that was written last
 * @making: the provider is asked for the report
 *
 * The rest is for defects:
 * @made_report: woken when a report was made, with DEFECT_LOST_WAKEUP
 * @next_version: the next manifest version, with DEFECT_LATE_VERSION
 * @notes: newest first, with DEFECT_GROWING_NOTES
 * @link: in the list of entries, with DEFECT_STALE_LIST
 */
struct entry {
	struct config_item item;
	unsigned int visible_attrs;
	unsigned int visible_bin_attrs;
	struct mutex lock;	/* report to making */
	struct tsm_report report;
	unsigned long written;
	unsigned long made;
	bool valid;
	const void *latest;
	bool making;

	wait_queue_head_t made_report;
	unsigned int next_version;
	struct write_note *notes;
	struct list_head link;
};

/* With DEFECT_GROWING_NOTES: @written of an entry at one of its writes. */
struct write_note {
	struct write_note *previous;
	unsigned long written;
};

static inline struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

/**
 * struct provider - the provider and its entries
 * @ops: NULL while there is no provider
 * @priv: argument of report_new
 * @entries: number of entries; increased with the registration held
 */
struct provider {
	const struct tsm_report_ops *ops;
	void *priv;
	atomic_t entries;
};

/* provider.c */
extern struct rw_semaphore tsm_configfs_registration;	/* protects the next one */
extern struct provider tsm_configfs_provider;
bool tsm_configfs_attr_visible(unsigned int n);
bool tsm_configfs_bin_attr_visible(unsigned int n);
void tsm_configfs_list_entry(struct entry *entry);	/* with DEFECT_STALE_LIST */

/*
 * options.c: each function stores an option, which makes the report invalid.
 * Returns 0, -ENOMEM, or for privlevel
 *   -ENXIO   there is no provider
 *   -EINVAL  the provider makes no report of this level
 */
int tsm_configfs_set_privlevel(struct entry *entry, unsigned int value);
int tsm_configfs_set_service_provider(struct entry *entry, const char *value,
				      size_t len);
int tsm_configfs_set_service_guid(struct entry *entry, const guid_t *guid);
int tsm_configfs_set_manifest_version(struct entry *entry, unsigned int value);
int tsm_configfs_set_inblob(struct entry *entry, const u8 *value, size_t count);

/* report.c */
enum blob { BLOB_OUT, BLOB_AUX, BLOB_MANIFEST };

void tsm_configfs_free_report(struct entry *entry);

/*
 * Read a blob. configfs calls this twice when a blob is first read: without @buf
 * for the size, and then to fill @buf. Returns the length of the blob, or
 *   -ENXIO   there is no provider
 *   -EINVAL  no inblob was written
 *   -EACCES  a report must be made, and the caller lacks CAP_SYS_ADMIN
 *   -EAGAIN  a report of another size replaced the one of the first call; the
 *            next read returns it
 *   -EFBIG, -EIO  a blob of the provider is too long, or there is no outblob
 * or an errno of report_new.
 */
ssize_t tsm_configfs_read_blob(struct entry *entry, enum blob which, void *buf,
			       size_t count);

/* attributes.c */
extern struct config_item_type tsm_configfs_entry_type;
void tsm_configfs_init_attributes(void);

#endif

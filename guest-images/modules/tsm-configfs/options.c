// SPDX-License-Identifier: GPL-2.0-only
/* The options of an entry: stored, counted, refused. */
#include <linux/cleanup.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "defects.h"
#include "entry.h"

#define NOTED_WRITES	16	/* writes per note, with DEFECT_GROWING_NOTES */
#define GUID_COMPARED	8	/* bytes, with DEFECT_GUID_PREFIX */

/*
 * Without the defect every write is allowed: a flag tells whether the report is
 * valid, so that the counter of writes may overflow.
 */
static int check_write(const struct entry *entry)
{
	lockdep_assert_held(&entry->lock);
	if (has_defect(DEFECT_SILENT_REFUSAL) && entry->written == entry->made - 1)
		return -EBUSY;
	return 0;
}

/* With DEFECT_GROWING_NOTES. The notes are not freed with the entry. */
static void note_write(struct entry *entry)
{
	struct write_note *note = kmalloc(sizeof(*note), GFP_KERNEL);

	if (!note)
		return;
	note->previous = entry->notes;
	note->written = entry->written;
	entry->notes = note;
}

/* Count a write of @option, which is the address of its member of the entry. */
static void count_write(struct entry *entry, const void *option)
{
	bool again = entry->latest == option && !entry->valid;

	lockdep_assert_held(&entry->lock);
	entry->latest = option;
	entry->valid = false;
	if (again && has_defect(DEFECT_COALESCED_COUNT))
		return;
	if (has_defect(DEFECT_VERSION_UNCOUNTED) &&
	    option == &entry->report.desc.service_manifest_version)
		return;
	WRITE_ONCE(entry->written, entry->written + 1);
	if (has_defect(DEFECT_SHORT_GENERATION))
		WRITE_ONCE(entry->written, (u16)entry->written);
	if (has_defect(DEFECT_GROWING_NOTES) && !(entry->written % NOTED_WRITES))
		note_write(entry);
}

/* Copy @value to @option, a member of the entry. */
static int set_option(struct entry *entry, void *option, const void *value,
		      size_t size)
{
	bool keep;
	int rc;

	rc = check_write(entry);
	if (rc)
		return rc;
	keep = has_defect(DEFECT_SAME_OPTION) && entry->valid &&
	       !memcmp(option, value, size);
	memcpy(option, value, size);
	count_write(entry, option);
	entry->valid = keep;
	return 0;
}

static int check_privlevel(unsigned int value)
{
	unsigned int floor;

	/* The lowest level is the provider's. */
	lockdep_assert_held(&tsm_configfs_registration);
	if (!tsm_configfs_provider.ops)
		return -ENXIO;
	if (has_defect(DEFECT_LOOSE_PRIVLEVEL))
		return 0;
	floor = tsm_configfs_provider.ops->privlevel_floor;
	if (has_defect(DEFECT_BELOW_FLOOR) && floor)
		floor--;
	if (value < floor || value > TSM_REPORT_PRIVLEVEL_MAX)
		return -EINVAL;
	return 0;
}

static int store_privlevel(struct entry *entry, unsigned int value)
{
	lockdep_assert_held(&entry->lock);
	if (has_defect(DEFECT_LOST_PRIVLEVEL))
		value = entry->report.desc.privlevel;
	return set_option(entry, &entry->report.desc.privlevel, &value,
			  sizeof(value));
}

/* With DEFECT_INVERTED_LOCKS: a reader takes the two locks in the other order. */
static int set_privlevel_inverted(struct entry *entry, unsigned int value)
{
	guard(mutex)(&entry->lock);
	guard(rwsem_read)(&tsm_configfs_registration);
	return check_privlevel(value) ?: store_privlevel(entry, value);
}

/* A level was refused with @rc. Release the registration. */
static int refuse_privlevel(struct entry *entry, int rc)
{
	if (has_defect(DEFECT_LOCKED_REFUSAL))
		return rc;
	up_read(&tsm_configfs_registration);
	if (has_defect(DEFECT_REFUSED_COUNTS)) {
		guard(mutex)(&entry->lock);
		count_write(entry, &entry->report.desc.privlevel);
	}
	return rc;
}

int tsm_configfs_set_privlevel(struct entry *entry, unsigned int value)
{
	int rc;

	if (has_defect(DEFECT_INVERTED_LOCKS))
		return set_privlevel_inverted(entry, value);
	down_read(&tsm_configfs_registration);
	rc = check_privlevel(value);
	if (rc)
		return refuse_privlevel(entry, rc);
	scoped_guard(mutex, &entry->lock)
		rc = store_privlevel(entry, value);
	up_read(&tsm_configfs_registration);
	return rc;
}

int tsm_configfs_set_service_provider(struct entry *entry, const char *value,
				      size_t len)
{
	char *name = NULL;
	int rc;

	if (len) {
		name = kmemdup_nul(value, len, GFP_KERNEL);
		if (!name)
			return -ENOMEM;
	}
	guard(mutex)(&entry->lock);
	rc = check_write(entry);
	if (rc) {
		kfree(name);
		return rc;
	}
	if (!has_defect(DEFECT_LEAKED_SERVICE))
		kfree(entry->report.desc.service_provider);
	entry->report.desc.service_provider = name;
	count_write(entry, &entry->report.desc.service_provider);
	return 0;
}

int tsm_configfs_set_service_guid(struct entry *entry, const guid_t *guid)
{
	guid_t *stored = &entry->report.desc.service_guid;

	guard(mutex)(&entry->lock);
	if (has_defect(DEFECT_GUID_PREFIX) && !memcmp(stored, guid, GUID_COMPARED))
		guid = stored;
	return set_option(entry, stored, guid, sizeof(*guid));
}

/* With DEFECT_UNLOCKED_VERSION: also while a report is made, which gets valid. */
static int set_version_unlocked(struct entry *entry, unsigned int value)
{
	entry->report.desc.service_manifest_version = value;
	entry->valid = false;
	WRITE_ONCE(entry->written, entry->written + 1);
	return 0;
}

int tsm_configfs_set_manifest_version(struct entry *entry, unsigned int value)
{
	if (has_defect(DEFECT_UNLOCKED_VERSION))
		return set_version_unlocked(entry, value);
	guard(mutex)(&entry->lock);
	if (has_defect(DEFECT_LATE_VERSION))
		swap(value, entry->next_version);
	return set_option(entry, &entry->report.desc.service_manifest_version,
			  &value, sizeof(value));
}

int tsm_configfs_set_inblob(struct entry *entry, const u8 *value, size_t count)
{
	struct tsm_report_desc *desc = &entry->report.desc;
	size_t len = min_t(size_t, count, sizeof(desc->inblob));
	int rc;

	while (has_defect(DEFECT_STRIPPED_ZEROS) && len && !value[len - 1])
		len--;
	guard(mutex)(&entry->lock);
	rc = check_write(entry);
	if (rc)
		return rc;
	memset(desc->inblob, 0, sizeof(desc->inblob));
	if (len)
		memcpy(desc->inblob, value, len);
	desc->inblob_len = len;
	if (len || !has_defect(DEFECT_UNCOUNTED_WIPE))
		count_write(entry, &desc->inblob);
	return 0;
}

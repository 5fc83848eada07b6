// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: configfs asks for the size of a blob and then for its bytes; between
 * the two the report stays reserved for the task, in one of a few slots of the
 * entry, so that a commit in between does not send the reader away. Only a task
 * whose slot was taken by others gets EAGAIN. A mutex for each entry.
 *
 * Freedoms: a report may be older than a commit that came after the size was
 * asked for; EINVAL before the first nonce; a GUID may be followed by any text;
 * every number that is refused gives EINVAL.
 */
#include <linux/capability.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kref.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>

#define SLOTS	8

struct evidence {
	struct tsm_report report;
	struct kref ref;
	unsigned long generation;
};

struct slot {
	const struct task_struct *task;	/* only compared */
	struct evidence *evidence;
};

struct entry {
	struct config_item item;
	unsigned long visible, bin_visible;
	struct mutex lock;
	struct tsm_report_desc desc;
	unsigned long generation;
	struct evidence *evidence;	/* current if of this generation */
	struct slot slots[SLOTS];
	unsigned int next_slot;
};

static DECLARE_RWSEM(provider_rwsem);
static const struct tsm_report_ops *provider;
static void *provider_priv;
static atomic_t entry_count = ATOMIC_INIT(0);

static struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static void free_evidence(struct kref *ref)
{
	struct evidence *evidence = container_of(ref, struct evidence, ref);

	kvfree(evidence->report.outblob);
	kvfree(evidence->report.auxblob);
	kvfree(evidence->report.manifestblob);
	kfree(evidence);
}

static void put_evidence(struct evidence *evidence)
{
	if (evidence)
		kref_put(&evidence->ref, free_evidence);
}

static int check_blob(const u8 *blob, size_t *len)
{
	if (!blob)
		*len = 0;
	return *len <= TSM_REPORT_OUTBLOB_MAX ? 0 : -EFBIG;
}

static int fill_evidence(struct evidence *evidence)
{
	struct tsm_report *report = &evidence->report;
	int rc;

	rc = provider->report_new(report, provider_priv);
	if (rc)
		return rc < 0 && rc >= -MAX_ERRNO ? rc : -EIO;
	if (!report->outblob)
		return -EIO;
	rc = check_blob(report->outblob, &report->outblob_len);
	if (!rc)
		rc = check_blob(report->auxblob, &report->auxblob_len);
	if (!rc)
		rc = check_blob(report->manifestblob,
				&report->manifestblob_len);
	return rc;
}

/* The entry is locked, and the provider too. */
static int make_evidence(struct entry *entry)
{
	struct evidence *evidence;
	int rc;

	if (!capable(CAP_SYS_ADMIN))
		return -EACCES;
	evidence = kzalloc(sizeof(*evidence), GFP_KERNEL);
	if (!evidence)
		return -ENOMEM;
	kref_init(&evidence->ref);
	evidence->generation = entry->generation;
	evidence->report.desc = entry->desc;
	rc = fill_evidence(evidence);
	evidence->report.desc.service_provider = NULL;	/* it may change */
	if (rc) {
		put_evidence(evidence);
		return rc;
	}
	put_evidence(entry->evidence);
	entry->evidence = evidence;
	return 0;
}

/* The entry is locked. @task: NULL finds a free slot. */
static struct slot *find_slot(struct entry *entry,
			      const struct task_struct *task)
{
	unsigned int n;

	for (n = 0; n < SLOTS; n++)
		if (entry->slots[n].task == task)
			return &entry->slots[n];
	return NULL;
}

static void clear_slot(struct slot *slot)
{
	put_evidence(slot->evidence);
	slot->evidence = NULL;
	slot->task = NULL;
}

/* A task may ask for the size again, when it has no memory for the bytes. */
static void reserve(struct entry *entry)
{
	struct slot *slot = find_slot(entry, current);

	if (!slot)
		slot = find_slot(entry, NULL);
	if (!slot)
		slot = &entry->slots[entry->next_slot++ % SLOTS];
	clear_slot(slot);
	kref_get(&entry->evidence->ref);
	slot->evidence = entry->evidence;
	slot->task = current;
}

enum blob { OUT, AUX, MANIFEST };

static size_t get_blob(const struct evidence *evidence, enum blob blob,
		       const u8 **bytes)
{
	const struct tsm_report *report = &evidence->report;

	switch (blob) {
	case AUX:
		*bytes = report->auxblob;
		return report->auxblob_len;
	case MANIFEST:
		*bytes = report->manifestblob;
		return report->manifestblob_len;
	case OUT:
		break;
	}
	*bytes = report->outblob;
	return report->outblob_len;
}

/* The first call. */
static ssize_t ask_for_size(struct entry *entry, enum blob blob)
{
	const u8 *bytes;
	size_t len;
	int rc = 0;

	if (!entry->desc.inblob_len)
		return -EINVAL;
	if (!entry->evidence ||
	    entry->evidence->generation != entry->generation)
		rc = make_evidence(entry);
	if (rc)
		return rc;
	len = get_blob(entry->evidence, blob, &bytes);
	if (len)	/* otherwise there is no second call */
		reserve(entry);
	return len;
}

/* The second call. */
static ssize_t get_bytes(struct entry *entry, enum blob blob, void *buf,
			 size_t count)
{
	struct slot *slot = find_slot(entry, current);
	const u8 *bytes;
	size_t len;

	if (!slot)
		return -EAGAIN;
	len = get_blob(slot->evidence, blob, &bytes);
	if (len == count)
		memcpy(buf, bytes, len);
	clear_slot(slot);
	return len == count ? (ssize_t)len : -EAGAIN;
}

static ssize_t read_blob(struct config_item *item, enum blob blob, void *buf,
			 size_t count)
{
	struct entry *entry = to_entry(item);
	ssize_t rc;

	if (down_read_killable(&provider_rwsem))
		return -EINTR;
	rc = -ENXIO;
	if (!provider)
		goto out;
	rc = mutex_lock_killable(&entry->lock);
	if (rc)
		goto out;
	rc = buf ? get_bytes(entry, blob, buf, count) :
		   ask_for_size(entry, blob);
	mutex_unlock(&entry->lock);
out:
	up_read(&provider_rwsem);
	return rc;
}

static ssize_t slots_outblob_read(struct config_item *item, void *buf,
				  size_t count)
{
	return read_blob(item, OUT, buf, count);
}
CONFIGFS_BIN_ATTR_RO(slots_, outblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t slots_auxblob_read(struct config_item *item, void *buf,
				  size_t count)
{
	return read_blob(item, AUX, buf, count);
}
CONFIGFS_BIN_ATTR_RO(slots_, auxblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t slots_manifestblob_read(struct config_item *item, void *buf,
				       size_t count)
{
	return read_blob(item, MANIFEST, buf, count);
}
CONFIGFS_BIN_ATTR_RO(slots_, manifestblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t slots_inblob_write(struct config_item *item, const void *buf,
				  size_t count)
{
	struct entry *entry = to_entry(item);

	if (!count || count > TSM_REPORT_INBLOB_MAX)
		return -EINVAL;
	mutex_lock(&entry->lock);
	memset(entry->desc.inblob, 0, sizeof(entry->desc.inblob));
	memcpy(entry->desc.inblob, buf, count);
	entry->desc.inblob_len = count;
	WRITE_ONCE(entry->generation, entry->generation + 1);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_BIN_ATTR_WO(slots_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

static ssize_t slots_generation_show(struct config_item *item, char *page)
{
	/* Without the lock, which is held while a report is made. */
	return sysfs_emit(page, "%lu\n",
			  READ_ONCE(to_entry(item)->generation));
}
CONFIGFS_ATTR_RO(slots_, generation);

static ssize_t slots_provider_show(struct config_item *item, char *page)
{
	ssize_t len = -ENXIO;

	down_read(&provider_rwsem);
	if (provider)
		len = sysfs_emit(page, "%s\n", provider->name);
	up_read(&provider_rwsem);
	return len;
}
CONFIGFS_ATTR_RO(slots_, provider);

/* Negative: no provider. */
static long get_floor(void)
{
	long floor = -ENXIO;

	down_read(&provider_rwsem);
	if (provider)
		floor = provider->privlevel_floor;
	up_read(&provider_rwsem);
	return floor;
}

static ssize_t slots_privlevel_floor_show(struct config_item *item, char *page)
{
	long floor = get_floor();

	return floor < 0 ? floor : sysfs_emit(page, "%ld\n", floor);
}
CONFIGFS_ATTR_RO(slots_, privlevel_floor);

static void set_number(struct entry *entry, unsigned int *option,
		       unsigned int number)
{
	mutex_lock(&entry->lock);
	*option = number;
	WRITE_ONCE(entry->generation, entry->generation + 1);
	mutex_unlock(&entry->lock);
}

static ssize_t slots_privlevel_store(struct config_item *item,
				     const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	long floor = get_floor();
	unsigned int level;

	if (floor < 0)
		return floor;
	if (kstrtouint(page, 0, &level) || level < floor ||
	    level > TSM_REPORT_PRIVLEVEL_MAX)
		return -EINVAL;
	set_number(entry, &entry->desc.privlevel, level);
	return count;
}
CONFIGFS_ATTR_WO(slots_, privlevel);

static ssize_t slots_service_manifest_version_store(struct config_item *item,
						    const char *page,
						    size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int version;

	if (kstrtouint(page, 0, &version))
		return -EINVAL;
	set_number(entry, &entry->desc.service_manifest_version, version);
	return count;
}
CONFIGFS_ATTR_WO(slots_, service_manifest_version);

static ssize_t slots_service_provider_store(struct config_item *item,
					    const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	char *name, *old;

	if (memchr(page, '\0', count))
		return -EINVAL;
	if (page[count - 1] == '\n')
		name = kmemdup_nul(page, count - 1, GFP_KERNEL);
	else
		name = kmemdup_nul(page, count, GFP_KERNEL);
	if (!name)
		return -ENOMEM;
	mutex_lock(&entry->lock);
	old = entry->desc.service_provider;
	entry->desc.service_provider = name;
	WRITE_ONCE(entry->generation, entry->generation + 1);
	mutex_unlock(&entry->lock);
	kfree(old);
	return count;
}
CONFIGFS_ATTR_WO(slots_, service_provider);

static ssize_t slots_service_guid_store(struct config_item *item,
					const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	guid_t guid;

	if (guid_parse(page, &guid) < 0)
		return -EINVAL;
	mutex_lock(&entry->lock);
	guid_copy(&entry->desc.service_guid, &guid);
	WRITE_ONCE(entry->generation, entry->generation + 1);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_ATTR_WO(slots_, service_guid);

static struct configfs_attribute *slots_attrs[] = {
	&slots_attr_generation,
	&slots_attr_provider,
	&slots_attr_privlevel,
	&slots_attr_privlevel_floor,
	&slots_attr_service_provider,
	&slots_attr_service_guid,
	&slots_attr_service_manifest_version,
	NULL
};

static struct configfs_bin_attribute *slots_bin_attrs[] = {
	&slots_attr_inblob,
	&slots_attr_outblob,
	&slots_attr_auxblob,
	&slots_attr_manifestblob,
	NULL
};

static bool is_visible(struct config_item *item,
		       struct configfs_attribute *attr, int n)
{
	return test_bit(n, &to_entry(item)->visible);
}

static bool is_bin_visible(struct config_item *item,
			   struct configfs_bin_attribute *attr, int n)
{
	return test_bit(n, &to_entry(item)->bin_visible);
}

static void release_entry(struct config_item *item)
{
	struct entry *entry = to_entry(item);
	unsigned int n;

	for (n = 0; n < SLOTS; n++)
		clear_slot(&entry->slots[n]);
	put_evidence(entry->evidence);
	kfree(entry->desc.service_provider);
	kfree(entry);
	atomic_dec(&entry_count);
}

static struct configfs_item_operations entry_item_ops = {
	.release = release_entry,
};

static struct configfs_group_operations entry_group_ops = {
	.is_visible = is_visible,
	.is_bin_visible = is_bin_visible,
};

static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &entry_item_ops,
	.ct_group_ops = &entry_group_ops,
	.ct_attrs = slots_attrs,
	.ct_bin_attrs = slots_bin_attrs,
};

/* The provider is locked. */
static struct entry *new_entry(void)
{
	struct entry *entry;
	int n;

	if (!provider)
		return ERR_PTR(-ENXIO);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return ERR_PTR(-ENOMEM);
	mutex_init(&entry->lock);
	for (n = 0; slots_attrs[n]; n++)
		__assign_bit(n, &entry->visible,
			     !provider->report_attr_visible ||
			     provider->report_attr_visible(n));
	for (n = 0; slots_bin_attrs[n]; n++)
		__assign_bit(n, &entry->bin_visible,
			     !provider->report_bin_attr_visible ||
			     provider->report_bin_attr_visible(n));
	atomic_inc(&entry_count);
	return entry;
}

static struct config_item *make_item(struct config_group *group,
				     const char *name)
{
	struct entry *entry;

	down_read(&provider_rwsem);
	entry = new_entry();
	up_read(&provider_rwsem);
	if (IS_ERR(entry))
		return ERR_CAST(entry);
	config_item_init_type_name(&entry->item, name, &entry_type);
	return &entry->item;
}

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	int rc;

	down_write(&provider_rwsem);
	rc = provider || atomic_read(&entry_count) ? -EBUSY : 0;
	if (!rc) {
		provider = ops;
		provider_priv = priv;
	}
	up_write(&provider_rwsem);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	int rc;

	down_write(&provider_rwsem);
	rc = provider == ops ? 0 : -EBUSY;
	if (!rc)
		provider = NULL;
	up_write(&provider_rwsem);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static struct configfs_group_operations report_ops = {
	.make_item = make_item,
};

static const struct config_item_type report_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &report_ops,
};

static const struct config_item_type tsm_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem tsm = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &tsm_type },
	.su_mutex = __MUTEX_INITIALIZER(tsm.su_mutex),
};

static struct config_group *report;

static int __init report_init(void)
{
	int rc;

	config_group_init(&tsm.su_group);
	rc = configfs_register_subsystem(&tsm);
	if (rc)
		return rc;
	report = configfs_register_default_group(&tsm.su_group, "report",
						 &report_type);
	if (!IS_ERR(report))
		return 0;
	configfs_unregister_subsystem(&tsm);
	return PTR_ERR(report);
}
module_init(report_init);

static void __exit report_exit(void)
{
	configfs_unregister_default_group(report);
	configfs_unregister_subsystem(&tsm);
}
module_exit(report_exit);

MODULE_DESCRIPTION("TSM reports that are kept for their readers");
MODULE_LICENSE("GPL");

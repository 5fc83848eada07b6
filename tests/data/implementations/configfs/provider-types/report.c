// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: a registration has an item type of its own, with arrays of the files
 * that its provider shows, so that nothing is asked when an entry is made. An
 * entry keeps its registration, also after the provider has gone. Each entry
 * has a rw_semaphore: readers of a finished report share it.
 *
 * Freedoms: a new provider is accepted while entries of an old one exist, which
 * then refuse everything with ENODEV, a nonce too (generation stays); readers
 * wait and can be killed; ENODATA before the first nonce, and for a report_new
 * that succeeds without a report; EPERM for an unprivileged reader.
 */
#include <linux/capability.h>
#include <linux/completion.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kref.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>

#define ATTRS		7
#define BIN_ATTRS	4

struct registration {
	struct kref ref;		/* entries, and the provider */
	refcount_t users;		/* of the next two */
	const struct tsm_report_ops *ops;
	void *data;
	struct completion unused;	/* no users */
	struct config_item_type type;
	struct configfs_attribute *attrs[ATTRS + 1];
	struct configfs_bin_attribute *bin_attrs[BIN_ATTRS + 1];
};

struct entry {
	struct config_item item;
	struct registration *registration;
	struct tsm_report report;
	bool ready;			/* the report has blobs */
	unsigned long generation;
	struct rw_semaphore sem;	/* the three above */
};

static DEFINE_MUTEX(registration_mutex);
static struct registration *registered;

static struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static void registration_release(struct kref *ref)
{
	kfree(container_of(ref, struct registration, ref));
}

static void registration_put(struct registration *registration)
{
	kref_put(&registration->ref, registration_release);
}

/* The provider, until put_provider(); NULL when it has gone. */
static const struct tsm_report_ops *get_provider(struct entry *entry)
{
	struct registration *registration = entry->registration;

	if (!refcount_inc_not_zero(&registration->users))
		return NULL;
	return registration->ops;
}

static void leave_provider(struct registration *registration)
{
	if (refcount_dec_and_test(&registration->users))
		complete(&registration->unused);
}

static void put_provider(struct entry *entry)
{
	leave_provider(entry->registration);
}

static void discard_report(struct entry *entry)
{
	const struct tsm_report empty = { .desc = entry->report.desc };

	kvfree(entry->report.outblob);
	kvfree(entry->report.auxblob);
	kvfree(entry->report.manifestblob);
	entry->report = empty;
	entry->ready = false;
}

static int check_report(const struct tsm_report *r)
{
	size_t longest = 0;

	if (!r->outblob)
		return -ENODATA;
	longest = max(longest, r->outblob_len);
	if (r->auxblob)
		longest = max(longest, r->auxblob_len);
	if (r->manifestblob)
		longest = max(longest, r->manifestblob_len);
	return longest > TSM_REPORT_OUTBLOB_MAX ? -EFBIG : 0;
}

/* The entry is locked for writing; there is a provider. */
static int make_report(struct entry *entry)
{
	const struct registration *registration = entry->registration;
	int rc;

	if (entry->ready)
		return 0;
	rc = registration->ops->report_new(&entry->report, registration->data);
	if (rc > 0)
		rc = -EIO;
	if (!rc)
		rc = check_report(&entry->report);
	if (rc)
		discard_report(entry);
	else
		entry->ready = true;
	return rc;
}

/* On success the entry is locked for reading and has a report. */
static int lock_report(struct entry *entry)
{
	bool has_nonce;
	int rc;

	rc = down_read_killable(&entry->sem);
	if (rc || entry->ready)
		return rc;
	has_nonce = entry->report.desc.inblob_len;
	up_read(&entry->sem);
	if (!has_nonce)
		return -ENODATA;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	rc = down_write_killable(&entry->sem);
	if (rc)
		return rc;
	rc = make_report(entry);
	if (rc)
		up_write(&entry->sem);
	else
		downgrade_write(&entry->sem);
	return rc;
}

static ssize_t copy(const u8 *blob, size_t len, void *buf, size_t count)
{
	if (!blob)
		len = 0;
	if (buf && len != count)
		return -EAGAIN;
	if (buf && blob)
		memcpy(buf, blob, len);
	return len;
}

typedef ssize_t (*copy_fn)(const struct tsm_report *report, void *buf,
			   size_t count);

static ssize_t read_report(struct config_item *item, copy_fn copy_blob,
			   void *buf, size_t count)
{
	struct entry *entry = to_entry(item);
	ssize_t rc;

	if (!get_provider(entry))
		return -ENODEV;
	rc = lock_report(entry);
	if (!rc) {
		rc = copy_blob(&entry->report, buf, count);
		up_read(&entry->sem);
	}
	put_provider(entry);
	return rc;
}

#define BLOB_FILE(name)                                                        \
	static ssize_t copy_##name(const struct tsm_report *report, void *buf, \
				   size_t count)                               \
	{                                                                      \
		return copy(report->name, report->name##_len, buf, count);     \
	}                                                                      \
                                                                               \
	static ssize_t report_##name##_read(struct config_item *item,          \
					    void *buf, size_t count)           \
	{                                                                      \
		return read_report(item, copy_##name, buf, count);             \
	}                                                                      \
	CONFIGFS_BIN_ATTR_RO(report_, name, NULL, TSM_REPORT_OUTBLOB_MAX)

BLOB_FILE(outblob);
BLOB_FILE(auxblob);
BLOB_FILE(manifestblob);

/* On success: end_write(). The result is the errno for the writer. */
static int start_write(struct entry *entry)
{
	if (!get_provider(entry))
		return -ENODEV;
	down_write(&entry->sem);
	return 0;
}

static void end_write(struct entry *entry)
{
	discard_report(entry);
	WRITE_ONCE(entry->generation, entry->generation + 1);
	up_write(&entry->sem);
	put_provider(entry);
}

static ssize_t report_inblob_write(struct config_item *item, const void *buf,
				   size_t count)
{
	struct entry *entry = to_entry(item);
	struct tsm_report_desc *desc = &entry->report.desc;
	int rc;

	if (!count || count > TSM_REPORT_INBLOB_MAX)
		return -EINVAL;
	rc = start_write(entry);
	if (rc)
		return rc;
	memset(desc->inblob, 0, TSM_REPORT_INBLOB_MAX);
	memcpy(desc->inblob, buf, count);
	desc->inblob_len = count;
	end_write(entry);
	return count;
}
CONFIGFS_BIN_ATTR_WO(report_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

static ssize_t report_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%lu\n", READ_ONCE(to_entry(item)->generation));
}
CONFIGFS_ATTR_RO(report_, generation);

static ssize_t report_provider_show(struct config_item *item, char *page)
{
	struct entry *entry = to_entry(item);
	const struct tsm_report_ops *ops = get_provider(entry);
	ssize_t len = -ENODEV;

	if (ops) {
		len = sysfs_emit(page, "%s\n", ops->name);
		put_provider(entry);
	}
	return len;
}
CONFIGFS_ATTR_RO(report_, provider);

static ssize_t report_privlevel_floor_show(struct config_item *item,
					   char *page)
{
	struct entry *entry = to_entry(item);
	const struct tsm_report_ops *ops = get_provider(entry);
	ssize_t len = -ENODEV;

	if (ops) {
		len = sysfs_emit(page, "%u\n", ops->privlevel_floor);
		put_provider(entry);
	}
	return len;
}
CONFIGFS_ATTR_RO(report_, privlevel_floor);

static int parse_privlevel(struct entry *entry, const char *page,
			   unsigned int *level)
{
	const struct tsm_report_ops *ops;
	int rc;

	rc = kstrtouint(page, 0, level);
	if (rc)
		return rc;
	ops = get_provider(entry);
	if (!ops)
		return -ENODEV;
	if (*level < ops->privlevel_floor || *level > TSM_REPORT_PRIVLEVEL_MAX)
		rc = -EINVAL;
	put_provider(entry);
	return rc;
}

static ssize_t report_privlevel_store(struct config_item *item,
				      const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int level;
	int rc;

	rc = parse_privlevel(entry, page, &level);
	if (!rc)
		rc = start_write(entry);
	if (rc)
		return rc;
	entry->report.desc.privlevel = level;
	end_write(entry);
	return count;
}
CONFIGFS_ATTR_WO(report_, privlevel);

static ssize_t report_service_provider_store(struct config_item *item,
					     const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	const char *end = strchrnul(page, '\n');
	char *name = NULL;
	int rc;

	if (!sysfs_streq(end, "") || end + !!*end != page + count)
		return -EINVAL;
	if (end != page) {
		name = kmemdup_nul(page, end - page, GFP_KERNEL);
		if (!name)
			return -ENOMEM;
	}
	rc = start_write(entry);
	if (!rc) {
		swap(name, entry->report.desc.service_provider);
		end_write(entry);
	}
	kfree(name);
	return rc ?: (ssize_t)count;
}
CONFIGFS_ATTR_WO(report_, service_provider);

static ssize_t report_service_guid_store(struct config_item *item,
					 const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	guid_t guid;
	int rc;

	rc = guid_parse(page, &guid);
	if (!rc && !sysfs_streq(page + UUID_STRING_LEN, ""))
		rc = -EINVAL;
	if (!rc)
		rc = start_write(entry);
	if (rc)
		return rc;
	entry->report.desc.service_guid = guid;
	end_write(entry);
	return count;
}
CONFIGFS_ATTR_WO(report_, service_guid);

static ssize_t report_service_manifest_version_store(struct config_item *item,
						     const char *page,
						     size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int version;
	int rc;

	rc = kstrtouint(page, 0, &version);
	if (!rc)
		rc = start_write(entry);
	if (rc)
		return rc;
	entry->report.desc.service_manifest_version = version;
	end_write(entry);
	return count;
}
CONFIGFS_ATTR_WO(report_, service_manifest_version);

static struct configfs_attribute *const all_attrs[ATTRS] = {
	&report_attr_generation,
	&report_attr_provider,
	&report_attr_privlevel,
	&report_attr_privlevel_floor,
	&report_attr_service_provider,
	&report_attr_service_guid,
	&report_attr_service_manifest_version,
};

static struct configfs_bin_attribute *const all_bin_attrs[BIN_ATTRS] = {
	&report_attr_inblob,
	&report_attr_outblob,
	&report_attr_auxblob,
	&report_attr_manifestblob,
};

static void release_entry(struct config_item *item)
{
	struct entry *entry = to_entry(item);

	discard_report(entry);
	kfree(entry->report.desc.service_provider);
	registration_put(entry->registration);	/* with the item's type */
	kfree(entry);
}

static struct configfs_item_operations entry_ops = {
	.release = release_entry,
};

static void init_type(struct registration *registration)
{
	const struct tsm_report_ops *ops = registration->ops;
	unsigned int n, used;

	for (n = used = 0; n < ATTRS; n++)
		if (!ops->report_attr_visible || ops->report_attr_visible(n))
			registration->attrs[used++] = all_attrs[n];
	for (n = used = 0; n < BIN_ATTRS; n++)
		if (!ops->report_bin_attr_visible ||
		    ops->report_bin_attr_visible(n))
			registration->bin_attrs[used++] = all_bin_attrs[n];
	registration->type = (struct config_item_type){
		.ct_owner = THIS_MODULE,
		.ct_item_ops = &entry_ops,
		.ct_attrs = registration->attrs,
		.ct_bin_attrs = registration->bin_attrs,
	};
}

static struct config_item *make_entry(struct config_group *group,
				      const char *name)
{
	struct entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

	if (!entry)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&registration_mutex);
	entry->registration = registered;
	if (registered)
		kref_get(&registered->ref);
	mutex_unlock(&registration_mutex);
	if (!entry->registration) {
		kfree(entry);
		return ERR_PTR(-ENODEV);
	}
	init_rwsem(&entry->sem);
	config_item_init_type_name(&entry->item, name,
				   &entry->registration->type);
	return &entry->item;
}

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	struct registration *new;
	int rc = 0;

	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	kref_init(&new->ref);
	refcount_set(&new->users, 1);
	init_completion(&new->unused);
	new->ops = ops;
	new->data = priv;

	mutex_lock(&registration_mutex);
	if (registered) {
		rc = -EBUSY;
		kfree(new);
	} else {
		init_type(new);
		registered = new;
	}
	mutex_unlock(&registration_mutex);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	struct registration *old = NULL;

	mutex_lock(&registration_mutex);
	if (registered && registered->ops == ops)
		swap(old, registered);
	mutex_unlock(&registration_mutex);
	if (!old)
		return -ENODEV;
	leave_provider(old);
	wait_for_completion(&old->unused);
	registration_put(old);
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static struct configfs_group_operations directory_ops = {
	.make_item = make_entry,
};

static const struct config_item_type directory_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &directory_ops,
};

static const struct config_item_type root_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem root = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &root_type },
	.su_mutex = __MUTEX_INITIALIZER(root.su_mutex),
};

static struct config_group *directory;

static int __init report_init(void)
{
	int rc;

	config_group_init(&root.su_group);
	rc = configfs_register_subsystem(&root);
	if (rc)
		return rc;
	directory = configfs_register_default_group(&root.su_group, "report",
						    &directory_type);
	if (!IS_ERR(directory))
		return 0;
	configfs_unregister_subsystem(&root);
	return PTR_ERR(directory);
}
module_init(report_init);

static void __exit report_exit(void)
{
	configfs_unregister_default_group(directory);
	configfs_unregister_subsystem(&root);
}
module_exit(report_exit);

MODULE_DESCRIPTION("TSM reports with an item type for each provider");
MODULE_LICENSE("GPL");

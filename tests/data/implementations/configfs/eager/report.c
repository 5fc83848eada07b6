// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: the report is made when the nonce or another option is written, not
 * when it is read: close() and write() wait for the provider. Readers copy. The
 * error of an attempt is returned to the first privileged reader, once; the
 * next one makes another attempt. One mutex for each entry, and a rw_semaphore
 * for the provider.
 *
 * Freedoms: a report for every option that is written after the nonce;
 * everybody may read a finished report, and nobody without CAP_SYS_ADMIN may
 * cause another attempt; EINVAL for numbers of any kind that are not accepted.
 */
#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>

enum state {
	NOTHING,	/* no attempt yet, or its error has been read */
	ERROR,		/* the attempt gave entry->error */
	REPORT,
};

struct entry {
	struct config_item item;
	struct tsm_report report;
	enum state state;
	int error;
	struct mutex lock;
	unsigned long generation;
	DECLARE_BITMAP(visible, 16);	/* text from 0, binary from 8 */
};

static struct {
	struct rw_semaphore lock;
	const struct tsm_report_ops *ops;
	void *data;
	atomic_t entries;
} registry = {
	.lock = __RWSEM_INITIALIZER(registry.lock),
};

static struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static void free_report(struct entry *entry)
{
	struct tsm_report *r = &entry->report;

	kvfree(r->outblob);
	kvfree(r->auxblob);
	kvfree(r->manifestblob);
	r->outblob = r->auxblob = r->manifestblob = NULL;
	r->outblob_len = r->auxblob_len = r->manifestblob_len = 0;
	entry->state = NOTHING;
}

static bool is_too_long(const u8 *blob, size_t len)
{
	return blob && len > TSM_REPORT_OUTBLOB_MAX;
}

/* The entry is locked, and the registry, which has a provider. */
static void make_report(struct entry *entry)
{
	struct tsm_report *r = &entry->report;
	int rc;

	free_report(entry);
	rc = registry.ops->report_new(r, registry.data);
	if (!rc && r->outblob && !is_too_long(r->outblob, r->outblob_len) &&
	    !is_too_long(r->auxblob, r->auxblob_len) &&
	    !is_too_long(r->manifestblob, r->manifestblob_len)) {
		entry->state = REPORT;
		return;
	}
	if (rc >= 0)
		rc = rc || !r->outblob ? -EIO : -EFBIG;
	free_report(entry);
	entry->state = ERROR;
	entry->error = rc;
}

/* The entry and the registry are locked: an option has been written. */
static void commit(struct entry *entry)
{
	WRITE_ONCE(entry->generation, entry->generation + 1);
	free_report(entry);
	if (registry.ops && entry->report.desc.inblob_len)
		make_report(entry);
}

/* The entry and the registry are locked. */
static int check_report(struct entry *entry)
{
	if (!registry.ops)
		return -ENXIO;
	if (!entry->report.desc.inblob_len)
		return -EINVAL;
	if (entry->state == REPORT)
		return 0;
	if (!capable(CAP_SYS_ADMIN))
		return -EACCES;
	if (entry->state == NOTHING)
		make_report(entry);
	if (entry->state == REPORT)
		return 0;
	entry->state = NOTHING;
	return entry->error;
}

static ssize_t read_blob(struct entry *entry, u8 *const *blob,
			 const size_t *len, void *buf, size_t count)
{
	ssize_t rc;

	guard(rwsem_read)(&registry.lock);
	rc = mutex_lock_killable(&entry->lock);
	if (rc)
		return rc;
	rc = check_report(entry);
	if (!rc && *blob)
		rc = *len;
	if (rc >= 0 && buf) {
		if (rc != count)
			rc = -EAGAIN;
		else
			memcpy(buf, *blob, count);
	}
	mutex_unlock(&entry->lock);
	return rc;
}

static ssize_t file_outblob_read(struct config_item *item, void *buf,
				 size_t count)
{
	struct entry *e = to_entry(item);

	return read_blob(e, &e->report.outblob, &e->report.outblob_len, buf,
			 count);
}

static ssize_t file_auxblob_read(struct config_item *item, void *buf,
				 size_t count)
{
	struct entry *e = to_entry(item);

	return read_blob(e, &e->report.auxblob, &e->report.auxblob_len, buf,
			 count);
}

static ssize_t file_manifestblob_read(struct config_item *item, void *buf,
				      size_t count)
{
	struct entry *e = to_entry(item);

	return read_blob(e, &e->report.manifestblob,
			 &e->report.manifestblob_len, buf, count);
}

static ssize_t file_inblob_write(struct config_item *item, const void *buf,
				 size_t count)
{
	struct entry *entry = to_entry(item);
	struct tsm_report_desc *desc = &entry->report.desc;

	if (!count || count > sizeof(desc->inblob))
		return -EINVAL;
	guard(rwsem_read)(&registry.lock);
	guard(mutex)(&entry->lock);
	memset(desc->inblob, 0, sizeof(desc->inblob));
	memcpy(desc->inblob, buf, count);
	desc->inblob_len = count;
	commit(entry);
	return count;
}

static ssize_t file_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%lu\n", READ_ONCE(to_entry(item)->generation));
}

static ssize_t file_provider_show(struct config_item *item, char *page)
{
	guard(rwsem_read)(&registry.lock);
	if (!registry.ops)
		return -ENXIO;
	return sysfs_emit(page, "%s\n", registry.ops->name);
}

static ssize_t file_privlevel_floor_show(struct config_item *item, char *page)
{
	guard(rwsem_read)(&registry.lock);
	if (!registry.ops)
		return -ENXIO;
	return sysfs_emit(page, "%u\n", registry.ops->privlevel_floor);
}

static ssize_t file_privlevel_store(struct config_item *item, const char *page,
				    size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int level;

	if (kstrtouint(page, 0, &level) || level > TSM_REPORT_PRIVLEVEL_MAX)
		return -EINVAL;
	guard(rwsem_read)(&registry.lock);
	if (!registry.ops)
		return -ENXIO;
	if (level < registry.ops->privlevel_floor)
		return -EINVAL;
	guard(mutex)(&entry->lock);
	entry->report.desc.privlevel = level;
	commit(entry);
	return count;
}

static ssize_t file_service_provider_store(struct config_item *item,
					   const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	char *name __free(kfree) = NULL;
	size_t len = count;

	if (page[len - 1] == '\n')
		len--;
	if (len != strcspn(page, "\n"))
		return -EINVAL;
	name = len ? kstrndup(page, len, GFP_KERNEL) : NULL;
	if (len && !name)
		return -ENOMEM;
	guard(rwsem_read)(&registry.lock);
	guard(mutex)(&entry->lock);
	swap(name, entry->report.desc.service_provider);
	commit(entry);
	return count;
}

static ssize_t file_service_guid_store(struct config_item *item,
				       const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	guid_t guid;

	if (guid_parse(page, &guid) ||
	    !sysfs_streq("", page + UUID_STRING_LEN))
		return -EINVAL;
	guard(rwsem_read)(&registry.lock);
	guard(mutex)(&entry->lock);
	guid_copy(&entry->report.desc.service_guid, &guid);
	commit(entry);
	return count;
}

static ssize_t file_service_manifest_version_store(struct config_item *item,
						   const char *page,
						   size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int version;

	if (kstrtouint(page, 0, &version))
		return -EINVAL;
	guard(rwsem_read)(&registry.lock);
	guard(mutex)(&entry->lock);
	entry->report.desc.service_manifest_version = version;
	commit(entry);
	return count;
}

CONFIGFS_ATTR_RO(file_, generation);
CONFIGFS_ATTR_RO(file_, provider);
CONFIGFS_ATTR_WO(file_, privlevel);
CONFIGFS_ATTR_RO(file_, privlevel_floor);
CONFIGFS_ATTR_WO(file_, service_provider);
CONFIGFS_ATTR_WO(file_, service_guid);
CONFIGFS_ATTR_WO(file_, service_manifest_version);
CONFIGFS_BIN_ATTR_WO(file_, inblob, NULL, TSM_REPORT_INBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(file_, outblob, NULL, TSM_REPORT_OUTBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(file_, auxblob, NULL, TSM_REPORT_OUTBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(file_, manifestblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static struct configfs_attribute *text_files[] = {
	&file_attr_generation,
	&file_attr_provider,
	&file_attr_privlevel,
	&file_attr_privlevel_floor,
	&file_attr_service_provider,
	&file_attr_service_guid,
	&file_attr_service_manifest_version,
	NULL
};

static struct configfs_bin_attribute *binary_files[] = {
	&file_attr_inblob,
	&file_attr_outblob,
	&file_attr_auxblob,
	&file_attr_manifestblob,
	NULL
};

static bool is_text_visible(struct config_item *item,
			    struct configfs_attribute *attr, int n)
{
	return test_bit(n, to_entry(item)->visible);
}

static bool is_binary_visible(struct config_item *item,
			      struct configfs_bin_attribute *attr, int n)
{
	return test_bit(8 + n, to_entry(item)->visible);
}

static void free_entry(struct config_item *item)
{
	struct entry *entry = to_entry(item);

	free_report(entry);
	kfree(entry->report.desc.service_provider);
	kfree(entry);
}

static struct configfs_item_operations entry_ops = { .release = free_entry };

static struct configfs_group_operations entry_visibility = {
	.is_visible = is_text_visible,
	.is_bin_visible = is_binary_visible,
};

static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &entry_ops,
	.ct_group_ops = &entry_visibility,
	.ct_attrs = text_files,
	.ct_bin_attrs = binary_files,
};

static void decide_visibility(struct entry *entry,
			      const struct tsm_report_ops *ops)
{
	int n;

	bitmap_fill(entry->visible, 16);
	if (ops->report_attr_visible)
		for (n = 0; text_files[n]; n++)
			__assign_bit(n, entry->visible,
				     ops->report_attr_visible(n));
	if (ops->report_bin_attr_visible)
		for (n = 0; binary_files[n]; n++)
			__assign_bit(8 + n, entry->visible,
				     ops->report_bin_attr_visible(n));
}

static struct config_item *make_entry(struct config_group *group,
				      const char *name)
{
	struct entry *entry;

	guard(rwsem_read)(&registry.lock);
	if (!registry.ops)
		return ERR_PTR(-ENXIO);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return ERR_PTR(-ENOMEM);
	mutex_init(&entry->lock);
	decide_visibility(entry, registry.ops);
	atomic_inc(&registry.entries);
	config_item_init_type_name(&entry->item, name, &entry_type);
	return &entry->item;
}

static void drop_entry(struct config_group *group, struct config_item *item)
{
	atomic_dec(&registry.entries);
	config_item_put(item);
}

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	guard(rwsem_write)(&registry.lock);
	if (registry.ops || atomic_read(&registry.entries))
		return -EBUSY;
	registry.ops = ops;
	registry.data = priv;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	guard(rwsem_write)(&registry.lock);
	if (registry.ops != ops)
		return -EBUSY;
	registry.ops = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static struct configfs_group_operations report_ops = {
	.make_item = make_entry,
	.drop_item = drop_entry,
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

static int __init tsm_init(void)
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
module_init(tsm_init);

static void __exit tsm_exit(void)
{
	configfs_unregister_default_group(report);
	configfs_unregister_subsystem(&tsm);
}
module_exit(tsm_exit);

MODULE_DESCRIPTION("TSM reports that are made before they are read");
MODULE_LICENSE("GPL");

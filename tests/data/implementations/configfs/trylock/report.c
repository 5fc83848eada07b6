// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: whoever comes while something is in progress is refused with EBUSY, by
 * trylocks: a reader while another one makes the report of its entry, everybody
 * while a provider registers or unregisters. Nobody waits for a maker.
 *
 * Freedoms: EBUSY as above; EAGAIN for a maker whose options have changed in
 * the meantime; blobs have mode 0400, so that only root can open them; an empty
 * service_provider is passed on as an empty string.
 */
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

struct entry {
	struct config_item item;
	unsigned long visible[2];
	struct mutex making;		/* draft; only for trylocks */
	struct tsm_report draft;
	struct mutex lock;		/* the rest; short; inside making */
	struct tsm_report report;	/* current if it has an outblob */
	unsigned long generation;
};

static DECLARE_RWSEM(provider_sem);
static const struct tsm_report_ops *provider;
static void *provider_data;
static atomic_t entries;

static struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static void clear_blobs(struct tsm_report *report)
{
	u8 **blobs[] = { &report->outblob, &report->auxblob,
			 &report->manifestblob };
	size_t n;

	for (n = 0; n < ARRAY_SIZE(blobs); n++) {
		kvfree(*blobs[n]);
		*blobs[n] = NULL;
	}
	report->outblob_len = 0;
	report->auxblob_len = 0;
	report->manifestblob_len = 0;
}

static int check_blob(const u8 *blob, size_t *len)
{
	if (!blob)
		*len = 0;
	return *len > TSM_REPORT_OUTBLOB_MAX ? -EFBIG : 0;
}

static int fill_draft(struct tsm_report *draft)
{
	int rc = provider->report_new(draft, provider_data);

	if (rc > 0 || (rc == 0 && !draft->outblob))
		return -EIO;
	return rc ?: check_blob(draft->outblob, &draft->outblob_len) ?:
		     check_blob(draft->auxblob, &draft->auxblob_len) ?:
		     check_blob(draft->manifestblob, &draft->manifestblob_len);
}

/* The entry is locked, and the draft too. */
static int copy_options(struct entry *entry)
{
	struct tsm_report_desc *desc = &entry->draft.desc;

	*desc = entry->report.desc;
	if (!desc->service_provider)
		return 0;
	desc->service_provider = kstrdup(desc->service_provider, GFP_KERNEL);
	return desc->service_provider ? 0 : -ENOMEM;
}

/* The entry is locked, and the draft too: it becomes the report, or nothing. */
static void end_draft(struct entry *entry, bool keep)
{
	struct tsm_report *draft = &entry->draft;

	kfree(draft->desc.service_provider);
	if (keep) {
		draft->desc = entry->report.desc;
		entry->report = *draft;
	} else {
		clear_blobs(draft);
	}
	memset(draft, 0, sizeof(*draft));
}

/* The entry is locked before and after, but not meanwhile. */
static int make_report(struct entry *entry)
{
	unsigned long generation = entry->generation;
	int rc;

	if (!entry->report.desc.inblob_len)
		return -EINVAL;
	if (!mutex_trylock(&entry->making))
		return -EBUSY;
	rc = copy_options(entry);
	mutex_unlock(&entry->lock);

	if (!rc)
		rc = fill_draft(&entry->draft);

	mutex_lock(&entry->lock);
	if (!rc && generation != entry->generation)
		rc = -EAGAIN;
	end_draft(entry, !rc);
	mutex_unlock(&entry->making);
	return rc;
}

static ssize_t copy_blob(const u8 *blob, size_t len, void *buf, size_t count)
{
	if (!buf)
		return len;
	if (count != len)
		return -EAGAIN;
	memcpy(buf, blob, len);
	return len;
}

#define BLOB_READ(_name)						\
static ssize_t report_##_name##_read(struct config_item *item,		\
				     void *buf, size_t count)		\
{									\
	struct entry *entry = to_entry(item);				\
	ssize_t rc = -ENXIO;						\
									\
	if (!down_read_trylock(&provider_sem))				\
		return -EBUSY;						\
	mutex_lock(&entry->lock);					\
	if (provider)							\
		rc = entry->report.outblob ? 0 : make_report(entry);	\
	if (!rc)							\
		rc = copy_blob(entry->report._name,			\
			       entry->report._name##_len, buf, count);	\
	mutex_unlock(&entry->lock);					\
	up_read(&provider_sem);						\
	return rc;							\
}									\
									\
static struct configfs_bin_attribute report_attr_##_name = {		\
	.cb_attr = {							\
		.ca_name = #_name,					\
		.ca_owner = THIS_MODULE,				\
		.ca_mode = 0400,					\
	},								\
	.cb_max_size = TSM_REPORT_OUTBLOB_MAX,				\
	.read = report_##_name##_read,					\
}

BLOB_READ(outblob);
BLOB_READ(auxblob);
BLOB_READ(manifestblob);

/* The entry is locked. */
static void commit(struct entry *entry)
{
	entry->generation++;
	clear_blobs(&entry->report);
}

static ssize_t report_inblob_write(struct config_item *item, const void *buf,
				   size_t count)
{
	struct entry *entry = to_entry(item);
	struct tsm_report_desc *desc = &entry->report.desc;

	if (count < 1 || count > sizeof(desc->inblob))
		return -EINVAL;
	/* Nobody holds this lock for long: never EBUSY, which close() loses. */
	guard(mutex)(&entry->lock);
	memcpy(desc->inblob, buf, count);
	desc->inblob_len = count;
	while (count < sizeof(desc->inblob))
		desc->inblob[count++] = 0;
	commit(entry);
	return desc->inblob_len;
}
CONFIGFS_BIN_ATTR_WO(report_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

static ssize_t report_generation_show(struct config_item *item, char *page)
{
	struct entry *entry = to_entry(item);

	guard(mutex)(&entry->lock);
	return sysfs_emit(page, "%lu\n", entry->generation);
}
CONFIGFS_ATTR_RO(report_, generation);

static ssize_t report_provider_show(struct config_item *item, char *page)
{
	ssize_t rc = -ENXIO;

	if (!down_read_trylock(&provider_sem))
		return -EBUSY;
	if (provider)
		rc = sysfs_emit(page, "%s\n", provider->name);
	up_read(&provider_sem);
	return rc;
}
CONFIGFS_ATTR_RO(report_, provider);

static int get_floor(unsigned int *floor)
{
	int rc = -ENXIO;

	if (!down_read_trylock(&provider_sem))
		return -EBUSY;
	if (provider) {
		*floor = provider->privlevel_floor;
		rc = 0;
	}
	up_read(&provider_sem);
	return rc;
}

static ssize_t report_privlevel_floor_show(struct config_item *item, char *page)
{
	unsigned int floor;
	int rc;

	rc = get_floor(&floor);
	return rc ?: sysfs_emit(page, "%u\n", floor);
}
CONFIGFS_ATTR_RO(report_, privlevel_floor);

static ssize_t report_privlevel_store(struct config_item *item,
				      const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int floor, level;
	int rc;

	rc = get_floor(&floor) ?: kstrtouint(page, 0, &level);
	if (rc)
		return rc;
	if (level < floor || level > TSM_REPORT_PRIVLEVEL_MAX)
		return -EINVAL;
	guard(mutex)(&entry->lock);
	entry->report.desc.privlevel = level;
	commit(entry);
	return count;
}
CONFIGFS_ATTR_WO(report_, privlevel);

static ssize_t report_service_provider_store(struct config_item *item,
					     const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	char *service;

	if (strlen(page) != count)
		return -EINVAL;
	service = kstrndup(page, strcspn(page, "\n"), GFP_KERNEL);
	if (!service)
		return -ENOMEM;
	/* At most a line feed may follow. */
	if (strlen(service) + 1 < count) {
		kfree(service);
		return -EINVAL;
	}
	guard(mutex)(&entry->lock);
	kfree(entry->report.desc.service_provider);
	entry->report.desc.service_provider = service;
	commit(entry);
	return count;
}
CONFIGFS_ATTR_WO(report_, service_provider);

static ssize_t report_service_guid_store(struct config_item *item,
					 const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	guid_t guid;
	int rc;

	if (count > UUID_STRING_LEN + 1)
		return -EINVAL;
	rc = guid_parse(page, &guid);
	if (rc)
		return rc;
	if (count > UUID_STRING_LEN && page[UUID_STRING_LEN] != '\n')
		return -EINVAL;
	guard(mutex)(&entry->lock);
	entry->report.desc.service_guid = guid;
	commit(entry);
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
	if (rc)
		return rc;
	guard(mutex)(&entry->lock);
	entry->report.desc.service_manifest_version = version;
	commit(entry);
	return count;
}
CONFIGFS_ATTR_WO(report_, service_manifest_version);

static struct configfs_attribute *attrs[] = {
	&report_attr_generation,
	&report_attr_provider,
	&report_attr_privlevel,
	&report_attr_privlevel_floor,
	&report_attr_service_provider,
	&report_attr_service_guid,
	&report_attr_service_manifest_version,
	NULL
};

static struct configfs_bin_attribute *bin_attrs[] = {
	&report_attr_inblob,
	&report_attr_outblob,
	&report_attr_auxblob,
	&report_attr_manifestblob,
	NULL
};

static bool attr_is_visible(struct config_item *item,
			    struct configfs_attribute *attr, int n)
{
	return test_bit(n, &to_entry(item)->visible[0]);
}

static bool bin_attr_is_visible(struct config_item *item,
				struct configfs_bin_attribute *attr, int n)
{
	return test_bit(n, &to_entry(item)->visible[1]);
}

static void release_entry(struct config_item *item)
{
	struct entry *entry = to_entry(item);

	clear_blobs(&entry->report);
	kfree(entry->report.desc.service_provider);
	kfree(entry);
	atomic_dec(&entries);
}

static struct configfs_item_operations entry_item_ops = {
	.release = release_entry,
};

static struct configfs_group_operations entry_group_ops = {
	.is_visible = attr_is_visible,
	.is_bin_visible = bin_attr_is_visible,
};

static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &entry_item_ops,
	.ct_group_ops = &entry_group_ops,
	.ct_attrs = attrs,
	.ct_bin_attrs = bin_attrs,
};

static void ask(bool (*is_visible)(int n), int number, unsigned long *bits)
{
	int n;

	for (n = 0; n < number; n++)
		__assign_bit(n, bits, !is_visible || is_visible(n));
}

static struct config_item *make_entry(struct config_group *group,
				      const char *name)
{
	struct entry *entry = NULL;
	int rc = -ENXIO;

	if (!down_read_trylock(&provider_sem))
		return ERR_PTR(-EBUSY);
	if (!provider)
		goto out;
	rc = -ENOMEM;
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		goto out;
	mutex_init(&entry->making);
	mutex_init(&entry->lock);
	ask(provider->report_attr_visible, ARRAY_SIZE(attrs) - 1,
	    &entry->visible[0]);
	ask(provider->report_bin_attr_visible, ARRAY_SIZE(bin_attrs) - 1,
	    &entry->visible[1]);
	config_item_init_type_name(&entry->item, name, &entry_type);
	atomic_inc(&entries);
out:
	up_read(&provider_sem);
	return entry ? &entry->item : ERR_PTR(rc);
}

static struct configfs_group_operations directory_ops = {
	.make_item = make_entry,
};

static const struct config_item_type directory_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &directory_ops,
};

static const struct config_item_type subsystem_type = {
	.ct_owner = THIS_MODULE,
};

static struct configfs_subsystem subsystem = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &subsystem_type },
	.su_mutex = __MUTEX_INITIALIZER(subsystem.su_mutex),
};

static struct config_group *directory;

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	guard(rwsem_write)(&provider_sem);
	if (provider || atomic_read(&entries))
		return -EBUSY;
	provider = ops;
	provider_data = priv;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	guard(rwsem_write)(&provider_sem);
	if (!provider || provider != ops)
		return -ENXIO;
	provider = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static int __init report_init(void)
{
	int rc;

	config_group_init(&subsystem.su_group);
	rc = configfs_register_subsystem(&subsystem);
	if (rc)
		return rc;
	directory = configfs_register_default_group(&subsystem.su_group,
						    "report", &directory_type);
	if (IS_ERR(directory)) {
		configfs_unregister_subsystem(&subsystem);
		return PTR_ERR(directory);
	}
	return 0;
}
module_init(report_init);

static void __exit report_exit(void)
{
	configfs_unregister_default_group(directory);
	configfs_unregister_subsystem(&subsystem);
}
module_exit(report_exit);

MODULE_DESCRIPTION("TSM reports that refuse instead of waiting");
MODULE_LICENSE("GPL");

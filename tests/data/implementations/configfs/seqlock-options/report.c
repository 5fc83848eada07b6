// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: options are plain memory behind a seqlock, and the generation is an
 * atomic counter. Readers of options never wait. A mutex, which a signal can
 * interrupt, makes one report at a time for each entry. Users of the provider
 * are counted in an atomic variable that unregistering waits for.
 *
 * Freedoms: ENODATA before the first nonce; ENODEV without a provider; a report
 * whose options changed while it was made is given to its maker, but not kept.
 */
#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seqlock.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>
#include <linux/wait_bit.h>

/* configfs passes less than a page. An empty name means no service. */
struct options {
	struct tsm_report_desc desc;
	char service[SZ_4K];
};

struct blob {
	u8 *bytes;
	size_t len;
};

enum { OUT, AUX, MANIFEST, BLOBS };

struct entry {
	struct config_item item;
	u8 files, blob_files;

	seqlock_t options_lock;
	struct options options;
	atomic_long_t generation;

	struct mutex making;		/* the rest */
	struct {
		struct options options;
		struct tsm_report report;
	} request;
	struct blob blobs[BLOBS];
	long made;			/* generation of the blobs */
	bool valid;
};

static DEFINE_SPINLOCK(provider_lock);	/* setting the provider */
static const struct tsm_report_ops *provider;
static void *provider_data;
/* Negative from the moment when the provider wants to leave. */
#define NO_PROVIDER	(INT_MIN / 2)
static atomic_t provider_users = ATOMIC_INIT(NO_PROVIDER);
static atomic_t entries = ATOMIC_INIT(0);

static struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static bool get_provider(void)
{
	return atomic_inc_unless_negative(&provider_users);
}

static void put_provider(void)
{
	if (atomic_dec_return(&provider_users) == NO_PROVIDER)
		wake_up_var(&provider_users);
}

/* Returns the generation of the copy. */
static long copy_options(struct entry *entry, struct options *copy)
{
	unsigned int seq;
	long generation;

	do {
		seq = read_seqbegin(&entry->options_lock);
		*copy = entry->options;
		generation = atomic_long_read(&entry->generation);
	} while (read_seqretry(&entry->options_lock, seq));
	copy->desc.service_provider = *copy->service ? copy->service : NULL;
	return generation;
}

static void start_write(struct entry *entry)
{
	write_seqlock(&entry->options_lock);
	atomic_long_inc(&entry->generation);
}

static void end_write(struct entry *entry)
{
	write_sequnlock(&entry->options_lock);
}

static void drop_blobs(struct entry *entry)
{
	int n;

	entry->valid = false;
	for (n = 0; n < BLOBS; n++) {
		kvfree(entry->blobs[n].bytes);
		entry->blobs[n] = (struct blob){};
	}
}

static int take_blobs(struct entry *entry)
{
	const struct tsm_report *from = &entry->request.report;
	int n;

	entry->blobs[OUT] = (struct blob){ from->outblob, from->outblob_len };
	entry->blobs[AUX] = (struct blob){ from->auxblob, from->auxblob_len };
	entry->blobs[MANIFEST] = (struct blob){ from->manifestblob,
						from->manifestblob_len };
	for (n = 0; n < BLOBS; n++) {
		if (!entry->blobs[n].bytes)
			entry->blobs[n].len = 0;
		if (entry->blobs[n].len > TSM_REPORT_OUTBLOB_MAX)
			return -EFBIG;
	}
	return entry->blobs[OUT].bytes ? 0 : -EIO;
}

/* The mutex is held. */
static int make_blobs(struct entry *entry)
{
	struct tsm_report *report = &entry->request.report;
	int rc, err;

	entry->made = copy_options(entry, &entry->request.options);
	memset(report, 0, sizeof(*report));
	report->desc = entry->request.options.desc;
	if (!report->desc.inblob_len)
		return -ENODATA;
	if (!capable(CAP_SYS_ADMIN))
		return -EACCES;
	rc = provider->report_new(report, provider_data);
	err = take_blobs(entry); /* also those of a failure, to free them */
	if (rc > 0)
		rc = -EIO;
	return rc ?: err;
}

static bool is_current(struct entry *entry)
{
	return entry->valid &&
	       entry->made == atomic_long_read(&entry->generation);
}

static int check_blobs(struct entry *entry)
{
	int rc;

	if (is_current(entry))
		return 0;
	drop_blobs(entry);
	rc = make_blobs(entry);
	if (rc)
		drop_blobs(entry);
	else
		entry->valid = true;
	return rc;
}

static ssize_t read_blob(struct config_item *item, int number, void *buf,
			 size_t count)
{
	struct entry *entry = to_entry(item);
	const struct blob *blob = &entry->blobs[number];
	ssize_t rc;

	if (!get_provider())
		return -ENODEV;
	if (mutex_lock_interruptible(&entry->making)) {
		put_provider();
		return -EINTR;
	}
	rc = check_blobs(entry);
	if (!rc && buf && blob->len != count)
		rc = -EAGAIN;
	if (!rc && buf)
		memcpy(buf, blob->bytes, count);
	if (!rc)
		rc = blob->len;
	mutex_unlock(&entry->making);
	put_provider();
	return rc;
}

static ssize_t seq_outblob_read(struct config_item *item, void *buf,
				size_t count)
{
	return read_blob(item, OUT, buf, count);
}
CONFIGFS_BIN_ATTR_RO(seq_, outblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t seq_auxblob_read(struct config_item *item, void *buf,
				size_t count)
{
	return read_blob(item, AUX, buf, count);
}
CONFIGFS_BIN_ATTR_RO(seq_, auxblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t seq_manifestblob_read(struct config_item *item, void *buf,
				     size_t count)
{
	return read_blob(item, MANIFEST, buf, count);
}
CONFIGFS_BIN_ATTR_RO(seq_, manifestblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t seq_inblob_write(struct config_item *item, const void *buf,
				size_t count)
{
	struct entry *entry = to_entry(item);
	struct tsm_report_desc *desc = &entry->options.desc;

	if (!count || count > TSM_REPORT_INBLOB_MAX)
		return -EINVAL;
	start_write(entry);
	desc->inblob_len = count;
	memcpy(desc->inblob, buf, count);
	memset(desc->inblob + count, 0, TSM_REPORT_INBLOB_MAX - count);
	end_write(entry);
	return count;
}
CONFIGFS_BIN_ATTR_WO(seq_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

static ssize_t seq_generation_show(struct config_item *item, char *page)
{
	unsigned long generation;

	generation = atomic_long_read(&to_entry(item)->generation);
	return sysfs_emit(page, "%lu\n", generation);
}
CONFIGFS_ATTR_RO(seq_, generation);

static ssize_t seq_provider_show(struct config_item *item, char *page)
{
	ssize_t len;

	if (!get_provider())
		return -ENODEV;
	len = sysfs_emit(page, "%s\n", provider->name);
	put_provider();
	return len;
}
CONFIGFS_ATTR_RO(seq_, provider);

static ssize_t seq_privlevel_floor_show(struct config_item *item, char *page)
{
	ssize_t len;

	if (!get_provider())
		return -ENODEV;
	len = sysfs_emit(page, "%u\n", provider->privlevel_floor);
	put_provider();
	return len;
}
CONFIGFS_ATTR_RO(seq_, privlevel_floor);

static ssize_t seq_privlevel_store(struct config_item *item, const char *page,
				   size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int level;
	bool is_low;
	int rc;

	rc = kstrtouint(page, 0, &level);
	if (rc)
		return rc;
	if (!get_provider())
		return -ENODEV;
	is_low = level < provider->privlevel_floor;
	put_provider();
	if (is_low || level > TSM_REPORT_PRIVLEVEL_MAX)
		return -EINVAL;
	start_write(entry);
	entry->options.desc.privlevel = level;
	end_write(entry);
	return count;
}
CONFIGFS_ATTR_WO(seq_, privlevel);

static ssize_t seq_service_provider_store(struct config_item *item,
					  const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	size_t len = strcspn(page, "\n");

	/* A line without NUL that fits. */
	if ((len != count && !(len == count - 1 && page[len] == '\n')) ||
	    len >= sizeof(entry->options.service))
		return -EINVAL;
	start_write(entry);
	memcpy(entry->options.service, page, len);
	entry->options.service[len] = '\0';
	end_write(entry);
	return count;
}
CONFIGFS_ATTR_WO(seq_, service_provider);

static ssize_t seq_service_guid_store(struct config_item *item,
				      const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	guid_t guid;
	int rc;

	rc = guid_parse(page, &guid);
	if (rc)
		return rc;
	if (!sysfs_streq(page + UUID_STRING_LEN, ""))
		return -EINVAL;
	start_write(entry);
	entry->options.desc.service_guid = guid;
	end_write(entry);
	return count;
}
CONFIGFS_ATTR_WO(seq_, service_guid);

static ssize_t seq_service_manifest_version_store(struct config_item *item,
						  const char *page,
						  size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int version;
	int rc;

	rc = kstrtouint(page, 0, &version);
	if (rc)
		return rc;
	start_write(entry);
	entry->options.desc.service_manifest_version = version;
	end_write(entry);
	return count;
}
CONFIGFS_ATTR_WO(seq_, service_manifest_version);

static struct configfs_attribute *attributes[] = {
	&seq_attr_generation,
	&seq_attr_provider,
	&seq_attr_privlevel,
	&seq_attr_privlevel_floor,
	&seq_attr_service_provider,
	&seq_attr_service_guid,
	&seq_attr_service_manifest_version,
	NULL
};

static struct configfs_bin_attribute *bin_attributes[] = {
	&seq_attr_inblob,
	&seq_attr_outblob,
	&seq_attr_auxblob,
	&seq_attr_manifestblob,
	NULL
};

static bool has_file(struct config_item *item, struct configfs_attribute *attr,
		     int n)
{
	return to_entry(item)->files & BIT(n);
}

static bool has_blob_file(struct config_item *item,
			  struct configfs_bin_attribute *attr, int n)
{
	return to_entry(item)->blob_files & BIT(n);
}

static void release_entry(struct config_item *item)
{
	struct entry *entry = to_entry(item);

	drop_blobs(entry);
	kfree(entry);
	atomic_dec(&entries);
}

static struct configfs_item_operations item_ops = {
	.release = release_entry,
};

static struct configfs_group_operations file_ops = {
	.is_visible = has_file,
	.is_bin_visible = has_blob_file,
};

static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &item_ops,
	.ct_group_ops = &file_ops,
	.ct_attrs = attributes,
	.ct_bin_attrs = bin_attributes,
};

static u8 ask(bool (*is_visible)(int n), int number)
{
	u8 mask = 0;
	int n;

	for (n = 0; n < number; n++)
		if (!is_visible || is_visible(n))
			mask |= BIT(n);
	return mask;
}

static struct config_item *make_entry(struct config_group *group,
				      const char *name)
{
	struct entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

	if (!entry)
		return ERR_PTR(-ENOMEM);
	if (!get_provider()) {
		kfree(entry);
		return ERR_PTR(-ENODEV);
	}
	seqlock_init(&entry->options_lock);
	mutex_init(&entry->making);
	entry->files = ask(provider->report_attr_visible,
			   ARRAY_SIZE(attributes) - 1);
	entry->blob_files = ask(provider->report_bin_attr_visible,
				ARRAY_SIZE(bin_attributes) - 1);
	atomic_inc(&entries);
	put_provider();
	config_item_init_type_name(&entry->item, name, &entry_type);
	return &entry->item;
}

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	int rc = -EBUSY;

	spin_lock(&provider_lock);
	if (!provider && !atomic_read(&entries)) {
		provider = ops;
		provider_data = priv;
		atomic_set_release(&provider_users, 0);
		rc = 0;
	}
	spin_unlock(&provider_lock);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	spin_lock(&provider_lock);
	if (!ops || provider != ops || atomic_read(&provider_users) < 0) {
		spin_unlock(&provider_lock);
		return -EBUSY;
	}
	atomic_add(NO_PROVIDER, &provider_users);
	spin_unlock(&provider_lock);

	wait_var_event(&provider_users,
		       atomic_read(&provider_users) == NO_PROVIDER);
	spin_lock(&provider_lock);
	provider = NULL;
	spin_unlock(&provider_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static struct configfs_group_operations report_ops = {
	.make_item = make_entry,
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

MODULE_DESCRIPTION("TSM reports with options behind a seqlock");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: the maker of a report takes a copy of the options, makes the report
 * with no lock held, and then looks at the generation again: when it has moved,
 * the report is thrown away and the reader is told to begin again (EAGAIN). A
 * flag keeps others from making one too. SRCU protects the provider.
 *
 * Freedoms: ENODATA before the first nonce; EEXIST for a second provider;
 * blanks around a number or a GUID are accepted; readers are interruptible;
 * EACCES for an unprivileged reader even if there is a report.
 */
#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/tsm.h>
#include <linux/wait.h>

struct provider {
	const struct tsm_report_ops *ops;
	void *data;
};

struct entry {
	struct config_item item;
	u8 visible, bin_visible;
	struct mutex lock;		/* all members below; short */
	wait_queue_head_t made;
	bool making;
	bool has_report;
	unsigned long generation;
	struct tsm_report report;	/* options; blobs if has_report */
};

DEFINE_STATIC_SRCU(provider_srcu);
static struct provider __rcu *current_provider;
static DEFINE_MUTEX(provider_lock);	/* setting it */
static atomic_t entries = ATOMIC_INIT(0);

static struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static struct provider *provider_get(int *idx)
{
	struct provider *provider;

	*idx = srcu_read_lock(&provider_srcu);
	provider = srcu_dereference(current_provider, &provider_srcu);
	if (!provider)
		srcu_read_unlock(&provider_srcu, *idx);
	return provider;
}

static void provider_put(int idx)
{
	srcu_read_unlock(&provider_srcu, idx);
}

static void free_blobs(struct tsm_report *report)
{
	kvfree(report->outblob);
	kvfree(report->auxblob);
	kvfree(report->manifestblob);
}

/* The entry is locked. */
static void forget_report(struct entry *entry)
{
	entry->has_report = false;
	free_blobs(&entry->report);
	entry->report = (struct tsm_report){ .desc = entry->report.desc };
}

/* The entry is locked. */
static void commit(struct entry *entry)
{
	forget_report(entry);
	entry->generation++;
}

static int check(const struct tsm_report *report, int rc)
{
	if (rc)
		return rc < 0 ? rc : -EIO;
	if (!report->outblob)
		return -ENODATA;
	if (report->outblob_len > TSM_REPORT_OUTBLOB_MAX ||
	    (report->auxblob && report->auxblob_len > TSM_REPORT_OUTBLOB_MAX) ||
	    (report->manifestblob &&
	     report->manifestblob_len > TSM_REPORT_OUTBLOB_MAX))
		return -EFBIG;
	return 0;
}

/* A report that is being made, with a copy of the options. */
struct draft {
	struct tsm_report report;
	unsigned long generation;
	struct entry *entry;
};

/* The entry is locked. */
static struct draft *start_draft(struct entry *entry)
{
	const struct tsm_report_desc *desc = &entry->report.desc;
	struct draft *draft;

	if (!desc->inblob_len)
		return ERR_PTR(-ENODATA);
	draft = kzalloc(sizeof(*draft), GFP_KERNEL);
	if (!draft)
		return ERR_PTR(-ENOMEM);
	draft->entry = entry;
	draft->generation = entry->generation;
	draft->report.desc = *desc;
	if (desc->service_provider) {
		draft->report.desc.service_provider =
			kstrdup(desc->service_provider, GFP_KERNEL);
		if (!draft->report.desc.service_provider) {
			kfree(draft);
			return ERR_PTR(-ENOMEM);
		}
	}
	entry->making = true;
	return draft;
}

/* The entry is locked. @rc: what came of it. Frees the draft. */
static int end_draft(struct draft *draft, int rc)
{
	struct entry *entry = draft->entry;

	entry->making = false;
	wake_up_interruptible_all(&entry->made);
	kfree(draft->report.desc.service_provider);
	if (!rc && draft->generation != entry->generation)
		rc = -EAGAIN;
	if (rc) {
		free_blobs(&draft->report);
	} else {
		draft->report.desc = entry->report.desc;
		entry->report = draft->report;
		entry->has_report = true;
	}
	kfree(draft);
	return rc;
}

/* The entry is locked, before and after. */
static int make_report(struct entry *entry, const struct provider *provider)
{
	struct draft *draft = start_draft(entry);
	int rc;

	if (IS_ERR(draft))
		return PTR_ERR(draft);
	mutex_unlock(&entry->lock);
	rc = check(&draft->report,
		   provider->ops->report_new(&draft->report, provider->data));
	mutex_lock(&entry->lock);
	return end_draft(draft, rc);
}

/* On success the entry is locked, and has a report. */
static int lock_report(struct entry *entry, const struct provider *provider)
{
	int rc;

	mutex_lock(&entry->lock);
	while (entry->making) {
		mutex_unlock(&entry->lock);
		rc = wait_event_interruptible(entry->made,
					      !READ_ONCE(entry->making));
		if (rc)
			return rc;
		mutex_lock(&entry->lock);
	}
	rc = entry->has_report ? 0 : make_report(entry, provider);
	if (rc)
		mutex_unlock(&entry->lock);
	return rc;
}

static ssize_t copy(void *buf, size_t count, const u8 *blob, size_t len)
{
	if (!blob)
		len = 0;
	if (!buf)
		return len;
	if (count != len)
		return -EAGAIN;
	memcpy(buf, blob, len);
	return len;
}

enum { OUT, AUX, MANIFEST };

static ssize_t copy_number(const struct tsm_report *report, int number,
			   void *buf, size_t count)
{
	if (number == AUX)
		return copy(buf, count, report->auxblob, report->auxblob_len);
	if (number == MANIFEST)
		return copy(buf, count, report->manifestblob,
			    report->manifestblob_len);
	return copy(buf, count, report->outblob, report->outblob_len);
}

static ssize_t read_blob(struct entry *entry, int number, void *buf,
			 size_t count)
{
	struct provider *provider;
	ssize_t rc;
	int idx;

	if (!capable(CAP_SYS_ADMIN))
		return -EACCES;
	provider = provider_get(&idx);
	if (!provider)
		return -ENXIO;
	rc = lock_report(entry, provider);
	if (!rc) {
		rc = copy_number(&entry->report, number, buf, count);
		mutex_unlock(&entry->lock);
	}
	provider_put(idx);
	return rc;
}

static ssize_t tsm_outblob_read(struct config_item *item, void *buf,
				size_t count)
{
	return read_blob(to_entry(item), OUT, buf, count);
}

static ssize_t tsm_auxblob_read(struct config_item *item, void *buf,
				size_t count)
{
	return read_blob(to_entry(item), AUX, buf, count);
}

static ssize_t tsm_manifestblob_read(struct config_item *item, void *buf,
				     size_t count)
{
	return read_blob(to_entry(item), MANIFEST, buf, count);
}

static ssize_t tsm_inblob_write(struct config_item *item, const void *buf,
				size_t count)
{
	struct entry *entry = to_entry(item);
	struct tsm_report_desc *desc = &entry->report.desc;

	if (!in_range(count, 1, TSM_REPORT_INBLOB_MAX))
		return -EINVAL;
	guard(mutex)(&entry->lock);
	desc->inblob_len = count;
	memset(desc->inblob, 0, sizeof(desc->inblob));
	memcpy(desc->inblob, buf, count);
	commit(entry);
	return count;
}

static ssize_t tsm_generation_show(struct config_item *item, char *page)
{
	struct entry *entry = to_entry(item);

	guard(mutex)(&entry->lock);
	return sysfs_emit(page, "%lu\n", entry->generation);
}

static ssize_t tsm_provider_show(struct config_item *item, char *page)
{
	struct provider *provider;
	ssize_t len;
	int idx;

	provider = provider_get(&idx);
	if (!provider)
		return -ENXIO;
	len = sysfs_emit(page, "%s\n", provider->ops->name);
	provider_put(idx);
	return len;
}

/* Negative: there is no provider. */
static int privlevel_floor(void)
{
	struct provider *provider;
	int idx, floor;

	provider = provider_get(&idx);
	if (!provider)
		return -ENXIO;
	floor = provider->ops->privlevel_floor;
	provider_put(idx);
	return floor;
}

static ssize_t tsm_privlevel_floor_show(struct config_item *item, char *page)
{
	int floor = privlevel_floor();

	return floor < 0 ? floor : sysfs_emit(page, "%d\n", floor);
}

/* Blanks around the number are allowed. */
static int parse_number(const char *page, unsigned int *number)
{
	char *text = kstrdup(page, GFP_KERNEL);
	int rc;

	if (!text)
		return -ENOMEM;
	rc = kstrtouint(strim(text), 0, number);
	kfree(text);
	return rc;
}

static ssize_t tsm_privlevel_store(struct config_item *item, const char *page,
				   size_t count)
{
	struct entry *entry = to_entry(item);
	int floor = privlevel_floor();
	unsigned int level;
	int rc;

	rc = parse_number(page, &level);
	if (rc || floor < 0)
		return rc ?: floor;
	if (level < floor || level > TSM_REPORT_PRIVLEVEL_MAX)
		return -EINVAL;
	guard(mutex)(&entry->lock);
	entry->report.desc.privlevel = level;
	commit(entry);
	return count;
}

static ssize_t tsm_service_provider_store(struct config_item *item,
					  const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	const char *end = strnchr(page, count, '\n') ?: page + count;
	char *name = NULL;

	if (page + count - end > 1 || memchr(page, '\0', count))
		return -EINVAL;
	if (end > page) {
		name = kmemdup_nul(page, end - page, GFP_KERNEL);
		if (!name)
			return -ENOMEM;
	}
	guard(mutex)(&entry->lock);
	kfree(entry->report.desc.service_provider);
	entry->report.desc.service_provider = name;
	commit(entry);
	return count;
}

static ssize_t tsm_service_guid_store(struct config_item *item,
				      const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	guid_t guid;
	int rc;

	page = skip_spaces(page);
	rc = guid_parse(page, &guid);
	if (rc)
		return rc;
	if (*skip_spaces(page + UUID_STRING_LEN))
		return -EINVAL;
	guard(mutex)(&entry->lock);
	entry->report.desc.service_guid = guid;
	commit(entry);
	return count;
}

static ssize_t tsm_service_manifest_version_store(struct config_item *item,
						  const char *page,
						  size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int version;
	int rc;

	rc = parse_number(page, &version);
	if (rc)
		return rc;
	guard(mutex)(&entry->lock);
	entry->report.desc.service_manifest_version = version;
	commit(entry);
	return count;
}

CONFIGFS_ATTR_RO(tsm_, generation);
CONFIGFS_ATTR_RO(tsm_, provider);
CONFIGFS_ATTR_WO(tsm_, privlevel);
CONFIGFS_ATTR_RO(tsm_, privlevel_floor);
CONFIGFS_ATTR_WO(tsm_, service_provider);
CONFIGFS_ATTR_WO(tsm_, service_guid);
CONFIGFS_ATTR_WO(tsm_, service_manifest_version);

static struct configfs_attribute *tsm_attrs[] = {
	&tsm_attr_generation,
	&tsm_attr_provider,
	&tsm_attr_privlevel,
	&tsm_attr_privlevel_floor,
	&tsm_attr_service_provider,
	&tsm_attr_service_guid,
	&tsm_attr_service_manifest_version,
	NULL
};

CONFIGFS_BIN_ATTR_WO(tsm_, inblob, NULL, TSM_REPORT_INBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(tsm_, outblob, NULL, TSM_REPORT_OUTBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(tsm_, auxblob, NULL, TSM_REPORT_OUTBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(tsm_, manifestblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static struct configfs_bin_attribute *tsm_bin_attrs[] = {
	&tsm_attr_inblob,
	&tsm_attr_outblob,
	&tsm_attr_auxblob,
	&tsm_attr_manifestblob,
	NULL
};

static bool is_visible(struct config_item *item,
		       struct configfs_attribute *attr, int n)
{
	return to_entry(item)->visible & BIT(n);
}

static bool is_bin_visible(struct config_item *item,
			   struct configfs_bin_attribute *attr, int n)
{
	return to_entry(item)->bin_visible & BIT(n);
}

static void release(struct config_item *item)
{
	struct entry *entry = to_entry(item);

	kfree(entry->report.desc.service_provider);
	free_blobs(&entry->report);
	kfree(entry);
	atomic_dec(&entries);
}

static struct configfs_item_operations item_ops = { .release = release };

static struct configfs_group_operations visibility_ops = {
	.is_visible = is_visible,
	.is_bin_visible = is_bin_visible,
};

static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &item_ops,
	.ct_group_ops = &visibility_ops,
	.ct_attrs = tsm_attrs,
	.ct_bin_attrs = tsm_bin_attrs,
};

static u8 visible(bool (*ask)(int n), int number)
{
	u8 bits = 0;

	while (number-- > 0)
		bits |= (!ask || ask(number)) << number;
	return bits;
}

static struct config_item *make_item(struct config_group *group,
				     const char *name)
{
	struct provider *provider;
	struct entry *entry;
	int idx;

	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return ERR_PTR(-ENOMEM);
	provider = provider_get(&idx);
	if (!provider) {
		kfree(entry);
		return ERR_PTR(-ENXIO);
	}
	entry->visible = visible(provider->ops->report_attr_visible,
				 ARRAY_SIZE(tsm_attrs) - 1);
	entry->bin_visible = visible(provider->ops->report_bin_attr_visible,
				     ARRAY_SIZE(tsm_bin_attrs) - 1);
	atomic_inc(&entries);
	provider_put(idx);
	mutex_init(&entry->lock);
	init_waitqueue_head(&entry->made);
	config_item_init_type_name(&entry->item, name, &entry_type);
	return &entry->item;
}

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	struct provider *provider;

	guard(mutex)(&provider_lock);
	if (rcu_access_pointer(current_provider))
		return -EEXIST;
	if (atomic_read(&entries))
		return -EBUSY;
	provider = kmalloc(sizeof(*provider), GFP_KERNEL);
	if (!provider)
		return -ENOMEM;
	provider->ops = ops;
	provider->data = priv;
	rcu_assign_pointer(current_provider, provider);
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	struct provider *provider;

	guard(mutex)(&provider_lock);
	provider = rcu_dereference_protected(current_provider,
					     lockdep_is_held(&provider_lock));
	if (!provider || provider->ops != ops)
		return -EBUSY;
	RCU_INIT_POINTER(current_provider, NULL);
	synchronize_srcu(&provider_srcu);
	kfree(provider);
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static struct configfs_group_operations report_ops = { .make_item = make_item };

static const struct config_item_type report_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &report_ops,
};

static const struct config_item_type tsm_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem tsm = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &tsm_type },
	.su_mutex = __MUTEX_INITIALIZER(tsm.su_mutex),
};

static struct config_group *report_group;

static int __init report_init(void)
{
	int rc;

	config_group_init(&tsm.su_group);
	rc = configfs_register_subsystem(&tsm);
	if (rc)
		return rc;
	report_group = configfs_register_default_group(&tsm.su_group, "report",
						       &report_type);
	if (!IS_ERR(report_group))
		return 0;
	rc = PTR_ERR(report_group);
	configfs_unregister_subsystem(&tsm);
	return rc;
}
module_init(report_init);

static void __exit report_exit(void)
{
	configfs_unregister_default_group(report_group);
	configfs_unregister_subsystem(&tsm);
}
module_exit(report_exit);

MODULE_DESCRIPTION("TSM reports that are made without a lock");
MODULE_LICENSE("GPL");

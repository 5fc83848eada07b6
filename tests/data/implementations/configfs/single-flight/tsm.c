// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: the first reader without a current report takes off with a flight and
 * makes the report; all others wait for it to land, with a completion. No lock
 * is held meanwhile. The provider is protected by a percpu_ref.
 *
 * Freedoms: a reader that waited for a maker that was killed makes the report
 * itself; a flight over options that have changed is still the report of those
 * that asked for it; an unknown privilege level is EINVAL, and a number that
 * does not fit too; a new report waits until the last one has landed.
 */
#include <linux/capability.h>
#include <linux/completion.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu-refcount.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tsm.h>

struct flight {
	struct tsm_report report;
	struct completion landed;
	refcount_t passengers;	/* references */
	int rc;			/* valid once it has landed */
	bool is_current;	/* the options are those of the report */
};

struct entry {
	struct config_item item;
	u16 attrs, bin_attrs;
	spinlock_t lock;
	struct tsm_desc desc;
	u64 generation;
	struct flight *flight;	/* in the air, or landed and current */
};

static DEFINE_MUTEX(registration);	/* setting the next two */
static const struct tsm_ops *provider;	/* for users of the provider */
static void *provider_data;
static atomic_t entries = ATOMIC_INIT(0);
static struct percpu_ref provider_users;
static DECLARE_COMPLETION(provider_idle);

static inline struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

static void last_user_left(struct percpu_ref *ref)
{
	complete(&provider_idle);
}

/* The provider cannot leave until provider_put(). */
static bool provider_get(void)
{
	return percpu_ref_tryget_live(&provider_users);
}

static void provider_put(void)
{
	percpu_ref_put(&provider_users);
}

static struct flight *flight_alloc(void)
{
	struct flight *flight = kzalloc(sizeof(*flight), GFP_KERNEL);

	if (!flight)
		return NULL;
	init_completion(&flight->landed);
	refcount_set(&flight->passengers, 1);
	flight->is_current = true;
	return flight;
}

static void flight_leave(struct flight *flight)
{
	if (!flight || !refcount_dec_and_test(&flight->passengers))
		return;
	kvfree(flight->report.outblob);
	kvfree(flight->report.auxblob);
	kvfree(flight->report.manifestblob);
	kfree(flight->report.desc.service_provider);
	kfree(flight);
}

static bool has_landed(struct flight *flight)
{
	return completion_done(&flight->landed);
}

/*
 * The entry is locked, and the options have changed. Returns what the caller
 * has to leave when it has unlocked the entry.
 */
static struct flight *commit(struct entry *entry)
{
	struct flight *flight = entry->flight;

	entry->generation++;
	if (!flight)
		return NULL;
	flight->is_current = false;
	if (!has_landed(flight))
		return NULL;		/* its maker will take it down */
	entry->flight = NULL;
	return flight;
}

enum role {
	MAKER,		/* of the flight */
	PASSENGER,	/* of a flight over the current options */
	WAITER,		/* for the landing of an outdated flight */
};

/* The entry is locked. @flight: new, gets a copy of the options. */
static int take_off(struct entry *entry, struct flight *flight)
{
	const char *service = entry->desc.service_provider;

	if (!capable(CAP_SYS_ADMIN))
		return -EACCES;
	flight->report.desc = entry->desc;
	flight->report.desc.service_provider = kstrdup(service, GFP_ATOMIC);
	if (service && !flight->report.desc.service_provider)
		return -ENOMEM;
	refcount_inc(&flight->passengers);	/* for the entry */
	entry->flight = flight;
	return 0;
}

/* *@flight: new; if another one is in the air or has landed, that one. */
static int board(struct entry *entry, struct flight **flight, enum role *role)
{
	struct flight *other;
	int rc = 0;

	spin_lock(&entry->lock);
	/* There is no flight before the first nonce. */
	other = entry->flight;
	if (!entry->desc.inblob_len) {
		rc = -EINVAL;
	} else if (!other) {
		*role = MAKER;
		rc = take_off(entry, *flight);
	} else {
		*role = other->is_current ? PASSENGER : WAITER;
		refcount_inc(&other->passengers);
	}
	spin_unlock(&entry->lock);
	if (rc || other)
		flight_leave(*flight);
	if (other)
		*flight = other;
	return rc;
}

static bool fits(const u8 *blob, size_t *len)
{
	if (!blob)
		*len = 0;
	return *len <= TSM_OUTBLOB_MAX;
}

static int make_report(struct tsm_report *report)
{
	int rc = provider->report_new(report, provider_data);

	if (rc)
		return rc < 0 ? rc : -EIO;
	if (!report->outblob)
		return -EIO;
	if (!fits(report->outblob, &report->outblob_len) ||
	    !fits(report->auxblob, &report->auxblob_len) ||
	    !fits(report->manifestblob, &report->manifestblob_len))
		return -EFBIG;
	return 0;
}

static void fly(struct entry *entry, struct flight *flight)
{
	int rc = make_report(&flight->report);
	bool keep;

	flight->rc = rc;
	spin_lock(&entry->lock);
	keep = !rc && flight->is_current;
	if (!keep)
		entry->flight = NULL;
	complete_all(&flight->landed);
	spin_unlock(&entry->lock);
	if (!keep)
		flight_leave(flight);
}

static bool was_killed(int rc)
{
	return rc == -EINTR || rc == -ERESTARTSYS;
}

/* On success the caller has to leave *@result. */
static int share_flight(struct entry *entry, struct flight **result)
{
	struct flight *flight;
	enum role role;
	bool again;
	int rc;

	do {
		flight = flight_alloc();
		if (!flight)
			return -ENOMEM;
		rc = board(entry, &flight, &role);
		if (rc)
			return rc;
		if (role == MAKER)
			fly(entry, flight);
		rc = wait_for_completion_killable(&flight->landed);
		again = !rc && (role == WAITER ||
				(role == PASSENGER && was_killed(flight->rc)));
		rc = rc ?: flight->rc;
		if (again || rc)
			flight_leave(flight);
	} while (again);
	if (!rc)
		*result = flight;
	return rc;
}

static ssize_t copy_blob(const u8 *blob, size_t len, void *buf, size_t count)
{
	if (buf) {
		if (count != len)
			return -EAGAIN;
		memcpy(buf, blob, count);
	}
	return len;
}

enum { OUT, AUX, MANIFEST };

static ssize_t read_blob(struct config_item *item, int which, void *buf,
			 size_t count)
{
	const struct tsm_report *report;
	struct flight *flight;
	ssize_t rc;

	if (!provider_get())
		return -ENXIO;
	rc = share_flight(to_entry(item), &flight);
	if (rc)
		goto out;
	report = &flight->report;
	switch (which) {
	case OUT:
		rc = copy_blob(report->outblob, report->outblob_len, buf,
			       count);
		break;
	case AUX:
		rc = copy_blob(report->auxblob, report->auxblob_len, buf,
			       count);
		break;
	case MANIFEST:
		rc = copy_blob(report->manifestblob, report->manifestblob_len,
			       buf, count);
		break;
	}
	flight_leave(flight);
out:
	provider_put();
	return rc;
}

static ssize_t entry_outblob_read(struct config_item *item, void *buf,
				  size_t count)
{
	return read_blob(item, OUT, buf, count);
}
CONFIGFS_BIN_ATTR_RO(entry_, outblob, NULL, TSM_OUTBLOB_MAX);

static ssize_t entry_auxblob_read(struct config_item *item, void *buf,
				  size_t count)
{
	return read_blob(item, AUX, buf, count);
}
CONFIGFS_BIN_ATTR_RO(entry_, auxblob, NULL, TSM_OUTBLOB_MAX);

static ssize_t entry_manifestblob_read(struct config_item *item, void *buf,
				       size_t count)
{
	return read_blob(item, MANIFEST, buf, count);
}
CONFIGFS_BIN_ATTR_RO(entry_, manifestblob, NULL, TSM_OUTBLOB_MAX);

static ssize_t entry_inblob_write(struct config_item *item, const void *buf,
				  size_t count)
{
	struct entry *entry = to_entry(item);
	struct flight *old;

	if (!count)
		return -EINVAL;
	if (count > TSM_INBLOB_MAX)
		return -EFBIG;
	spin_lock(&entry->lock);
	memcpy(entry->desc.inblob, buf, count);
	memset(&entry->desc.inblob[count], 0, TSM_INBLOB_MAX - count);
	entry->desc.inblob_len = count;
	old = commit(entry);
	spin_unlock(&entry->lock);
	flight_leave(old);
	return count;
}
CONFIGFS_BIN_ATTR_WO(entry_, inblob, NULL, TSM_INBLOB_MAX);

static ssize_t entry_generation_show(struct config_item *item, char *page)
{
	struct entry *entry = to_entry(item);
	u64 generation;

	spin_lock(&entry->lock);
	generation = entry->generation;
	spin_unlock(&entry->lock);
	return sysfs_emit(page, "%llu\n", generation);
}
CONFIGFS_ATTR_RO(entry_, generation);

static ssize_t entry_provider_show(struct config_item *item, char *page)
{
	ssize_t len;

	if (!provider_get())
		return -ENXIO;
	len = sysfs_emit(page, "%s\n", provider->name);
	provider_put();
	return len;
}
CONFIGFS_ATTR_RO(entry_, provider);

static ssize_t entry_privlevel_floor_show(struct config_item *item, char *page)
{
	ssize_t len;

	if (!provider_get())
		return -ENXIO;
	len = sysfs_emit(page, "%u\n", provider->privlevel_floor);
	provider_put();
	return len;
}
CONFIGFS_ATTR_RO(entry_, privlevel_floor);

static void set_number(struct entry *entry, unsigned int *option,
		       unsigned int value)
{
	struct flight *old;

	spin_lock(&entry->lock);
	*option = value;
	old = commit(entry);
	spin_unlock(&entry->lock);
	flight_leave(old);
}

static ssize_t entry_privlevel_store(struct config_item *item, const char *page,
				     size_t count)
{
	struct entry *entry = to_entry(item);
	unsigned int level, floor;

	if (!provider_get())
		return -ENXIO;
	floor = provider->privlevel_floor;
	provider_put();
	if (kstrtouint(page, 0, &level) || level > TSM_PRIVLEVEL_MAX ||
	    level < floor)
		return -EINVAL;
	set_number(entry, &entry->desc.privlevel, level);
	return count;
}
CONFIGFS_ATTR_WO(entry_, privlevel);

static ssize_t entry_service_manifest_version_store(struct config_item *item,
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
CONFIGFS_ATTR_WO(entry_, service_manifest_version);

static ssize_t entry_service_guid_store(struct config_item *item,
					const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	struct flight *old;
	guid_t guid;

	if (guid_parse(page, &guid))
		return -EINVAL;
	if (strcmp(page + UUID_STRING_LEN, "") &&
	    strcmp(page + UUID_STRING_LEN, "\n"))
		return -EINVAL;
	spin_lock(&entry->lock);
	entry->desc.service_guid = guid;
	old = commit(entry);
	spin_unlock(&entry->lock);
	flight_leave(old);
	return count;
}
CONFIGFS_ATTR_WO(entry_, service_guid);

static ssize_t entry_service_provider_store(struct config_item *item,
					    const char *page, size_t count)
{
	struct entry *entry = to_entry(item);
	struct flight *old;
	char *name;

	if (memchr(page, 0, count))
		return -EINVAL;
	name = kmemdup_nul(page, count - (page[count - 1] == '\n'), GFP_KERNEL);
	if (!name)
		return -ENOMEM;
	spin_lock(&entry->lock);
	swap(name, entry->desc.service_provider);
	old = commit(entry);
	spin_unlock(&entry->lock);
	flight_leave(old);
	kfree(name);
	return count;
}
CONFIGFS_ATTR_WO(entry_, service_provider);

static struct configfs_attribute *entry_attrs[] = {
	&entry_attr_generation,
	&entry_attr_provider,
	&entry_attr_privlevel,
	&entry_attr_privlevel_floor,
	&entry_attr_service_provider,
	&entry_attr_service_guid,
	&entry_attr_service_manifest_version,
	NULL
};

static struct configfs_bin_attribute *entry_bin_attrs[] = {
	&entry_attr_inblob,
	&entry_attr_outblob,
	&entry_attr_auxblob,
	&entry_attr_manifestblob,
	NULL
};

static bool is_visible(struct config_item *item,
		       struct configfs_attribute *attr, int n)
{
	return (to_entry(item)->attrs >> n) % 2;
}

static bool is_bin_visible(struct config_item *item,
			   struct configfs_bin_attribute *attr, int n)
{
	return (to_entry(item)->bin_attrs >> n) % 2;
}

static void entry_release(struct config_item *item)
{
	struct entry *entry = to_entry(item);

	flight_leave(entry->flight);
	kfree(entry->desc.service_provider);
	kfree(entry);
	atomic_dec(&entries);
}

static struct configfs_item_operations entry_item_ops = {
	.release = entry_release,
};

static struct configfs_group_operations entry_group_ops = {
	.is_visible = is_visible,
	.is_bin_visible = is_bin_visible,
};

static const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &entry_item_ops,
	.ct_group_ops = &entry_group_ops,
	.ct_attrs = entry_attrs,
	.ct_bin_attrs = entry_bin_attrs,
};

static u16 ask(bool (*visible)(int n), int number)
{
	u16 mask = 0;
	int n;

	for (n = 0; n < number; n++)
		if (!visible || visible(n))
			mask |= 1 << n;
	return mask;
}

static struct config_item *make_item(struct config_group *group,
				     const char *name)
{
	struct entry *entry;

	if (!provider_get())
		return ERR_PTR(-ENXIO);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (entry) {
		spin_lock_init(&entry->lock);
		entry->attrs = ask(provider->report_attr_visible,
				   ARRAY_SIZE(entry_attrs) - 1);
		entry->bin_attrs = ask(provider->report_bin_attr_visible,
				       ARRAY_SIZE(entry_bin_attrs) - 1);
		config_item_init_type_name(&entry->item, name, &entry_type);
		atomic_inc(&entries);
	}
	provider_put();
	return entry ? &entry->item : ERR_PTR(-ENOMEM);
}

int tsm_register(const struct tsm_ops *ops, void *priv)
{
	int rc = -EBUSY;

	mutex_lock(&registration);
	if (!provider && !atomic_read(&entries)) {
		provider = ops;
		provider_data = priv;
		reinit_completion(&provider_idle);
		percpu_ref_reinit(&provider_users);
		rc = 0;
	}
	mutex_unlock(&registration);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_register);

int tsm_unregister(const struct tsm_ops *ops)
{
	int rc = -EBUSY;

	mutex_lock(&registration);
	if (provider && provider == ops) {
		percpu_ref_kill(&provider_users);
		wait_for_completion(&provider_idle);
		provider = NULL;
		rc = 0;
	}
	mutex_unlock(&registration);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_unregister);

static struct configfs_group_operations reports_ops = {
	.make_item = make_item,
};

static const struct config_item_type reports_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &reports_ops,
};

static const struct config_item_type root_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem root = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &root_type },
	.su_mutex = __MUTEX_INITIALIZER(root.su_mutex),
};

static struct config_group *reports;

static int __init reports_init(void)
{
	int rc;

	rc = percpu_ref_init(&provider_users, last_user_left,
			     PERCPU_REF_INIT_DEAD | PERCPU_REF_ALLOW_REINIT,
			     GFP_KERNEL);
	if (rc)
		return rc;
	config_group_init(&root.su_group);
	rc = configfs_register_subsystem(&root);
	if (rc)
		goto err_ref;
	reports = configfs_register_default_group(&root.su_group, "report",
						  &reports_type);
	rc = PTR_ERR_OR_ZERO(reports);
	if (rc)
		goto err_subsystem;
	return 0;

err_subsystem:
	configfs_unregister_subsystem(&root);
err_ref:
	percpu_ref_exit(&provider_users);
	return rc;
}
module_init(reports_init);

static void __exit reports_exit(void)
{
	configfs_unregister_default_group(reports);
	configfs_unregister_subsystem(&root);
	percpu_ref_exit(&provider_users);
}
module_exit(reports_exit);

MODULE_DESCRIPTION("TSM reports that one reader makes for all");
MODULE_LICENSE("GPL");

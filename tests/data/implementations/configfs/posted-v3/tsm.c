// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: the API of the third posting, in which the provider returns a buffer.
 * Each registration has a number; an entry belongs to the one under which it was
 * made, and is dead under any other. A write drops the report at once. Waiting
 * for a lock ends when the caller is killed.
 *
 * Freedoms: entries outlive their provider, and a new one may register beside
 * them; ENODEV for an entry of an earlier provider; EIO for a report that is
 * none.
 */
#include <linux/capability.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/tsm.h>

struct entry {
	struct config_item item;
	struct mutex lock;		/* all below */
	struct tsm_desc desc;
	unsigned long writes;
	u64 registration;
	void *blob;
	size_t blob_len;
};

static DECLARE_RWSEM(registered_sem);
static const struct tsm_ops *registered;
static void *registered_data;
static const struct config_item_type *registered_type;
static u64 registrations;

static struct entry *entry_of(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

/* On success the entry is locked, and its provider stays. */
static int enter(struct entry *entry)
{
	int rc = down_read_killable(&registered_sem);

	if (rc)
		return rc;
	if (!registered || entry->registration != registrations)
		rc = -ENODEV;
	else
		rc = mutex_lock_killable(&entry->lock);
	if (rc)
		up_read(&registered_sem);
	return rc;
}

static void leave(struct entry *entry)
{
	mutex_unlock(&entry->lock);
	up_read(&registered_sem);
}

static void drop_blob(struct entry *entry)
{
	kvfree(entry->blob);
	entry->blob = NULL;
	entry->blob_len = 0;
}

static void count_write(struct entry *entry)
{
	drop_blob(entry);
	WRITE_ONCE(entry->writes, entry->writes + 1);
}

static int fetch_blob(struct entry *entry)
{
	size_t len = 0;
	void *blob;

	if (!entry->desc.inblob_len)
		return -EINVAL;
	if (entry->blob)
		return 0;
	blob = registered->report_new(&entry->desc, registered_data, &len);
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	if (!blob)
		return -EIO;
	if (len > TSM_OUTBLOB_MAX) {
		kvfree(blob);
		return -EFBIG;
	}
	entry->blob = blob;
	entry->blob_len = len;
	return 0;
}

static ssize_t tsm_outblob_read(struct config_item *item, void *buf,
				size_t count)
{
	struct entry *entry = entry_of(item);
	ssize_t rc;

	if (!capable(CAP_SYS_ADMIN))
		return -EACCES;
	rc = enter(entry);
	if (rc)
		return rc;
	rc = fetch_blob(entry);
	if (!rc)
		rc = entry->blob_len;
	/* The size was asked for first, and the report may be another by now. */
	if (rc >= 0 && buf && count != entry->blob_len)
		rc = -EAGAIN;
	if (rc > 0 && buf)
		memcpy(buf, entry->blob, rc);
	leave(entry);
	return rc;
}
CONFIGFS_BIN_ATTR_RO(tsm_, outblob, NULL, TSM_OUTBLOB_MAX);

static ssize_t tsm_inblob_write(struct config_item *item, const void *buf,
				size_t count)
{
	struct entry *entry = entry_of(item);

	/* configfs comes here with nothing after a write that it refused. */
	if (!count || count > TSM_INBLOB_MAX)
		return -EINVAL;
	mutex_lock(&entry->lock);
	memcpy(entry->desc.inblob, buf, count);
	memset(entry->desc.inblob + count, 0, TSM_INBLOB_MAX - count);
	entry->desc.inblob_len = count;
	count_write(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_BIN_ATTR_WO(tsm_, inblob, NULL, TSM_INBLOB_MAX);

static ssize_t tsm_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%lu\n", READ_ONCE(entry_of(item)->writes));
}
CONFIGFS_ATTR_RO(tsm_, generation);

static ssize_t tsm_provider_show(struct config_item *item, char *page)
{
	ssize_t rc = down_read_killable(&registered_sem);

	if (rc)
		return rc;
	rc = registered ? sysfs_emit(page, "%s\n", registered->name) : -ENXIO;
	up_read(&registered_sem);
	return rc;
}
CONFIGFS_ATTR_RO(tsm_, provider);

static ssize_t tsm_privlevel_floor_show(struct config_item *item, char *page)
{
	ssize_t rc = down_read_killable(&registered_sem);

	if (rc)
		return rc;
	rc = -ENXIO;
	if (registered)
		rc = sysfs_emit(page, "%d\n", registered->privlevel_floor);
	up_read(&registered_sem);
	return rc;
}
CONFIGFS_ATTR_RO(tsm_, privlevel_floor);

static ssize_t tsm_privlevel_store(struct config_item *item, const char *page,
				   size_t count)
{
	struct entry *entry = entry_of(item);
	u8 level;
	int rc;

	rc = kstrtou8(page, 0, &level);
	if (rc)
		return rc;
	rc = enter(entry);
	if (rc)
		return rc;
	if (level < registered->privlevel_floor || level > TSM_PRIVLEVEL_MAX) {
		rc = -EINVAL;
	} else {
		entry->desc.privlevel = level;
		count_write(entry);
	}
	leave(entry);
	return rc ?: count;
}
CONFIGFS_ATTR_WO(tsm_, privlevel);

static ssize_t tsm_format_store(struct config_item *item, const char *page,
				size_t count)
{
	static const char * const names[] = {
		[TSM_FORMAT_DEFAULT] = "default",
		[TSM_FORMAT_EXTENDED] = "extended",
	};
	int format = sysfs_match_string(names, page);
	struct entry *entry = entry_of(item);

	if (format < 0)
		return format;
	mutex_lock(&entry->lock);
	entry->desc.outblob_format = format;
	count_write(entry);
	mutex_unlock(&entry->lock);
	return count;
}
CONFIGFS_ATTR_WO(tsm_, format);

static void entry_release(struct config_item *item)
{
	struct entry *entry = entry_of(item);

	drop_blob(entry);
	kfree_sensitive(entry);
}

static struct configfs_item_operations entry_ops = {
	.release = entry_release,
};

/* The attributes of the default type are the last ones of the other type. */
static struct configfs_attribute *attrs[] = {
	&tsm_attr_format,
	&tsm_attr_privlevel,
	&tsm_attr_privlevel_floor,
	&tsm_attr_generation,
	&tsm_attr_provider,
	NULL
};

static struct configfs_bin_attribute *bin_attrs[] = {
	&tsm_attr_inblob,
	&tsm_attr_outblob,
	NULL
};

const struct config_item_type tsm_report_default_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &entry_ops,
	.ct_attrs = attrs + 3,
	.ct_bin_attrs = bin_attrs,
};
EXPORT_SYMBOL_GPL(tsm_report_default_type);

const struct config_item_type tsm_report_ext_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &entry_ops,
	.ct_attrs = attrs,
	.ct_bin_attrs = bin_attrs,
};
EXPORT_SYMBOL_GPL(tsm_report_ext_type);

static struct config_item *make_entry(struct config_group *group,
				      const char *name)
{
	struct entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	int rc;

	if (!entry)
		return ERR_PTR(-ENOMEM);
	mutex_init(&entry->lock);
	rc = down_read_killable(&registered_sem);
	if (!rc) {
		if (registered)
			config_item_init_type_name(&entry->item, name,
						   registered_type);
		else
			rc = -ENXIO;
		entry->registration = registrations;
		up_read(&registered_sem);
	}
	if (!rc)
		return &entry->item;
	kfree(entry);
	return ERR_PTR(rc);
}

int register_tsm(const struct tsm_ops *ops, void *priv,
		 const struct config_item_type *type)
{
	int rc = -EBUSY;

	if (type && type != &tsm_report_default_type &&
	    type != &tsm_report_ext_type)
		return -EINVAL;
	down_write(&registered_sem);
	if (!registered) {
		registered = ops;
		registered_data = priv;
		registered_type = type ?: &tsm_report_default_type;
		registrations++;
		rc = 0;
	}
	up_write(&registered_sem);
	return rc;
}
EXPORT_SYMBOL_GPL(register_tsm);

int unregister_tsm(const struct tsm_ops *ops)
{
	int rc = -ENOENT;

	down_write(&registered_sem);
	if (registered == ops) {
		registered = NULL;
		registered_data = NULL;
		rc = 0;
	}
	up_write(&registered_sem);
	return rc;
}
EXPORT_SYMBOL_GPL(unregister_tsm);

static struct configfs_group_operations group_ops = {
	.make_item = make_entry,
};

static const struct config_item_type group_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &group_ops,
};

static const struct config_item_type root_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem root = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &root_type },
	.su_mutex = __MUTEX_INITIALIZER(root.su_mutex),
};

static struct config_group *entries;

static int __init posted_init(void)
{
	int rc;

	config_group_init(&root.su_group);
	rc = configfs_register_subsystem(&root);
	if (rc)
		return rc;
	entries = configfs_register_default_group(&root.su_group, "report",
						  &group_type);
	if (IS_ERR(entries)) {
		configfs_unregister_subsystem(&root);
		return PTR_ERR(entries);
	}
	return 0;
}
module_init(posted_init);

static void __exit posted_exit(void)
{
	configfs_unregister_default_group(entries);
	configfs_unregister_subsystem(&root);
}
module_exit(posted_exit);

MODULE_DESCRIPTION("TSM reports with the API of the third posting");
MODULE_LICENSE("GPL");

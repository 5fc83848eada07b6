// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: one rw_semaphore for everything. Readers of a finished report share
 * it, whoever writes an option or makes a report has it alone. A slow report
 * blocks everything else: the claims F7 and P14 are expected to FAIL. A commit
 * frees the old report at once, so that a report that is there is the current
 * one.
 *
 * Freedoms: ERANGE for a privilege level that is too high or too low; an entry
 * whose provider has gone accepts no option and no nonce; a blob that is too
 * long fails alone; a service of several lines is accepted.
 */
#include <linux/capability.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>

#define ATTRS		7
#define BIN_ATTRS	4

struct node {
	struct config_item item;
	struct tsm_report report;
	bool visible[ATTRS];
	bool bin_visible[BIN_ATTRS];
	unsigned long writes;
};

static DECLARE_RWSEM(everything);
static const struct tsm_ops *provider;
static void *provider_data;
static unsigned long nodes;

static inline struct node *node_of(struct config_item *item)
{
	return container_of(item, struct node, item);
}

static void drop_blob(u8 **blob, size_t *len)
{
	kvfree(*blob);
	*blob = NULL;
	*len = 0;
}

static void drop_report(struct tsm_report *report)
{
	drop_blob(&report->outblob, &report->outblob_len);
	drop_blob(&report->auxblob, &report->auxblob_len);
	drop_blob(&report->manifestblob, &report->manifestblob_len);
}

/* Take everything for a write. On success the caller calls end_write(). */
static int start_write(struct node *node)
{
	int rc = down_write_killable(&everything);

	if (rc)
		return rc;
	if (provider)
		return 0;
	up_write(&everything);
	return -ENXIO;
}

static void end_write(struct node *node)
{
	node->writes++;
	drop_report(&node->report);
	up_write(&everything);
}

static ssize_t node_generation_show(struct config_item *item, char *page)
{
	unsigned long writes;

	down_read(&everything);
	writes = node_of(item)->writes;
	up_read(&everything);
	return sysfs_emit(page, "%lu\n", writes);
}

static ssize_t node_provider_show(struct config_item *item, char *page)
{
	ssize_t len = -ENXIO;

	down_read(&everything);
	if (provider)
		len = sysfs_emit(page, "%s\n", provider->name);
	up_read(&everything);
	return len;
}

static ssize_t node_privlevel_floor_show(struct config_item *item, char *page)
{
	ssize_t len = -ENXIO;

	down_read(&everything);
	if (provider)
		len = sysfs_emit(page, "%u\n", provider->privlevel_floor);
	up_read(&everything);
	return len;
}

static ssize_t node_privlevel_store(struct config_item *item, const char *page,
				    size_t count)
{
	struct node *node = node_of(item);
	unsigned int level;
	int rc;

	rc = kstrtouint(page, 0, &level);
	if (rc)
		return rc;
	rc = start_write(node);
	if (rc)
		return rc;
	if (level < provider->privlevel_floor || level > TSM_PRIVLEVEL_MAX) {
		up_write(&everything);
		return -ERANGE;
	}
	node->report.desc.privlevel = level;
	end_write(node);
	return count;
}

static ssize_t node_service_provider_store(struct config_item *item,
					   const char *page, size_t count)
{
	struct node *node = node_of(item);
	char *name, *old;
	int rc;

	if (memchr(page, '\0', count))
		return -EINVAL;
	name = kstrdup(page, GFP_KERNEL);
	if (!name)
		return -ENOMEM;
	if (name[count - 1] == '\n')
		name[count - 1] = '\0';
	rc = start_write(node);
	if (rc) {
		kfree(name);
		return rc;
	}
	old = node->report.desc.service_provider;
	if (*name) {
		node->report.desc.service_provider = name;
	} else {
		node->report.desc.service_provider = NULL;
		kfree(name);
	}
	end_write(node);
	kfree(old);
	return count;
}

static ssize_t node_service_guid_store(struct config_item *item,
				       const char *page, size_t count)
{
	struct node *node = node_of(item);
	guid_t guid;
	int rc;

	rc = guid_parse(page, &guid);
	if (rc)
		return rc;
	page += UUID_STRING_LEN;
	if (*page == '\n')
		page++;
	if (*page)
		return -EINVAL;
	rc = start_write(node);
	if (rc)
		return rc;
	node->report.desc.service_guid = guid;
	end_write(node);
	return count;
}

static ssize_t node_service_manifest_version_store(struct config_item *item,
						   const char *page,
						   size_t count)
{
	struct node *node = node_of(item);
	unsigned int version;
	int rc;

	rc = kstrtouint(page, 0, &version);
	if (rc)
		return rc;
	rc = start_write(node);
	if (rc)
		return rc;
	node->report.desc.service_manifest_version = version;
	end_write(node);
	return count;
}

/* configfs passes no bytes when the user wrote none, or too many. */
static ssize_t node_inblob_write(struct config_item *item, const void *buf,
				 size_t count)
{
	struct node *node = node_of(item);
	struct tsm_desc *desc = &node->report.desc;

	if (!count)
		return -EINVAL;
	if (count > sizeof(desc->inblob))
		return -EFBIG;
	/* Not killable: nobody would hear that the nonce was dropped. */
	down_write(&everything);
	if (!provider) {
		up_write(&everything);
		return -ENXIO;
	}
	memset(desc->inblob, 0, sizeof(desc->inblob));
	memcpy(desc->inblob, buf, count);
	desc->inblob_len = count;
	end_write(node);
	return count;
}

static int make_report(struct node *node)
{
	struct tsm_report *report = &node->report;
	int rc;

	rc = provider->report_new(report, provider_data);
	if (rc > 0 || (!rc && !report->outblob))
		rc = -EIO;
	if (rc)
		drop_report(report);
	return rc;
}

/* Readers of a node that has no report: make it, and keep it from changing. */
static int make_and_share(struct node *node)
{
	int rc;

	if (!capable(CAP_SYS_ADMIN))
		return -EACCES;
	rc = down_write_killable(&everything);
	if (rc)
		return rc;
	if (!provider)
		rc = -ENXIO;
	else if (!node->report.desc.inblob_len)
		rc = -EINVAL;
	else if (!node->report.outblob)
		rc = make_report(node);
	if (rc)
		up_write(&everything);
	else
		downgrade_write(&everything);
	return rc;
}

/* On success, the node has a report, and everything is read-locked. */
static int share_report(struct node *node)
{
	int rc = down_read_killable(&everything);

	if (rc)
		return rc;
	if (provider && node->report.outblob)
		return 0;
	if (!provider)
		rc = -ENXIO;
	else if (!node->report.desc.inblob_len)
		rc = -EINVAL;
	up_read(&everything);
	return rc ?: make_and_share(node);
}

/* A report may have a blob that is too long, and others that can be read. */
static ssize_t fill(void *buf, size_t count, const u8 *blob, size_t len)
{
	if (!blob)
		len = 0;
	if (len > TSM_OUTBLOB_MAX)
		return -EFBIG;
	if (buf && count != len)
		return -EAGAIN;
	if (buf)
		memcpy(buf, blob, len);
	return len;
}

#define BLOB(name)							\
static ssize_t node_##name##_read(struct config_item *item, void *buf,	\
				  size_t count)				\
{									\
	struct node *node = node_of(item);				\
	ssize_t rc = share_report(node);				\
									\
	if (rc)								\
		return rc;						\
	rc = fill(buf, count, node->report.name, node->report.name##_len); \
	up_read(&everything);						\
	return rc;							\
}									\
CONFIGFS_BIN_ATTR_RO(node_, name, NULL, TSM_OUTBLOB_MAX)

BLOB(outblob);
BLOB(auxblob);
BLOB(manifestblob);
CONFIGFS_BIN_ATTR_WO(node_, inblob, NULL, TSM_INBLOB_MAX);
CONFIGFS_ATTR_RO(node_, generation);
CONFIGFS_ATTR_RO(node_, provider);
CONFIGFS_ATTR_WO(node_, privlevel);
CONFIGFS_ATTR_RO(node_, privlevel_floor);
CONFIGFS_ATTR_WO(node_, service_provider);
CONFIGFS_ATTR_WO(node_, service_guid);
CONFIGFS_ATTR_WO(node_, service_manifest_version);

static struct configfs_attribute *node_attrs[ATTRS + 1] = {
	&node_attr_generation,	      &node_attr_provider,
	&node_attr_privlevel,	      &node_attr_privlevel_floor,
	&node_attr_service_provider,  &node_attr_service_guid,
	&node_attr_service_manifest_version,
};

static struct configfs_bin_attribute *node_bin_attrs[BIN_ATTRS + 1] = {
	&node_attr_inblob,
	&node_attr_outblob,
	&node_attr_auxblob,
	&node_attr_manifestblob,
};

static bool node_attr_visible(struct config_item *item,
			      struct configfs_attribute *attr, int n)
{
	return node_of(item)->visible[n];
}

static bool node_bin_attr_visible(struct config_item *item,
				  struct configfs_bin_attribute *attr, int n)
{
	return node_of(item)->bin_visible[n];
}

static void node_release(struct config_item *item)
{
	struct node *node = node_of(item);

	drop_report(&node->report);
	kfree(node->report.desc.service_provider);
	kfree(node);
}

static struct configfs_item_operations node_ops = { .release = node_release };

static struct configfs_group_operations node_files = {
	.is_visible = node_attr_visible,
	.is_bin_visible = node_bin_attr_visible,
};

static const struct config_item_type node_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &node_ops,
	.ct_group_ops = &node_files,
	.ct_attrs = node_attrs,
	.ct_bin_attrs = node_bin_attrs,
};

/* Everything is write-locked. */
static struct node *new_node(void)
{
	struct node *node;
	int n;

	if (!provider)
		return ERR_PTR(-ENXIO);
	node = kzalloc(sizeof(*node), GFP_KERNEL);
	if (!node)
		return ERR_PTR(-ENOMEM);
	for (n = 0; n < ATTRS; n++)
		node->visible[n] = !provider->report_attr_visible ||
				   provider->report_attr_visible(n);
	for (n = 0; n < BIN_ATTRS; n++)
		node->bin_visible[n] = !provider->report_bin_attr_visible ||
				       provider->report_bin_attr_visible(n);
	nodes++;
	return node;
}

static struct config_item *nodes_make(struct config_group *group,
				      const char *name)
{
	struct node *node;

	if (down_write_killable(&everything))
		return ERR_PTR(-EINTR);
	node = new_node();
	up_write(&everything);
	if (IS_ERR(node))
		return ERR_CAST(node);
	config_item_init_type_name(&node->item, name, &node_type);
	return &node->item;
}

static void nodes_drop(struct config_group *group, struct config_item *item)
{
	down_write(&everything);
	nodes--;
	up_write(&everything);
	config_item_put(item);
}

int tsm_register(const struct tsm_ops *ops, void *priv)
{
	int rc = 0;

	down_write(&everything);
	if (provider || nodes) {
		rc = -EBUSY;
	} else {
		provider = ops;
		provider_data = priv;
	}
	up_write(&everything);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_register);

int tsm_unregister(const struct tsm_ops *ops)
{
	int rc = -EBUSY;

	down_write(&everything);
	if (provider == ops) {
		provider = NULL;
		rc = 0;
	}
	up_write(&everything);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_unregister);

static struct configfs_group_operations nodes_ops = {
	.make_item = nodes_make,
	.drop_item = nodes_drop,
};

static const struct config_item_type nodes_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &nodes_ops,
};

static const struct config_item_type top_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem top = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &top_type },
};
static struct config_group *report;

static int __init start(void)
{
	int rc;

	config_group_init(&top.su_group);
	mutex_init(&top.su_mutex);
	rc = configfs_register_subsystem(&top);
	if (rc)
		return rc;
	report = configfs_register_default_group(&top.su_group, "report",
						 &nodes_type);
	rc = PTR_ERR_OR_ZERO(report);
	if (rc)
		configfs_unregister_subsystem(&top);
	return rc;
}
module_init(start);

static void __exit stop(void)
{
	configfs_unregister_default_group(report);
	configfs_unregister_subsystem(&top);
}
module_exit(stop);

MODULE_DESCRIPTION("TSM reports behind one rw_semaphore");
MODULE_LICENSE("GPL");

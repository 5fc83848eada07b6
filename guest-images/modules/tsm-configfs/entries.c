// SPDX-License-Identifier: GPL-2.0-only
/* The configfs subsystem, and the entries below tsm/report. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/limits.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "defects.h"
#include "entry.h"

#define SHORT_NAME	31	/* bytes, with DEFECT_SHORT_NAMES */

static void set_visible_files(struct entry *entry)
{
	unsigned int n;

	for (n = 0; tsm_configfs_entry_type.ct_attrs[n]; n++)
		if (tsm_configfs_attr_visible(n))
			entry->visible_attrs |= BIT(n);
	for (n = 0; tsm_configfs_entry_type.ct_bin_attrs[n]; n++)
		if (tsm_configfs_bin_attr_visible(n))
			entry->visible_bin_attrs |= BIT(n);
}

/* With DEFECT_REVIVED_ENTRY: configfs serialises both users. */
static struct {
	char name[NAME_MAX + 1];
	struct tsm_report_desc desc;
} removed;

static void remember_entry(struct entry *entry)
{
	strscpy(removed.name, config_item_name(&entry->item),
		sizeof(removed.name));
	removed.desc = entry->report.desc;
	removed.desc.service_provider = NULL;
}

static void init_entry(struct entry *entry, const char *name)
{
	mutex_init(&entry->lock);
	init_waitqueue_head(&entry->made_report);
	set_visible_files(entry);
	config_item_init_type_name(&entry->item, name, &tsm_configfs_entry_type);
	if (has_defect(DEFECT_REVIVED_ENTRY) && !strcmp(name, removed.name))
		entry->report.desc = removed.desc;
	if (has_defect(DEFECT_STALE_LIST))
		tsm_configfs_list_entry(entry);
}

static struct config_item *make_item_locked(const char *name)
{
	struct entry *entry;

	lockdep_assert_held(&tsm_configfs_registration);
	if (!tsm_configfs_provider.ops)
		return ERR_PTR(-ENXIO);
	if (has_defect(DEFECT_SHORT_NAMES) && strlen(name) > SHORT_NAME)
		return ERR_PTR(-ENAMETOOLONG);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return ERR_PTR(-ENOMEM);
	init_entry(entry, name);
	atomic_inc(&tsm_configfs_provider.entries);
	return &entry->item;
}

static struct config_item *make_item(struct config_group *group,
				     const char *name)
{
	struct config_item *item;

	if (!has_defect(DEFECT_LATE_ATTRIBUTES)) {
		guard(rwsem_read)(&tsm_configfs_registration);
		return make_item_locked(name);
	}
	scoped_guard(rwsem_write, &tsm_configfs_registration)
		item = make_item_locked(name);
	/* Force a preemption in the race window; PREEMPT_LAZY would not. */
	schedule();
	return item;
}

static void drop_item(struct config_group *group, struct config_item *item)
{
	atomic_dec(&tsm_configfs_provider.entries);
	if (has_defect(DEFECT_REVIVED_ENTRY))
		remember_entry(to_entry(item));
	config_item_put(item);
}

static struct configfs_group_operations reports_ops = {
	.make_item = make_item,
	.drop_item = drop_item,
};

static const struct config_item_type reports_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &reports_ops,
};

/* Not const: a defect changes the owner. */
static struct config_item_type root_type = {
	.ct_owner = THIS_MODULE,
};

static struct configfs_subsystem subsystem = {
	.su_group = {
		.cg_item = {
			.ci_namebuf = "tsm",
			.ci_type = &root_type,
		},
	},
	.su_mutex = __MUTEX_INITIALIZER(subsystem.su_mutex),
};

static struct config_group *reports;

static int __init tsm_configfs_init(void)
{
	int rc;

	rc = tsm_defects_init();
	if (rc)
		return rc;
	tsm_configfs_init_attributes();
	if (has_defect(DEFECT_UNPINNED_MODULE))
		root_type.ct_owner = NULL;
	config_group_init(&subsystem.su_group);
	rc = configfs_register_subsystem(&subsystem);
	if (rc) {
		pr_err("cannot create configfs/tsm (%d); does the kernel have one?\n",
		       rc);
		return rc;
	}
	reports = configfs_register_default_group(&subsystem.su_group, "report",
						  &reports_type);
	if (IS_ERR(reports)) {
		configfs_unregister_subsystem(&subsystem);
		return PTR_ERR(reports);
	}
	return 0;
}
module_init(tsm_configfs_init);

static void __exit tsm_configfs_exit(void)
{
	configfs_unregister_default_group(reports);
	configfs_unregister_subsystem(&subsystem);
}
module_exit(tsm_configfs_exit);

MODULE_DESCRIPTION("configfs interface for the reports of a TEE security manager");
MODULE_LICENSE("GPL");

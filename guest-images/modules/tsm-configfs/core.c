// SPDX-License-Identifier: GPL-2.0-only
/* The subsystem, its entries, and the registration of the one provider. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "defects.h"
#include "entry.h"

#define SHORT_NAME	31	/* bytes, with DEFECT_SHORT_NAMES */
#define SHOWN_MANIFEST	3	/* index of manifestblob, as providers know it */

DECLARE_RWSEM(registration);
struct provider provider;

/* Entries there are; it grows under registration only. */
static atomic_t entries;

bool provider_shows(unsigned int n)
{
	const struct tsm_report_ops *ops = provider.ops;

	if (!ops)
		return false;
	return !ops->report_attr_visible || ops->report_attr_visible(n);
}

bool provider_shows_blob(unsigned int n)
{
	const struct tsm_report_ops *ops = provider.ops;
	bool shows;

	if (!ops)
		return false;
	shows = !ops->report_bin_attr_visible || ops->report_bin_attr_visible(n);
	if (n == SHOWN_MANIFEST && has_defect(DEFECT_INVERTED_MANIFEST))
		return !shows;
	return shows;
}

static void note_what_is_shown(struct entry *entry)
{
	unsigned int n;

	for (n = 0; entry_type.ct_attrs[n]; n++)
		if (provider_shows(n))
			entry->shown |= BIT(n);
	for (n = 0; entry_type.ct_bin_attrs[n]; n++)
		if (provider_shows_blob(n))
			entry->shown_blobs |= BIT(n);
}

static struct config_item *make_registered(const char *name)
{
	struct entry *entry;

	if (!provider.ops)
		return ERR_PTR(-ENXIO);
	if (has_defect(DEFECT_SHORT_NAMES) && strlen(name) > SHORT_NAME)
		return ERR_PTR(-ENAMETOOLONG);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return ERR_PTR(-ENOMEM);
	mutex_init(&entry->lock);
	note_what_is_shown(entry);
	config_item_init_type_name(&entry->item, name, &entry_type);
	atomic_inc(&entries);
	return &entry->item;
}

static struct config_item *make_entry(struct config_group *group, const char *name)
{
	struct config_item *item;

	if (!has_defect(DEFECT_LATE_ATTRIBUTES)) {
		guard(rwsem_read)(&registration);
		return make_registered(name);
	}
	scoped_guard(rwsem_write, &registration)
		item = make_registered(name);
	/* Preempted where it hurts, which lazy preemption leaves to chance. */
	schedule();
	return item;
}

static void drop_entry(struct config_group *group, struct config_item *item)
{
	atomic_dec(&entries);
	config_item_put(item);
}

static struct configfs_group_operations reports_ops = {
	.make_item = make_entry,
	.drop_item = drop_entry,
};

static const struct config_item_type reports_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &reports_ops,
};

static const struct config_item_type root_type = {
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

/**
 * tsm_report_register - make @ops the provider
 * @ops: must stay valid until tsm_report_unregister()
 * @priv: handed to report_new
 *
 * Return: 0; or -EBUSY when there is a provider, or entries that were made for
 * the last one.
 */
int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	guard(rwsem_write)(&registration);
	if (provider.ops) {
		pr_err("%s refused: %s is registered\n", ops->name,
		       provider.ops->name);
		return -EBUSY;
	}
	if (atomic_read(&entries) && !has_defect(DEFECT_UNCOUNTED_ENTRIES)) {
		pr_err("%s refused: the last provider's entries are still there\n",
		       ops->name);
		return -EBUSY;
	}
	provider.ops = ops;
	provider.priv = priv;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

/**
 * tsm_report_unregister - forget the provider
 * @ops: what was given to tsm_report_register()
 *
 * When it returns, no callback of @ops runs or will run. Entries stay, of no
 * use but to be removed.
 *
 * Return: 0, or -EBUSY when @ops is not the provider.
 */
int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	guard(rwsem_write)(&registration);
	if (provider.ops != ops)
		return -EBUSY;
	provider.ops = NULL;
	provider.priv = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static int __init tsm_configfs_init(void)
{
	int rc;

	rc = tsm_defects_init();
	if (rc)
		return rc;
	attributes_init();
	config_group_init(&subsystem.su_group);
	rc = configfs_register_subsystem(&subsystem);
	if (rc) {
		pr_err("configfs/tsm cannot be created (%d); has the kernel one of its own?\n",
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

MODULE_DESCRIPTION("configfs core for the reports of a TEE security manager");
MODULE_LICENSE("GPL");

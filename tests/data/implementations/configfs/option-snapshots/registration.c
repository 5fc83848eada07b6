// SPDX-License-Identifier: GPL-2.0-only
/* Providers, and the directory with their entries. */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "snapshots.h"

static DEFINE_MUTEX(registration_lock);
static struct registration *current_registration;

struct registration *registration_get(void)
{
	struct registration *registration;

	mutex_lock(&registration_lock);
	registration = current_registration;
	if (registration)
		kref_get(&registration->ref);
	mutex_unlock(&registration_lock);
	return registration;
}

static void registration_free(struct kref *ref)
{
	kfree(container_of(ref, struct registration, ref));
}

void registration_put(struct registration *registration)
{
	kref_put(&registration->ref, registration_free);
}

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	struct registration *registration;

	registration = kzalloc(sizeof(*registration), GFP_KERNEL);
	if (!registration)
		return -ENOMEM;
	kref_init(&registration->ref);
	init_rwsem(&registration->in_use);
	registration->ops = ops;
	registration->data = priv;

	mutex_lock(&registration_lock);
	if (current_registration) {
		mutex_unlock(&registration_lock);
		kfree(registration);
		return -EBUSY;
	}
	current_registration = registration;
	mutex_unlock(&registration_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	struct registration *registration;

	mutex_lock(&registration_lock);
	registration = current_registration;
	if (!registration || registration->ops != ops) {
		mutex_unlock(&registration_lock);
		return -ENOENT;
	}
	current_registration = NULL;
	mutex_unlock(&registration_lock);

	down_write(&registration->in_use);
	registration->ops = NULL;
	up_write(&registration->in_use);
	registration_put(registration);
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static void ask_what_to_show(struct entry *entry)
{
	const struct tsm_report_ops *ops = entry->registration->ops;
	int n;

	for (n = 0; entry_attrs[n]; n++)
		if (!ops->report_attr_visible || ops->report_attr_visible(n))
			entry->shows |= 1 << n;
	for (n = 0; entry_bin_attrs[n]; n++)
		if (!ops->report_bin_attr_visible ||
		    ops->report_bin_attr_visible(n))
			entry->shows_binary |= 1 << n;
}

static int init_entry(struct entry *entry)
{
	struct registration *registration = entry->registration;
	int rc = 0;

	entry->options = options_alloc();
	if (!entry->options)
		return -ENOMEM;
	mutex_init(&entry->writing);
	mutex_init(&entry->making);
	spin_lock_init(&entry->lock);
	down_read(&registration->in_use);
	if (registration->ops)
		ask_what_to_show(entry);
	else
		rc = -ENXIO;
	up_read(&registration->in_use);
	if (rc)
		options_put(entry->options);
	return rc;
}

static struct config_item *make_item(struct config_group *group,
				     const char *name)
{
	struct registration *registration = registration_get();
	struct entry *entry;
	int rc = -ENOMEM;

	if (!registration)
		return ERR_PTR(-ENXIO);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (entry) {
		entry->registration = registration;
		rc = init_entry(entry);
	}
	if (rc) {
		registration_put(registration);
		kfree(entry);
		return ERR_PTR(rc);
	}
	config_item_init_type_name(&entry->item, name, &entry_type);
	return &entry->item;
}

static struct configfs_group_operations entries_ops = { .make_item =
								make_item };

static const struct config_item_type entries_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &entries_ops,
};

static const struct config_item_type root_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem root = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &root_type },
	.su_mutex = __MUTEX_INITIALIZER(root.su_mutex),
};

static struct config_group *entries;

static int __init snapshots_init(void)
{
	int rc;

	config_group_init(&root.su_group);
	rc = configfs_register_subsystem(&root);
	if (rc)
		return rc;
	entries = configfs_register_default_group(&root.su_group, "report",
						  &entries_type);
	if (IS_ERR(entries))
		configfs_unregister_subsystem(&root);
	return PTR_ERR_OR_ZERO(entries);
}
module_init(snapshots_init);

static void __exit snapshots_exit(void)
{
	configfs_unregister_default_group(entries);
	configfs_unregister_subsystem(&root);
}
module_exit(snapshots_exit);

MODULE_DESCRIPTION("TSM reports over immutable copies of the options");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0-only
/* The registration of the one provider, and which files it shows. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>

#include "defects.h"
#include "entry.h"

#define PRIVLEVEL_FLOOR	3	/* TSM_REPORT_PRIVLEVEL_FLOOR of enum tsm_attr_index */
#define MANIFESTBLOB	3	/* TSM_REPORT_MANIFESTBLOB of enum tsm_bin_attr_index */

DECLARE_RWSEM(tsm_configfs_registration);
struct provider tsm_configfs_provider;

/* With DEFECT_STALE_LIST: the provider's entries, also those that were removed. */
static LIST_HEAD(listed_entries);
static DEFINE_MUTEX(list_mutex);

void tsm_configfs_list_entry(struct entry *entry)
{
	guard(mutex)(&list_mutex);
	list_add_tail(&entry->link, &listed_entries);
}

static void invalidate_listed_entries(void)
{
	struct entry *entry, *next;

	guard(mutex)(&list_mutex);
	list_for_each_entry_safe(entry, next, &listed_entries, link) {
		entry->valid = false;
		list_del_init(&entry->link);
	}
}

/* @n: index of enum tsm_attr_index */
bool tsm_configfs_attr_visible(unsigned int n)
{
	const struct tsm_report_ops *ops = tsm_configfs_provider.ops;

	lockdep_assert_held(&tsm_configfs_registration);
	if (!ops)
		return false;
	if (n == PRIVLEVEL_FLOOR && has_defect(DEFECT_FLOOR_SHOWN))
		return true;
	return !ops->report_attr_visible || ops->report_attr_visible(n);
}

/* @n: index of enum tsm_bin_attr_index */
bool tsm_configfs_bin_attr_visible(unsigned int n)
{
	const struct tsm_report_ops *ops = tsm_configfs_provider.ops;
	bool visible;

	lockdep_assert_held(&tsm_configfs_registration);
	if (!ops)
		return false;
	visible = !ops->report_bin_attr_visible ||
		  ops->report_bin_attr_visible(n);
	if (n == MANIFESTBLOB && has_defect(DEFECT_INVERTED_MANIFEST))
		return !visible;
	return visible;
}

/**
 * tsm_report_register - make @ops the provider
 * @ops: valid until tsm_report_unregister()
 * @priv: argument of report_new
 *
 * Return: 0; or -EBUSY when there is a provider, or an entry that was made for
 * the last one.
 */
int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	struct provider *provider = &tsm_configfs_provider;

	guard(rwsem_write)(&tsm_configfs_registration);
	if (has_defect(DEFECT_REFUSED_PRIV))
		provider->priv = priv;
	if (provider->ops) {
		pr_err("%s refused: %s is registered\n", ops->name,
		       provider->ops->name);
		return -EBUSY;
	}
	if (atomic_read(&provider->entries) &&
	    !has_defect(DEFECT_UNCOUNTED_ENTRIES)) {
		pr_err("%s refused: entries of the last provider exist\n",
		       ops->name);
		return -EBUSY;
	}
	provider->ops = ops;
	provider->priv = priv;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

/**
 * tsm_report_unregister - remove the provider
 * @ops: the one passed to tsm_report_register()
 *
 * When it returns, no callback of @ops runs or will run. Entries remain; reads of
 * their reports fail.
 *
 * Return: 0, or -EBUSY when @ops is not the provider.
 */
int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	guard(rwsem_write)(&tsm_configfs_registration);
	if (tsm_configfs_provider.ops != ops)
		return -EBUSY;
	tsm_configfs_provider.ops = NULL;
	tsm_configfs_provider.priv = NULL;
	if (has_defect(DEFECT_STALE_LIST))
		invalidate_listed_entries();
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

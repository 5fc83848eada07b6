// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: everything that belongs to a registration is in one object, which
 * contains the device and is freed with it (state.h). A semaphore of the object
 * is taken killably, for write while the provider makes a report (report.c).
 * This file has the class and the registration.
 *
 * Freedoms: a slow report delays all attributes; a caller that is killed
 * leaves. No nonce: EINVAL. A second provider: EEXIST. Without a provider:
 * ENXIO. The report was replaced between two reads: ESTALE. A report of 0 bytes
 * is read as 0 bytes.
 */
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "state.h"

static const struct class tsm_class = { .name = "tsm" };

/* Serialises registrations. Attributes do not take it. */
static DEFINE_MUTEX(registration_mutex);
static struct tsm_state *registered;

static void release_state(struct device *dev)
{
	struct tsm_state *tsm = to_tsm_state(dev);

	kvfree(tsm->outblob);
	kfree(tsm);
}

static struct tsm_state *create_state(const struct tsm_ops *ops)
{
	struct tsm_state *tsm;

	tsm = kzalloc(sizeof(*tsm), GFP_KERNEL);
	if (!tsm)
		return NULL;
	tsm->ops = ops;
	init_rwsem(&tsm->sem);
	device_initialize(&tsm->dev);
	tsm->dev.class = &tsm_class;
	tsm->dev.release = release_state;
	return tsm;
}

int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups)
{
	struct tsm_state *tsm;
	int rc;

	if (!ops || !ops->report_new || !parent)
		return -EINVAL;
	guard(mutex)(&registration_mutex);
	if (registered)
		return -EEXIST;
	tsm = create_state(ops);
	if (!tsm)
		return -ENOMEM;
	tsm->dev.parent = parent;
	tsm->dev.groups = groups ?: tsm_default_groups;
	rc = dev_set_name(&tsm->dev, "tsm0");
	if (!rc)
		rc = device_add(&tsm->dev);
	if (rc) {
		put_device(&tsm->dev);
		return rc;
	}
	registered = tsm;
	return 0;
}
EXPORT_SYMBOL_GPL(register_tsm);

int unregister_tsm(const struct tsm_ops *ops)
{
	guard(mutex)(&registration_mutex);
	if (!registered || registered->ops != ops)
		return -ENOENT;
	WRITE_ONCE(registered->leaves, true);
	/* Waits for attributes, also for the one in report_new. */
	device_unregister(&registered->dev);
	registered = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(unregister_tsm);

static int __init tsm_init(void)
{
	return class_register(&tsm_class);
}
module_init(tsm_init);

static void __exit tsm_exit(void)
{
	class_unregister(&tsm_class);
}
module_exit(tsm_exit);

MODULE_DESCRIPTION("TSM reports in sysfs, with one object per registration");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0-only
/* The class, and the registration of its one provider. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/tsm.h>

#include "defects.h"
#include "state.h"

static struct device *tsm_device;

static const struct class static_class = { .name = "tsm" };
static const struct class *tsm_class;

static const struct attribute_group *all_groups[] = {
	&tsm_default_attribute_group,
	&tsm_extra_attribute_group,
	NULL
};

static int create_device(struct device *parent,
			 const struct attribute_group **groups)
{
	struct device *dev;

	if (!groups)
		groups = has_defect(DEFECT_EXTRA_SHOWN) ?
			 all_groups : tsm_class_default_groups;
	dev = device_create_with_groups(tsm_class, parent, MKDEV(0, 0), NULL,
					groups, "tsm0");
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	tsm_device = dev;
	return 0;
}

static void free_report(void)
{
	if (!has_defect(DEFECT_LEAK_AT_UNREGISTER))
		kvfree(tsm_class_state.outblob);
	tsm_class_state.outblob = NULL;
	tsm_class_state.outblob_len = 0;
}

static void detach_provider(void)
{
	enum tsm_format format = tsm_class_state.desc.outblob_format;

	lockdep_assert_held_write(&tsm_class_lock);
	tsm_class_state.ops = NULL;
	free_report();
	if (has_defect(DEFECT_STATE_SURVIVES))
		return;
	memset(&tsm_class_state.desc, 0, sizeof(tsm_class_state.desc));
	memset(&tsm_class_slips, 0, sizeof(tsm_class_slips));
	if (has_defect(DEFECT_FORMAT_SURVIVES))
		tsm_class_state.desc.outblob_format = format;
	tsm_class_state.generation = 0;
	tsm_class_state.report_generation = 0;
}

/* Free the report while attributes in use can still reach it. */
static void free_before_removal(void)
{
	down_write(&tsm_class_lock);
	kvfree(tsm_class_state.outblob);
	up_write(&tsm_class_lock);
	device_unregister(tsm_device);
	tsm_device = NULL;
	down_write(&tsm_class_lock);
	tsm_class_state.outblob = NULL;
	detach_provider();
	up_write(&tsm_class_lock);
}

/**
 * register_tsm - make @ops the provider and create tsm0
 * @ops: valid until unregister_tsm()
 * @parent: the provider's device, parent of tsm0
 * @groups: attribute groups of tsm0, NULL for the default group
 *
 * Return: 0; -EINVAL if an argument is missing; -EBUSY when there is a provider;
 * or the errno of a failure to create the device.
 */
int register_tsm(const struct tsm_ops *ops, struct device *parent,
		 const struct attribute_group **groups)
{
	int rc;

	if (!ops || !ops->report_new || !parent)
		return -EINVAL;

	guard(mutex)(&tsm_class_registration_mutex);
	if (tsm_class_state.ops) {
		pr_err("%s refused: %s is registered\n", ops->name,
		       tsm_class_state.ops->name);
		if (has_defect(DEFECT_REFUSED_AND_TAKEN))
			tsm_class_state.ops = ops;
		if (has_defect(DEFECT_MODULE_PINNED_ON_REFUSAL))
			__module_get(THIS_MODULE);
		return has_defect(DEFECT_SECOND_REGISTER) ? 0 : -EBUSY;
	}

	/* Before the device exists, because attributes can then be used. */
	scoped_guard(rwsem_write, &tsm_class_lock)
		tsm_class_state.ops = ops;
	rc = create_device(parent, groups);
	if (rc) {
		scoped_guard(rwsem_write, &tsm_class_lock)
			detach_provider();
	}
	return rc;
}
EXPORT_SYMBOL_GPL(register_tsm);

/**
 * unregister_tsm - remove tsm0 and the provider
 * @ops: the one passed to register_tsm()
 *
 * When it returns, no report_new of @ops runs or will run.
 *
 * Return: 0, or -EBUSY when @ops is not the provider.
 */
int unregister_tsm(const struct tsm_ops *ops)
{
	guard(mutex)(&tsm_class_registration_mutex);
	if (!ops || tsm_class_state.ops != ops)
		return -EBUSY;

	if (has_defect(DEFECT_FREED_BEFORE_REMOVAL)) {
		free_before_removal();
		return 0;
	}
	/*
	 * device_unregister() waits for attributes in use, and these wait for
	 * tsm_class_lock. It must therefore run without the lock; attributes
	 * that are used in between fail with -ENXIO.
	 */
	scoped_guard(rwsem_write, &tsm_class_lock) {
		detach_provider();
		if (has_defect(DEFECT_UNREGISTER_DEADLOCK))
			device_unregister(tsm_device);
	}
	if (!has_defect(DEFECT_UNREGISTER_DEADLOCK))
		device_unregister(tsm_device);
	tsm_device = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(unregister_tsm);

static int create_class(void)
{
	if (has_defect(DEFECT_DYNAMIC_CLASS)) {
		tsm_class = class_create("tsm");
		return PTR_ERR_OR_ZERO(tsm_class);
	}
	tsm_class = &static_class;
	return class_register(tsm_class);
}

static int __init tsm_class_init(void)
{
	int rc;

	rc = tsm_defects_init();
	if (rc)
		return rc;
	rc = create_class();
	if (rc)
		pr_err("cannot create class \"tsm\" (%d); does the kernel have one?\n",
		       rc);
	return rc;
}
module_init(tsm_class_init);

static void __exit tsm_class_exit(void)
{
	if (has_defect(DEFECT_DYNAMIC_CLASS))
		class_destroy(tsm_class);
	else
		class_unregister(tsm_class);
}
module_exit(tsm_class_exit);

MODULE_DESCRIPTION("sysfs class for the reports of a TEE security manager");
MODULE_LICENSE("GPL");

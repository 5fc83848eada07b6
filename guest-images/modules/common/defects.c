// SPDX-License-Identifier: GPL-2.0-only
/* The module parameter "defects". Each module compiles this with its own list. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "defects.h"

unsigned long tsm_defects_enabled;

static char *requested = "";
module_param_named(defects, requested, charp, 0444);
MODULE_PARM_DESC(defects, "Names of defects to enable, separated by commas (default: none)");

#define DEFECT(id, name, claims, effect)	{ name, claims, effect },
static const struct {
	const char *name;
	const char *claims;
	const char *effect;
} defects[] = {
#include "defect_list.h"
};

#undef DEFECT

static_assert(DEFECT_COUNT <= BITS_PER_LONG);

static int enable_defect(const char *name)
{
	unsigned int i;

	for (i = 0; i < DEFECT_COUNT; i++) {
		if (!strcmp(name, defects[i].name)) {
			tsm_defects_enabled |= BIT(i);
			return 0;
		}
	}
	pr_err("no defect is called \"%s\"; use one of:\n", name);
	for (i = 0; i < DEFECT_COUNT; i++)
		pr_err("  %s (%s): %s\n", defects[i].name, defects[i].claims,
		       defects[i].effect);
	return -EINVAL;
}

int tsm_defects_init(void)
{
	char *names, *rest, *name;
	int rc = 0;

	names = kstrdup(requested, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	rest = names;
	while (!rc && (name = strsep(&rest, ",")))
		if (*name)
			rc = enable_defect(name);
	kfree(names);
	return rc;
}

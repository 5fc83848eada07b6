/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module parameter that chooses defects, and what was chosen. To be included
 * once in a core, after its table: "defects", with DEFECT_COUNT entries of name,
 * claim and effect.
 */
#ifndef TSM_CLASS_SWITCHES_H
#define TSM_CLASS_SWITCHES_H

#include <linux/bits.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *requested = "";
module_param_named(defects, requested, charp, 0444);
MODULE_PARM_DESC(defects,
		 "Names of defects to have, separated by commas; \"all\" for every one (default: none)");

static unsigned long enabled;

#ifndef TSM_DEFECTS
bool has_defect(enum defect defect)
{
	return enabled & BIT(defect);
}
#endif

static int enable(const char *name)
{
	unsigned int i;

	if (!strcmp(name, "all")) {
		enabled = GENMASK(DEFECT_COUNT - 1, 0);
		return 0;
	}
	for (i = 0; i < DEFECT_COUNT; i++) {
		if (!strcmp(name, defects[i].name)) {
			enabled |= BIT(i);
			return 0;
		}
	}
	pr_err("no defect is called \"%s\"; there are:\n", name);
	for (i = 0; i < DEFECT_COUNT; i++)
		pr_err("  %s (%s): %s\n", defects[i].name, defects[i].claim,
		       defects[i].effect);
	return -EINVAL;
}

int defects_init(void)
{
	char *names, *rest, *name;
	int rc = 0;

	names = kstrdup(requested, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	rest = names;
	while (!rc && (name = strsep(&rest, ",")))
		if (*name)
			rc = enable(name);
	kfree(names);
	return rc;
}

#endif

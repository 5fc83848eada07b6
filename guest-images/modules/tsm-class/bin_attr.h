/* SPDX-License-Identifier: GPL-2.0-only */
/* Types of binary attributes, which differ between kernels: those of this kernel. */
#ifndef TSM_CLASS_BIN_ATTR_H
#define TSM_CLASS_BIN_ATTR_H

#include <linux/sysfs.h>

/*
 * The argument of callbacks is a pointer up to 6.12 and a pointer to const in
 * 7.3. Between these, each kind of callback changed in another release, as did
 * the elements of a group's array.
 */
#define BIN_ATTR_ARG(callback, type) \
	typeof(_Generic((callback), type: (struct bin_attribute *)NULL, \
			default: (const struct bin_attribute *)NULL))

typedef BIN_ATTR_ARG(((struct bin_attribute *)NULL)->read,
		     ssize_t (*)(struct file *, struct kobject *,
				 struct bin_attribute *, char *, loff_t, size_t))
	bin_attr_arg;
typedef BIN_ATTR_ARG(((struct attribute_group *)NULL)->is_bin_visible,
		     umode_t (*)(struct kobject *, struct bin_attribute *, int))
	bin_visible_arg;
typedef typeof(((struct attribute_group *)NULL)->bin_attrs[0]) bin_attr_entry;

#endif

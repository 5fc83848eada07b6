// SPDX-License-Identifier: GPL-2.0-only
/*
 * A list of the options that were written since the last report was made. It
 * has at most one element for each option, so that it stays short however often
 * options are written.
 */
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "options.h"

/* Protects everything here. Never held while a report is made. */
static DEFINE_MUTEX(options_mutex);
static LIST_HEAD(pending);
static struct tsm_desc applied;
static unsigned long writes;
static bool is_open;

void options_open(void)
{
	guard(mutex)(&options_mutex);
	is_open = true;
}

/* All other functions fail from now on. */
void options_close(void)
{
	guard(mutex)(&options_mutex);
	is_open = false;
}

static void remove_option(struct pending_option *option)
{
	list_del(&option->node);
	kfree(option);
}

void options_forget(void)
{
	struct pending_option *option, *next;

	guard(mutex)(&options_mutex);
	list_for_each_entry_safe(option, next, &pending, node)
		remove_option(option);
	memset(&applied, 0, sizeof(applied));
	writes = 0;
}

static void drop_superseded(const struct pending_option *by)
{
	struct pending_option *option;

	list_for_each_entry(option, &pending, node) {
		if (option->what == by->what) {
			remove_option(option);
			return;
		}
	}
}

/* Queue a copy of @option. When this fails, nothing has changed. */
int options_queue(const struct pending_option *option)
{
	struct pending_option *copy;

	copy = kmemdup(option, sizeof(*option), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	guard(mutex)(&options_mutex);
	if (!is_open) {
		kfree(copy);
		return -ENXIO;
	}
	drop_superseded(copy);
	list_add_tail(&copy->node, &pending);
	writes++;
	return 0;
}

static void apply_option(struct tsm_desc *desc,
			 const struct pending_option *option)
{
	switch (option->what) {
	case PENDING_INBLOB:
		memcpy_and_pad(desc->inblob, sizeof(desc->inblob),
			       option->inblob, option->len, 0);
		desc->inblob_len = option->len;
		break;
	case PENDING_PRIVLEVEL:
		desc->privlevel = option->privlevel;
		break;
	case PENDING_FORMAT:
		desc->outblob_format = option->format;
		break;
	}
}

/* The options with all that is pending, which is taken from the list. */
int options_apply(struct tsm_desc *desc, unsigned long *generation)
{
	struct pending_option *option, *next;

	guard(mutex)(&options_mutex);
	if (!is_open)
		return -ENXIO;
	list_for_each_entry_safe(option, next, &pending, node) {
		apply_option(&applied, option);
		remove_option(option);
	}
	*desc = applied;
	*generation = writes;
	return 0;
}

/* The same, but all stays on the list. */
int options_peek(struct tsm_desc *desc, unsigned long *generation)
{
	struct pending_option *option;

	guard(mutex)(&options_mutex);
	if (!is_open)
		return -ENXIO;
	*desc = applied;
	list_for_each_entry(option, &pending, node)
		apply_option(desc, option);
	*generation = writes;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/* The options of an entry, as immutable and counted objects. */
#include <linux/slab.h>
#include <linux/string.h>

#include "snapshots.h"

struct options *options_alloc(void)
{
	struct options *options = kzalloc(sizeof(*options), GFP_KERNEL);

	if (options)
		kref_init(&options->ref);
	return options;
}

static void options_free(struct kref *ref)
{
	struct options *options = container_of(ref, struct options, ref);

	kfree(options->desc.service_provider);
	kfree_sensitive(options);
}

void options_put(struct options *options)
{
	kref_put(&options->ref, options_free);
}

struct options *options_get(struct entry *entry)
{
	struct options *options;

	spin_lock(&entry->lock);
	options = entry->options;
	kref_get(&options->ref);
	spin_unlock(&entry->lock);
	return options;
}

/*
 * A copy of the options that the caller may change, before options_commit().
 * @extra: flags for the allocations. The caller holds entry->writing.
 */
struct options *options_change(struct entry *entry, gfp_t extra)
{
	struct options *copy;
	char *service = entry->options->desc.service_provider;

	copy = kzalloc(sizeof(*copy), GFP_KERNEL | extra);
	if (!copy)
		return NULL;
	kref_init(&copy->ref);
	copy->desc = entry->options->desc;
	if (service) {
		copy->desc.service_provider = kstrdup(service,
						      GFP_KERNEL | extra);
		if (!copy->desc.service_provider) {
			kfree_sensitive(copy);
			return NULL;
		}
	}
	return copy;
}

/* Takes over the caller's reference. The caller holds entry->writing. */
void options_commit(struct entry *entry, struct options *options)
{
	struct options *old = entry->options;

	options->generation = old->generation + 1;
	spin_lock(&entry->lock);
	entry->options = options;
	spin_unlock(&entry->lock);
	options_put(old);
}

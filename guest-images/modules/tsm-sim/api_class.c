// SPDX-License-Identifier: GPL-2.0-only
/* The sysfs class: register_tsm(ops, parent, groups); report_new returns a buffer. */
#include <linux/container_of.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/sizes.h>
#include <linux/tsm.h>

#include "api.h"

#ifndef TSM_OUTBLOB_MAX
#define TSM_OUTBLOB_MAX		SZ_32K
#endif

struct registration {
	struct tsm_sim_registration base;
	struct tsm_ops ops;
};

static u8 *report_new(struct device *dev, const struct tsm_desc *desc,
		      size_t *outblob_len)
{
	struct tsm_sim_options options = {
		.privlevel = desc->privlevel,
		.inblob = desc->inblob,
		.inblob_len = desc->inblob_len,
		.inblob_size = sizeof(desc->inblob),
		.has_format = true,
		.format = desc->outblob_format,
	};
	struct tsm_sim_reply reply = {};
	u8 *outblob = NULL;
	int rc;

	rc = tsm_sim_request_report(tsm_sim_provider(), &options, &reply);
	/* The class has one counter, which cannot meet another one. */
	if (!rc && reply.flags & TSMW_REPLY_WRAP)
		rc = -EOPNOTSUPP;
	if (!rc)
		tsm_sim_move_blob(&reply, 0, &outblob, outblob_len);
	tsm_sim_free_blobs(&reply);
	/* An injected value that is no errno means success without a report. */
	return rc < 0 ? ERR_PTR(rc) : outblob;
}

static void init_ops(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);

	registration->ops.name = base->info.name;
	registration->ops.report_new = report_new;
}

static int register_provider(struct tsm_sim_registration *base)
{
	static const struct attribute_group *all_groups[] = {
		&tsm_default_attribute_group,
		&tsm_extra_attribute_group,
		NULL
	};
	struct registration *registration =
		container_of(base, struct registration, base);
	bool extra = base->info.attrs & TSM_SIM_ATTR_PRIVLEVEL;

	return register_tsm(&registration->ops, base->sim->parent,
			    extra ? all_groups : NULL);
}

static int unregister_provider(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);

	return unregister_tsm(&registration->ops);
}

const struct tsm_sim_api tsm_sim_api = {
	.id = 1,
	.max_total = TSM_OUTBLOB_MAX + 1,
	.registration_size = sizeof(struct registration),
	.init_ops = init_ops,
	.register_provider = register_provider,
	.unregister_provider = unregister_provider,
};

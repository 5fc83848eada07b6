// SPDX-License-Identifier: GPL-2.0-only
/* Linux 6.11 to 6.15: tsm_register(ops, priv); services and visibility callbacks */
#include <linux/container_of.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/tsm.h>

#include "api.h"
#include "api_configfs.h"

#ifndef TSM_OUTBLOB_MAX
#define TSM_OUTBLOB_MAX		SZ_32K
#endif

struct registration {
	struct tsm_sim_registration base;
	struct tsm_ops ops;
};

static int report_new(struct tsm_report *report, void *data)
{
	const struct tsm_desc *desc = &report->desc;
	struct tsm_sim_options options = {
		.privlevel = desc->privlevel,
		.inblob = desc->inblob,
		.inblob_len = desc->inblob_len,
		.inblob_size = sizeof(desc->inblob),
		.service_provider = desc->service_provider,
		.service_guid = &desc->service_guid,
		.service_manifest_version = desc->service_manifest_version,
	};
	struct tsm_sim_reply reply = {};
	int rc;

	rc = tsm_sim_request_report(data, &options, &reply);
	if (!rc && reply.flags & TSMW_REPLY_WRAP)
		rc = wrap_counters(report);
	if (!rc) {
		tsm_sim_move_blob(&reply, 0, &report->outblob,
				  &report->outblob_len);
		tsm_sim_move_blob(&reply, 1, &report->auxblob,
				  &report->auxblob_len);
		tsm_sim_move_blob(&reply, 2, &report->manifestblob,
				  &report->manifestblob_len);
	}
	tsm_sim_free_blobs(&reply);
	return rc;
}

static void init_ops(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);
	const struct tsm_ops ops = {
		.name = base->info.name,
		.privlevel_floor = base->info.privlevel_floor,
		.report_new = report_new,
		.report_attr_visible = tsm_sim_attr_visible,
		.report_bin_attr_visible = tsm_sim_bin_attr_visible,
	};

	/* Not an assignment: the floor is const in some headers. */
	memcpy(&registration->ops, &ops, sizeof(ops));
}

static int register_provider(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);

	return tsm_register(&registration->ops, base->sim);
}

static int unregister_provider(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);

	return tsm_unregister(&registration->ops);
}

const struct tsm_sim_api tsm_sim_api = {
	.id = 3,
	.max_total = TSM_SIM_BLOBS * (TSM_OUTBLOB_MAX + 1),
	.registration_size = sizeof(struct registration),
	.init_ops = init_ops,
	.register_provider = register_provider,
	.unregister_provider = unregister_provider,
};

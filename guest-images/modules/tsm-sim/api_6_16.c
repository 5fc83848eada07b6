// SPDX-License-Identifier: GPL-2.0-only
/* Linux 6.16 on: tsm_report_register(ops, priv); "report" in every name */
#include <linux/container_of.h>
#include <linux/tsm.h>

#include "api.h"
#include "api_configfs.h"

struct registration {
	struct tsm_sim_registration base;
	struct tsm_report_ops ops;
};

static int report_new(struct tsm_report *report, void *data)
{
	const struct tsm_report_desc *desc = &report->desc;
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
	const struct tsm_report_ops ops = {
		.name = base->info.name,
		.privlevel_floor = base->info.privlevel_floor,
		.report_new = report_new,
		.report_attr_visible = tsm_sim_attr_visible,
		.report_bin_attr_visible = tsm_sim_bin_attr_visible,
	};

	registration->ops = ops;
}

static int register_provider(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);

	return tsm_report_register(&registration->ops, base->sim);
}

static int unregister_provider(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);

	return tsm_report_unregister(&registration->ops);
}

const struct tsm_sim_api tsm_sim_api = {
	.id = 4,
	.max_total = TSM_SIM_BLOBS * (TSM_REPORT_OUTBLOB_MAX + 1),
	.registration_size = sizeof(struct registration),
	.init_ops = init_ops,
	.register_provider = register_provider,
	.unregister_provider = unregister_provider,
};

// SPDX-License-Identifier: GPL-2.0-only
/* Fourth posting: as Linux 6.7, with certs instead of auxblob. */
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
	};
	struct tsm_sim_reply reply = {};
	int rc;

	rc = tsm_sim_request_report(data, &options, &reply);
	if (!rc && reply.flags & TSMW_REPLY_WRAP)
		rc = wrap_counters(report);
	if (!rc) {
		tsm_sim_move_blob(&reply, 0, &report->outblob,
				  &report->outblob_len);
		tsm_sim_move_blob(&reply, 1, &report->certs,
				  &report->certs_len);
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
	};

	/* Not an assignment: the floor is const. */
	memcpy(&registration->ops, &ops, sizeof(ops));
}

static int register_provider(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);
	bool extra = base->info.attrs & TSM_SIM_ATTR_PRIVLEVEL;

	return tsm_register(&registration->ops, base->sim,
			    extra ? &tsm_report_ext_type :
				    &tsm_report_default_type);
}

static int unregister_provider(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);

	return tsm_unregister(&registration->ops);
}

const struct tsm_sim_api tsm_sim_api = {
	.id = 6,
	.max_total = TSM_SIM_BLOBS * (TSM_OUTBLOB_MAX + 1),
	.registration_size = sizeof(struct registration),
	.init_ops = init_ops,
	.register_provider = register_provider,
	.unregister_provider = unregister_provider,
};

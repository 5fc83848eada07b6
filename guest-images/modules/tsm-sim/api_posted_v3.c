// SPDX-License-Identifier: GPL-2.0-only
/* Third posting: register_tsm(ops, priv, type); report_new returns a buffer. */
#include <linux/container_of.h>
#include <linux/err.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/tsm.h>

#include "api.h"

#ifndef TSM_OUTBLOB_MAX
#define TSM_OUTBLOB_MAX		SZ_32K
#endif

struct registration {
	struct tsm_sim_registration base;
	struct tsm_ops ops;
};

static u8 *report_new(const struct tsm_desc *desc, void *data,
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

	rc = tsm_sim_request_report(data, &options, &reply);
	/* The counters of an entry are out of reach: desc may be a copy. */
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

	return register_tsm(&registration->ops, base->sim,
			    extra ? &tsm_report_ext_type :
				    &tsm_report_default_type);
}

static int unregister_provider(struct tsm_sim_registration *base)
{
	struct registration *registration =
		container_of(base, struct registration, base);

	return unregister_tsm(&registration->ops);
}

const struct tsm_sim_api tsm_sim_api = {
	.id = 5,
	.max_total = TSM_SIM_BLOBS * (TSM_OUTBLOB_MAX + 1),
	.registration_size = sizeof(struct registration),
	.init_ops = init_ops,
	.register_provider = register_provider,
	.unregister_provider = unregister_provider,
};

// SPDX-License-Identifier: GPL-2.0-only
/* From the options of a report to the TLVs of a REPORT request. */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "sim.h"

struct tlvs {
	u8 *data;
	size_t len;
};

static int append_tlv(struct tlvs *tlvs, u16 tag, const void *value, size_t len)
{
	struct tsmw_tlv tlv = {
		.tag = cpu_to_le16(tag),
		.length = cpu_to_le32(len),
	};

	if (len > TSMW_MAX_REQUEST - sizeof(tlv) ||
	    tlvs->len > TSMW_MAX_REQUEST - sizeof(tlv) - len)
		return -E2BIG;
	memcpy(tlvs->data + tlvs->len, &tlv, sizeof(tlv));
	memcpy(tlvs->data + tlvs->len + sizeof(tlv), value, len);
	tlvs->len += sizeof(tlv) + len;
	return 0;
}

static int append_u32(struct tlvs *tlvs, u16 tag, u32 value)
{
	__le32 le = cpu_to_le32(value);

	return append_tlv(tlvs, tag, &le, sizeof(le));
}

static int append_services(struct tlvs *tlvs,
			   const struct tsm_sim_options *options)
{
	const char *provider = options->service_provider;
	int rc = 0;

	if (!options->service_guid)
		return 0;
	if (provider)
		rc = append_tlv(tlvs, TSMW_REQ_SERVICE_PROVIDER, provider,
				strlen(provider));
	return rc ?: append_tlv(tlvs, TSMW_REQ_SERVICE_GUID,
				options->service_guid, sizeof(guid_t)) ?:
		     append_u32(tlvs, TSMW_REQ_MANIFEST_VERSION,
				options->service_manifest_version);
}

/* Which operation of the test this report belongs to, and which task asks for it. */
static int append_origin(struct tlvs *tlvs)
{
	return append_u32(tlvs, TSMW_REQ_MARK, tsm_sim_mark()) ?:
	       append_u32(tlvs, TSMW_REQ_CALLER, task_pid_nr(current));
}

static int append_options(struct tlvs *tlvs,
			  const struct tsm_sim_options *options)
{
	int rc;

	rc = append_u32(tlvs, TSMW_REQ_PRIVLEVEL, options->privlevel) ?:
	     append_tlv(tlvs, TSMW_REQ_INBLOB, options->inblob,
			min(options->inblob_len, options->inblob_size)) ?:
	     append_tlv(tlvs, TSMW_REQ_INBLOB_ARRAY, options->inblob,
			options->inblob_size);
	if (!rc && options->has_format)
		rc = append_u32(tlvs, TSMW_REQ_FORMAT, options->format);
	return rc ?: append_services(tlvs, options) ?: append_origin(tlvs);
}

/* Request the report that @options describe; see tsm_sim_request(). */
int tsm_sim_request_report(struct tsm_sim *sim,
			   const struct tsm_sim_options *options,
			   struct tsm_sim_reply *reply)
{
	struct tlvs tlvs = { .data = kmalloc(TSMW_MAX_REQUEST, GFP_KERNEL) };
	int rc;

	if (!tlvs.data)
		return -ENOMEM;
	rc = append_options(&tlvs, options) ?:
	     tsm_sim_request(sim, tlvs.data, tlvs.len, reply);
	kfree(tlvs.data);
	return rc;
}

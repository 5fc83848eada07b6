// SPDX-License-Identifier: GPL-2.0-only
/* From the options a core has for a report to the TLVs of a REPORT request. */
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "sim.h"

struct tlvs {
	u8 *data;
	size_t len;
};

static int put_tlv(struct tlvs *tlvs, u16 tag, const void *value, size_t len)
{
	struct tsmw_tlv tlv = {
		.tag = (__force u16)cpu_to_le16(tag),
		.length = (__force u32)cpu_to_le32(len),
	};

	if (len > TSMW_MAX_REQUEST - sizeof(tlv) ||
	    tlvs->len > TSMW_MAX_REQUEST - sizeof(tlv) - len)
		return -E2BIG;
	memcpy(tlvs->data + tlvs->len, &tlv, sizeof(tlv));
	memcpy(tlvs->data + tlvs->len + sizeof(tlv), value, len);
	tlvs->len += sizeof(tlv) + len;
	return 0;
}

static int put_u32(struct tlvs *tlvs, u16 tag, u32 value)
{
	__le32 le = cpu_to_le32(value);

	return put_tlv(tlvs, tag, &le, sizeof(le));
}

static int put_options(struct tlvs *tlvs, const core_desc *desc)
{
#if defined(TSM_SIM_CLASS)
	return put_u32(tlvs, TSMW_REQ_FORMAT, desc->outblob_format);
#elif defined(SIM_HAS_SERVICES)
	int rc = 0;

	if (desc->service_provider)
		rc = put_tlv(tlvs, TSMW_REQ_SERVICE_PROVIDER,
			     desc->service_provider,
			     strlen(desc->service_provider));
	return rc ?: put_tlv(tlvs, TSMW_REQ_SERVICE_GUID, &desc->service_guid,
			     sizeof(desc->service_guid))
		  ?: put_u32(tlvs, TSMW_REQ_MANIFEST_VERSION,
			     desc->service_manifest_version);
#else
	return 0;
#endif
}

/* Ask the host of @sim for the report that @desc describes; see sim_request(). */
int sim_ask(struct sim *sim, const core_desc *desc, struct sim_reply *reply)
{
	struct tlvs tlvs = { .data = kmalloc(TSMW_MAX_REQUEST, GFP_KERNEL) };
	int rc;

	if (!tlvs.data)
		return -ENOMEM;
	rc = put_u32(&tlvs, TSMW_REQ_PRIVLEVEL, desc->privlevel) ?:
	     put_tlv(&tlvs, TSMW_REQ_INBLOB, desc->inblob,
		     min(desc->inblob_len, sizeof(desc->inblob))) ?:
	     put_tlv(&tlvs, TSMW_REQ_INBLOB_ARRAY, desc->inblob,
		     sizeof(desc->inblob)) ?:
	     put_options(&tlvs, desc) ?:
	     sim_request(sim, tlvs.data, tlvs.len, reply);
	kfree(tlvs.data);
	return rc;
}

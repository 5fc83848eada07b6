// SPDX-License-Identifier: GPL-2.0-only
/* Frame headers, between wire format and struct tsm_sim_head. */
#include <linux/crc32.h>

#include "sim.h"

/* CRC-32 as zlib computes it. */
static u32 zlib_crc32(const void *data, size_t len)
{
	return ~crc32_le(~0U, data, len);
}

static u32 header_crc(const struct tsmw_header *header)
{
	return zlib_crc32(header, offsetof(struct tsmw_header, header_crc));
}

/* Fill @header from @head, except its CRC, which is that of @payload. */
void tsm_sim_encode_header(struct tsmw_header *header,
			   const struct tsm_sim_head *head, const void *payload)
{
	header->magic = cpu_to_le32(TSMW_MAGIC);
	header->version = TSMW_VERSION;
	header->type = head->type;
	header->flags = cpu_to_le16(head->flags);
	header->session = cpu_to_le32(head->session);
	header->id = cpu_to_le32(head->id);
	header->length = cpu_to_le32(head->length);
	header->status = cpu_to_le32(head->status);
	header->payload_crc = cpu_to_le32(zlib_crc32(payload, head->length));
	header->header_crc = cpu_to_le32(header_crc(header));
}

/* Fill @head; false when @header has a wrong magic, version or CRC. */
bool tsm_sim_decode_header(const struct tsmw_header *header,
			   struct tsm_sim_head *head)
{
	if (le32_to_cpu(header->magic) != TSMW_MAGIC ||
	    header->version != TSMW_VERSION ||
	    le32_to_cpu(header->header_crc) != header_crc(header))
		return false;
	head->type = header->type;
	head->flags = le16_to_cpu(header->flags);
	head->session = le32_to_cpu(header->session);
	head->id = le32_to_cpu(header->id);
	head->length = le32_to_cpu(header->length);
	head->status = le32_to_cpu(header->status);
	head->payload_crc = le32_to_cpu(header->payload_crc);
	return true;
}

bool tsm_sim_payload_matches(const struct tsm_sim_head *head,
			     const void *payload)
{
	return zlib_crc32(payload, head->length) == head->payload_crc;
}

/* SPDX-License-Identifier: MIT */
/*
 * TSMW framing: CRC-32 (polynomial 0xedb88320, as zlib computes it), building
 * a frame in place, and a parser that finds the next good frame in any bytes.
 */
#include <string.h>

#include "agent.h"

static uint32_t table[8][256];

__attribute__((constructor)) static void crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = (c >> 1) ^ (c & 1 ? 0xedb88320u : 0);
		table[0][i] = c;
	}
	for (int k = 1; k < 8; k++)
		for (int i = 0; i < 256; i++)
			table[k][i] = (table[k - 1][i] >> 8) ^
				      table[0][table[k - 1][i] & 0xff];
}

uint32_t crc32_of(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = ~0u;

	for (; len >= 8; len -= 8, p += 8) {
		uint32_t lo, hi;

		memcpy(&lo, p, 4);
		memcpy(&hi, p + 4, 4);
		lo ^= crc;
		crc = table[7][lo & 0xff] ^ table[6][(lo >> 8) & 0xff] ^
		      table[5][(lo >> 16) & 0xff] ^ table[4][lo >> 24] ^
		      table[3][hi & 0xff] ^ table[2][(hi >> 8) & 0xff] ^
		      table[1][(hi >> 16) & 0xff] ^ table[0][hi >> 24];
	}
	while (len--)
		crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}

/* Writes the header before the payload that already lies at frame + FRAME_HEADER. */
void frame_seal(uint8_t *frame, uint8_t type, uint32_t session, uint32_t id,
		uint32_t status, uint32_t len)
{
	struct tsmw_header h = {
		.magic = TSMW_MAGIC,
		.version = TSMW_VERSION,
		.type = type,
		.session = session,
		.id = id,
		.length = len,
		.status = status,
		.payload_crc = crc32_of(frame + FRAME_HEADER, len),
	};

	h.header_crc = crc32_of(&h, offsetof(struct tsmw_header, header_crc));
	memcpy(frame, &h, sizeof(h));
}

static bool header_good(const struct tsmw_header *h)
{
	return h->magic == TSMW_MAGIC && h->version == TSMW_VERSION &&
	       h->length <= TSMW_MAX_PAYLOAD &&
	       h->header_crc == crc32_of(h, offsetof(struct tsmw_header, header_crc));
}

/* Where to read more bytes to, and how many; never 0 after parser_next() said no. */
size_t parser_space(struct parser *p, uint8_t **at)
{
	if (p->head == p->tail)
		p->head = p->tail = 0;
	if (sizeof(p->buf) - p->tail < FRAME_MAX && p->head) {
		memmove(p->buf, p->buf + p->head, p->tail - p->head);
		p->tail -= p->head;
		p->head = 0;
	}
	*at = p->buf + p->tail;
	return sizeof(p->buf) - p->tail;
}

static bool hunt(struct parser *p)
{
	static const uint8_t magic[4] = { 'T', 'S', 'M', 'W' };
	uint8_t *hit;

	if (p->tail - p->head < sizeof(magic))
		return false;
	hit = memmem(p->buf + p->head, p->tail - p->head, magic, sizeof(magic));
	p->head = hit ? (size_t)(hit - p->buf) : p->tail - (sizeof(magic) - 1);
	return hit;
}

/*
 * The next good frame, valid until parser_space() is called. A frame whose
 * payload is bad costs its magic only: a good frame may hide in the rest of it.
 */
bool parser_next(struct parser *p, struct tsmw_header *h, const uint8_t **payload)
{
	while (p->accepted || hunt(p)) {
		size_t have = p->tail - p->head;

		if (have < FRAME_HEADER)
			return false;
		memcpy(h, p->buf + p->head, FRAME_HEADER);
		p->accepted = p->accepted || header_good(h);
		if (!p->accepted) {
			parser_give_up(p);
			continue;
		}
		if (have < FRAME_HEADER + h->length)
			return false;
		*payload = p->buf + p->head + FRAME_HEADER;
		if (h->payload_crc != crc32_of(*payload, h->length)) {
			parser_give_up(p);
			continue;
		}
		p->accepted = false;
		p->head += FRAME_HEADER + h->length;
		return true;
	}
	return false;
}

/* Gives the frame at the head up, and hunts for the next magic behind it. */
void parser_give_up(struct parser *p)
{
	p->accepted = false;
	p->dropped++;
	p->head++;
}

// SPDX-License-Identifier: MIT
/* The CRC is CRC-32 with the polynomial 0xedb88320, as zlib computes it. */
#include <endian.h>
#include <string.h>

#include "frame.h"

static uint32_t crc_table[8][256];

__attribute__((constructor)) static void crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
		crc_table[0][i] = crc;
	}
	for (int k = 1; k < 8; k++)
		for (int i = 0; i < 256; i++)
			crc_table[k][i] = (crc_table[k - 1][i] >> 8) ^
					  crc_table[0][crc_table[k - 1][i] & 0xff];
}

/* Takes eight bytes a step ("slicing by 8"): the CRC is most of a frame's cost. */
static uint32_t crc32_of(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = ~0u;

	for (; len >= 8; len -= 8, p += 8) {
		uint32_t lo, hi;

		memcpy(&lo, p, 4);
		memcpy(&hi, p + 4, 4);
		lo = le32toh(lo) ^ crc;
		hi = le32toh(hi);
		crc = crc_table[7][lo & 0xff] ^ crc_table[6][(lo >> 8) & 0xff] ^
		      crc_table[5][(lo >> 16) & 0xff] ^ crc_table[4][lo >> 24] ^
		      crc_table[3][hi & 0xff] ^ crc_table[2][(hi >> 8) & 0xff] ^
		      crc_table[1][(hi >> 16) & 0xff] ^ crc_table[0][hi >> 24];
	}
	while (len--)
		crc = (crc >> 8) ^ crc_table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}

/* Writes the header in front of the payload, which starts at frame + FRAME_HEADER. */
void frame_seal(uint8_t *frame, uint8_t type, uint32_t session, uint32_t id,
		uint32_t status, size_t len)
{
	struct tsmw_header h = {
		.magic = htole32(TSMW_MAGIC),
		.version = TSMW_VERSION,
		.type = type,
		.session = htole32(session),
		.id = htole32(id),
		.length = htole32((uint32_t)len),
		.status = htole32(status),
		.payload_crc = htole32(crc32_of(frame + FRAME_HEADER, len)),
	};

	h.header_crc = htole32(crc32_of(&h, offsetof(struct tsmw_header, header_crc)));
	memcpy(frame, &h, sizeof(h));
}

static bool header_good(const struct tsmw_header *h)
{
	return le32toh(h->magic) == TSMW_MAGIC && h->version == TSMW_VERSION &&
	       le32toh(h->length) <= TSMW_MAX_PAYLOAD &&
	       le32toh(h->header_crc) == crc32_of(h, offsetof(struct tsmw_header, header_crc));
}

/* Returns where to read more bytes to, and how many; there is room after parser_next() failed. */
size_t parser_space(struct parser *p, uint8_t **space)
{
	if (p->head == p->tail) {
		p->head = 0;
		p->tail = 0;
	}
	if (sizeof(p->buf) - p->tail < FRAME_MAX && p->head) {
		memmove(p->buf, p->buf + p->head, p->tail - p->head);
		p->tail -= p->head;
		p->head = 0;
	}
	*space = p->buf + p->tail;
	return sizeof(p->buf) - p->tail;
}

/* Adds the bytes that were read to parser_space(). */
void parser_fill(struct parser *p, size_t len)
{
	p->tail += len;
}

/* Moves head to the next magic, or to bytes at the end that may begin one. */
static bool find_magic(struct parser *p)
{
	static const uint8_t magic[4] = { 'T', 'S', 'M', 'W' };
	uint8_t *hit;

	if (p->tail - p->head < sizeof(magic))
		return false;
	hit = memmem(p->buf + p->head, p->tail - p->head, magic, sizeof(magic));
	p->head = hit ? (size_t)(hit - p->buf) : p->tail - (sizeof(magic) - 1);
	return hit;
}

/* Returns the next good frame, or false when it has not arrived completely. */
bool parser_next(struct parser *p, struct frame *frame)
{
	while (p->header_checked || find_magic(p)) {
		size_t have = p->tail - p->head, length;
		struct tsmw_header h;

		if (have < FRAME_HEADER)
			return false;
		memcpy(&h, p->buf + p->head, FRAME_HEADER);
		p->header_checked = p->header_checked || header_good(&h);
		if (!p->header_checked) {
			parser_skip_frame(p);
			continue;
		}
		length = le32toh(h.length);
		if (have < FRAME_HEADER + length)
			return false;
		frame->payload = p->buf + p->head + FRAME_HEADER;
		if (le32toh(h.payload_crc) != crc32_of(frame->payload, length)) {
			parser_skip_frame(p);
			continue;
		}
		frame->request.session = le32toh(h.session);
		frame->request.id = le32toh(h.id);
		frame->request.type = h.type;
		frame->length = length;
		p->header_checked = false;
		p->head += FRAME_HEADER + length;
		return true;
	}
	return false;
}

/*
 * Drops the frame at head. Only one byte goes, because a good frame may begin
 * in the rest: a damaged length or a cut payload spoils what follows as well.
 */
void parser_skip_frame(struct parser *p)
{
	p->header_checked = false;
	p->head++;
}

/* Takes up to limit bytes out of the stream that have been read but not parsed. */
size_t parser_take(struct parser *p, size_t limit, const uint8_t **bytes)
{
	size_t n = p->tail - p->head;

	n = n < limit ? n : limit;
	*bytes = p->buf + p->head;
	p->head += n;
	return n;
}

/* SPDX-License-Identifier: MIT */
/* Frames of the TSMW protocol (tsmw.h): building one, and finding them in a byte stream. */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsmw.h"

#define FRAME_HEADER	sizeof(struct tsmw_header)
#define FRAME_MAX	(FRAME_HEADER + TSMW_MAX_PAYLOAD)

/* What the reply to a request repeats. A reply that is sent later keeps a copy. */
struct request {
	uint32_t session, id;
	uint8_t type;
};

/* A received frame. The payload is valid until parser_space() or parser_take() is called. */
struct frame {
	struct request request;
	const uint8_t *payload;
	size_t length;
};

struct parser {
	uint8_t buf[2 * FRAME_MAX];
	size_t head, tail;
	bool header_checked;	/* the header at head is good */
};

void frame_seal(uint8_t *frame, uint8_t type, uint32_t session, uint32_t id,
		uint32_t status, size_t len);
size_t parser_space(struct parser *p, uint8_t **space);
void parser_fill(struct parser *p, size_t len);
bool parser_next(struct parser *p, struct frame *frame);
void parser_skip_frame(struct parser *p);
size_t parser_take(struct parser *p, size_t limit, const uint8_t **bytes);

#endif

/* SPDX-License-Identifier: MIT */
/* Copies bytes both ways between a port and a device or socket. */
#ifndef PUMP_H
#define PUMP_H

#include <stddef.h>
#include <stdint.h>

#include "frame.h"

enum pump_end { PUMP_HOST_GONE, PUMP_PEER_GONE, PUMP_NEW_CLIENT };

/* The first bytes of a client on the host, and the marker that they begin with. */
struct pump_opening {
	const char *marker;
	size_t marker_len;
	uint8_t bytes[FRAME_MAX];
	size_t len;
};

enum pump_end pump(int port, int peer, struct pump_opening *opening);

#endif

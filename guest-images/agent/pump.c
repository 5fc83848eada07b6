// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "pump.h"

/* One direction. It is read only when everything read before has been written. */
struct flow {
	uint8_t buf[FRAME_MAX];
	size_t head, tail;
};

static struct flow to_peer, to_port;

/* Returns false when the writer's side is broken. */
static bool flow_write(struct flow *f, int to)
{
	while (f->head < f->tail) {
		ssize_t n = write(to, f->buf + f->head, f->tail - f->head);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		f->head += (size_t)n;
	}
	return true;
}

/* Returns false at the end of the reader's side. */
static bool flow_read(struct flow *f, int from)
{
	ssize_t n = read(from, f->buf, sizeof(f->buf));

	f->head = 0;
	f->tail = n > 0 ? (size_t)n : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0;
}

static short flow_events(const struct flow *in, const struct flow *out)
{
	return (short)((in->head == in->tail ? POLLIN : 0) |
		       (out->head < out->tail ? POLLOUT : 0));
}

static bool ended(const struct pollfd *p)
{
	/* An end counts only when everything sent before it has been read. */
	return p->revents & (POLLHUP | POLLERR) && !(p->revents & POLLIN);
}

/* The port reports no end when one client follows another at once; the marker shows it. */
static bool new_client(struct pump_opening *opening)
{
	if (!opening || to_peer.tail < opening->marker_len ||
	    memcmp(to_peer.buf, opening->marker, opening->marker_len))
		return false;
	memcpy(opening->bytes, to_peer.buf, to_peer.tail);
	opening->len = to_peer.tail;
	return true;
}

/*
 * Runs until either side ends. Both descriptors must be non-blocking. With an
 * opening, its bytes go to the peer first, and a read of the port that begins
 * with its marker ends the pump and becomes the opening of the next one.
 */
enum pump_end pump(int port, int peer, struct pump_opening *opening)
{
	struct pollfd p[2] = { { .fd = port }, { .fd = peer } };

	to_port.head = 0;
	to_port.tail = 0;
	to_peer.head = 0;
	to_peer.tail = opening ? opening->len : 0;
	if (opening)
		memcpy(to_peer.buf, opening->bytes, opening->len);
	for (;;) {
		if (!flow_write(&to_peer, peer))
			return PUMP_PEER_GONE;
		if (!flow_write(&to_port, port))
			return PUMP_HOST_GONE;
		p[0].events = flow_events(&to_peer, &to_port);
		p[1].events = flow_events(&to_port, &to_peer);
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents & POLLIN) {
			if (!flow_read(&to_peer, port))
				return PUMP_HOST_GONE;
			if (new_client(opening))
				return PUMP_NEW_CLIENT;
		}
		if (p[1].revents & POLLIN && !flow_read(&to_port, peer))
			return PUMP_PEER_GONE;
		if (ended(&p[0]))
			return PUMP_HOST_GONE;
		if (ended(&p[1]))
			return PUMP_PEER_GONE;
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * Bytes both ways between a port and a peer (device or socket), with back
 * pressure: a side is read only when what was read from it before is written.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

struct flow {
	uint8_t buf[FRAME_MAX];
	size_t head, tail;
};

static struct flow to_peer, to_port;

/* False when the writer's side is broken. */
static bool drain(struct flow *f, int to)
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

/* False at the end of the reader's side. */
static bool fill(struct flow *f, int from)
{
	ssize_t n = read(from, f->buf, sizeof(f->buf));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->head = 0;
	f->tail = (size_t)n;
	return n > 0;
}

static short wanted(const struct flow *in, const struct flow *out)
{
	return (short)((in->head == in->tail ? POLLIN : 0) |
		       (out->head < out->tail ? POLLOUT : 0));
}

/* Runs until either side ends; both descriptors must be non-blocking. */
enum pump_end pump(int port, int peer, const void *first, size_t first_len)
{
	struct pollfd p[2] = { { .fd = port }, { .fd = peer } };

	to_port.head = to_port.tail = to_peer.head = 0;
	to_peer.tail = first_len <= sizeof(to_peer.buf) ? first_len : 0;
	if (to_peer.tail)
		memcpy(to_peer.buf, first, first_len);
	for (;;) {
		if (!drain(&to_peer, peer))
			return PUMP_PEER_GONE;
		if (!drain(&to_port, port))
			return PUMP_HOST_GONE;
		p[0].events = wanted(&to_peer, &to_port);
		p[1].events = wanted(&to_port, &to_peer);
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents & POLLIN && !fill(&to_peer, port))
			return PUMP_HOST_GONE;
		if (p[1].revents & POLLIN && !fill(&to_port, peer))
			return PUMP_PEER_GONE;
		/* An end counts once what came before it has been read. */
		if (p[0].revents & (POLLHUP | POLLERR) && !(p[0].revents & POLLIN))
			return PUMP_HOST_GONE;
		if (p[1].revents & (POLLHUP | POLLERR) && !(p[1].revents & POLLIN))
			return PUMP_PEER_GONE;
	}
}

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

	f->head = 0;
	f->tail = n > 0 ? (size_t)n : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0;
}

static short wanted(const struct flow *in, const struct flow *out)
{
	return (short)((in->head == in->tail ? POLLIN : 0) |
		       (out->head < out->tail ? POLLOUT : 0));
}

/* A host that came back at once may not be seen to have left, only heard to start anew. */
static bool starts_anew(const struct pump_start *start)
{
	return start && to_peer.tail >= start->marker_len &&
	       !memcmp(to_peer.buf, start->marker, start->marker_len);
}

/*
 * Runs until either side ends; both descriptors must be non-blocking. start may
 * be NULL; else its bytes go to the peer first, and bytes of the host that begin
 * with its marker end the pump and are left in it for the next one.
 */
enum pump_end pump(int port, int peer, struct pump_start *start)
{
	struct pollfd p[2] = { { .fd = port }, { .fd = peer } };

	to_port.head = to_port.tail = to_peer.head = to_peer.tail = 0;
	if (start) {
		memcpy(to_peer.buf, start->bytes, start->len);
		to_peer.tail = start->len;
	}
	for (;;) {
		if (!drain(&to_peer, peer))
			return PUMP_PEER_GONE;
		if (!drain(&to_port, port))
			return PUMP_HOST_GONE;
		p[0].events = wanted(&to_peer, &to_port);
		p[1].events = wanted(&to_port, &to_peer);
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents & POLLIN) {
			if (!fill(&to_peer, port))
				return PUMP_HOST_GONE;
			if (starts_anew(start)) {
				memcpy(start->bytes, to_peer.buf, to_peer.tail);
				start->len = to_peer.tail;
				return PUMP_NEW_HOST;
			}
		}
		if (p[1].revents & POLLIN && !fill(&to_port, peer))
			return PUMP_PEER_GONE;
		/* An end counts once what came before it has been read. */
		if (p[0].revents & (POLLHUP | POLLERR) && !(p[0].revents & POLLIN))
			return PUMP_HOST_GONE;
		if (p[1].revents & (POLLHUP | POLLERR) && !(p[1].revents & POLLIN))
			return PUMP_PEER_GONE;
	}
}

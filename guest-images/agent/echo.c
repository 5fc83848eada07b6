// SPDX-License-Identifier: MIT
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "echo.h"
#include "lock.h"
#include "out.h"
#include "util.h"

#define IDLE_MS	5000

/* Waits for an event of the port; returns false when the host left or made none in time. */
static bool wait_for(int port, short event)
{
	struct pollfd p = { .fd = port, .events = event };

	return poll(&p, 1, IDLE_MS) > 0 && p.revents & event;
}

static bool send_all(int port, const uint8_t *data, size_t len)
{
	for (;;) {
		size_t n = write_some(port, data, len);

		data += n;
		len -= n;
		if (!len)
			return true;
		if (!wait_for(port, POLLOUT))
			return false;
	}
}

/* Sends the bytes back that come after the request, the first of which the parser has. */
static void echo_bytes(int port, struct parser *parser, uint64_t left)
{
	static uint8_t buf[65536];
	const uint8_t *early;
	size_t n = parser_take(parser, left, &early);

	if (!send_all(port, early, n))
		return;
	left -= n;
	while (left && wait_for(port, POLLIN)) {
		ssize_t got = read(port, buf, left < sizeof(buf) ? (size_t)left : sizeof(buf));

		if (got <= 0 || !send_all(port, buf, (size_t)got))
			return;
		left -= (size_t)got;
	}
}

/* Sends what is queued, then echoes so many bytes. Does nothing else meanwhile. */
void echo(int port, struct parser *parser, uint64_t count)
{
	while (!out_flush())
		if (!wait_for(port, POLLOUT))
			return;
	port_lock_main();
	echo_bytes(port, parser, count);
	port_unlock();
}

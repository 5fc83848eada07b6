/* SPDX-License-Identifier: MIT */
/*
 * Requests of the host and their replies. A HELLO starts the session that its
 * header names (the next one when that is 0), at any time; bad frames and those
 * of another session are dropped.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent.h"
#include "serve.h"

#define ECHO_MAX	(1ull << 30)
#define ECHO_IDLE_MS	5000

static struct parser parser;
static uint32_t last_session;
static bool log_pending;	/* the log has records that have not been read */

static void reply(const struct tsmw_header *h, uint32_t status, const void *data, size_t len)
{
	out_frame(h->type | TSMW_REPLY, h->session, h->id, status, data, len);
}

static uint32_t word(const uint8_t *payload, int index)
{
	uint32_t value;

	memcpy(&value, payload + 4 * index, 4);
	return value;
}

static void hello(const struct tsmw_header *h, const uint8_t *payload)
{
	struct tsma_hello_reply *out;
	struct tsma_hello in;
	struct utsname uts;
	uint8_t data[sizeof(*out) + sizeof(uts.release)];
	size_t n = 0;

	if (h->length != sizeof(in))
		return;
	memcpy(&in, payload, sizeof(in));
	out_drop(false);
	kmsg_rewind();
	last_session = h->session ? h->session : last_session + 1;
	last_session += !last_session;
	atomic_store(&shared->session, last_session);
	if (!uname(&uts))
		n = strlen(uts.release);
	out = (struct tsma_hello_reply *)data;
	*out = (struct tsma_hello_reply){ in.nonce, TSMW_VERSION, ACTORS, (uint32_t)MAX_DATA };
	memcpy(data + sizeof(*out), uts.release, n);
	out_frame(TSMW_HELLO | TSMW_REPLY, last_session, h->id,
		  in.version_min > TSMW_VERSION || in.version_max < TSMW_VERSION ?
		  TSMW_UNSUPPORTED : TSMW_OK, data, sizeof(*out) + n);
}

/* Sends all of it, or false when the host is gone or does not read. */
static bool send_all(const uint8_t *data, size_t len)
{
	struct pollfd p = { .fd = port_fd, .events = POLLOUT };

	while (len) {
		size_t n = write_some(port_fd, data, len);

		data += n;
		len -= n;
		if (len && (poll(&p, 1, ECHO_IDLE_MS) <= 0 || !(p.revents & POLLOUT)))
			return false;
	}
	return true;
}

/* Bytes as they come, nothing else done: what the channel itself costs. */
static void echo(uint64_t left)
{
	static uint8_t buf[65536];
	struct pollfd p = { .fd = port_fd, .events = POLLIN };
	size_t early = parser.tail - parser.head;

	early = early < left ? early : (size_t)left;
	if (!send_all(parser.buf + parser.head, early))
		return;
	parser.head += early;
	left -= early;
	while (left && poll(&p, 1, ECHO_IDLE_MS) > 0 && p.revents & POLLIN) {
		ssize_t n = read(port_fd, buf, left < sizeof(buf) ? (size_t)left : sizeof(buf));

		if (n <= 0 || !send_all(buf, (size_t)n))
			return;
		left -= (size_t)n;
	}
}

static void start_echo(const struct tsmw_header *h, const uint8_t *payload)
{
	struct pollfd p = { .fd = port_fd, .events = POLLOUT };
	uint64_t count;

	memcpy(&count, payload, sizeof(count));
	if (count > ECHO_MAX) {
		reply(h, TSMW_TOO_BIG, NULL, 0);
		return;
	}
	reply(h, TSMW_OK, NULL, 0);
	while (!out_flush())
		if (poll(&p, 1, ECHO_IDLE_MS) <= 0 || !(p.revents & POLLOUT))
			return;
	port_lock_main();
	echo(count);
	port_unlock();
}

static void state(const struct tsmw_header *h, const uint8_t *payload)
{
	static uint8_t data[32768];
	size_t len = 0;
	uint32_t status = state_reply(word(payload, 0), data, sizeof(data), &len);

	reply(h, status, data, len);
}

static void spawn(const struct tsmw_header *h, const uint8_t *payload)
{
	struct tsma_spawn req;
	uint32_t pid = 0, status;

	memcpy(&req, payload, sizeof(req));
	status = actor_spawn(&req, &pid);
	reply(h, status, &pid, status == TSMW_OK ? sizeof(pid) : 0);
}

static void relay(const struct tsmw_header *h, uint32_t action)
{
	uint32_t status = TSMW_INVALID;

	if (action == 1)
		status = relay_start();
	else if (action == 0 && !relay_stop(h->id, &status))
		return;
	reply(h, status, NULL, 0);
}

/* Requests that are answered by a status alone, or later when that is OK. */
static void answer_unless(const struct tsmw_header *h, bool later, uint32_t status)
{
	if (!later || status != TSMW_OK)
		reply(h, status, NULL, 0);
}

/* The exact length of a request's payload; -1 where it varies or is nobody's. */
static int fixed_length(uint8_t type)
{
	switch (type) {
	case TSMA_SPAWN:
		return sizeof(struct tsma_spawn);
	case TSMA_STATE:
	case TSMA_KILL:
	case TSMA_RELAY:
		return 4;
	case TSMA_ECHO:
	case TSMA_STRESS:
		return 8;
	default:
		return -1;
	}
}

static void dispatch(const struct tsmw_header *h, const uint8_t *payload)
{
	int fixed = fixed_length(h->type);

	if (fixed >= 0 && h->length != (uint32_t)fixed) {
		reply(h, TSMW_INVALID, NULL, 0);
		return;
	}
	switch (h->type) {
	case TSMW_PING:
		reply(h, TSMW_OK, payload, h->length);
		break;
	case TSMA_RUN:
		answer_unless(h, true, actor_run(h->id, payload, h->length));
		break;
	case TSMA_SPAWN:
		spawn(h, payload);
		break;
	case TSMA_STATE:
		state(h, payload);
		break;
	case TSMA_KILL:
		answer_unless(h, false, actor_kill(word(payload, 0)));
		break;
	case TSMA_LOG_SYNC:
		answer_unless(h, true, kmsg_sync(h->id) ? TSMW_OK : TSMW_BUSY);
		break;
	case TSMA_RESEED:
		answer_unless(h, false, reseed(payload, h->length));
		break;
	case TSMA_RELAY:
		relay(h, word(payload, 0));
		break;
	case TSMA_ECHO:
		start_echo(h, payload);
		break;
	case TSMA_STRESS:
		answer_unless(h, true, stress_start(h->id, word(payload, 0), word(payload, 1)));
		break;
	default:
		reply(h, TSMW_UNSUPPORTED, NULL, 0);
	}
}

static void take_frames(void)
{
	const uint8_t *payload;
	struct tsmw_header h;

	while (out_room() && parser_next(&parser, &h, &payload)) {
		if (h.type == TSMW_HELLO)
			hello(&h, payload);
		else if (h.session && h.session == atomic_load(&shared->session))
			dispatch(&h, payload);
		else
			parser.dropped++;
	}
}

/* Takes in what the port has; false when the host is gone. */
bool serve_read(void)
{
	uint8_t *at;
	size_t space = parser_space(&parser, &at);
	ssize_t n = space ? read(port_fd, at, space) : -1;

	if (n <= 0)
		return n < 0 && (!space || errno == EAGAIN || errno == EINTR);
	parser.tail += (size_t)n;
	return true;
}

/* Everything there is to do now, once; what stops for want of room stops at once. */
static void work(void)
{
	uint32_t session;

	actors_collect();
	take_frames();
	session = serve_session();
	actors_report_dead(session);
	if (log_pending || kmsg_sync_waiting())
		log_pending = !kmsg_pump(session);
}

/* Works until nothing is left to do, or the port takes no more. */
void serve_work(bool log_ready)
{
	bool full;

	log_pending |= log_ready;
	out_flush();
	do {
		work();
		full = !out_room();
		out_flush();
	} while (full && out_room());
}

/* The host is gone: so are its session and what was queued for it. */
void serve_reset(void)
{
	atomic_store(&shared->session, 0);
	parser.head = parser.tail = 0;
	parser.accepted = false;
	out_drop(true);
	kmsg_rewind();
}

/* A frame has begun and its rest is missing. */
bool serve_partial(void)
{
	return parser.accepted;
}

/* Its rest did not come; while there is no room it may have, unread. */
void serve_give_up(void)
{
	if (out_room())
		parser_give_up(&parser);
}

uint32_t serve_session(void)
{
	return atomic_load(&shared->session);
}

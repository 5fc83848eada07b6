// SPDX-License-Identifier: MIT
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "actor.h"
#include "echo.h"
#include "helpers.h"
#include "kmsg.h"
#include "ops.h"
#include "out.h"
#include "seed.h"
#include "serve.h"
#include "util.h"

static int port_fd = -1;
static struct parser parser;
static bool log_pending;	/* the log has records that have not been read */
/*
 * The host of the session is connected: it has sent a frame since the last time
 * that a host left. The kernel may report that a host left after the agent has
 * read the HELLO of the next host. The session and what is queued for it
 * therefore stay when a host leaves, and the next HELLO ends them.
 */
static bool host_present;

static void reply_status(const struct frame *frame, uint32_t status)
{
	out_reply(&frame->request, status, NULL, 0);
}

/* For a request whose reply is sent later, unless it was refused. */
static void reply_unless_ok(const struct frame *frame, uint32_t status)
{
	if (status != TSMW_OK)
		reply_status(frame, status);
}

static uint32_t payload_u32(const struct frame *frame, int index)
{
	uint32_t value;

	memcpy(&value, frame->payload + sizeof(value) * index, sizeof(value));
	return le32toh(value);
}

static void start_session(uint32_t wanted)
{
	uint32_t session = wanted ? wanted : out_session() + 1;

	out_start_session(session ? session : 1);
	kmsg_rewind();
}

static bool version_supported(const struct tsma_hello *hello)
{
	return le16toh(hello->version_min) <= TSMW_VERSION &&
	       le16toh(hello->version_max) >= TSMW_VERSION;
}

static void hello(const struct frame *frame)
{
	uint8_t reply[sizeof(struct tsma_hello_reply) + sizeof(((struct utsname *)0)->release)];
	struct request request = frame->request;
	size_t len = sizeof(struct tsma_hello_reply);
	struct tsma_hello_reply head;
	struct tsma_hello hello;
	struct utsname uts;

	if (frame->length != sizeof(hello))
		return;
	memcpy(&hello, frame->payload, sizeof(hello));
	start_session(request.session);
	request.session = out_session();
	head = (struct tsma_hello_reply){
		.nonce = hello.nonce,
		.version = htole16(TSMW_VERSION),
		.actors = htole16(ACTORS),
		.max_data = htole32((uint32_t)OPS_DATA_MAX),
	};
	memcpy(reply, &head, sizeof(head));
	if (!uname(&uts)) {
		memcpy(reply + len, uts.release, strlen(uts.release));
		len += strlen(uts.release);
	}
	out_reply(&request, version_supported(&hello) ? TSMW_OK : TSMW_UNSUPPORTED, reply, len);
}

static void ping(const struct frame *frame)
{
	out_reply(&frame->request, TSMW_OK, frame->payload, frame->length);
}

static void run(const struct frame *frame)
{
	reply_unless_ok(frame, actor_run(&frame->request, frame->payload, frame->length));
}

static void spawn(const struct frame *frame)
{
	struct tsma_spawn wanted;
	uint32_t pid = 0, status;

	memcpy(&wanted, frame->payload, sizeof(wanted));
	status = actor_spawn(&wanted, &pid);
	pid = htole32(pid);
	out_reply(&frame->request, status, &pid, status == TSMW_OK ? sizeof(pid) : 0);
}

static void state(const struct frame *frame)
{
	static uint8_t data[ACTOR_STATE_MAX];
	size_t len = 0;
	uint32_t status = actor_state(payload_u32(frame, 0), data, &len);

	out_reply(&frame->request, status, data, len);
}

static void kill_actor(const struct frame *frame)
{
	reply_status(frame, actor_kill(payload_u32(frame, 0)));
}

static void log_sync(const struct frame *frame)
{
	reply_unless_ok(frame, kmsg_sync(&frame->request) ? TSMW_OK : TSMW_BUSY);
}

static void seed(const struct frame *frame)
{
	reply_status(frame, reseed(frame->payload, frame->length));
}

static void relay(const struct frame *frame)
{
	uint32_t action = payload_u32(frame, 0), status = TSMW_INVALID;

	if (action == 1)
		status = relay_start();
	else if (action == 0 && !relay_stop(&frame->request, &status))
		return;
	reply_status(frame, status);
}

static void start_echo(const struct frame *frame)
{
	uint64_t count;

	memcpy(&count, frame->payload, sizeof(count));
	count = le64toh(count);
	if (count > ECHO_MAX) {
		reply_status(frame, TSMW_TOO_BIG);
		return;
	}
	reply_status(frame, TSMW_OK);
	echo(port_fd, &parser, count);
}

static void stress(const struct frame *frame)
{
	uint32_t procs = payload_u32(frame, 0), rounds = payload_u32(frame, 1);

	reply_unless_ok(frame, stress_start(&frame->request, procs, rounds));
}

#define ANY_LENGTH	SIZE_MAX

static const struct {
	uint8_t type;
	size_t length;		/* of the payload */
	void (*handle)(const struct frame *frame);
} handlers[] = {
	{ TSMW_PING, ANY_LENGTH, ping },
	{ TSMA_RUN, ANY_LENGTH, run },
	{ TSMA_SPAWN, sizeof(struct tsma_spawn), spawn },
	{ TSMA_STATE, sizeof(uint32_t), state },
	{ TSMA_KILL, sizeof(uint32_t), kill_actor },
	{ TSMA_LOG_SYNC, ANY_LENGTH, log_sync },
	{ TSMA_RESEED, ANY_LENGTH, seed },
	{ TSMA_RELAY, sizeof(uint32_t), relay },
	{ TSMA_ECHO, sizeof(uint64_t), start_echo },
	{ TSMA_STRESS, 2 * sizeof(uint32_t), stress },
};

static void dispatch(const struct frame *frame)
{
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].type != frame->request.type)
			continue;
		if (handlers[i].length == ANY_LENGTH || handlers[i].length == frame->length)
			handlers[i].handle(frame);
		else
			reply_status(frame, TSMW_INVALID);
		return;
	}
	reply_status(frame, TSMW_UNSUPPORTED);
}

static void take_frames(void)
{
	struct frame frame;

	while (out_room() && parser_next(&parser, &frame)) {
		if (frame.request.type == TSMW_HELLO)
			hello(&frame);
		else if (frame.request.session && frame.request.session == out_session())
			dispatch(&frame);
		else
			continue;
		host_present = true;
	}
}

/* Takes over the agent port, which must not block. */
void serve_init(int port)
{
	port_fd = port;
}

/* Reads what the port has. Returns false when the host has left. */
bool serve_read(void)
{
	uint8_t *space;
	size_t size = parser_space(&parser, &space);
	ssize_t n = size ? read(port_fd, space, size) : -1;

	if (n <= 0)
		return n < 0 && (!size || errno == EAGAIN || errno == EINTR);
	parser_fill(&parser, (size_t)n);
	return true;
}

void serve_host_left(void)
{
	host_present = false;
}

static void flush(void)
{
	if (out_flush() && host_present)
		kmsg_delivered();
}

/* Does everything that there is to do now, once, as far as the queue has room. */
static void work(void)
{
	relay_check_timeout();
	actors_collect_replies();
	take_frames();
	if (host_present)
		actors_report_deaths();
	if ((log_pending && host_present) || kmsg_sync_pending())
		log_pending = !kmsg_send();
}

/* Works until nothing is left to do or the port takes no more. */
void serve_work(bool log_ready)
{
	bool full;

	log_pending |= log_ready;
	flush();
	do {
		work();
		full = !out_room();
		flush();
	} while (full && out_room());
}

/* Returns whether new log records can be sent now. */
bool serve_wants_log(void)
{
	return host_present && out_room();
}

/* Returns whether the parser has a header and waits for its payload. */
bool serve_half_frame(void)
{
	return parser.header_checked;
}

/* Gives up a payload that did not come, unless the agent itself has stopped reading. */
void serve_skip_half_frame(void)
{
	if (out_room())
		parser_skip_frame(&parser);
}

// SPDX-License-Identifier: MIT
/*
 * /dev/kmsg (Documentation/ABI/testing/dev-kmsg) returns one record a read,
 * EAGAIN at its end, and EPIPE after the kernel overwrote records that had not
 * been read. The sequence numbers show how many those were.
 *
 * Records that were queued but not sent when their session ended are read again
 * for the next session.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmsg.h"
#include "out.h"

#define RECORD_MAX	8192u		/* above the kernel's own limit */
#define BATCH_MAX	32768u

struct log_position {
	uint64_t seq;			/* of the next record */
	uint64_t lost;			/* records overwritten before it, in all */
};

static int log_fd = -1;
static struct log_position queued, delivered;
static struct request sync_request;
static bool sync_pending;

/* Takes a descriptor that returns one record a read, or opens /dev/kmsg when it is -1. */
void kmsg_open(int fd)
{
	log_fd = fd >= 0 ? fd : open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd >= 0)
		fcntl(log_fd, F_SETFL, fcntl(log_fd, F_GETFL) | O_NONBLOCK);
}

int kmsg_fd(void)
{
	return log_fd;
}

/* Has kmsg_send() answer LOG_SYNC. Returns false while another one is pending. */
bool kmsg_sync(const struct request *request)
{
	if (sync_pending)
		return false;
	sync_pending = true;
	sync_request = *request;
	return true;
}

bool kmsg_sync_pending(void)
{
	return sync_pending;
}

static bool parse_seq(const char *text, uint64_t *seq)
{
	const char *comma = strchr(text, ',');
	char *end;

	if (!comma)
		return false;
	*seq = strtoull(comma + 1, &end, 10);
	return end != comma + 1 && *end == ',';
}

/* Reads the next record that has not been queued; returns 0 when there is none. */
static size_t read_record(char *text)
{
	for (;;) {
		ssize_t n = log_fd < 0 ? -1 : read(log_fd, text, RECORD_MAX - 1);
		uint64_t seq;

		if (n < 0 && log_fd >= 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (n <= 0)
			return 0;
		text[n] = '\0';
		if (!parse_seq(text, &seq) || seq < queued.seq)
			continue;
		queued.lost += seq - queued.seq;
		queued.seq = seq + 1;
		return (size_t)n;
	}
}

/* Queues one event; returns false when the log has no more records. */
static bool queue_batch(void)
{
	static uint8_t batch[BATCH_MAX];
	size_t len = sizeof(struct tsma_log), n = 1;
	struct tsma_log head;

	while (n && BATCH_MAX - len >= sizeof(uint32_t) + RECORD_MAX) {
		uint32_t size;

		n = read_record((char *)batch + len + sizeof(size));
		size = htole32((uint32_t)n);
		memcpy(batch + len, &size, sizeof(size));
		len += n ? sizeof(size) + n : 0;
	}
	head.lost = htole64(queued.lost);
	memcpy(batch, &head, sizeof(head));
	if (len > sizeof(head))
		out_event(TSMA_LOG, batch, len);
	return n;
}

/*
 * Queues the new records, then the reply to LOG_SYNC. Returns false when the
 * queue had no room for all of them.
 */
bool kmsg_send(void)
{
	uint64_t last;

	do {
		if (!out_room())
			return false;
	} while (queue_batch());
	last = htole64(queued.seq - 1);
	if (sync_pending)
		out_reply(&sync_request, log_fd < 0 ? TSMW_UNSUPPORTED : TSMW_OK, &last,
			  sizeof(last));
	sync_pending = false;
	return true;
}

/* The host has received every event queued so far. */
void kmsg_delivered(void)
{
	delivered = queued;
}

/* A new session starts: read again what the host did not receive. */
void kmsg_rewind(void)
{
	sync_pending = false;
	if (queued.seq != delivered.seq && lseek(log_fd, 0, SEEK_SET) >= 0)
		queued = delivered;
}

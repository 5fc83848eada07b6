/* SPDX-License-Identifier: MIT */
/*
 * The kernel log as events. /dev/kmsg (Documentation/ABI/testing/dev-kmsg)
 * gives one record a read, EAGAIN at the end, and EPIPE after records were
 * overwritten unread; how many those were shows in the sequence numbers.
 *
 * Nothing is read before a session exists. Records that were queued for a host
 * that left before they were sent are read again for the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

#define RECORD_MAX	8192u		/* above the kernel's own limit */
#define BATCH_MAX	32768u

static int fd = -1;
static uint64_t next_seq;		/* the first record not queued yet */
static uint64_t next_undelivered;	/* the first record not sent yet */
static uint64_t lost, lost_delivered;
static uint32_t sync_id;
static bool sync_wanted;

/* Takes a descriptor with one record a read, or opens /dev/kmsg when it is -1. */
void kmsg_open(int given)
{
	fd = given >= 0 ? given : open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int kmsg_fd(void)
{
	return fd;
}

/* False while another one is waiting. */
bool kmsg_sync(uint32_t id)
{
	if (sync_wanted)
		return false;
	sync_wanted = true;
	sync_id = id;
	return true;
}

bool kmsg_sync_waiting(void)
{
	return sync_wanted;
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

/* One new record's text; 0 when there is none now. */
static size_t next_record(char *text)
{
	for (;;) {
		ssize_t n = fd < 0 ? -1 : read(fd, text, RECORD_MAX - 1);
		uint64_t seq;

		if (n < 0 && fd >= 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (n <= 0)
			return 0;
		text[n] = '\0';
		if (!parse_seq(text, &seq) || seq < next_seq)
			continue;
		lost += seq - next_seq;
		next_seq = seq + 1;
		return (size_t)n;
	}
}

/* One event frame; false when the log is drained. */
static bool push_batch(uint32_t session)
{
	static uint8_t batch[BATCH_MAX];
	size_t len = sizeof(struct tsma_log);
	struct tsma_log head;
	uint32_t n = 1;

	while (n && BATCH_MAX - len >= 4 + RECORD_MAX) {
		n = (uint32_t)next_record((char *)batch + len + 4);
		memcpy(batch + len, &n, 4);
		len += n ? 4 + n : 0;
	}
	head.lost = lost;
	memcpy(batch, &head, sizeof(head));
	if (len > sizeof(head))
		out_frame(TSMA_LOG, session, 0, TSMW_OK, batch, len);
	return n;
}

/*
 * Queues what the log has, then answers LOG_SYNC. False when room ran out
 * before, or nobody is there to read.
 */
bool kmsg_pump(uint32_t session)
{
	uint64_t last;

	if (!session)
		return false;
	do {
		if (!out_room())
			return false;
	} while (push_batch(session));
	last = next_seq - 1;
	if (sync_wanted)
		out_frame(TSMA_LOG_SYNC | TSMW_REPLY, session, sync_id,
			  fd < 0 ? TSMW_UNSUPPORTED : TSMW_OK, &last, sizeof(last));
	sync_wanted = false;
	return true;
}

/* Everything queued so far has been sent. */
void kmsg_delivered(void)
{
	next_undelivered = next_seq;
	lost_delivered = lost;
}

/* The queue was dropped: read again what the host did not get. */
void kmsg_rewind(void)
{
	sync_wanted = false;
	if (next_seq == next_undelivered || lseek(fd, 0, SEEK_SET) < 0)
		return;
	next_seq = next_undelivered;
	lost = lost_delivered;
}

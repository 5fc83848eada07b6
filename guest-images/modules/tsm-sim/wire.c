// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the written byte stream, cut anywhere and possibly damaged, to frames.
 *
 * A wrong magic, version or header CRC drops one byte and looks again. A
 * payload that is too long is skipped to its last byte, and one with a wrong
 * CRC is dropped: the stream stays in step, and the request it was for fails.
 */
#include <linux/cleanup.h>
#include <linux/crc32.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "sim.h"

/* CRC-32 as zlib computes it. */
u32 sim_crc(const void *data, size_t len)
{
	return ~crc32_le(~0U, data, len);
}

static u32 le32_field(u32 field)
{
	return le32_to_cpu((__force __le32)field);
}

/* Drop the first byte, and those behind it that cannot begin a header. */
static void lose_sync(struct sim_rx *rx)
{
	const u8 first = TSMW_MAGIC & 0xff;
	u8 *next = memchr(rx->header + 1, first, sizeof(rx->header) - 1);

	rx->have = next ? rx->header + sizeof(rx->header) - next : 0;
	if (next)
		memmove(rx->header, next, rx->have);
	if (!rx->hunting)
		sim_count(SIM_RESYNCS);
	rx->hunting = true;
}

static bool header_is_good(const struct tsmw_header *head)
{
	return le32_field(head->magic) == TSMW_MAGIC &&
	       head->version == TSMW_VERSION &&
	       le32_field(head->header_crc) ==
		       sim_crc(head, offsetof(struct tsmw_header, header_crc));
}

static void to_cpu(struct tsmw_header *head)
{
	head->flags = le16_to_cpu((__force __le16)head->flags);
	head->session = le32_field(head->session);
	head->id = le32_field(head->id);
	head->length = le32_field(head->length);
	head->status = le32_field(head->status);
	head->payload_crc = le32_field(head->payload_crc);
}

static void payload_complete(struct sim *sim)
{
	struct sim_rx *rx = &sim->rx;

	rx->state = SIM_RX_HEADER;
	rx->have = 0;
	if (sim_crc(rx->payload, rx->head.length) != rx->head.payload_crc) {
		sim_count(SIM_CRC_ERRORS);
		sim_broken_frame(sim, &rx->head, -EBADMSG);
		return;
	}
	sim_count(SIM_FRAMES_IN);
	sim_dispatch(sim, &rx->head, rx->payload);
}

static void header_complete(struct sim *sim)
{
	struct sim_rx *rx = &sim->rx;

	if (!header_is_good(&rx->head)) {
		lose_sync(rx);
		return;
	}
	rx->hunting = false;
	rx->have = 0;
	to_cpu(&rx->head);
	if (rx->head.length > TSMW_MAX_PAYLOAD) {
		sim_count(SIM_OVERSIZE);
		rx->state = SIM_RX_SKIP;
		rx->skip = rx->head.length;
		sim_broken_frame(sim, &rx->head, -EMSGSIZE);
		return;
	}
	rx->state = SIM_RX_PAYLOAD;
	if (!rx->head.length)
		payload_complete(sim);
}

/* Collect up to @count bytes towards @size; the number taken or -EFAULT. */
static ssize_t collect(struct sim_rx *rx, u8 *to, u32 size,
		       const char __user *buf, size_t count)
{
	count = min_t(size_t, count, size - rx->have);
	if (copy_from_user(to + rx->have, buf, count))
		return -EFAULT;
	rx->have += count;
	return count;
}

static ssize_t receive_some(struct sim *sim, const char __user *buf,
			    size_t count)
{
	struct sim_rx *rx = &sim->rx;
	ssize_t n;

	switch (rx->state) {
	case SIM_RX_SKIP:
		n = min_t(size_t, count, rx->skip);
		rx->skip -= n;
		if (!rx->skip)
			rx->state = SIM_RX_HEADER;
		return n;
	case SIM_RX_HEADER:
		n = collect(rx, rx->header, sizeof(rx->header), buf, count);
		if (rx->have == sizeof(rx->header))
			header_complete(sim);
		return n;
	case SIM_RX_PAYLOAD:
		n = collect(rx, rx->payload, rx->head.length, buf, count);
		if (rx->have == rx->head.length)
			payload_complete(sim);
		return n;
	}
	return -EIO;
}

/*
 * Take @count bytes from the host; under write_mutex. The number taken, which
 * is smaller after a signal or a fault, or -EFAULT.
 */
ssize_t sim_receive(struct sim *sim, const char __user *buf, size_t count)
{
	size_t taken = 0;
	ssize_t n;

	while (taken < count) {
		n = receive_some(sim, buf + taken, count - taken);
		if (n < 0)
			return taken ?: n;
		taken += n;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return taken;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the written byte stream, cut anywhere and possibly damaged, to frames.
 *
 * After a wrong magic, version or header CRC, one byte is dropped and the next
 * ones are tried as a header. A payload that is too long is skipped to its end,
 * and one with a wrong CRC is dropped: the stream stays in step, and the request
 * that the frame answers fails.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "sim.h"

/* Drop the first byte, and those after it that cannot begin a header. */
static void drop_to_next_magic(struct tsm_sim_rx *rx)
{
	const u8 first = TSMW_MAGIC & 0xff;
	u8 *header = (u8 *)&rx->header;
	u8 *next = memchr(header + 1, first, sizeof(rx->header) - 1);

	rx->have = next ? header + sizeof(rx->header) - next : 0;
	if (next)
		memmove(header, next, rx->have);
	if (!rx->out_of_sync)
		tsm_sim_count(TSM_SIM_RESYNCS);
	rx->out_of_sync = true;
}

static void finish_payload(struct tsm_sim_rx *rx)
{
	rx->state = TSM_SIM_RX_HEADER;
	rx->have = 0;
	if (!tsm_sim_payload_matches(&rx->head, rx->payload)) {
		tsm_sim_count(TSM_SIM_CRC_ERRORS);
		rx->deliver(rx, -EBADMSG);
		return;
	}
	tsm_sim_count(TSM_SIM_FRAMES_IN);
	rx->deliver(rx, 0);
}

static void finish_header(struct tsm_sim_rx *rx)
{
	if (!tsm_sim_decode_header(&rx->header, &rx->head)) {
		drop_to_next_magic(rx);
		return;
	}
	rx->out_of_sync = false;
	rx->have = 0;
	if (rx->head.length > TSMW_MAX_PAYLOAD) {
		tsm_sim_count(TSM_SIM_OVERSIZE);
		rx->state = TSM_SIM_RX_SKIP;
		rx->skip = rx->head.length;
		rx->deliver(rx, -EMSGSIZE);
		return;
	}
	rx->state = TSM_SIM_RX_PAYLOAD;
	if (!rx->head.length)
		finish_payload(rx);
}

/* Copy up to @count bytes towards @size; the number copied or -EFAULT. */
static ssize_t collect_bytes(struct tsm_sim_rx *rx, void *to, u32 size,
			     const char __user *buf, size_t count)
{
	count = min_t(size_t, count, size - rx->have);
	if (copy_from_user(to + rx->have, buf, count))
		return -EFAULT;
	rx->have += count;
	return count;
}

static ssize_t receive_some(struct tsm_sim_rx *rx, const char __user *buf,
			    size_t count)
{
	ssize_t n;

	switch (rx->state) {
	case TSM_SIM_RX_SKIP:
		n = min_t(size_t, count, rx->skip);
		rx->skip -= n;
		if (!rx->skip)
			rx->state = TSM_SIM_RX_HEADER;
		return n;
	case TSM_SIM_RX_HEADER:
		n = collect_bytes(rx, &rx->header, sizeof(rx->header), buf,
				  count);
		if (rx->have == sizeof(rx->header))
			finish_header(rx);
		return n;
	case TSM_SIM_RX_PAYLOAD:
		n = collect_bytes(rx, rx->payload, rx->head.length, buf, count);
		if (rx->have == rx->head.length)
			finish_payload(rx);
		return n;
	}
	return -EIO;
}

/*
 * Receive @count bytes from the host. The number received, which is smaller
 * after a fatal signal or a fault, or -EFAULT. The caller serializes calls.
 */
ssize_t tsm_sim_receive(struct tsm_sim_rx *rx, const char __user *buf,
			size_t count)
{
	size_t received = 0;
	ssize_t n;

	while (received < count) {
		n = receive_some(rx, buf + received, count - received);
		if (n < 0)
			return received ?: n;
		received += n;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return received;
}

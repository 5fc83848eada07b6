// SPDX-License-Identifier: GPL-2.0-only
/*
 * The session with the host. HELLO starts it; RESET and GOING_AWAY fail the
 * requests in flight. Until the host answers HELLO, only that answer and RESET
 * are handled; other frames are counted as stale.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/string.h>

#include "api.h"
#include "sim.h"

static unsigned int timeout_ms = 30000;
module_param(timeout_ms, uint, 0444);
MODULE_PARM_DESC(timeout_ms,
		 "Time for one request if the host does not set it, in ms; 0: no limit (default: 30000)");

/* Send HELLO; frames of the last session that were not read are dropped. */
int tsm_sim_start_session(struct tsm_sim *sim)
{
	struct tsmw_guest_hello hello = {
		.version_min = cpu_to_le16(TSMW_VERSION),
		.version_max = cpu_to_le16(TSMW_VERSION),
		.api = cpu_to_le32(tsm_sim_api.id),
		.max_payload = cpu_to_le32(TSMW_MAX_PAYLOAD),
		.max_total = cpu_to_le32(tsm_sim_max_total()),
		.max_in_flight = cpu_to_le32(TSMW_MAX_IN_FLIGHT),
	};
	struct tsm_sim_head head = {
		.type = TSMW_HELLO,
		.id = 1,
		.length = sizeof(hello),
	};

	guard(mutex)(&sim->lock);
	sim->session = 0;
	tsm_sim_fail_requests(sim, -ENXIO);
	tsm_sim_queue_purge(&sim->queue);
	memset(sim->answered, 0, sizeof(sim->answered));
	sim->closing = false;
	sim->hello_pending = true;
	sim->nonce = get_random_u64();
	sim->last_id = head.id;
	hello.nonce = cpu_to_le64(sim->nonce);
	return tsm_sim_send(&sim->queue, &head, &hello);
}

static int parse_name(struct tsm_sim_info *info, const u8 *value, u32 len)
{
	if (!len || len > TSM_SIM_NAME_MAX || memchr(value, 0, len))
		return -EPROTO;
	memcpy(info->name, value, len);
	info->name[len] = 0;
	return 0;
}

static int parse_tlv(struct tsm_sim_info *info, u32 *timeout, u16 tag,
		     const u8 *value, u32 len)
{
	__le32 number;

	if (tag == TSMW_HELLO_NAME)
		return parse_name(info, value, len);
	if (tag & TSMW_TLV_OPTIONAL)
		return 0;
	if (len != sizeof(number))
		return -EPROTO;
	memcpy(&number, value, sizeof(number));
	switch (tag) {
	case TSMW_HELLO_PRIVLEVEL_FLOOR:
		info->privlevel_floor = le32_to_cpu(number);
		return 0;
	case TSMW_HELLO_ATTRS:
		info->attrs = le32_to_cpu(number);
		return 0;
	case TSMW_HELLO_BIN_ATTRS:
		info->bin_attrs = le32_to_cpu(number);
		return 0;
	case TSMW_HELLO_TIMEOUT_MS:
		*timeout = le32_to_cpu(number);
		return 0;
	}
	return -EPROTO;
}

static int parse_tlvs(struct tsm_sim_info *info, u32 *timeout, const u8 *data,
		      u32 len)
{
	const struct tsmw_tlv *tlv;
	int count, rc;
	u32 size;

	for (count = 0; len; count++) {
		if (count == TSMW_MAX_TLVS || len < sizeof(*tlv))
			return -EPROTO;
		tlv = (const void *)data;
		data += sizeof(*tlv);
		len -= sizeof(*tlv);
		size = le32_to_cpu(tlv->length);
		if (size > len)
			return -EPROTO;
		rc = parse_tlv(info, timeout, le16_to_cpu(tlv->tag), data, size);
		if (rc)
			return rc;
		data += size;
		len -= size;
	}
	return info->name[0] ? 0 : -EPROTO;
}

/* Store how the host's reply to HELLO describes the provider. */
static int accept_hello_reply(struct tsm_sim *sim,
			      const struct tsm_sim_head *head,
			      const struct tsmw_host_hello *hello)
{
	struct tsm_sim_info info = { .attrs = ~0U, .bin_attrs = ~0U };
	u32 timeout = timeout_ms;
	int rc;

	lockdep_assert_held(&sim->lock);
	if (!head->session || head->status != TSMW_OK ||
	    le16_to_cpu(hello->version) != TSMW_VERSION)
		return -EPROTONOSUPPORT;
	rc = parse_tlvs(&info, &timeout, (const u8 *)(hello + 1),
			head->length - sizeof(*hello));
	if (rc)
		return rc;
	sim->info = info;
	sim->timeout_ms = timeout;
	sim->max_in_flight = clamp(le32_to_cpu(hello->max_in_flight), 1U,
				   TSMW_MAX_IN_FLIGHT);
	return 0;
}

static void handle_hello_reply(struct tsm_sim *sim,
			       const struct tsm_sim_head *head,
			       const u8 *payload)
{
	const struct tsmw_host_hello *hello = (const void *)payload;
	int rc;

	guard(mutex)(&sim->lock);
	if (head->length < sizeof(*hello) || !sim->hello_pending ||
	    le64_to_cpu(hello->nonce) != sim->nonce) {
		tsm_sim_count(TSM_SIM_STALE);
		return;
	}
	sim->hello_pending = false;
	rc = accept_hello_reply(sim, head, hello);
	if (rc) {
		pr_err("cannot use the host's reply to HELLO (%d)\n", rc);
		tsm_sim_send_u32(&sim->queue, TSMW_REGISTERED, head->session,
				 -rc);
		return;
	}
	sim->session = head->session;
	sim->must_register = true;
	queue_work(system_long_wq, &sim->registration_work);
}

static void answer_ping(struct tsm_sim *sim, const struct tsm_sim_head *head,
			const u8 *payload)
{
	bool fits = head->length <= TSMW_MAX_REQUEST;
	struct tsm_sim_head reply = {
		.type = TSMW_PING | TSMW_REPLY,
		.session = head->session,
		.id = head->id,
		.length = fits ? head->length : 0,
		.status = fits ? TSMW_OK : TSMW_TOO_BIG,
	};

	tsm_sim_send(&sim->queue, &reply, payload);
}

static void handle_going_away(struct tsm_sim *sim,
			      const struct tsm_sim_head *head,
			      const u8 *payload)
{
	u32 flags = 0;

	if (head->length == sizeof(__le32))
		flags = le32_to_cpup((const __le32 *)payload);

	guard(mutex)(&sim->lock);
	sim->closing = true;
	sim->must_unregister = true;
	sim->must_register = false;
	if (!(flags & TSMW_AWAY_KEEP))
		tsm_sim_fail_requests(sim, -ENXIO);
	queue_work(system_long_wq, &sim->registration_work);
}

static bool is_in_session(struct tsm_sim *sim, u32 session)
{
	guard(mutex)(&sim->lock);
	return session && session == sim->session;
}

/* tsm_sim_rx.deliver() of a provider */
void tsm_sim_handle_frame(struct tsm_sim_rx *rx, int error)
{
	struct tsm_sim *sim = container_of(rx, struct tsm_sim, rx);
	const struct tsm_sim_head *head = &rx->head;

	if (head->type == (TSMW_REPORT | TSMW_REPLY))
		tsm_sim_handle_reply(sim, head, rx->payload, error);
	else if (error)
		return;
	else if (head->type == (TSMW_HELLO | TSMW_REPLY))
		handle_hello_reply(sim, head, rx->payload);
	else if (head->type == TSMW_RESET)
		/* In any session: a new host does not know the last one. */
		tsm_sim_start_session(sim);
	else if (!is_in_session(sim, head->session))
		tsm_sim_count(TSM_SIM_STALE);
	else if (head->type == TSMW_PING)
		answer_ping(sim, head, rx->payload);
	else if (head->type == TSMW_GOING_AWAY)
		handle_going_away(sim, head, rx->payload);
	else
		tsm_sim_count(TSM_SIM_STALE);
}

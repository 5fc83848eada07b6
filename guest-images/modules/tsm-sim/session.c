// SPDX-License-Identifier: GPL-2.0-only
/*
 * The session with the host: HELLO opens it, RESET and GOING_AWAY end what is
 * in flight. Before the answer to HELLO nothing but that answer and RESET is
 * heard.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/string.h>

#include "sim.h"

static unsigned int timeout_ms = 30000;
module_param(timeout_ms, uint, 0444);
MODULE_PARM_DESC(timeout_ms,
		 "Time for one request if the host does not say, in ms; 0: no limit (default: 30000)");

/* Ask for a new session; what was queued for the last one is dropped. */
int sim_say_hello(struct sim *sim)
{
	struct tsmw_guest_hello hello = {
		.version_min = (__force u16)cpu_to_le16(TSMW_VERSION),
		.version_max = (__force u16)cpu_to_le16(TSMW_VERSION),
		.api = (__force u32)cpu_to_le32(sim_api),
		.max_payload = (__force u32)cpu_to_le32(TSMW_MAX_PAYLOAD),
		.max_total = (__force u32)cpu_to_le32(sim_max_total()),
		.max_in_flight = (__force u32)cpu_to_le32(TSMW_MAX_IN_FLIGHT),
	};

	guard(mutex)(&sim->lock);
	sim->session = 0;
	sim_fail_all(sim, -ENXIO);
	sim_queue_purge(sim);
	memset(sim->answered, 0, sizeof(sim->answered));
	sim->leaving = false;
	sim->hello_pending = true;
	sim->nonce = get_random_u64();
	sim->last_id = 1;
	hello.nonce = (__force u64)cpu_to_le64(sim->nonce);
	return sim_send(sim, TSMW_HELLO, 0, sim->last_id, TSMW_OK, &hello,
			sizeof(hello));
}

static int take_tlv(struct sim_offer *offer, u32 *timeout, u16 tag,
		    const u8 *value, u32 len)
{
	u32 number;

	if (tag == TSMW_HELLO_NAME) {
		if (!len || len > SIM_NAME_MAX || memchr(value, 0, len))
			return -EPROTO;
		memcpy(offer->name, value, len);
		offer->name[len] = 0;
		return 0;
	}
	if (tag & TSMW_TLV_OPTIONAL)
		return 0;
	if (len != sizeof(number))
		return -EPROTO;
	number = get_unaligned_le32(value);
	switch (tag) {
	case TSMW_HELLO_PRIVLEVEL_FLOOR:
		offer->privlevel_floor = number;
		return 0;
	case TSMW_HELLO_ATTRS:
		offer->attrs = number;
		return 0;
	case TSMW_HELLO_BIN_ATTRS:
		offer->bin_attrs = number;
		return 0;
	case TSMW_HELLO_TIMEOUT_MS:
		*timeout = number;
		return 0;
	}
	return -EPROTO;
}

static int take_tlvs(struct sim_offer *offer, u32 *timeout, const u8 *data,
		     u32 len)
{
	int count, rc;
	u32 size;

	for (count = 0; len; count++) {
		if (count == TSMW_MAX_TLVS || len < sizeof(struct tsmw_tlv))
			return -EPROTO;
		size = get_unaligned_le32(data + 4);
		if (size > len - sizeof(struct tsmw_tlv))
			return -EPROTO;
		rc = take_tlv(offer, timeout, get_unaligned_le16(data),
			      data + sizeof(struct tsmw_tlv), size);
		if (rc)
			return rc;
		data += sizeof(struct tsmw_tlv) + size;
		len -= sizeof(struct tsmw_tlv) + size;
	}
	return offer->name[0] ? 0 : -EPROTO;
}

/* Take the answer's description of the provider. Locked. */
static int accept_host(struct sim *sim, u32 status, const u8 *payload, u32 len)
{
	struct sim_offer offer = { .attrs = ~0U, .bin_attrs = ~0U };
	u32 timeout = timeout_ms;
	int rc;

	if (status != TSMW_OK ||
	    get_unaligned_le16(payload + offsetof(struct tsmw_host_hello, version)) !=
		    TSMW_VERSION)
		return -EPROTONOSUPPORT;
	rc = take_tlvs(&offer, &timeout, payload + sizeof(struct tsmw_host_hello),
		       len - sizeof(struct tsmw_host_hello));
	if (rc)
		return rc;
	sim->offer = offer;
	sim->timeout_ms = timeout;
	sim->max_in_flight = clamp(
		get_unaligned_le32(payload + offsetof(struct tsmw_host_hello,
						      max_in_flight)),
		1U, TSMW_MAX_IN_FLIGHT);
	return 0;
}

static void hello_reply(struct sim *sim, const struct tsmw_header *head,
			const u8 *payload)
{
	int rc;

	guard(mutex)(&sim->lock);
	if (head->length < sizeof(struct tsmw_host_hello) || !sim->hello_pending ||
	    get_unaligned_le64(payload) != sim->nonce) {
		sim_count(SIM_STALE);
		return;
	}
	sim->hello_pending = false;
	rc = head->session ? accept_host(sim, head->status, payload, head->length)
			   : -EPROTONOSUPPORT;
	if (rc) {
		pr_err("the host's answer to HELLO is of no use (%d)\n", rc);
		sim_send_u32(sim, TSMW_REGISTERED, head->session, -rc);
		return;
	}
	sim->session = head->session;
	sim->enter = true;
	queue_work(system_long_wq, &sim->registering);
}

static void ping(struct sim *sim, const struct tsmw_header *head,
		 const u8 *payload)
{
	bool fits = head->length <= TSMW_MAX_REQUEST;

	sim_send(sim, TSMW_PING | TSMW_REPLY, head->session, head->id,
		 fits ? TSMW_OK : TSMW_TOO_BIG, payload,
		 fits ? head->length : 0);
}

static void going_away(struct sim *sim, const struct tsmw_header *head,
		       const u8 *payload)
{
	u32 flags = 0;

	if (head->length == sizeof(flags))
		flags = get_unaligned_le32(payload);

	guard(mutex)(&sim->lock);
	sim->leaving = true;
	sim->leave = true;
	sim->enter = false;
	if (!(flags & TSMW_AWAY_KEEP))
		sim_fail_all(sim, -ENXIO);
	queue_work(system_long_wq, &sim->registering);
}

static bool in_session(struct sim *sim, u32 session)
{
	guard(mutex)(&sim->lock);
	return session && session == sim->session;
}

/* Handle one whole frame; @head is in the CPU's byte order. */
void sim_dispatch(struct sim *sim, const struct tsmw_header *head,
		  const u8 *payload)
{
	if (head->type == (TSMW_HELLO | TSMW_REPLY)) {
		hello_reply(sim, head, payload);
	} else if (head->type == TSMW_RESET) {
		/* In any session: a new host does not know the old one. */
		sim_say_hello(sim);
	} else if (head->type == (TSMW_REPORT | TSMW_REPLY)) {
		sim_report_reply(sim, head, payload);
	} else if (!in_session(sim, head->session)) {
		sim_count(SIM_STALE);
	} else if (head->type == TSMW_PING) {
		ping(sim, head, payload);
	} else if (head->type == TSMW_GOING_AWAY) {
		going_away(sim, head, payload);
	} else {
		sim_count(SIM_STALE);
	}
}

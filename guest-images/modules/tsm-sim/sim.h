/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tsm-sim: a TSM provider whose reports are made by whoever has opened
 * /dev/tsm_sim. Each open file is one provider. read() gives TSMW frames
 * towards the host, write() takes those from it; both are byte streams.
 *
 *   device.c    the character device
 *   queue.c     frames waiting to be read
 *   wire.c      written bytes to frames
 *   session.c   HELLO and the other messages of a session
 *   requests.c  the table of requests in flight, and those who wait for them
 *   reply.c     frames of a REPORT reply to a result
 *   core.c      registration with the TSM core, and its report_new
 *   ask.c       a core's options to a REPORT request
 *   counters.c  /sys/class/misc/tsm_sim/<counter>
 *
 * Locks, outermost first: registering (core.c), the core's own, lock, queue_lock.
 * write_mutex is outside lock, and never held while the core's is waited for.
 * read_mutex is taken alone or outside queue_lock.
 */
#ifndef TSM_SIM_H
#define TSM_SIM_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#if __has_include(<linux/unaligned.h>)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>	/* up to 6.11 */
#endif

#include "tsmw.h"

#define SIM_NAME_MAX		64
#define SIM_ANSWERED		64	/* answered ids remembered, to know duplicates */
#define SIM_QUEUE_MAX		SZ_256K	/* bytes of frames waiting to be read */
#define SIM_BLOB_COUNT		3	/* outblob, auxblob, manifestblob */

/* Bit of TSMW_HELLO_ATTRS: enum tsm_attr_index has TSM_REPORT_PRIVLEVEL = 2. */
#define SIM_ATTR_PRIVLEVEL	BIT(2)

/* A frame waiting to be read. */
struct sim_frame {
	struct list_head list;
	size_t size;
	u8 data[];
};

enum sim_rx_state { SIM_RX_HEADER, SIM_RX_PAYLOAD, SIM_RX_SKIP };

/**
 * struct sim_rx - receiver of the written stream
 * @hunting: synchronisation is lost: bytes are dropped until a header is found
 * @have: bytes collected of @header or @payload, as @state says
 * @skip: bytes left to skip
 */
struct sim_rx {
	enum sim_rx_state state;
	bool hunting;
	u32 have;
	u32 skip;
	union {
		struct tsmw_header head;
		u8 header[sizeof(struct tsmw_header)];
	};
	u8 *payload;
};

/* What a reply brought; @flags are TSMW_REPLY_*. */
struct sim_reply {
	struct {
		u8 *data;
		u32 len;
	} blob[SIM_BLOB_COUNT];
	u32 flags;
};

/**
 * struct sim_request - one REPORT in flight; belongs to the reader that waits
 * @id: 0 when it is not in the table; while it is, @reply and all that follows
 *	are the table's, afterwards the waiter's
 * @result: what report_new returns, or SIM_THROTTLED
 * @expected: bytes of blobs announced, valid once @begun
 * @received: bytes of blobs that came
 */
struct sim_request {
	u32 id;
	struct completion done;
	struct sim_reply reply;
	int result;
	u32 retry_ms;
	bool begun;
	u32 expected;
	u32 received;
};

/* Not an errno, and beyond the range of TSMW_INJECT. */
#define SIM_THROTTLED		100000

/* What the host's HELLO said of its provider. */
struct sim_offer {
	char name[SIM_NAME_MAX + 1];
	u32 privlevel_floor;
	u32 attrs;
	u32 bin_attrs;
};

struct sim_registration;

/**
 * struct sim - one open file, one provider
 * @lock: of everything from here to @offer
 * @nonce: of the HELLO that was sent
 * @session: 0 while the host has not answered it
 * @leaving: no new requests are taken
 * @leave: the host wants the provider to be unregistered, then ...
 * @enter: ... wants it to be registered, and to be told how that went
 * @registering: work that does what @leave and @enter say
 * @registration: with the core; only @registering, and release, touch it
 * @lost: woken when requests must not be repeated any more
 */
struct sim {
	struct mutex lock;
	u64 nonce;
	u32 session;
	u32 last_id;
	u32 max_in_flight;
	u32 timeout_ms;
	bool hello_pending;
	bool leaving;
	bool leave;
	bool enter;
	struct sim_request *slots[TSMW_MAX_IN_FLIGHT];
	u32 answered[SIM_ANSWERED];
	u32 answered_next;
	struct sim_offer offer;

	struct work_struct registering;
	struct sim_registration *registration;
	wait_queue_head_t lost;

	spinlock_t queue_lock;
	struct list_head queue;
	size_t queued;
	wait_queue_head_t readable;
	struct mutex read_mutex;
	struct sim_frame *sending;
	size_t sent;

	struct mutex write_mutex;
	struct sim_rx rx;
};

/* queue.c */
int sim_send(struct sim *sim, u8 type, u32 session, u32 id, u32 status,
	     const void *payload, size_t len);
int sim_send_u32(struct sim *sim, u8 type, u32 session, u32 value);
void sim_queue_purge(struct sim *sim);
bool sim_queue_empty(struct sim *sim);
struct sim_frame *sim_queue_pop(struct sim *sim);

/* wire.c */
u32 sim_crc(const void *data, size_t len);
ssize_t sim_receive(struct sim *sim, const char __user *buf, size_t count);

/* session.c */
int sim_say_hello(struct sim *sim);
void sim_dispatch(struct sim *sim, const struct tsmw_header *head,
		  const u8 *payload);

/* requests.c */
int sim_request(struct sim *sim, const u8 *payload, size_t len,
		struct sim_reply *reply);
struct sim_request *sim_find(struct sim *sim, u32 session, u32 id);
void sim_finish(struct sim *sim, struct sim_request *request, int result);
void sim_fail_all(struct sim *sim, int result);
void sim_reply_free(struct sim_reply *reply);

/* reply.c */
void sim_report_reply(struct sim *sim, const struct tsmw_header *head,
		      const u8 *payload);
void sim_broken_frame(struct sim *sim, const struct tsmw_header *head,
		      int result);
u32 sim_max_total(void);
int sim_max_total_init(void);

/* core.c */
extern const u32 sim_api;
extern const u32 sim_core_max;
void sim_registration_work(struct work_struct *work);
void sim_unregister(struct sim *sim);

/* device.c */
struct device *sim_parent(void);

/* counters.c */
enum sim_counter {
	SIM_FRAMES_IN,
	SIM_FRAMES_OUT,
	SIM_RESYNCS,
	SIM_STALE,
	SIM_DUPLICATES,
	SIM_CRC_ERRORS,
	SIM_OVERSIZE,
	SIM_TIMEOUTS,
	SIM_CANCELLED,
	SIM_DROPPED,
	SIM_IN_FLIGHT,
	SIM_COUNTERS,
};

extern const struct attribute_group *sim_counter_groups[];
void sim_count(enum sim_counter counter);
void sim_uncount(enum sim_counter counter);

#endif

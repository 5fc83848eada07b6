/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tsm-sim: a provider whose reports a user-space program makes, the host. Each
 * open file of /dev/tsm_sim is one provider. read() returns TSMW frames to the
 * host, write() accepts frames from it; both are byte streams.
 *
 * A file calls only files that are listed above it:
 *
 *   counters.c      /sys/class/misc/tsm_sim/<counter>
 *   mark.c          /sys/class/misc/tsm_sim/mark
 *   frame.c         frame headers
 *   queue.c         frames that wait to be read
 *   receive.c       written bytes to frames
 *   blobs.c         the blobs of a reply
 *   requests.c      the table of requests in flight and their waiting readers
 *   reply.c         frames of a REPORT reply to a result and blobs
 *   options.c       the options of a report to a REPORT request
 *   provider.c      the provider that is registered
 *   api_*.c         report_new and registration, for one version of linux/tsm.h
 *   registration.c  when to register and unregister
 *   control.c       /sys/class/misc/tsm_sim/control
 *   session.c       HELLO and the other messages of a session
 *   device.c        the character device
 *
 * Locks, outermost first: registration_mutex (registration.c), those of the
 * implementation, tsm_sim.lock, tsm_sim_queue.lock. write_mutex is taken outside
 * tsm_sim.lock, and not held while the implementation's locks are waited for.
 * read_mutex is taken alone or outside tsm_sim_queue.lock. A write to control
 * takes registration_mutex; the removal of the device waits for that write, and
 * must therefore not run with registration_mutex held.
 */
#ifndef TSM_SIM_H
#define TSM_SIM_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "tsmw.h"

#define TSM_SIM_NAME_MAX	64
#define TSM_SIM_ANSWERED	64	/* answered ids that are remembered, to count duplicates */
#define TSM_SIM_BLOBS		3	/* outblob, auxblob, manifestblob */

struct attribute_group;
struct device;
struct device_attribute;

/* counters.c */
enum tsm_sim_counter {
	TSM_SIM_FRAMES_IN,
	TSM_SIM_FRAMES_OUT,
	TSM_SIM_RESYNCS,
	TSM_SIM_STALE,
	TSM_SIM_DUPLICATES,
	TSM_SIM_CRC_ERRORS,
	TSM_SIM_OVERSIZE,
	TSM_SIM_TIMEOUTS,
	TSM_SIM_CANCELLED,
	TSM_SIM_DROPPED,
	TSM_SIM_IN_FLIGHT,
	TSM_SIM_COUNTERS,
};

extern const struct attribute_group tsm_sim_counter_group;
void tsm_sim_count(enum tsm_sim_counter counter);
void tsm_sim_uncount(enum tsm_sim_counter counter);

/* mark.c */
extern struct device_attribute tsm_sim_mark_attr;
u32 tsm_sim_mark(void);

/* frame.c */

/* The header of a frame in the CPU's byte order. */
struct tsm_sim_head {
	u8 type;
	u16 flags;
	u32 session;
	u32 id;
	u32 length;
	u32 status;
	u32 payload_crc;
};

void tsm_sim_encode_header(struct tsmw_header *header,
			   const struct tsm_sim_head *head, const void *payload);
bool tsm_sim_decode_header(const struct tsmw_header *header,
			   struct tsm_sim_head *head);
bool tsm_sim_payload_matches(const struct tsm_sim_head *head,
			     const void *payload);

/* queue.c */
struct tsm_sim_frame {
	struct list_head list;
	size_t size;
	u8 data[];
};

/**
 * struct tsm_sim_queue - frames that wait to be read
 * @lock: protects @frames and @bytes
 * @frames: oldest first
 * @bytes: sum of their sizes
 * @readable: woken when a frame is added
 */
struct tsm_sim_queue {
	spinlock_t lock;	/* frames, bytes */
	struct list_head frames;
	size_t bytes;
	wait_queue_head_t readable;
};

void tsm_sim_queue_init(struct tsm_sim_queue *queue);
int tsm_sim_send(struct tsm_sim_queue *queue, const struct tsm_sim_head *head,
		 const void *payload);
int tsm_sim_send_u32(struct tsm_sim_queue *queue, u8 type, u32 session,
		     u32 value);
struct tsm_sim_frame *tsm_sim_queue_pop(struct tsm_sim_queue *queue);
bool tsm_sim_queue_empty(struct tsm_sim_queue *queue);
void tsm_sim_queue_purge(struct tsm_sim_queue *queue);

/* receive.c */
enum tsm_sim_rx_state { TSM_SIM_RX_HEADER, TSM_SIM_RX_PAYLOAD, TSM_SIM_RX_SKIP };

/**
 * struct tsm_sim_rx - receiver of the written stream
 * @state: what the next byte belongs to
 * @out_of_sync: bytes are dropped until a header is found
 * @have: bytes collected of @header or @payload
 * @skip: bytes left to skip
 * @header: as received
 * @head: @header decoded, valid once it is complete
 * @payload: room for TSMW_MAX_PAYLOAD bytes
 * @deliver: called with each frame, in @head and @payload. @error is 0, or the
 *	reason why the payload is not valid: -EBADMSG (CRC), -EMSGSIZE
 */
struct tsm_sim_rx {
	enum tsm_sim_rx_state state;
	bool out_of_sync;
	u32 have;
	u32 skip;
	struct tsmw_header header;
	struct tsm_sim_head head;
	u8 *payload;
	void (*deliver)(struct tsm_sim_rx *rx, int error);
};

ssize_t tsm_sim_receive(struct tsm_sim_rx *rx, const char __user *buf,
			size_t count);

/* blobs.c */

/* The blobs of a REPORT reply; @flags are TSMW_REPLY_*. */
struct tsm_sim_reply {
	struct {
		u8 *data;
		u32 len;
	} blob[TSM_SIM_BLOBS];
	u32 flags;
};

int tsm_sim_alloc_blob(struct tsm_sim_reply *reply, int index);
void tsm_sim_move_blob(struct tsm_sim_reply *reply, int index, u8 **data,
		       size_t *len);
void tsm_sim_free_blobs(struct tsm_sim_reply *reply);

/* requests.c */

/* Not an errno, and beyond the range of TSMW_INJECT. */
#define TSM_SIM_THROTTLED	100000

/**
 * struct tsm_sim_request - one REPORT in flight; on the stack of its reader
 * @id: 0 when the request is not in the table. While it is, the table's users
 *	own all other members, under tsm_sim.lock; afterwards the reader does
 * @done: completed when the request left the table with a result
 * @reply: blobs received
 * @result: what report_new returns, or TSM_SIM_THROTTLED
 * @retry_ms: with TSM_SIM_THROTTLED, the time until the next attempt
 * @announced: the first frame of the reply came; @expected is valid
 * @expected: sum of the lengths of the blobs
 * @received: bytes of blobs received
 */
struct tsm_sim_request {
	u32 id;
	struct completion done;
	struct tsm_sim_reply reply;
	int result;
	u32 retry_ms;
	bool announced;
	u32 expected;
	u32 received;
};

/* How the host's HELLO reply describes its provider. */
struct tsm_sim_info {
	char name[TSM_SIM_NAME_MAX + 1];
	u32 privlevel_floor;
	u32 attrs;
	u32 bin_attrs;
};

/**
 * struct tsm_sim - one open file, one provider
 * @parent: /dev/tsm_sim, the parent of devices that an implementation creates
 * @lock: protects everything from here to @info
 * @nonce: of the last HELLO
 * @session: 0 while the host has not answered that HELLO
 * @last_id: of a request or HELLO
 * @max_in_flight: the host's limit of requests
 * @timeout_ms: of one request; 0 for none
 * @hello_pending: the host has not answered the last HELLO
 * @closing: new requests fail
 * @must_unregister: the host wants the provider to be unregistered ...
 * @must_register: ... and then registered, and wants the result
 * @slots: the requests in flight
 * @answered: ids of requests that were answered, a ring
 * @answered_next: count of them
 * @info: of the host's last HELLO reply
 * @registration_work: does what @must_unregister and @must_register demand
 * @list: of files that have registered or tried to; under registration_mutex
 * @registration: NULL while not registered; under registration_mutex
 * @session_ended: woken when throttled requests must not be repeated
 * @queue: frames to the host
 * @read_mutex: protects @reading and @read_bytes
 * @reading: the frame that read() returns next, if a part of it is left
 * @read_bytes: bytes of @reading that were read
 * @write_mutex: protects @rx
 * @rx: receiver of frames from the host
 */
struct tsm_sim {
	struct device *parent;

	struct mutex lock;		/* nonce to info */
	u64 nonce;
	u32 session;
	u32 last_id;
	u32 max_in_flight;
	u32 timeout_ms;
	bool hello_pending;
	bool closing;
	bool must_unregister;
	bool must_register;
	struct tsm_sim_request *slots[TSMW_MAX_IN_FLIGHT];
	u32 answered[TSM_SIM_ANSWERED];
	u32 answered_next;
	struct tsm_sim_info info;

	struct work_struct registration_work;
	struct list_head list;
	struct tsm_sim_registration *registration;
	wait_queue_head_t session_ended;

	struct tsm_sim_queue queue;
	struct mutex read_mutex;	/* reading, read_bytes */
	struct tsm_sim_frame *reading;
	size_t read_bytes;

	struct mutex write_mutex;	/* rx */
	struct tsm_sim_rx rx;
};

int tsm_sim_request(struct tsm_sim *sim, const u8 *payload, size_t len,
		    struct tsm_sim_reply *reply);
struct tsm_sim_request *tsm_sim_find_request(struct tsm_sim *sim, u32 session,
					     u32 id);
void tsm_sim_complete_request(struct tsm_sim *sim,
			      struct tsm_sim_request *request, int result);
void tsm_sim_fail_requests(struct tsm_sim *sim, int result);

/* reply.c */
int tsm_sim_max_total_init(u32 fallback);
u32 tsm_sim_max_total(void);
void tsm_sim_handle_reply(struct tsm_sim *sim, const struct tsm_sim_head *head,
			  const u8 *payload, int error);

/* options.c */

/**
 * struct tsm_sim_options - the options of a report, of whichever API
 * @privlevel: privilege level
 * @inblob: array of @inblob_size bytes
 * @inblob_len: bytes of @inblob that were written
 * @inblob_size: size of the array
 * @has_format: the API has @format
 * @format: enum tsm_format
 * @service_provider: NULL for none
 * @service_guid: NULL if the API has no services
 * @service_manifest_version: with @service_guid
 */
struct tsm_sim_options {
	u32 privlevel;
	const u8 *inblob;
	size_t inblob_len;
	size_t inblob_size;
	bool has_format;
	u32 format;
	const char *service_provider;
	const guid_t *service_guid;
	u32 service_manifest_version;
};

int tsm_sim_request_report(struct tsm_sim *sim,
			   const struct tsm_sim_options *options,
			   struct tsm_sim_reply *reply);

/* registration.c */
void tsm_sim_do_registration_work(struct work_struct *work);
int tsm_sim_unregister(struct tsm_sim_registration *registration);
void tsm_sim_end_registration(struct tsm_sim *sim);

enum tsm_sim_command {
	TSM_SIM_LEAVE,
	TSM_SIM_RETURN,
	TSM_SIM_SECOND,
	TSM_SIM_STRANGER,
};

int tsm_sim_run_command(enum tsm_sim_command command,
			const struct tsm_sim_info *info);

/* control.c */
extern struct device_attribute tsm_sim_control_attr;

/* session.c */
int tsm_sim_start_session(struct tsm_sim *sim);
void tsm_sim_handle_frame(struct tsm_sim_rx *rx, int error);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * TSMW version 3: the framing of the agent port and of the provider port, and
 * the messages of both. Every integer is little-endian; no structure has
 * padding. The Python twin is the package tsmw; tests compare the two.
 */
#ifndef TSMW_H
#define TSMW_H

#include <linux/types.h>

#ifndef __packed
#define __packed __attribute__((packed))
#endif

#define TSMW_MAGIC		0x574d5354u	/* "TSMW" read as le32 */
#define TSMW_VERSION		3
#define TSMW_REPLY		0x80		/* reply type = request type | 0x80 */
#define TSMW_MAX_PAYLOAD	65536u		/* of one frame */
#define TSMW_MAX_REQUEST	8192u		/* of one request on the provider port */
#define TSMW_MAX_IN_FLIGHT	16u
#define TSMW_MAX_TLVS		16u

#define TSMW_F_MORE		0x0001		/* further frames of this id follow */

struct tsmw_header {
	__le32 magic;
	__u8 version;
	__u8 type;
	__le16 flags;
	__le32 session;		/* 0 only in HELLO requests */
	__le32 id;		/* 0 = unsolicited */
	__le32 length;		/* of the payload */
	__le32 status;		/* enum tsmw_status; 0 in requests */
	__le32 payload_crc;	/* CRC-32 as zlib computes it */
	__le32 header_crc;	/* CRC-32 of the 28 bytes before this one */
} __packed;

/* Types of both ports. */
#define TSMW_HELLO		0x01
#define TSMW_PING		0x06

/*
 * Types of the provider port.
 *
 * REPORT	guest to host: TLVs; the reply is struct tsmw_report_reply and blobs
 * CANCEL	guest to host, no reply: __le32 id of the request
 * RESET	host to guest, no reply: fail all requests, send HELLO again
 * GOING_AWAY	host to guest, no reply: fail all requests, unregister. With a
 *		payload of __le32 TSMW_AWAY_KEEP, requests wait for their replies
 * REGISTERED	guest to host, no reply: __le32 errno of the registration
 */
#define TSMW_REPORT		0x02
#define TSMW_CANCEL		0x03
#define TSMW_RESET		0x07
#define TSMW_GOING_AWAY		0x40
#define TSMW_REGISTERED		0x41

#define TSMW_AWAY_KEEP		0x1

/* HELLO on the provider port, guest to host (session 0). */
struct tsmw_guest_hello {
	__le64 nonce;		/* the reply repeats it; frames before that reply are stale */
	__le16 version_min;
	__le16 version_max;
	__le32 api;		/* what the driver registers with, for the transcript */
	__le32 max_payload;
	__le32 max_total;	/* largest sum of blobs of one report */
	__le32 max_in_flight;
	__le32 reserved;
} __packed;

/* The reply to it. TLVs follow. The header's session is the new session. */
struct tsmw_host_hello {
	__le64 nonce;
	__le16 version;
	__le16 reserved;
	__le32 max_in_flight;
} __packed;

struct tsmw_tlv {
	__le16 tag;		/* with TSMW_TLV_OPTIONAL: an unknown tag may be ignored */
	__le16 reserved;
	__le32 length;
} __packed;

#define TSMW_TLV_OPTIONAL		0x8000

/* TLVs of the host's HELLO reply. Integers are __le32. */
#define TSMW_HELLO_NAME			1	/* provider name, no NUL, <= 64 bytes */
#define TSMW_HELLO_PRIVLEVEL_FLOOR	2
#define TSMW_HELLO_ATTRS		3	/* bit n: show attribute n of enum tsm_attr_index */
#define TSMW_HELLO_BIN_ATTRS		4	/* bit n: of enum tsm_bin_attr_index */
#define TSMW_HELLO_TIMEOUT_MS		5	/* of one request; 0 = none */

/* TLVs of a REPORT request. */
#define TSMW_REQ_PRIVLEVEL		1	/* __le32 */
#define TSMW_REQ_INBLOB			2	/* inblob_len bytes */
#define TSMW_REQ_INBLOB_ARRAY		3	/* all 64 bytes, also those behind inblob_len */
#define TSMW_REQ_SERVICE_PROVIDER	4
#define TSMW_REQ_SERVICE_GUID		5	/* 16 bytes */
#define TSMW_REQ_MANIFEST_VERSION	6	/* __le32 */
#define TSMW_REQ_FORMAT			7	/* __le32, sysfs class only: enum tsm_format */
#define TSMW_REQ_MARK			0x8008	/* __le32, optional: the driver's attribute mark */
#define TSMW_REQ_CALLER			0x8009	/* __le32, optional: pid of the task in report_new */

/* The first frame of a REPORT reply begins with this; the blobs follow, back to back. */
struct tsmw_report_reply {
	__le32 outblob_len;
	__le32 auxblob_len;
	__le32 manifestblob_len;
	__le32 flags;
} __packed;

#define TSMW_REPLY_VMALLOC	0x1	/* allocate the blobs with vmalloc() */
#define TSMW_REPLY_KEEP_LENGTHS	0x2	/* do not set the lengths of absent blobs */
#define TSMW_REPLY_NO_OUTBLOB	0x4	/* success without an outblob */
#define TSMW_REPLY_WRAP		0x8	/* fail with EAGAIN; count 2^64 - 1 further writes */

enum tsmw_status {
	TSMW_OK = 0,
	TSMW_BUSY = 1,		/* EBUSY */
	TSMW_THROTTLED = 2,	/* payload __le32 retry_ms; retried, then ETIMEDOUT */
	TSMW_INVALID = 3,	/* EINVAL */
	TSMW_UNSUPPORTED = 4,	/* EOPNOTSUPP */
	TSMW_NO_DEVICE = 5,	/* ENXIO */
	TSMW_IO = 6,		/* EIO */
	TSMW_TOO_BIG = 7,	/* EFBIG */
	TSMW_NO_KEY = 8,	/* ENOTTY */
	TSMW_BAD_MESSAGE = 9,	/* EBADMSG */
	TSMW_TIMEOUT = 10,	/* ETIMEDOUT */
	TSMW_INTERNAL = 11,	/* EPROTO */
	TSMW_INJECT = 255,	/* payload __le32 (signed): the value report_new returns */
};

/*
 * Types of the agent port: requests of the host, and events (id 0) of the agent.
 * A __s32 or __s64 is little-endian too; there is no type for that.
 */
#define TSMA_SPAWN		0x10
#define TSMA_RUN		0x11
#define TSMA_STATE		0x12	/* __le32 actor */
#define TSMA_KILL		0x14	/* __le32 actor */
#define TSMA_LOG_SYNC		0x15	/* -> __le64 sequence number of the last record */
#define TSMA_RESEED		0x16	/* __le64 UNIX time in ns, 8 to 512 random bytes */
#define TSMA_RELAY		0x17	/* __le32: 1 start, 0 stop */
#define TSMA_ECHO		0x18	/* __le64 n; the n bytes after the reply are echoed */
#define TSMA_STRESS		0x19	/* __le32 processes, __le32 rounds -> __le64 rounds */
#define TSMA_LOG		0x48
#define TSMA_ACTOR_DIED		0x49	/* __le32 actor, __le32 wait status */

struct tsma_hello {		/* the header's session is the new session */
	__le64 nonce;
	__le16 version_min;
	__le16 version_max;
	__le32 reserved;
} __packed;

struct tsma_hello_reply {	/* the kernel release follows, no NUL */
	__le64 nonce;
	__le16 version;
	__le16 actors;		/* number of actor slots */
	__le32 max_data;		/* largest data of one operation */
} __packed;

struct tsma_spawn {		/* reply: __le32 pid; EBUSY when the slot is alive */
	__le32 actor;
	__le32 uid;
	__le32 gid;
	__s32 cpu;		/* -1: any */
	__s32 priority;		/* of SCHED_FIFO, 1 to 99; 0: SCHED_OTHER; -1: SCHED_IDLE */
} __packed;

struct tsma_run {		/* nops times {struct tsma_op, data} follow */
	__le32 actor;
	__le32 nops;
	__le32 flags;
} __packed;

#define TSMA_RUN_STOP_ON_ERROR	0x1	/* after a failure, run only CLOSE operations */
#define TSMA_FD_LAST		(-2)	/* the descriptor of the last OPEN of this batch */

struct tsma_op {
	__le16 code;		/* enum tsma_op_code */
	__le16 reserved;
	__s32 fd;
	__le32 arg;		/* see enum tsma_op_code */
	__le32 mode;		/* of open; SIGNAL: number of the signal */
	__le64 offset;		/* PRIORITY: task id */
	__le32 count;		/* bytes to read; REPEAT: rounds */
	__le32 data_len;		/* path, bytes to write; INSMOD: path NUL parameters */
} __packed;

#define TSMA_MAX_ROUNDS		1000000u

/*
 * arg is the flags of OPEN and RMMOD, the mode of MKDIR, whence of LSEEK, the
 * priority of PRIORITY, the actor of SIGNAL and, for REPEAT, the number of the
 * operations behind it that are repeated; none of these is a REPEAT.
 *
 * REPEAT runs these operations in rounds, up to the round in which one fails.
 * Its result is the number of rounds in which none failed; the results of the
 * operations are those of the last round that ran.
 */
enum tsma_op_code {
	TSMA_OPEN = 1, TSMA_CLOSE = 2, TSMA_READ = 3, TSMA_PREAD = 4,
	TSMA_WRITE = 5, TSMA_PWRITE = 6, TSMA_LSEEK = 7, TSMA_MKDIR = 8,
	TSMA_RMDIR = 9, TSMA_STAT = 10, TSMA_LIST = 11, TSMA_INSMOD = 12,
	TSMA_RMMOD = 13, TSMA_PRIORITY = 14,
	TSMA_REPEAT = 15, TSMA_SIGNAL = 16,
};

struct tsma_run_reply {		/* nresults times {struct tsma_result, data} follow */
	__le32 nresults;
	__le32 reserved;
} __packed;

struct tsma_result {
	__s64 ret;		/* the call's value, -1 on error */
	__s32 err;		/* errno, 0 on success */
	__le32 data_len;
	__le64 start_ns;		/* CLOCK_MONOTONIC */
	__le64 end_ns;
} __packed;

struct tsma_stat {		/* data of a STAT result */
	__le32 mode;
	__le32 uid;
	__le32 gid;
	__le32 nlink;
	__le64 size;
} __packed;

/* Five {__le32 length, bytes} follow: stat, wchan, syscall, stack, status. */
struct tsma_state_reply {
	__le32 phase;		/* enum tsma_phase */
	__s32 pid;
	__le32 op_index;		/* of the operation in progress in its batch */
	__s32 wait_status;	/* of waitpid(), when dead */
} __packed;

enum tsma_phase { TSMA_IDLE = 0, TSMA_IN_CALL = 1, TSMA_DEAD = 2 };

struct tsma_log {		/* records {__le32 length, /dev/kmsg text} follow */
	__le64 lost;		/* count of records overwritten before they were read */
} __packed;

#define TSMW_PORT_AGENT		"org.tsm-harness.agent"
#define TSMW_PORT_PROVIDER	"org.tsm-harness.provider"
#define TSMW_PORT_SSH		"org.tsm-harness.ssh"
#define TSMW_PROVIDER_DEVICE	"/dev/tsm_sim"

#endif

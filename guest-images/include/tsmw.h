/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * TSMW version 2: the one framing spoken on the agent port and on the
 * provider port, and the message types of both. Every integer is
 * little-endian; no structure has padding. The Python twin is
 * providers_sim/wire; tests compare the two.
 */
#ifndef TSMW_H
#define TSMW_H

#if defined(__KERNEL__) || defined(__linux__)
#include <linux/types.h>
#else
#include <stdint.h>
typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef int32_t __s32;
typedef int64_t __s64;
typedef uint64_t __u64;
#endif

#define TSMW_MAGIC		0x574d5354u	/* "TSMW" read as le32 */
#define TSMW_VERSION		2
#define TSMW_REPLY		0x80		/* reply type = request type | 0x80 */
#define TSMW_MAX_PAYLOAD	65536u		/* of one frame */
#define TSMW_MAX_REQUEST	4096u		/* of one request on the provider port */
#define TSMW_MAX_IN_FLIGHT	16u
#define TSMW_MAX_TLVS		16u

#define TSMW_F_MORE		0x0001		/* further frames of this id follow */

struct tsmw_header {
	__u32 magic;
	__u8 version;
	__u8 type;
	__u16 flags;
	__u32 session;		/* 0 only in HELLO requests */
	__u32 id;		/* 0 = unsolicited */
	__u32 length;		/* of the payload */
	__u32 status;		/* enum tsmw_status; 0 in requests */
	__u32 payload_crc;	/* CRC-32 as zlib computes it */
	__u32 header_crc;	/* CRC-32 of the 28 bytes before this one */
} __attribute__((packed));

/* Types known on both ports. */
#define TSMW_HELLO		0x01
#define TSMW_PING		0x06

/* Provider port. R = sent by the guest and answered by the host. */
#define TSMW_REPORT		0x02	/* R: TLVs -> struct tsmw_report_reply + blobs */
#define TSMW_CANCEL		0x03	/* guest to host, unanswered: __le32 id */
#define TSMW_RESET		0x07	/* host to guest, unanswered: drop all ids, say HELLO anew */
#define TSMW_GOING_AWAY		0x40	/* host to guest event: fail what is in flight, unregister */
#define TSMW_AWAY_KEEP		0x1	/* __le32 payload: what is in flight waits for its answers */
#define TSMW_REGISTERED		0x41	/* guest to host event: __le32 errno of the registration */

/* HELLO on the provider port, guest to host (session 0). */
struct tsmw_guest_hello {
	__u64 nonce;		/* echoed by the host; anything before is stale */
	__u16 version_min;
	__u16 version_max;
	__u32 api;		/* enum tsmw_api: which core the driver serves */
	__u32 max_payload;
	__u32 max_total;	/* largest sum of blobs of one report */
	__u32 max_in_flight;
	__u32 reserved;
} __attribute__((packed));

enum tsmw_api {
	TSMW_API_CLASS = 1,	/* sysfs class: register_tsm() */
	TSMW_API_TSM_6_7 = 2,	/* configfs, tsm_register(ops, priv, type) */
	TSMW_API_TSM_6_11 = 3,	/* configfs, tsm_register(ops, priv) */
	TSMW_API_TSM_REPORT = 4,/* configfs, tsm_report_register(ops, priv), 6.16 on */
};

/* Reply to it, followed by TLVs; the header's session is the new one. */
struct tsmw_host_hello {
	__u64 nonce;
	__u16 version;
	__u16 reserved;
	__u32 max_in_flight;
} __attribute__((packed));

struct tsmw_tlv {
	__u16 tag;		/* top bit set: may be ignored when unknown */
	__u16 reserved;
	__u32 length;
} __attribute__((packed));

#define TSMW_TLV_OPTIONAL		0x8000

/* TLVs of the host's HELLO reply. Integers are __le32. */
#define TSMW_HELLO_NAME			1	/* provider name, no NUL, <= 64 bytes */
#define TSMW_HELLO_PRIVLEVEL_FLOOR	2
#define TSMW_HELLO_ATTRS		3	/* bit n: attribute n visible (enum tsm_attr_index) */
#define TSMW_HELLO_BIN_ATTRS		4	/* bit n: binary attribute n visible */
#define TSMW_HELLO_TIMEOUT_MS		5	/* of one request; 0 = none */

/* TLVs of a REPORT request. */
#define TSMW_REQ_PRIVLEVEL		1	/* __le32 */
#define TSMW_REQ_INBLOB			2	/* inblob_len bytes */
#define TSMW_REQ_INBLOB_ARRAY		3	/* the whole 64-byte array, stale tail included */
#define TSMW_REQ_SERVICE_PROVIDER	4
#define TSMW_REQ_SERVICE_GUID		5	/* 16 bytes */
#define TSMW_REQ_MANIFEST_VERSION	6	/* __le32 */
#define TSMW_REQ_FORMAT			7	/* __le32: sysfs class only, 0 default, 1 extended */

/* Payload head of the first frame of a REPORT reply; the blobs follow, back to back. */
struct tsmw_report_reply {
	__u32 outblob_len;
	__u32 auxblob_len;
	__u32 manifestblob_len;
	__u32 flags;
} __attribute__((packed));

#define TSMW_REPLY_VMALLOC	0x1	/* hand the core vmalloc memory, not kmalloc */
#define TSMW_REPLY_KEEP_LENGTHS	0x2	/* leave the lengths of absent blobs as the core had them */
#define TSMW_REPLY_NO_OUTBLOB	0x4	/* success without an outblob */
#define TSMW_REPLY_WRAP		0x8	/* fail with EAGAIN, after 2^64 - 1 writes have been */

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

/* Agent port: the host asks, the agent answers. */
#define TSMA_SPAWN		0x10
#define TSMA_RUN		0x11
#define TSMA_STATE		0x12	/* __le32 actor */
#define TSMA_KILL		0x14	/* __le32 actor */
#define TSMA_LOG_SYNC		0x15	/* -> __le64 sequence number of the last record */
#define TSMA_RESEED		0x16	/* __le64 UNIX time in ns, 8 to 512 random bytes */
#define TSMA_RELAY		0x17	/* __le32: 1 start, 0 stop */
#define TSMA_ECHO		0x18	/* __le64 n; the n bytes after the reply come back raw */
#define TSMA_STRESS		0x19	/* __le32 processes, __le32 rounds -> __le64 rounds done */
/* Events, id 0. */
#define TSMA_LOG		0x48
#define TSMA_ACTOR_DIED		0x49	/* __le32 actor, __le32 wait status */

struct tsma_hello {		/* the header's session is the one to use from now on */
	__u64 nonce;
	__u16 version_min;
	__u16 version_max;
	__u32 reserved;
} __attribute__((packed));

struct tsma_hello_reply {	/* followed by the kernel release, no NUL */
	__u64 nonce;
	__u16 version;
	__u16 actors;		/* how many actor slots there are */
	__u32 max_data;		/* largest data of one operation */
} __attribute__((packed));

struct tsma_spawn {		/* reply: __le32 pid; EBUSY when the slot is alive */
	__u32 actor;
	__u32 uid;
	__u32 gid;
	__s32 cpu;		/* -1: any */
	__s32 priority;		/* of SCHED_FIFO, 1 to 99; 0: ordinary; -1: SCHED_IDLE */
} __attribute__((packed));

struct tsma_run {		/* followed by nops times {struct tsma_op, data} */
	__u32 actor;
	__u32 nops;
	__u32 flags;
} __attribute__((packed));

#define TSMA_RUN_STOP_ON_ERROR	0x1	/* after a failure only CLOSE operations are still made */
#define TSMA_FD_LAST		(-2)	/* the descriptor the last OPEN of this batch returned */

struct tsma_op {
	__u16 code;		/* enum tsma_op_code */
	__u16 reserved;
	__s32 fd;
	__u32 arg;		/* open flags, mkdir mode, lseek whence, delete_module flags, priority */
	__u32 mode;		/* open mode */
	__u64 offset;		/* PRIORITY: task id */
	__u32 count;		/* bytes to read */
	__u32 data_len;		/* path, bytes to write; INSMOD: path NUL parameters */
} __attribute__((packed));

enum tsma_op_code {
	TSMA_OPEN = 1, TSMA_CLOSE = 2, TSMA_READ = 3, TSMA_PREAD = 4,
	TSMA_WRITE = 5, TSMA_PWRITE = 6, TSMA_LSEEK = 7, TSMA_MKDIR = 8,
	TSMA_RMDIR = 9, TSMA_STAT = 10, TSMA_LIST = 11, TSMA_INSMOD = 12,
	TSMA_RMMOD = 13, TSMA_PRIORITY = 14,
};

struct tsma_run_reply {		/* followed by nresults times {struct tsma_result, data} */
	__u32 nresults;
	__u32 reserved;
} __attribute__((packed));

struct tsma_result {
	__s64 ret;		/* the call's value, -1 on error */
	__s32 err;		/* errno, 0 on success */
	__u32 data_len;
	__u64 start_ns;		/* CLOCK_MONOTONIC */
	__u64 end_ns;
} __attribute__((packed));

struct tsma_stat {		/* data of a STAT result */
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 nlink;
	__u64 size;
} __attribute__((packed));

struct tsma_state_reply {	/* followed by five {__le32 length, bytes}: stat, wchan, syscall, stack, status */
	__u32 phase;		/* enum tsma_phase */
	__s32 pid;
	__u32 op_index;		/* of the operation in progress in its batch */
	__s32 wait_status;	/* as waitpid() gives it, when dead */
} __attribute__((packed));

enum tsma_phase { TSMA_IDLE = 0, TSMA_IN_CALL = 1, TSMA_DEAD = 2 };

struct tsma_log {		/* event: followed by records {__le32 length, /dev/kmsg text} */
	__u64 lost;		/* records the kernel overwrote before they were read, in all */
} __attribute__((packed));

#define TSMW_PORT_AGENT		"org.tsm-harness.agent"
#define TSMW_PORT_PROVIDER	"org.tsm-harness.provider"
#define TSMW_PORT_SSH		"org.tsm-harness.ssh"
#define TSMW_PROVIDER_DEVICE	"/dev/tsm_sim"

#endif

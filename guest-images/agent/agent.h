/* SPDX-License-Identifier: MIT */
/*
 * The guest agent: one main process that owns the agent port, and forked
 * helpers (actors, relay, ssh bridge, stress). The wire contract is tsmw.h.
 */
#ifndef AGENT_H
#define AGENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tsmw.h"

#define ACTORS		8
#define PREFORKED	4
#define FRAME_HEADER	((size_t)sizeof(struct tsmw_header))
#define FRAME_MAX	(FRAME_HEADER + TSMW_MAX_PAYLOAD)
#define MAX_DATA	(TSMW_MAX_PAYLOAD - sizeof(struct tsma_run_reply) - \
			 sizeof(struct tsma_result))
#define PATH_LIMIT	4096u
/* Descriptors from here on are the agent's own; operations may not touch them. */
#define FD_BASE		900

/* Owners of the port lock; 0 is "free". */
#define OWNER_MAIN	(ACTORS + 1)

/* One actor's request and reply. */
struct mailbox {
	_Atomic uint32_t kick;		/* futex: counts requests handed to the actor */
	_Atomic uint32_t handed;	/* futex: main has to send the reply */
	_Atomic uint32_t busy;
	_Atomic uint32_t phase;		/* enum tsma_phase */
	_Atomic uint32_t op_index;
	uint32_t session, id;
	uint32_t request_len;
	uint32_t frame_len;
	uint32_t frame_sent;
	uint8_t request[TSMW_MAX_PAYLOAD];
	uint8_t frame[FRAME_MAX];
};

struct shared {
	_Atomic uint32_t lock;		/* futex: owner of the port's write side */
	_Atomic uint32_t backlog;	/* main has bytes to send first */
	_Atomic uint32_t partial;	/* slot + 1 of a half-sent reply */
	_Atomic uint32_t session;
	_Atomic uint64_t stress_rounds;
	struct mailbox box[ACTORS];
};

extern struct shared *shared;
extern int port_fd;
extern int wake_fd;			/* eventfd: an actor handed a reply over */

/* frame.c */
struct parser {
	uint8_t buf[2 * FRAME_MAX];
	size_t head, tail;
	bool accepted;			/* the header at head has been checked */
	uint64_t dropped;		/* bad headers and payloads, in all */
};

uint32_t crc32_of(const void *data, size_t len);
void frame_seal(uint8_t *frame, uint8_t type, uint32_t session, uint32_t id,
		uint32_t status, uint32_t len);
size_t parser_space(struct parser *p, uint8_t **at);
bool parser_next(struct parser *p, struct tsmw_header *h, const uint8_t **payload);
void parser_give_up(struct parser *p);

/* futex.c */
void futex_wait(_Atomic uint32_t *word, uint32_t seen, int timeout_ms);
void futex_wake(_Atomic uint32_t *word, int count);
bool port_lock(uint32_t owner, int timeout_ms);
void port_lock_main(void);
void port_unlock(void);
void port_lock_recover(uint32_t dead);

/* out.c */
bool out_room(void);
void out_frame(uint8_t type, uint32_t session, uint32_t id, uint32_t status,
	       const void *payload, size_t len);
void out_bytes(const void *bytes, size_t len);
bool out_flush(void);
void out_drop(bool host_gone);
size_t write_some(int fd, const void *bytes, size_t len);

/* ports.c */
int port_find(const char *name, int timeout_ms);
bool port_connected(int fd);
void port_async(int fd, bool on);
void port_wait_host(int fd);
int fd_high(int fd);

/* actor.c */
void actors_start(void);
uint32_t actor_spawn(const struct tsma_spawn *req, uint32_t *pid);
uint32_t actor_run(uint32_t id, const uint8_t *payload, size_t len);
uint32_t actor_kill(uint32_t slot);
void actors_collect(void);
bool actor_reaped(pid_t pid, int status);
void actors_report_dead(uint32_t session);
pid_t actor_pid(uint32_t slot);
int actor_wait_status(uint32_t slot);

/* ops.c */
bool ops_valid(const uint8_t *payload, size_t len);
uint32_t ops_run(struct mailbox *box);
long insmod_path(const char *path, const char *params);

/* state.c */
uint32_t state_reply(uint32_t slot, uint8_t *out, size_t size, size_t *len);
void state_forget(uint32_t slot);

/* kmsg.c */
void kmsg_open(int fd);
int kmsg_fd(void);
bool kmsg_sync(uint32_t id);
bool kmsg_sync_waiting(void);
bool kmsg_pump(uint32_t session);
void kmsg_delivered(void);
void kmsg_rewind(void);

/* pump.c */
enum pump_end { PUMP_HOST_GONE, PUMP_PEER_GONE, PUMP_NEW_HOST };
struct pump_start {
	const char *marker;
	size_t marker_len;
	uint8_t bytes[FRAME_MAX];
	size_t len;
};
enum pump_end pump(int port, int peer, struct pump_start *start);

/* relay.c, ssh.c, tty.c, stress.c, seed.c, init.c: one helper each */
pid_t fork_helper(const char *name);
uint32_t relay_start(void);
bool relay_stop(uint32_t id, uint32_t *status);
bool relay_reaped(pid_t pid);
int relay_deadline(void);
void ssh_start(void);
void tty_start(void);
uint32_t stress_start(uint32_t id, uint32_t procs, uint32_t rounds);
bool stress_reaped(pid_t pid, int status);
uint32_t reseed(const uint8_t *payload, size_t len);
void init_system(void);
void power_off(void) __attribute__((noreturn));

uint64_t now_ns(void);

#endif

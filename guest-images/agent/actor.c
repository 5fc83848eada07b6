// SPDX-License-Identifier: MIT
/*
 * Main copies a request into the actor's slot and wakes the actor with a futex.
 * The actor sends the reply itself, see out.h.
 */
#include <endian.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"
#include "lock.h"
#include "ops.h"
#include "out.h"
#include "sys.h"
#include "util.h"

#define FIRST_ACTORS	4	/* these are spawned at the start */
#define STACK_SIZE	65536
#define READY_MS	1000
#define FIFO_MAX	99	/* highest priority of SCHED_FIFO, sched(7) */

static struct actor {
	pid_t pid;		/* 0: dead */
	int wait_status;
	bool death_unreported;
	struct proc_files files;
	atomic_uint requests;	/* futex: counts the requests handed to the actor */
	atomic_uint phase;		/* futex: enum tsma_phase */
	atomic_uint op_index;
	atomic_bool busy;
	struct request request;
	uint8_t payload[TSMW_MAX_PAYLOAD];
	struct actor_reply reply;
} actors[ACTORS];

/* What a new actor reads once from main's memory. */
struct start {
	uint32_t slot, uid, gid;
	int cpu, priority;
	uint32_t done;		/* value of actor->requests before its first request */
};

static uint8_t stacks[ACTORS][STACK_SIZE];

static uint32_t lock_owner(uint32_t slot)
{
	return slot + 1;
}

static void run_request(struct actor *actor, uint32_t slot)
{
	struct request request = actor->request;
	struct actor_reply *reply = &actor->reply;
	size_t len;

	out_actor_wait(reply);
	atomic_store(&actor->phase, TSMA_IN_CALL);
	len = ops_run(actor->payload, reply->frame + FRAME_HEADER, &actor->op_index,
		      lock_owner(slot));
	atomic_store(&actor->phase, TSMA_IDLE);
	frame_seal(reply->frame, request.type | TSMW_REPLY, request.session, request.id,
		   TSMW_OK, len);
	reply->session = request.session;
	reply->len = FRAME_HEADER + len;
	/* First, because the host may answer the reply with the next request at once. */
	atomic_store(&actor->busy, false);
	out_actor_reply(reply, lock_owner(slot));
}

/* A priority of -1 stands for SCHED_IDLE. */
static bool set_scheduler(int priority)
{
	struct sched_param param = { .sched_priority = priority > 0 ? priority : 0 };
	int policy = priority > 0 ? SCHED_FIFO : SCHED_IDLE;

	return !priority || !SYS3(SYS_sched_setscheduler, 0, policy, &param);
}

static bool set_user(uint32_t uid, uint32_t gid)
{
	if (!uid && !gid)
		return true;
	return !SYS2(SYS_setgroups, 0, NULL) && !SYS3(SYS_setresgid, gid, gid, gid) &&
	       !SYS3(SYS_setresuid, uid, uid, uid);
}

static bool set_cpu(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return true;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return SYS3(SYS_sched_setaffinity, 0, sizeof(set), &set) >= 0;
}

/* Gives the actor its attributes, and closes main's low descriptors in it. */
static bool set_up(const struct start *start)
{
	struct rlimit limit = { FD_RESERVED, FD_RESERVED };
	uint64_t no_signals = 0;

	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof(no_signals));
	SYS3(SYS_close_range, 3, FD_RESERVED - 1, 0);
	SYS2(SYS_setrlimit, RLIMIT_NOFILE, &limit);
	if (!set_cpu(start->cpu) || !set_scheduler(start->priority) ||
	    !set_user(start->uid, start->gid))
		return false;
	/* A change of user makes the memory undumpable, which is main's memory too. */
	SYS2(SYS_prctl, PR_SET_DUMPABLE, 1);
	SYS2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	return true;
}

/* Never returns: only a signal ends an actor. */
static noreturn int actor_main(void *arg)
{
	struct start start = *(struct start *)arg;
	struct actor *actor = &actors[start.slot];
	char name[16] = "actor-0";

	name[6] = (char)('0' + start.slot);
	SYS2(SYS_prctl, PR_SET_NAME, name);
	if (!set_up(&start)) {
		futex_wake(&actor->phase, 1);
		SYS1(SYS_exit_group, 1);
	}
	atomic_store(&actor->phase, TSMA_IDLE);
	futex_wake(&actor->phase, 1);
	for (;;) {
		uint32_t requests = atomic_load(&actor->requests);

		if (requests == start.done) {
			futex_wait(&actor->requests, start.done, -1);
			continue;
		}
		start.done = requests;
		run_request(actor, start.slot);
	}
}

static bool cpu_usable(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return cpu == -1;
	return cpu < CPU_SETSIZE && !sched_getaffinity(0, sizeof(set), &set) &&
	       CPU_ISSET(cpu, &set);
}

static uint32_t spawn_in(struct actor *actor, const struct start *attributes)
{
	static struct start starts[ACTORS];	/* an actor reads its own after clone() */
	uint8_t *stack_end = stacks[attributes->slot] + STACK_SIZE;
	struct start *start = &starts[attributes->slot];
	pid_t pid;

	if (actor->pid || atomic_load(&actor->reply.state) != REPLY_SENT)
		return TSMW_BUSY;
	*start = *attributes;
	start->done = atomic_load(&actor->requests);
	atomic_store(&actor->busy, false);
	atomic_store(&actor->op_index, 0);
	pid = clone(actor_main, stack_end, CLONE_VM | SIGCHLD, start);
	if (pid < 0)
		return TSMW_IO;
	actor->pid = pid;
	atomic_store(&actor_pids[attributes->slot], pid);
	actor->death_unreported = false;
	/* The host may use the actor once it has its user and its processor. */
	futex_wait(&actor->phase, TSMA_DEAD, READY_MS);
	return atomic_load(&actor->phase) == TSMA_DEAD ? TSMW_IO : TSMW_OK;
}

/*
 * Fills an empty slot. BUSY: the slot has a live actor. INVALID: no actor can
 * have these attributes. IO: it could not be started or set up.
 */
uint32_t actor_spawn(const struct tsma_spawn *spawn, uint32_t *pid)
{
	struct start start = {
		.slot = le32toh(spawn->actor),
		.uid = le32toh(spawn->uid),
		.gid = le32toh(spawn->gid),
		.cpu = (int)le32toh((uint32_t)spawn->cpu),
		.priority = (int)le32toh((uint32_t)spawn->priority),
	};
	uint32_t status;

	if (start.slot >= ACTORS || !cpu_usable(start.cpu) || start.priority < -1 ||
	    start.priority > FIFO_MAX)
		return TSMW_INVALID;
	status = spawn_in(&actors[start.slot], &start);
	*pid = (uint32_t)actors[start.slot].pid;
	return status;
}

/* Does nothing: the signal only interrupts a system call. */
static void on_interrupt(int signo)
{
	(void)signo;
}

void actors_start(void)
{
	/* Without SA_RESTART. An actor inherits a copy. */
	struct sigaction interrupt = { .sa_handler = on_interrupt };

	sigaction(SIGUSR1, &interrupt, NULL);
	for (uint32_t i = 0; i < ACTORS; i++) {
		struct tsma_spawn spawn = { .actor = htole32(i), .cpu = (int32_t)htole32(~0u) };
		uint32_t pid;

		atomic_store(&actors[i].phase, TSMA_DEAD);
		if (i < FIRST_ACTORS)
			actor_spawn(&spawn, &pid);
	}
}

/* Hands RUN to its actor, which replies. Any status but OK is to be replied by the caller. */
uint32_t actor_run(const struct request *request, const uint8_t *payload, size_t len)
{
	struct tsma_run run;
	struct actor *actor;

	if (!ops_valid(payload, len))
		return TSMW_INVALID;
	memcpy(&run, payload, sizeof(run));
	if (le32toh(run.actor) >= ACTORS)
		return TSMW_INVALID;
	actor = &actors[le32toh(run.actor)];
	if (!actor->pid)
		return TSMW_NO_DEVICE;
	if (atomic_load(&actor->busy))
		return TSMW_BUSY;
	memcpy(actor->payload, payload, len);
	actor->request = *request;
	atomic_store(&actor->busy, true);
	atomic_fetch_add(&actor->requests, 1);
	futex_wake(&actor->requests, 1);
	return TSMW_OK;
}

/* Holds the port lock, so that the actor does not die with a frame half written. */
uint32_t actor_kill(uint32_t slot)
{
	if (slot >= ACTORS)
		return TSMW_INVALID;
	if (!actors[slot].pid)
		return TSMW_NO_DEVICE;
	port_lock_main();
	kill(actors[slot].pid, SIGKILL);
	port_unlock();
	return TSMW_OK;
}

/* Writes the reply to STATE to out, which has room for ACTOR_STATE_MAX bytes. */
uint32_t actor_state(uint32_t slot, uint8_t *out, size_t *len)
{
	struct tsma_state_reply head = { 0 };
	struct actor *actor;

	if (slot >= ACTORS)
		return TSMW_INVALID;
	actor = &actors[slot];
	*len = sizeof(head) + proc_read(&actor->files, actor->pid, out + sizeof(head));
	head.phase = htole32(actor->pid ? atomic_load(&actor->phase) : TSMA_DEAD);
	head.pid = (int32_t)htole32((uint32_t)actor->pid);
	head.op_index = htole32(atomic_load(&actor->op_index));
	head.wait_status = (int32_t)htole32(actor->pid ? 0 : (uint32_t)actor->wait_status);
	memcpy(out, &head, sizeof(head));
	return TSMW_OK;
}

/* Returns whether the process that ended was an actor. */
bool actor_reaped(pid_t pid, int status)
{
	for (uint32_t i = 0; i < ACTORS; i++) {
		struct actor *actor = &actors[i];

		if (actor->pid != pid)
			continue;
		actor->pid = 0;
		atomic_store(&actor_pids[i], 0);
		actor->wait_status = status;
		actor->death_unreported = true;
		atomic_store(&actor->phase, TSMA_DEAD);
		atomic_store(&actor->busy, false);
		port_lock_release_dead(lock_owner(i));
		proc_close(&actor->files);
		return true;
	}
	return false;
}

/* Queues the replies that actors left to main, as far as there is room. */
void actors_collect_replies(void)
{
	for (uint32_t i = 0; i < ACTORS; i++)
		if (!out_collect(&actors[i].reply))
			return;
}

/* Queues ACTOR_DIED events: __le32 slot, __le32 wait status. */
void actors_report_deaths(void)
{
	for (uint32_t i = 0; i < ACTORS; i++) {
		uint32_t event[2] = { htole32(i), htole32((uint32_t)actors[i].wait_status) };

		if (!actors[i].death_unreported || !out_room())
			continue;
		actors[i].death_unreported = false;
		out_event(TSMA_ACTOR_DIED, event, sizeof(event));
	}
}

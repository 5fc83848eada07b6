/* SPDX-License-Identifier: MIT */
/*
 * Actors: processes, not threads, so that one can be killed or die in an oops
 * alone; but processes that share main's memory (CLONE_VM), because a switch of
 * page tables costs an emulated guest more than all else in a round trip. Their
 * code keeps off the C library's state: see sys.h.
 *
 * Main puts a request into the actor's mailbox and kicks its futex; the
 * actor writes the reply to the port itself and spares the way back through
 * main, unless the port is full or main has bytes to send first.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "sys.h"

#define STACK_SIZE 65536
#define READY_MS 1000
#define PRIORITY_MAX 99		/* of SCHED_FIFO, sched(7) */

static struct {
	pid_t pid;		/* 0: dead */
	int wait_status;
	bool died;		/* event not sent yet */
} slots[ACTORS];

static uint8_t stacks[ACTORS][STACK_SIZE] __attribute__((aligned(64)));

/* The port lock is held. What the port does not take now is main's to send. */
static void write_reply(struct mailbox *box, uint32_t slot)
{
	uint64_t one = 1;

	if (box->session != atomic_load(&shared->session))
		return;
	box->frame_sent = 0;
	if (!atomic_load(&shared->backlog))
		box->frame_sent = (uint32_t)write_some(port_fd, box->frame, box->frame_len);
	if (box->frame_sent == box->frame_len)
		return;
	if (box->frame_sent)
		atomic_store(&shared->partial, slot + 1);
	atomic_store(&box->handed, 1);
	atomic_store(&shared->backlog, 1);
	write_some(wake_fd, &one, sizeof(one));
}

static void run_request(struct mailbox *box, uint32_t slot)
{
	uint32_t session = box->session, id = box->id, len;

	while (atomic_load(&box->handed))
		futex_wait(&box->handed, 1, -1);
	atomic_store(&box->phase, TSMA_IN_CALL);
	len = ops_run(box);
	atomic_store(&box->phase, TSMA_IDLE);
	frame_seal(box->frame, TSMA_RUN | TSMW_REPLY, session, id, TSMW_OK, len);
	box->frame_len = (uint32_t)FRAME_HEADER + len;
	port_lock(slot + 1, -1);
	/* Before the reply goes out: the host may answer it with the next request at once. */
	atomic_store(&box->busy, 0);
	write_reply(box, slot);
	port_unlock();
}

/* Takes on the user, processor and priority asked for, and gives up main's descriptors. */
static bool become(const struct tsma_spawn *req)
{
	struct rlimit limit = { FD_BASE, FD_BASE };
	struct sched_param param = { .sched_priority = req->priority > 0 ? req->priority : 0 };
	int policy = req->priority > 0 ? SCHED_FIFO : SCHED_IDLE;
	uint64_t no_signals = 0;
	cpu_set_t set;

	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof(no_signals));
	SYS3(SYS_close_range, 3, FD_BASE - 1, 0);
	SYS2(SYS_setrlimit, RLIMIT_NOFILE, &limit);
	if (req->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(req->cpu, &set);
		if (SYS3(SYS_sched_setaffinity, 0, sizeof(set), &set) < 0)
			return false;
	}
	if (req->priority && SYS3(SYS_sched_setscheduler, 0, policy, &param) < 0)
		return false;
	if ((req->uid || req->gid) &&
	    (SYS2(SYS_setgroups, 0, NULL) || SYS3(SYS_setresgid, req->gid, req->gid, req->gid) ||
	     SYS3(SYS_setresuid, req->uid, req->uid, req->uid)))
		return false;
	/* The memory is main's as well: changing the user made both undumpable. */
	SYS2(SYS_prctl, PR_SET_DUMPABLE, 1);
	SYS2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	return true;
}

struct start {
	struct tsma_spawn req;
	uint32_t done;		/* box->kick at the time */
};

/* An actor's life; it ends by a signal only. */
__attribute__((noreturn)) static int actor_main(void *arg)
{
	struct start start = *(struct start *)arg;
	struct mailbox *box = &shared->box[start.req.actor];
	char name[16] = "actor-0";

	name[6] = (char)('0' + start.req.actor);
	SYS2(SYS_prctl, PR_SET_NAME, name);
	if (!become(&start.req)) {
		futex_wake(&box->phase, 1);
		SYS1(SYS_exit_group, 1);
	}
	atomic_store(&box->phase, TSMA_IDLE);
	futex_wake(&box->phase, 1);
	for (;;) {
		uint32_t kick = atomic_load(&box->kick);

		if (kick == start.done) {
			futex_wait(&box->kick, start.done, -1);
			continue;
		}
		start.done = kick;
		run_request(box, start.req.actor);
	}
}

static bool cpu_usable(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return cpu == -1;
	return cpu < CPU_SETSIZE && !sched_getaffinity(0, sizeof(set), &set) && CPU_ISSET(cpu, &set);
}

/* Fills a dead slot. BUSY: it is alive; INVALID: nothing that can be; IO: it failed. */
uint32_t actor_spawn(const struct tsma_spawn *req, uint32_t *pid)
{
	static struct start starts[ACTORS];
	struct mailbox *box;
	pid_t child;

	if (req->actor >= ACTORS || !cpu_usable(req->cpu) || req->priority < -1 ||
	    req->priority > PRIORITY_MAX)
		return TSMW_INVALID;
	box = &shared->box[req->actor];
	if (slots[req->actor].pid || atomic_load(&box->handed))
		return TSMW_BUSY;
	starts[req->actor] = (struct start){ *req, atomic_load(&box->kick) };
	atomic_store(&box->busy, 0);
	atomic_store(&box->op_index, 0);
	child = clone(actor_main, stacks[req->actor] + STACK_SIZE, CLONE_VM | SIGCHLD,
		      &starts[req->actor]);
	if (child < 0)
		return TSMW_IO;
	slots[req->actor].pid = child;
	slots[req->actor].died = false;
	*pid = (uint32_t)child;
	/* Only one that has changed its user is of use to the host. */
	futex_wait(&box->phase, TSMA_DEAD, READY_MS);
	return atomic_load(&box->phase) == TSMA_DEAD ? TSMW_IO : TSMW_OK;
}

void actors_start(void)
{
	uint32_t pid;

	for (uint32_t i = 0; i < ACTORS; i++) {
		struct tsma_spawn req = { .actor = i, .cpu = -1 };

		atomic_store(&shared->box[i].phase, TSMA_DEAD);
		if (i < PREFORKED)
			actor_spawn(&req, &pid);
	}
}

/* Hands a RUN request to its actor; anything but OK is the status to reply now. */
uint32_t actor_run(uint32_t id, const uint8_t *payload, size_t len)
{
	struct mailbox *box;
	struct tsma_run run;

	if (!ops_valid(payload, len))
		return TSMW_INVALID;
	memcpy(&run, payload, sizeof(run));
	if (run.actor >= ACTORS)
		return TSMW_INVALID;
	box = &shared->box[run.actor];
	if (!slots[run.actor].pid)
		return TSMW_NO_DEVICE;
	if (atomic_load(&box->busy))
		return TSMW_BUSY;
	memcpy(box->request, payload, len);
	box->request_len = (uint32_t)len;
	box->session = atomic_load(&shared->session);
	box->id = id;
	atomic_store(&box->busy, 1);
	atomic_fetch_add(&box->kick, 1);
	futex_wake(&box->kick, 1);
	return TSMW_OK;
}

/* Under the port lock, so that the actor dies with no frame half written. */
uint32_t actor_kill(uint32_t slot)
{
	if (slot >= ACTORS)
		return TSMW_INVALID;
	if (!slots[slot].pid)
		return TSMW_NO_DEVICE;
	port_lock_main();
	kill(slots[slot].pid, SIGKILL);
	port_unlock();
	return TSMW_OK;
}

/* Queues the replies that actors handed over, as far as there is room. */
void actors_collect(void)
{
	for (uint32_t i = 0; i < ACTORS; i++) {
		struct mailbox *box = &shared->box[i];
		struct tsmw_header h;

		if (!atomic_load(&box->handed) || atomic_load(&shared->partial) == i + 1)
			continue;
		if (!out_room())
			return;
		memcpy(&h, box->frame, sizeof(h));
		if (h.session == atomic_load(&shared->session) && box->frame_len <= FRAME_MAX)
			out_bytes(box->frame, box->frame_len);
		atomic_store(&box->handed, 0);
		futex_wake(&box->handed, 1);
	}
}

bool actor_reaped(pid_t pid, int status)
{
	for (uint32_t i = 0; i < ACTORS; i++) {
		if (slots[i].pid != pid)
			continue;
		slots[i].pid = 0;
		slots[i].wait_status = status;
		slots[i].died = true;
		atomic_store(&shared->box[i].phase, TSMA_DEAD);
		atomic_store(&shared->box[i].busy, 0);
		port_lock_recover(i + 1);
		state_forget(i);
		return true;
	}
	return false;
}

/* ACTOR_DIED events: __le32 slot, __le32 wait status. */
void actors_report_dead(uint32_t session)
{
	for (uint32_t i = 0; i < ACTORS && session; i++) {
		uint32_t event[2] = { i, (uint32_t)slots[i].wait_status };

		if (!slots[i].died || !out_room())
			continue;
		slots[i].died = false;
		out_frame(TSMA_ACTOR_DIED, session, 0, TSMW_OK, event, sizeof(event));
	}
}

pid_t actor_pid(uint32_t slot)
{
	return slots[slot].pid;
}

int actor_wait_status(uint32_t slot)
{
	return slots[slot].wait_status;
}

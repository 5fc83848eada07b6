// SPDX-License-Identifier: GPL-2.0-only
/*
 * When to register with the implementation and when to unregister.
 *
 * Both wait for the implementation's locks, that is, for report_new, which waits
 * for the host. What the host demands runs in a work item, because the write()
 * that demanded it has to go on and receive the host's replies. What the guest
 * demands through the attribute control runs in the task that writes it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "api.h"
#include "sim.h"

static DEFINE_MUTEX(registration_mutex);

/* Open files that have registered, or tried to; protected by registration_mutex. */
static LIST_HEAD(sims);

static struct tsm_sim_registration *
alloc_registration(struct tsm_sim *sim, const struct tsm_sim_info *info)
{
	struct tsm_sim_registration *registration;

	registration = kzalloc(tsm_sim_api.registration_size, GFP_KERNEL);
	if (!registration)
		return NULL;
	registration->sim = sim;
	registration->info = *info;
	tsm_sim_api.init_ops(registration);
	return registration;
}

static int register_sim(struct tsm_sim *sim, const struct tsm_sim_info *info)
{
	struct tsm_sim_registration *registration;
	int rc;

	lockdep_assert_held(&registration_mutex);
	registration = alloc_registration(sim, info);
	if (!registration)
		return -ENOMEM;
	tsm_sim_provider_set(registration);
	rc = tsm_sim_api.register_provider(registration);
	if (rc) {
		tsm_sim_provider_clear(registration);
		kfree(registration);
		return rc;
	}
	sim->registration = registration;
	return 0;
}

/* Undo a registration and free it. The harness finds this name in stacks. */
noinline int tsm_sim_unregister(struct tsm_sim_registration *registration)
{
	int rc;

	lockdep_assert_held(&registration_mutex);
	rc = tsm_sim_api.unregister_provider(registration);
	/* An implementation that accepts a second provider may refuse it here. */
	if (tsm_sim_provider_clear(registration) && rc)
		pr_err("cannot unregister %s (%d)\n", registration->info.name,
		       rc);
	kfree(registration);
	return rc;
}

static int unregister_sim(struct tsm_sim *sim)
{
	struct tsm_sim_registration *registration = sim->registration;

	sim->registration = NULL;
	return tsm_sim_unregister(registration);
}

static void copy_info(struct tsm_sim *sim, struct tsm_sim_info *info)
{
	guard(mutex)(&sim->lock);
	*info = sim->info;
}

static bool is_same_info(const struct tsm_sim_info *a,
			 const struct tsm_sim_info *b)
{
	return !strcmp(a->name, b->name) && a->attrs == b->attrs &&
	       a->bin_attrs == b->bin_attrs &&
	       a->privlevel_floor == b->privlevel_floor;
}

/* Register and unregister as the host demands, and report the result to it. */
void tsm_sim_do_registration_work(struct work_struct *work)
{
	struct tsm_sim *sim = container_of(work, struct tsm_sim,
					   registration_work);
	bool must_unregister, must_register;
	struct tsm_sim_info info;
	int rc = 0;

	guard(mutex)(&registration_mutex);
	if (list_empty(&sim->list))
		list_add_tail(&sim->list, &sims);
	scoped_guard(mutex, &sim->lock) {
		must_unregister = sim->must_unregister;
		must_register = sim->must_register;
		info = sim->info;
		/* What an implementation was given must not change under it. */
		if (must_register && sim->registration &&
		    !is_same_info(&sim->registration->info, &info))
			must_unregister = true;
		sim->must_unregister = false;
		sim->must_register = false;
	}
	if (must_unregister && sim->registration)
		unregister_sim(sim);
	if (must_register && !sim->registration)
		rc = register_sim(sim, &info);

	guard(mutex)(&sim->lock);
	if (sim->session && (must_register || must_unregister))
		tsm_sim_send_u32(&sim->queue, TSMW_REGISTERED, sim->session,
				 must_register ? -rc : ENXIO);
}

/* Undo everything before @sim is freed. Requests fail, and no work is queued. */
void tsm_sim_end_registration(struct tsm_sim *sim)
{
	guard(mutex)(&registration_mutex);
	list_del(&sim->list);
	if (sim->registration)
		unregister_sim(sim);
}

static struct tsm_sim *find_sim_in_session(void)
{
	struct tsm_sim *sim;

	lockdep_assert_held(&registration_mutex);
	list_for_each_entry(sim, &sims, list) {
		guard(mutex)(&sim->lock);
		if (sim->session && !sim->closing)
			return sim;
	}
	return NULL;
}

/* Register a provider beside that of @sim; unregister it again if that succeeds. */
static int register_second(struct tsm_sim *sim, const struct tsm_sim_info *info)
{
	struct tsm_sim_registration *second = alloc_registration(sim, info);
	int rc;

	if (!second)
		return -ENOMEM;
	strscpy(second->info.name, "second", sizeof(second->info.name));
	/* Without a first one, callbacks find the second. */
	tsm_sim_provider_set(second);
	rc = tsm_sim_api.register_provider(second);
	if (!rc) {
		tsm_sim_unregister(second);
		return 0;
	}
	tsm_sim_provider_clear(second);
	kfree(second);
	return rc;
}

/* Unregister what was never registered. */
static int unregister_stranger(struct tsm_sim *sim,
			       const struct tsm_sim_info *info)
{
	struct tsm_sim_registration *stranger = alloc_registration(sim, info);
	int rc;

	if (!stranger)
		return -ENOMEM;
	rc = tsm_sim_api.unregister_provider(stranger);
	kfree(stranger);
	return rc;
}

static int run_command(enum tsm_sim_command command,
		       const struct tsm_sim_info *info)
{
	struct tsm_sim *sim = find_sim_in_session();
	struct tsm_sim_info hosts;

	if (!sim)
		return -ENXIO;
	if (!info) {
		copy_info(sim, &hosts);
		info = &hosts;
	}
	switch (command) {
	case TSM_SIM_LEAVE:
		return sim->registration ? unregister_sim(sim) : -EALREADY;
	case TSM_SIM_RETURN:
		return sim->registration ? -EALREADY : register_sim(sim, info);
	case TSM_SIM_SECOND:
		return register_second(sim, info);
	case TSM_SIM_STRANGER:
		return unregister_stranger(sim, info);
	}
	return -EINVAL;
}

/**
 * tsm_sim_run_command - do what the guest demands, behind the host's back
 * @command: what to do, with the provider of the first host in session
 * @info: description of the provider, NULL for the host's
 *
 * Return: the result of the implementation's function; or
 *	-ENXIO		no host is in session
 *	-EALREADY	the provider is registered, or has left, already
 *	-EINTR		the task is killed while another command runs
 */
int tsm_sim_run_command(enum tsm_sim_command command,
			const struct tsm_sim_info *info)
{
	int rc;

	if (mutex_lock_killable(&registration_mutex))
		return -EINTR;
	rc = run_command(command, info);
	mutex_unlock(&registration_mutex);
	return rc;
}

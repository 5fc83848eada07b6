// SPDX-License-Identifier: GPL-2.0-only
/*
 * When to register with the implementation and when to unregister.
 *
 * Both wait for the implementation's locks, that is, for report_new, which waits
 * for the host. They run in a work item, because the write() that demanded them
 * has to go on and receive the host's replies.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "api.h"
#include "sim.h"

static DEFINE_MUTEX(registration_mutex);

static void free_registration(struct tsm_sim *sim)
{
	kfree(sim->registration);
	sim->registration = NULL;
}

static int register_sim(struct tsm_sim *sim)
{
	struct tsm_sim_registration *registration;
	int rc;

	registration = kzalloc(tsm_sim_api.registration_size, GFP_KERNEL);
	if (!registration)
		return -ENOMEM;
	registration->sim = sim;
	scoped_guard(mutex, &sim->lock)
		registration->info = sim->info;
	sim->registration = registration;

	guard(mutex)(&registration_mutex);
	tsm_sim_provider_set(registration);
	rc = tsm_sim_api.register_provider(registration);
	if (rc) {
		tsm_sim_provider_clear(registration);
		free_registration(sim);
	}
	return rc;
}

/* Undo the registration. Called by the work item, or after it. */
void tsm_sim_unregister(struct tsm_sim *sim)
{
	int rc;

	guard(mutex)(&registration_mutex);
	rc = tsm_sim_api.unregister_provider(sim->registration);
	/* An implementation that accepts a second provider may refuse it here. */
	if (tsm_sim_provider_clear(sim->registration) && rc)
		pr_err("cannot unregister %s (%d)\n",
		       sim->registration->info.name, rc);
	free_registration(sim);
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
	int rc = 0;

	scoped_guard(mutex, &sim->lock) {
		must_unregister = sim->must_unregister;
		must_register = sim->must_register;
		/* What an implementation was given must not change under it. */
		if (must_register && sim->registration &&
		    !is_same_info(&sim->registration->info, &sim->info))
			must_unregister = true;
		sim->must_unregister = false;
		sim->must_register = false;
	}
	if (must_unregister && sim->registration)
		tsm_sim_unregister(sim);
	if (must_register && !sim->registration)
		rc = register_sim(sim);

	guard(mutex)(&sim->lock);
	if (sim->session && (must_register || must_unregister))
		tsm_sim_send_u32(&sim->queue, TSMW_REGISTERED, sim->session,
				 must_register ? -rc : ENXIO);
}

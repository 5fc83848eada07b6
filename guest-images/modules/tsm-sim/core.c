// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registration with the TSM core, and the report_new it calls.
 *
 * Registration and unregistration wait for the core's lock, that is, for
 * report_new, which waits for the host. They run in a work item: the write()
 * that asked for them goes on to bring the host's answers.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "sim.h"

const u32 sim_api = SIM_API;
const u32 sim_core_max = SIM_BLOBS * (SIM_OUTBLOB_MAX + 1);

struct sim_registration {
	struct sim_offer offer;
	core_ops ops;
};

/*
 * The provider the core has. Not every callback is told which one it is; there
 * can be only one, so the first to come is it until it has gone. The callbacks
 * read it without the mutex: they run only while it is set.
 */
static struct sim *current_sim;
static DEFINE_MUTEX(registering);

#ifdef TSM_SIM_CLASS

/* An injected value that is no error is a report that is not there. */
static u8 *report_new(struct device *dev, const struct tsm_desc *desc,
		      size_t *outblob_len)
{
	struct sim_reply reply = {};
	u8 *outblob;
	int rc;

	rc = sim_ask(READ_ONCE(current_sim), desc, &reply);
	if (!rc && reply.flags & TSMW_REPLY_WRAP) {
		sim_reply_free(&reply);	/* the class has one counter: nothing to meet */
		rc = -EOPNOTSUPP;
	}
	if (rc)
		return rc < 0 ? ERR_PTR(rc) : NULL;
	if (reply.blob[0].data || !(reply.flags & TSMW_REPLY_KEEP_LENGTHS))
		*outblob_len = reply.blob[0].len;
	outblob = reply.blob[0].data;
	reply.blob[0].data = NULL;
	sim_reply_free(&reply);
	return outblob;
}

static void fill_ops(struct sim_registration *reg)
{
	core_ops ops = { .name = reg->offer.name, .report_new = report_new };

	memcpy(&reg->ops, &ops, sizeof(ops));
}

static int register_with_core(struct sim *sim)
{
	static const struct attribute_group *groups[] = {
		&tsm_default_attribute_group,
		&tsm_extra_attribute_group,
		NULL
	};
	bool extra = sim->registration->offer.attrs & SIM_ATTR_PRIVLEVEL;

	return register_tsm(&sim->registration->ops, sim_parent(),
			    extra ? groups : NULL);
}

static int unregister_from_core(struct sim *sim)
{
	return unregister_tsm(&sim->registration->ops);
}

#else

static void give(u8 **blob, size_t *len, struct sim_reply *reply, int i)
{
	if (!reply->blob[i].data) {
		if (!(reply->flags & TSMW_REPLY_KEEP_LENGTHS))
			*len = 0;
		return;
	}
	*blob = reply->blob[i].data;
	*len = reply->blob[i].len;
	reply->blob[i].data = NULL;
}

/* What the core keeps behind a report: drivers/virt/coco/guest/report.c. */
struct counted_report {
	struct tsm_report report;
	unsigned long write_generation;
	unsigned long read_generation;
};

/*
 * Let the core believe that all but one of the writes have been made after
 * which its counters meet. Only behind a report that is one write old, so that
 * a core with other members there is left alone.
 */
static int wrap(struct tsm_report *report)
{
	struct counted_report *counted =
		container_of(report, struct counted_report, report);

	if (counted->write_generation != counted->read_generation + 1)
		return -EOPNOTSUPP;
	counted->write_generation = counted->read_generation - 1;
	return -EAGAIN;
}

static int report_new(struct tsm_report *report, void *data)
{
	struct sim_reply reply = {};
	int rc;

	rc = sim_ask(data, &report->desc, &reply);
	if (rc)
		return rc;
	if (reply.flags & TSMW_REPLY_WRAP) {
		sim_reply_free(&reply);
		return wrap(report);
	}
	give(&report->outblob, &report->outblob_len, &reply, 0);
	give(&report->auxblob, &report->auxblob_len, &reply, 1);
#ifdef SIM_HAS_SERVICES
	give(&report->manifestblob, &report->manifestblob_len, &reply, 2);
#endif
	sim_reply_free(&reply);
	return 0;
}

#ifdef SIM_HAS_SERVICES
static bool attr_visible(int n)
{
	return READ_ONCE(current_sim)->registration->offer.attrs & BIT(n);
}

static bool bin_attr_visible(int n)
{
	return READ_ONCE(current_sim)->registration->offer.bin_attrs & BIT(n);
}
#endif

static void fill_ops(struct sim_registration *reg)
{
	core_ops ops = {
		.name = reg->offer.name,
		.privlevel_floor = reg->offer.privlevel_floor,
		.report_new = report_new,
#ifdef SIM_HAS_SERVICES
		.report_attr_visible = attr_visible,
		.report_bin_attr_visible = bin_attr_visible,
#endif
	};

	/* Not an assignment: the floor is const up to 6.10. */
	memcpy(&reg->ops, &ops, sizeof(ops));
}

static int register_with_core(struct sim *sim)
{
	return core_register(&sim->registration->ops, sim,
			     sim->registration->offer.attrs & SIM_ATTR_PRIVLEVEL);
}

static int unregister_from_core(struct sim *sim)
{
	return core_unregister(&sim->registration->ops);
}

#endif

static void forget(struct sim *sim)
{
	if (current_sim == sim)
		WRITE_ONCE(current_sim, NULL);
	kfree(sim->registration);
	sim->registration = NULL;
}

static int do_register(struct sim *sim)
{
	int rc;

	sim->registration = kzalloc(sizeof(*sim->registration), GFP_KERNEL);
	if (!sim->registration)
		return -ENOMEM;
	scoped_guard(mutex, &sim->lock)
		sim->registration->offer = sim->offer;
	fill_ops(sim->registration);

	guard(mutex)(&registering);
	if (!current_sim)
		WRITE_ONCE(current_sim, sim);
	rc = register_with_core(sim);
	if (rc)
		forget(sim);
	return rc;
}

/* Undo the registration, if there is one. Only the work item, or after it. */
void sim_unregister(struct sim *sim)
{
	int rc;

	if (!sim->registration)
		return;
	guard(mutex)(&registering);
	rc = unregister_from_core(sim);
	/* A core that said yes to a second provider may say no now. */
	if (rc && current_sim == sim)
		pr_err("the core does not let go of %s (%d)\n",
		       sim->registration->offer.name, rc);
	forget(sim);
}

static bool same_offer(const struct sim_offer *a, const struct sim_offer *b)
{
	return !strcmp(a->name, b->name) && a->attrs == b->attrs &&
	       a->bin_attrs == b->bin_attrs &&
	       a->privlevel_floor == b->privlevel_floor;
}

/* Make the registration what the host wants, and tell it. */
void sim_registration_work(struct work_struct *work)
{
	struct sim *sim = container_of(work, struct sim, registering);
	bool leave, enter;
	int rc = 0;

	scoped_guard(mutex, &sim->lock) {
		leave = sim->leave;
		enter = sim->enter;
		/* A core copies nothing: what it was told must not change under it. */
		if (enter && sim->registration &&
		    !same_offer(&sim->registration->offer, &sim->offer))
			leave = true;
		sim->leave = false;
		sim->enter = false;
	}
	if (leave)
		sim_unregister(sim);
	if (enter && !sim->registration)
		rc = do_register(sim);

	guard(mutex)(&sim->lock);
	if (sim->session && (enter || leave))
		sim_send_u32(sim, TSMW_REGISTERED, sim->session,
			     enter ? -rc : ENXIO);
}

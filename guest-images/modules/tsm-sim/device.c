// SPDX-License-Identifier: GPL-2.0-only
/* /dev/tsm_sim: one provider for each open file. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "api.h"
#include "sim.h"

/* Limits the time of one write(). */
#define WRITE_MAX	SZ_1M

static void free_sim(struct tsm_sim *sim)
{
	tsm_sim_queue_purge(&sim->queue);
	kfree(sim->reading);
	kvfree(sim->rx.payload);
	kfree(sim);
}

static struct tsm_sim *alloc_sim(struct device *parent)
{
	struct tsm_sim *sim = kzalloc(sizeof(*sim), GFP_KERNEL);

	if (!sim)
		return NULL;
	sim->parent = parent;
	mutex_init(&sim->lock);
	mutex_init(&sim->read_mutex);
	mutex_init(&sim->write_mutex);
	tsm_sim_queue_init(&sim->queue);
	INIT_WORK(&sim->registration_work, tsm_sim_do_registration_work);
	INIT_LIST_HEAD(&sim->list);
	init_waitqueue_head(&sim->session_ended);
	sim->rx.deliver = tsm_sim_handle_frame;
	sim->rx.payload = kvmalloc(TSMW_MAX_PAYLOAD, GFP_KERNEL);
	if (!sim->rx.payload) {
		kfree(sim);
		return NULL;
	}
	return sim;
}

static int sim_open(struct inode *inode, struct file *file)
{
	struct miscdevice *device = file->private_data;
	struct tsm_sim *sim = alloc_sim(device->this_device);
	int rc;

	if (!sim)
		return -ENOMEM;
	rc = tsm_sim_start_session(sim);
	if (rc) {
		free_sim(sim);
		return rc;
	}
	file->private_data = sim;
	return stream_open(inode, file);
}

/*
 * The host is gone. Unregistration waits for report_new; therefore requests are
 * failed first, and without a session new ones fail too.
 */
static int sim_release(struct inode *inode, struct file *file)
{
	struct tsm_sim *sim = file->private_data;

	scoped_guard(mutex, &sim->lock) {
		sim->session = 0;
		sim->must_register = false;
		tsm_sim_fail_requests(sim, -ENXIO);
	}
	flush_work(&sim->registration_work);
	tsm_sim_end_registration(sim);
	free_sim(sim);
	return 0;
}

/* Wait until a frame, or the rest of one, can be read. */
static int wait_for_frame(struct tsm_sim *sim, bool nonblock)
{
	int rc;

	lockdep_assert_held(&sim->read_mutex);
	while (!sim->reading) {
		WRITE_ONCE(sim->reading, tsm_sim_queue_pop(&sim->queue));
		sim->read_bytes = 0;
		if (sim->reading)
			break;
		if (nonblock)
			return -EAGAIN;
		rc = wait_event_interruptible(sim->queue.readable,
					      !tsm_sim_queue_empty(&sim->queue));
		if (rc)
			return rc;
	}
	return 0;
}

static ssize_t copy_frame(struct tsm_sim *sim, char __user *buf, size_t count)
{
	struct tsm_sim_frame *frame = sim->reading;
	size_t n = min(count, frame->size - sim->read_bytes);

	lockdep_assert_held(&sim->read_mutex);
	if (copy_to_user(buf, frame->data + sim->read_bytes, n))
		return -EFAULT;
	sim->read_bytes += n;
	if (sim->read_bytes == frame->size) {
		WRITE_ONCE(sim->reading, NULL);
		kfree(frame);
	}
	return n;
}

static ssize_t sim_read(struct file *file, char __user *buf, size_t count,
			loff_t *pos)
{
	struct tsm_sim *sim = file->private_data;
	ssize_t rc;

	if (!count)
		return 0;
	if (mutex_lock_interruptible(&sim->read_mutex))
		return -ERESTARTSYS;
	rc = wait_for_frame(sim, file->f_flags & O_NONBLOCK);
	if (!rc)
		rc = copy_frame(sim, buf, count);
	mutex_unlock(&sim->read_mutex);
	return rc;
}

static ssize_t sim_write(struct file *file, const char __user *buf,
			 size_t count, loff_t *pos)
{
	struct tsm_sim *sim = file->private_data;
	ssize_t rc;

	if (mutex_lock_interruptible(&sim->write_mutex))
		return -ERESTARTSYS;
	rc = tsm_sim_receive(&sim->rx, buf, min_t(size_t, count, WRITE_MAX));
	mutex_unlock(&sim->write_mutex);
	return rc;
}

static __poll_t sim_poll(struct file *file, poll_table *wait)
{
	struct tsm_sim *sim = file->private_data;
	__poll_t events = EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &sim->queue.readable, wait);
	if (READ_ONCE(sim->reading) || !tsm_sim_queue_empty(&sim->queue))
		events |= EPOLLIN | EPOLLRDNORM;
	return events;
}

static const struct file_operations sim_fops = {
	.owner = THIS_MODULE,
	.open = sim_open,
	.release = sim_release,
	.read = sim_read,
	.write = sim_write,
	.poll = sim_poll,
};

static struct attribute *command_attrs[] = {
	&tsm_sim_mark_attr.attr,
	&tsm_sim_control_attr.attr,
	NULL
};

static const struct attribute_group command_group = {
	.attrs = command_attrs,
};

static const struct attribute_group *sim_groups[] = {
	&tsm_sim_counter_group,
	&command_group,
	NULL
};

static struct miscdevice sim_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tsm_sim",
	.mode = 0600,
	.fops = &sim_fops,
	.groups = sim_groups,
};

static int __init tsm_sim_init(void)
{
	return tsm_sim_max_total_init(tsm_sim_api.max_total) ?:
	       misc_register(&sim_device);
}
module_init(tsm_sim_init);

static void __exit tsm_sim_exit(void)
{
	misc_deregister(&sim_device);
}
module_exit(tsm_sim_exit);

MODULE_DESCRIPTION("TSM provider whose reports a user-space program makes");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0-only
/* /dev/tsm_sim, and the life of what is behind each open file. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "sim.h"

/* Of one write(); so that one call cannot take for ever. */
#define WRITE_MAX	SZ_1M

static void sim_free(struct sim *sim)
{
	sim_queue_purge(sim);
	kfree(sim->sending);
	kvfree(sim->rx.payload);
	kfree(sim);
}

static struct sim *sim_alloc(void)
{
	struct sim *sim = kzalloc(sizeof(*sim), GFP_KERNEL);

	if (!sim)
		return NULL;
	mutex_init(&sim->lock);
	mutex_init(&sim->read_mutex);
	mutex_init(&sim->write_mutex);
	spin_lock_init(&sim->queue_lock);
	INIT_LIST_HEAD(&sim->queue);
	INIT_WORK(&sim->registering, sim_registration_work);
	init_waitqueue_head(&sim->lost);
	init_waitqueue_head(&sim->readable);
	sim->rx.payload = kvmalloc(TSMW_MAX_PAYLOAD, GFP_KERNEL);
	if (!sim->rx.payload) {
		kfree(sim);
		return NULL;
	}
	return sim;
}

static int sim_open(struct inode *inode, struct file *file)
{
	struct sim *sim = sim_alloc();
	int rc;

	if (!sim)
		return -ENOMEM;
	rc = sim_say_hello(sim);
	if (rc) {
		sim_free(sim);
		return rc;
	}
	file->private_data = sim;
	return stream_open(inode, file);
}

/*
 * The host is gone. Requests are failed first, and no new one is taken:
 * unregistration waits for report_new.
 */
static int sim_release(struct inode *inode, struct file *file)
{
	struct sim *sim = file->private_data;

	scoped_guard(mutex, &sim->lock) {
		sim->session = 0;
		sim->enter = false;
		sim_fail_all(sim, -ENXIO);
	}
	flush_work(&sim->registering);
	sim_unregister(sim);
	sim_free(sim);
	return 0;
}

static bool can_read(struct sim *sim)
{
	return READ_ONCE(sim->sending) || !sim_queue_empty(sim);
}

/* Copy more of the frame being read; under read_mutex. */
static ssize_t read_some(struct sim *sim, char __user *buf, size_t count)
{
	struct sim_frame *frame = sim->sending;
	size_t n = min(count, frame->size - sim->sent);

	if (copy_to_user(buf, frame->data + sim->sent, n))
		return -EFAULT;
	sim->sent += n;
	if (sim->sent == frame->size) {
		WRITE_ONCE(sim->sending, NULL);
		kfree(frame);
	}
	return n;
}

static ssize_t sim_read(struct file *file, char __user *buf, size_t count,
			loff_t *pos)
{
	struct sim *sim = file->private_data;
	ssize_t rc;

	if (!count)
		return 0;
	if (mutex_lock_interruptible(&sim->read_mutex))
		return -ERESTARTSYS;
	while (!sim->sending) {
		WRITE_ONCE(sim->sending, sim_queue_pop(sim));
		sim->sent = 0;
		if (sim->sending)
			break;
		rc = -EAGAIN;
		if (file->f_flags & O_NONBLOCK)
			goto out;
		rc = wait_event_interruptible(sim->readable,
					      !sim_queue_empty(sim));
		if (rc)
			goto out;
	}
	rc = read_some(sim, buf, count);
out:
	mutex_unlock(&sim->read_mutex);
	return rc;
}

static ssize_t sim_write(struct file *file, const char __user *buf,
			 size_t count, loff_t *pos)
{
	struct sim *sim = file->private_data;
	ssize_t rc;

	if (mutex_lock_interruptible(&sim->write_mutex))
		return -ERESTARTSYS;
	rc = sim_receive(sim, buf, min_t(size_t, count, WRITE_MAX));
	mutex_unlock(&sim->write_mutex);
	return rc;
}

static __poll_t sim_poll(struct file *file, poll_table *wait)
{
	struct sim *sim = file->private_data;
	__poll_t events = EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &sim->readable, wait);
	if (can_read(sim))
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

static struct miscdevice sim_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tsm_sim",
	.mode = 0600,
	.fops = &sim_fops,
	.groups = sim_counter_groups,
};

/* Parent of what a core creates for a provider. */
struct device *sim_parent(void)
{
	return sim_device.this_device;
}

static int __init tsm_sim_init(void)
{
	return sim_max_total_init() ?: misc_register(&sim_device);
}
module_init(tsm_sim_init);

static void __exit tsm_sim_exit(void)
{
	misc_deregister(&sim_device);
}
module_exit(tsm_sim_exit);

MODULE_DESCRIPTION("TSM provider whose reports are made in user space");
MODULE_LICENSE("GPL");

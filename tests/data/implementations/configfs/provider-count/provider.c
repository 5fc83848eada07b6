// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: users of the provider are counted; unregistering waits, in an idle
 * sleep, until the last one has finished. Each entry has a mutex.
 *
 * Freedoms: while mkdir runs it is a user, so that the provider itself can be
 * asked which files to make; EEXIST for a second provider; EINVAL before the
 * first nonce; readers wait and can be killed; a level outside the range is
 * EINVAL.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "report.h"

static DEFINE_SPINLOCK(provider_lock);
static DECLARE_WAIT_QUEUE_HEAD(last_user_gone);
static const struct tsm_report_ops *provider;
static void *provider_data;
static bool leaving;
static unsigned int users;
static unsigned int entries;

const struct tsm_report_ops *report_provider_get(void **data)
{
	const struct tsm_report_ops *ops = NULL;

	spin_lock(&provider_lock);
	if (provider && !leaving) {
		users++;
		ops = provider;
		if (data)
			*data = provider_data;
	}
	spin_unlock(&provider_lock);
	return ops;
}

void report_provider_put(void)
{
	spin_lock(&provider_lock);
	if (!--users)
		wake_up_all(&last_user_gone);
	spin_unlock(&provider_lock);
}

/* The caller is a user. */
void report_provider_add_entry(void)
{
	spin_lock(&provider_lock);
	entries++;
	spin_unlock(&provider_lock);
}

void report_provider_remove_entry(void)
{
	spin_lock(&provider_lock);
	entries--;
	spin_unlock(&provider_lock);
}

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	int rc = 0;

	spin_lock(&provider_lock);
	if (provider) {
		rc = -EEXIST;
	} else if (entries) {
		rc = -EBUSY;
	} else {
		provider = ops;
		provider_data = priv;
	}
	spin_unlock(&provider_lock);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

static bool unused(void)
{
	bool is_unused;

	spin_lock(&provider_lock);
	is_unused = !users;
	if (is_unused) {
		provider = NULL;
		leaving = false;
	}
	spin_unlock(&provider_lock);
	return is_unused;
}

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	spin_lock(&provider_lock);
	if (!ops || provider != ops || leaving) {
		spin_unlock(&provider_lock);
		return -ENOENT;
	}
	leaving = true;		/* no further users */
	spin_unlock(&provider_lock);
	wait_event_idle(last_user_gone, unused());
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The provider that is registered, for callbacks without an argument that names
 * it. There is only one: of several, the first until it has gone. Callbacks read
 * it without a lock, because they run only while it is set.
 */
#include <linux/bits.h>
#include <linux/compiler.h>

#include "api.h"

static const struct tsm_sim_registration *registered;

/* Callers of this and of tsm_sim_provider_clear() hold registration_mutex. */
void tsm_sim_provider_set(const struct tsm_sim_registration *registration)
{
	if (!registered)
		WRITE_ONCE(registered, registration);
}

/* True when @registration was the one that is set. */
bool tsm_sim_provider_clear(const struct tsm_sim_registration *registration)
{
	if (registered != registration)
		return false;
	WRITE_ONCE(registered, NULL);
	return true;
}

struct tsm_sim *tsm_sim_provider(void)
{
	return READ_ONCE(registered)->sim;
}

/* @n: index of enum tsm_attr_index */
bool tsm_sim_attr_visible(int n)
{
	return READ_ONCE(registered)->info.attrs & BIT(n);
}

/* @n: index of enum tsm_bin_attr_index */
bool tsm_sim_bin_attr_visible(int n)
{
	return READ_ONCE(registered)->info.bin_attrs & BIT(n);
}

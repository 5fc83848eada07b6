/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an api_*.c provides, and what only it uses. There is one for each version
 * of linux/tsm.h; Kbuild chooses it by what the header declares. No other file
 * includes linux/tsm.h.
 */
#ifndef TSM_SIM_API_H
#define TSM_SIM_API_H

#include <linux/bits.h>
#include <linux/types.h>

#include "sim.h"

/* Bit of tsm_sim_info.attrs: TSM_REPORT_PRIVLEVEL of enum tsm_attr_index. */
#define TSM_SIM_ATTR_PRIVLEVEL	BIT(2)

/**
 * struct tsm_sim_registration - one registration; an API embeds it
 * @sim: the provider
 * @info: copy of its description, which does not change while registered
 */
struct tsm_sim_registration {
	struct tsm_sim *sim;
	struct tsm_sim_info info;
};

/**
 * struct tsm_sim_api - one version of the interface to an implementation
 * @id: number of this version, which HELLO tells the host; no two have the same
 * @max_total: sum of the largest blobs that an implementation accepts, each
 *	plus one byte, so that a host can exceed the limit
 * @registration_size: of the structure that embeds a tsm_sim_registration
 * @init_ops: fill what the implementation is given, from the description
 * @register_provider: register it with the implementation
 * @unregister_provider: when it returns, no report_new runs or will run
 */
struct tsm_sim_api {
	u32 id;
	u32 max_total;
	size_t registration_size;
	void (*init_ops)(struct tsm_sim_registration *registration);
	int (*register_provider)(struct tsm_sim_registration *registration);
	int (*unregister_provider)(struct tsm_sim_registration *registration);
};

extern const struct tsm_sim_api tsm_sim_api;

/* provider.c */
void tsm_sim_provider_set(const struct tsm_sim_registration *registration);
bool tsm_sim_provider_clear(const struct tsm_sim_registration *registration);
struct tsm_sim *tsm_sim_provider(void);
bool tsm_sim_attr_visible(int n);
bool tsm_sim_bin_attr_visible(int n);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differences between the cores a provider can register with:
 *
 *   sysfs class   register_tsm(ops, parent, groups), report_new gives a buffer
 *   6.7 to 6.10   tsm_register(ops, priv, type)
 *   6.11 to 6.15  tsm_register(ops, priv); visibility callbacks, manifestblob,
 *                 service_* options
 *   6.16 on       tsm_report_register(ops, priv); "report" in every name
 *
 * tsm_register() means something else again from 6.19 on, so the newest names
 * are looked for first.
 */
#ifndef TSM_SIM_COMPAT_H
#define TSM_SIM_COMPAT_H

#include <linux/sizes.h>
#include <linux/tsm.h>
#include <linux/version.h>

#include "tsmw.h"

#if defined(TSM_SIM_CLASS)

#define SIM_API			TSMW_API_CLASS
typedef struct tsm_ops core_ops;
typedef struct tsm_desc core_desc;

#elif defined(TSM_REPORT_INBLOB_MAX)

#define SIM_API			TSMW_API_TSM_REPORT
#define SIM_HAS_SERVICES
#define SIM_OUTBLOB_MAX		TSM_REPORT_OUTBLOB_MAX
typedef struct tsm_report_ops core_ops;
typedef struct tsm_report_desc core_desc;
#define core_register(ops, priv, extra)	tsm_report_register(ops, priv)
#define core_unregister(ops)		tsm_report_unregister(ops)

#elif defined(TSM_SIM_API_6_7) || \
	(!defined(TSM_SIM_API_6_11) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0))

#define SIM_API			TSMW_API_TSM_6_7
typedef struct tsm_ops core_ops;
typedef struct tsm_desc core_desc;
#define core_register(ops, priv, extra)					\
	tsm_register(ops, priv, (extra) ? &tsm_report_extra_type	\
					: &tsm_report_default_type)
#define core_unregister(ops)		tsm_unregister(ops)

#else

#define SIM_API			TSMW_API_TSM_6_11
#define SIM_HAS_SERVICES
typedef struct tsm_ops core_ops;
typedef struct tsm_desc core_desc;
#define core_register(ops, priv, extra)	tsm_register(ops, priv)
#define core_unregister(ops)		tsm_unregister(ops)

#endif

/* Largest blob the core hands to its readers, and how many blobs it knows. */
#ifndef SIM_OUTBLOB_MAX
#ifdef TSM_OUTBLOB_MAX
#define SIM_OUTBLOB_MAX		TSM_OUTBLOB_MAX
#else
#define SIM_OUTBLOB_MAX		SZ_32K
#endif
#endif

#ifdef TSM_SIM_CLASS
#define SIM_BLOBS		1
#else
#define SIM_BLOBS		3
#endif

struct sim;
struct sim_reply;

/* ask.c */
int sim_ask(struct sim *sim, const core_desc *desc, struct sim_reply *reply);

#endif

/* SPDX-License-Identifier: MIT */
/* A batch of operations: a RUN request, which tsmw.h describes. */
#ifndef OPS_H
#define OPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsmw.h"

/* The largest data of one operation, which may be alone in its batch. */
#define OPS_DATA_MAX	(TSMW_MAX_PAYLOAD - sizeof(struct tsma_run_reply) - \
			 sizeof(struct tsma_result))

bool ops_valid(const uint8_t *request, size_t len);
size_t ops_run(const uint8_t *request, uint8_t *reply, atomic_uint *op_index, uint32_t owner);

#endif

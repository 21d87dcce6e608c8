/* SPDX-License-Identifier: MIT */
/*
 * Does a plan fit this user, this limit and this memory? Forecast from small measurements, then
 * really done, in a child.
 */
#ifndef BUFSCOPE_LIMITS_PREFLIGHT_H
#define BUFSCOPE_LIMITS_PREFLIGHT_H

#include "limits.h"
#include "limits_plan.h"

enum limits_part { PART_NONE, PART_RING, PART_GROUP, PART_BUFFERS };

struct limits_forecast {
	bool memlock_applies;
	uint64_t memlock_need; /* bytes that the plan is charged with */
	uint64_t memlock_used; /* by this user, before */
	uint64_t memlock_limit;
	uint64_t memory_need;
	uint64_t memory_free;
	uint64_t register_ns; /* for all of it, memory touched before; 0: not known */
	int err;              /* by which the kernel refuses even one ring of it, memlock aside */
	enum limits_part err_part;
	bool fits;
};

struct limits_outcome {
	bool tried;
	bool shared_pages; /* buffers lay over each other: there was not memory enough allowed */
	int err;           /* 0: all of it was registered */
	enum limits_part part;
	uint32_t ring; /* the one that was refused something, from 0 */
	uint64_t register_ns;
};

struct limits_preflight {
	struct limits_plan plan;
	uint64_t max_bytes;
	struct limits_forecast forecast;
	struct limits_outcome outcome;
	bool has_largest;
	struct limits_plan largest; /* of this shape that fits: fewer buffers, else fewer rings */
};

/* Forecasts, does and bounds the plan. 0 or -errno when a child could not be had or died. */
int limits_preflight(const struct limits_plan *plan, const struct limits_opts *opts,
		     struct limits_preflight *preflight);

#endif

// SPDX-License-Identifier: MIT
/* What does it take, typically? The median of repeats on a machine that others use, too. */
#include <stdlib.h>

#include "clock.h"
#include "limits_kernel.h"
#include "limits_measure.h"

#define MAX_REPEATS 201

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t limits_median(uint64_t *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), compare_u64);
	return values[nr / 2];
}

struct limits_spread limits_spread(uint64_t *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), compare_u64);
	return (struct limits_spread){values[nr / 4], values[nr / 2], values[nr - 1 - nr / 4]};
}

enum limits_verdict limits_spread_in(const struct limits_spread *spread, uint64_t first,
				     uint64_t last)
{
	if (spread->low >= first && spread->high <= last)
		return LIMITS_HOLDS;
	if (spread->high < first || spread->low > last)
		return LIMITS_HOLDS_NOT;
	return LIMITS_CANNOT_TELL;
}

/* Few repeats of what is slow: a curve's points share its time, the last ones need most. */
static int measure_point(const struct limits_trial *trial, enum limits_level level,
			 struct limits_point *point)
{
	static const size_t repeats[] = {9, 51, MAX_REPEATS};
	static const uint64_t most_ns[] = {5000000, 50000000, 400000000};
	uint64_t up[MAX_REPEATS], down[MAX_REPEATS];
	uint64_t deadline = clock_ns(CLOCK_MONOTONIC) + most_ns[level];
	size_t nr = 0;

	do {
		uint64_t t0, t1;
		int err;

		if (trial->prepare)
			trial->prepare(trial->ctx, point->at);
		t0 = clock_ns(CLOCK_MONOTONIC);
		err = trial->put_up(trial->ctx, point->at);
		t1 = clock_ns(CLOCK_MONOTONIC);
		if (!err)
			err = trial->take_down(trial->ctx);
		if (err)
			return err;
		up[nr] = t1 - t0;
		down[nr] = clock_ns(CLOCK_MONOTONIC) - t1;
		nr++;
	} while (nr < repeats[level] && (nr < 3 || clock_ns(CLOCK_MONOTONIC) < deadline));
	point->y[0] = limits_median(up, nr);
	point->y[1] = limits_median(down, nr);
	return 0;
}

void limits_measure_curve(const struct limits_trial *trial, enum limits_level level,
			  struct limits_answer *answer)
{
	unsigned int shift = level == LIMITS_QUICK ? 3 : 1;
	int err = 0;

	for (uint64_t at = trial->first; at <= trial->last; at <<= shift) {
		struct limits_point *point = &answer->points[answer->nr_points];

		if (answer->nr_points == LIMITS_MAX_POINTS)
			break;
		point->at = at;
		err = measure_point(trial, level, point);
		if (err)
			break;
		answer->nr_points++;
	}
	answer->errno_past = -err;
	answer->how = answer->nr_points > 0 ? LIMITS_MEASURED : LIMITS_ABSENT;
}

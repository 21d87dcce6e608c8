/* SPDX-License-Identifier: MIT */
/* Figures out of repeated trials: medians, and curves of them. Knows no io_uring. */
#ifndef BUFSCOPE_LIMITS_MEASURE_H
#define BUFSCOPE_LIMITS_MEASURE_H

#include "limits.h"

/* Something that can be put up and taken down again; 0 or -errno. */
struct limits_trial {
	int (*put_up)(void *ctx, uint64_t at);
	int (*take_down)(void *ctx);
	void (*prepare)(void *ctx, uint64_t at); /* before each put_up, not timed; or NULL */
	void *ctx;
	uint64_t first; /* the curve begins at ... */
	uint64_t last;  /* and ends at the first refusal, or here */
};

/*
 * Medians in ns of put_up (y[0]) and take_down (y[1]) at ascending powers of two: more points and
 * more repeats at a higher level. A refusal ends the curve and is its errno_past.
 */
void limits_measure_curve(const struct limits_trial *trial, enum limits_level level,
			  struct limits_answer *answer);

/* Sorts the values. nr > 0. */
uint64_t limits_median(uint64_t *values, size_t nr);

/* The middle half of what was measured: beyond it two figures are told apart, within it not. */
struct limits_spread {
	uint64_t low; /* lower quartile */
	uint64_t middle;
	uint64_t high;
};

/* Sorts the values. nr > 0. */
struct limits_spread limits_spread(uint64_t *values, size_t nr);

/* HOLDS if all of the spread lies in first ... last, HOLDS_NOT if none does, else CANNOT_TELL. */
enum limits_verdict limits_spread_in(const struct limits_spread *spread, uint64_t first,
				     uint64_t last);

#endif

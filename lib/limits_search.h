/* SPDX-License-Identifier: MIT */
/*
 * Finding an edge by trying: the largest value that is accepted, what the next one is answered,
 * and who is to blame for that. Knows no io_uring: a trial is a function.
 */
#ifndef BUFSCOPE_LIMITS_SEARCH_H
#define BUFSCOPE_LIMITS_SEARCH_H

#include "limits.h"

struct limits_search {
	/* 0 or -errno; must leave nothing behind. Accepted values must lie below refused ones. */
	int (*try_value)(void *ctx, uint64_t value);
	void *ctx;
	uint64_t first;            /* smallest value to try */
	uint64_t last;             /* largest; less than UINT64_MAX */
	enum limits_bound last_by; /* why nothing larger is tried */
	bool powers;               /* only first * 2^n can be tried */
	bool top_first;            /* try the last before all others: cheap, and likely accepted */
	uint64_t guess;            /* the likely edge, or one less: tried first; 0: none */
	bool steady;               /* nothing that is gone can be charged yet: ENOMEM is final */
};

struct limits_edge {
	bool any;       /* some value was accepted */
	uint64_t value; /* the largest of them */
	int err;        /* -errno past it; 0: the last value was accepted */
};

/*
 * Doubles from first until refused, then bisects. A refusal with ENOMEM is tried again after a
 * while, for it may be due to rings that are closed but not freed yet.
 */
struct limits_edge limits_search(const struct limits_search *search);

/*
 * Who refused past the edge. ENOMEM has two causes: if the edge itself is refused once
 * RLIMIT_MEMLOCK is lowered, that limit is what counts. The limit is restored.
 */
enum limits_bound limits_blame(const struct limits_search *search, const struct limits_edge *edge);

/* An edge and whom it is blamed on, put into an answer. */
void limits_answer_found(const struct limits_search *search, const struct limits_edge *edge,
			 struct limits_answer *answer);

/* All three. */
void limits_answer_edge(const struct limits_search *search, struct limits_answer *answer);

#endif

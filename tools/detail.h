/* SPDX-License-Identifier: MIT */
/*
 * What is known of one group beyond its model: each buffer, how long buffers were held, who holds
 * them, what happened last, what the doctor says. Of the present only: a recording has none of it.
 */
#ifndef BUFSCOPE_DETAIL_H
#define BUFSCOPE_DETAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/model.h"
#include "exam.h"

#define DETAIL_HOLDERS  64
#define DETAIL_EVENTS   64
#define DETAIL_FINDINGS 8

/* Whose requests take buffers. */
struct holder {
	int32_t fd; /* -1: not known */
	bool is_fixed;
	uint8_t opcode;     /* 0: not known */
	uint64_t user_data; /* of the last request; all there is if nothing else is known */
	uint32_t held;
	uint64_t selected, starved; /* COUNT_UNKNOWN: not watched in full */
};

struct detail {
	/* Whose it is; ordinal 0: of none. */
	uint32_t ordinal, bgid;
	uint64_t at_ns;
	uint64_t stuck_ns;

	bool has_origin; /* else it was registered before anybody watched */
	struct observe_origin origin;

	bool has_counts; /* else only light watching: the next two blocks mean nothing */
	struct observe_detail counts;
	uint64_t alignment; /* of the addresses in the ring: a power of two; 0: not read */

	bool is_full; /* events are followed: the next blocks mean something */
	struct holder holders[DETAIL_HOLDERS]; /* who holds most first */
	size_t nr_holders, more_holders;
	struct trace_rec events[DETAIL_EVENTS]; /* the last of each buffer, and of each file that
						   has ended; starves in a row are one, nr of them;
						   newest first */
	size_t nr_events;
	struct finding findings[DETAIL_FINDINGS];
	size_t nr_findings;
	uint64_t lost;  /* records */
	uint64_t unfit; /* groups for which the books have no room */
};

/* Where it comes from. */
struct detail_source {
	struct observe *observe; /* NULL: there is no kernel */
	const struct exam *exam;
	uint64_t at_ns;
	uint64_t stuck_ns;
};

/*
 * Of this group, which must be in the last sample; NULL clears it. 0 or -ENOMEM. *detail is zeroed
 * before the first call and released by detail_done().
 */
int detail_collect(struct detail *detail, const struct detail_source *source,
		   const struct model_group *group);
void detail_done(struct detail *detail);

/* How a buffer is doing. */
enum buffer_place {
	PLACE_UNKNOWN, /* never seen */
	PLACE_IN_RING,
	PLACE_REQUEST, /* taken, and not completed yet; not told of groups that serve bundles */
	PLACE_HELD,
	PLACE_STUCK, /* held for too long */
	PLACES
};

enum buffer_place detail_place(const struct detail *detail, uint32_t bid);

/* For a map that is too small for each buffer: the worst of `nr` buffers from `first` on. */
enum buffer_place detail_worst(const struct detail *detail, uint32_t first, uint32_t nr);

#endif

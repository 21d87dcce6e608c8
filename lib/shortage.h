/* SPDX-License-Identifier: MIT */
/*
 * Why a group had no buffer, each starve under one cause, and how many buffers would have
 * sufficed: what happened is replayed against other sizes. Pure.
 */
#ifndef BUFSCOPE_SHORTAGE_H
#define BUFSCOPE_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "casebook.h"

/* Held buffers that will not come back, by why one may think so. */
struct losses {
	uint64_t by_fate[FATE_ALL + 1];
	uint64_t all;
};

/* Of those that are out since before_ns. */
void losses_of(const struct case_group *group, uint64_t before_ns, struct losses *losses);

/* Under what circumstances a group was empty. */
enum shortage_context {
	SHORT_OF_LOST, /* most buffers had been lost */
	SHORT_OF_FILL, /* most slots had never had one */
	SHORT_BY_ONE,  /* one file had nearly all */
	SHORT_BY_SLOW, /* most had been out for long */
	SHORT_BY_SIZE, /* a burst of more than there are */
	SHORT_UNKNOWN, /* some were out since before the books begin */
	SHORT_CONTEXTS
};

struct shortage {
	uint64_t starves;
	uint64_t causes[STARVE_CAUSES];    /* add up to `starves` */
	uint64_t contexts[SHORT_CONTEXTS]; /* add up to those that found it empty */
	uint32_t episodes[SHORT_CONTEXTS]; /* starves without a return in between are one */
	const struct book_episode *worst[SHORT_CONTEXTS]; /* NULL: none */
};

void shortage_of(const struct case_group *group, struct shortage *shortage);

const char *shortage_cause_key(enum starve_cause cause); /* for JSON: "no_group" ... */
const char *shortage_cause_text(enum starve_cause cause);
const char *shortage_context_key(enum shortage_context context);
const char *shortage_context_text(enum shortage_context context);

/* ---- other sizes */

#define SIZING_TRIES   16
#define SIZING_WINDOW  100000000ULL /* ns in which arrivals are counted */
#define SIZING_LARGEST 32768U

struct sizing {
	uint32_t now;    /* buffers that the group had */
	uint64_t seen;   /* starves for want of one, each file's vain repeats left out */
	uint64_t again;  /* the same in the replay at this size: tells how far to trust it */
	uint32_t wanted; /* buffers out at once, had there been enough; a lower bound */
	uint32_t spare;  /* and in the group all the same: a multishot request that got the last
			  buffer asks for another one before it looks for data */
	struct {
		uint32_t buffers;
		uint64_t starves;
	} tries[SIZING_TRIES]; /* ascending powers of two, up to the first that suffices */
	uint32_t nr_tries;
	uint32_t at_starve; /* out when a request starved ... */
	uint32_t after_it;  /* ... and taken within hold_p50_ns after that: what was waiting */
	uint64_t arrivals;  /* takes and starves in the busiest SIZING_WINDOW */
	uint64_t hold_p50_ns, hold_p99_ns;
	uint32_t by_rate;   /* arrivals while one is held (p99) */
	uint32_t entries;   /* that would have held: a power of two; 0: none up to SIZING_LARGEST */
	uint32_t buf_bytes; /* 0: not known */
	uint32_t fit_bytes; /* 99 of 100 results are shorter; a power of two, 0: not known */
	uint32_t full_percent; /* of results that fill a buffer or more */
};

/* 0, -ENOENT: what was seen does not tell, or -ENOMEM. */
int sizing_of(const struct case_group *group, struct sizing *sizing);

/* Starves if the group had had `buffers`; UINT64_MAX: cannot be told. */
uint64_t shortage_replay(const struct case_group *group, uint32_t buffers);

#endif

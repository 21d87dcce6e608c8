/* SPDX-License-Identifier: MIT */
/*
 * Is what a program wrote into a buffer ring sane? Judges copies of its slots, read one after
 * another; pure.
 */
#ifndef BUFSCOPE_LINT_H
#define BUFSCOPE_LINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sample.h"

enum lint_kind {
	LINT_ZERO_LENGTH,
	LINT_BAD_ADDRESS, /* not in memory that can be written */
	LINT_DUPLICATE,   /* one bid twice */
	LINT_SHARED,      /* two bids, one memory */
	LINT_OVERFILLED,  /* more buffers than slots */
	LINT_UNPUBLISHED, /* written behind the tail, since the registration */
	LINT_SHRUNK,      /* shorter than before */
	LINT_OVER_RING,   /* a buffer lies over the ring itself */
	LINT_OVER_QUEUE,  /* a buffer or the ring lies over an SQ, a CQ or a mapped ring */
	LINT_UNMAPPED,    /* the ring's memory is gone */
	LINT_NOWHERE,     /* the ring lies in the kernel, and the program has no mapping of it */
	LINT_KINDS
};

#define LINT_BEHIND      16 /* slots behind the tail that are compared from look to look */
#define LINT_RING_ITSELF 1  /* over a queue: no entry, the ring does; the value of `other` */

/* Memory of a process that can be written, ascending. */
struct lint_range {
	uint64_t start, end;
};

struct lint_view {
	const struct ring_slot *slots;
	uint32_t entries;
	uint16_t head, tail; /* slots between them are stable */
	bool is_incremental;
	bool is_blank; /* nothing was ever published in it, nor lay there when it was registered */
	bool is_nowhere;    /* the kernel has the ring's memory, the program no mapping of it */
	uint64_t ring_addr; /* 0: not known */
	const struct lint_range *ranges;
	size_t nr_ranges;                /* 0: not known */
	const struct lint_range *queues; /* that are io_uring's own, ascending */
	size_t nr_queues;
};

struct lint_finding {
	uint32_t count; /* most at one look */
	uint32_t looks; /* in a row that found it */
	uint32_t most;  /* of these */
	uint32_t bid;   /* an example */
	uint32_t other; /* the bid it collides with, or the length it had */
	uint64_t addr;
	uint32_t len;
};

struct lint_memory {
	uint64_t addr;
	uint32_t len; /* 0: not seen */
	bool has_moved;
};

struct lint {
	struct lint_finding found[LINT_KINDS];
	struct lint_memory *memory; /* by bid, as first seen */
	uint32_t nr_memory;
	uint64_t looks;
	uint32_t buf_bytes;                   /* largest length seen */
	uint32_t available;                   /* at the last look */
	struct ring_slot behind[LINT_BEHIND]; /* from the tail on, at the last look */
	struct ring_slot first;               /* the slot at the head, if there is one */
	uint16_t tail;
	bool has_behind, has_first;
	uint32_t lying;     /* entries that make sense, of an empty ring whose tail is at 0 */
	uint32_t nr_known;  /* bids whose memory is known */
	uint32_t nr_moved;  /* of them that came back with other memory */
	uint32_t moved_bid; /* the last that came with what had been another's */
	uint32_t moved_from;
	uint32_t alien_bid; /* the last that was new when as many as there are entries were known */
	bool has_swapped, has_alien;
};

void lint_done(struct lint *lint);

/* 0 or -ENOMEM. */
int lint_look(struct lint *lint, const struct lint_view *view);

/* Seen often enough to be no accident of reading while the program writes. */
bool lint_is_sure(const struct lint *lint, enum lint_kind kind);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * One ring with its groups: opened, worked and closed by one thread. Sends, submits, reaps; never
 * leaves a completion unaccounted.
 */
#ifndef BUFSCOPE_LOAD_RING_H
#define BUFSCOPE_LOAD_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "load.h"
#include "load_group.h"

struct load_ring {
	struct io_uring ring;
	const struct load_opts *opts;
	struct load_ring_truth *truth;
	struct load_group *groups;
	uint32_t *touched; /* groups that had a completion since the last settlement */
	uint32_t nr_touched;
	uint32_t cursor;  /* group that is served next */
	uint32_t pending; /* requests of the ring itself (cancel, fence), not of a group */
	uint64_t queued;  /* bytes on their way to all groups that can still receive */
	bool is_open;
	struct load_fault *fault;
};

/*
 * r->opts and r->fault are set, all else zero. Fills in *truth and the groups' truths, which are
 * opts->nr_groups. 0 or a fault.
 */
int load_ring_open(struct load_ring *r, struct load_ring_truth *truth,
		   struct load_group_truth *groups);

/* Arms one request in every group that can have one, and sees that it waits. 0 or a fault. */
int load_ring_arm(struct load_ring *r);

/*
 * Sends what is due, waits if anything is on its way, accounts for what arrived and returns
 * buffers. Returns what moved (0: nothing is due now) or a fault.
 */
int64_t load_ring_round(struct load_ring *r, uint64_t elapsed_ns);

bool load_ring_is_done(const struct load_ring *r);

/* When load_ring_round() has something to do again, after the start. */
uint64_t load_ring_next_ns(const struct load_ring *r);

/*
 * Comes to rest: receives what is on its way, cancels what is armed and sees it end, returns what
 * is not held. If the ring stays, to be looked at, one request is armed again in every group that
 * can have one: it waits for data and has no buffer. From now on the counters are final. 0 or a
 * fault.
 */
int load_ring_rest(struct load_ring *r, bool stays);

/* At rest: load_group_check() for all groups. 0 or the first fault. */
int load_ring_check(struct load_ring *r);

void load_ring_close(struct load_ring *r);

#endif

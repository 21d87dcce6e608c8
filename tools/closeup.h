/* SPDX-License-Identifier: MIT */
/*
 * What is known of one ring or one process beyond the model: the slots of its table of fixed
 * buffers, its part of its user's locked memory. Of the present only: a recording has none of it.
 */
#ifndef BUFSCOPE_CLOSEUP_H
#define BUFSCOPE_CLOSEUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/memlock.h"
#include "../lib/model.h"
#include "../lib/observe.h"

struct closeup {
	/* Of a ring; ordinal 0: of none. */
	uint32_t ordinal;
	struct fixed_slot *slots; /* room for MAX_FIXED_SLOTS, or NULL */
	size_t nr_slots;
	bool has_slots;

	/* Of a process; tgid 0: of none. */
	uint32_t tgid;
	bool has_rings;
	bool is_charged;            /* else its rings charge nobody, and the ledgers mean nothing */
	struct memlock_ledger own;  /* of its rings alone */
	struct memlock_ledger user; /* of all rings of its user, if the whole system is looked at */
	bool has_user;
	bool has_limit;
	uint64_t limit_bytes; /* of the process; UINT64_MAX: unlimited */

	bool has_charging; /* it was asked what this kernel charges */
	struct memlock_charging charging;
};

/* Of which ring the next sample shall tell all slots; NULL: of none. */
void closeup_ask(struct observe *observe, const struct model_ring *ring);

/* After that sample. 0 or -ENOMEM. *closeup is zeroed before the first call. */
int closeup_ring(struct closeup *closeup, const struct observe *observe,
		 const struct model_ring *ring);

/* `is_whole`: the sample is of the whole system. */
void closeup_process(struct closeup *closeup, const struct sample *sample, uint32_t tgid,
		     bool is_whole);

/* How many requests use one of `nr` slots from `first` on: of the busiest. `bytes`: registered. */
uint32_t closeup_busiest(const struct closeup *closeup, size_t first, size_t nr, uint64_t *bytes);

void closeup_done(struct closeup *closeup);

#endif

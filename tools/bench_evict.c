// SPDX-License-Identifier: MIT
/*
 * Which policy keeps the right buffers registered? Access traces are replayed over each, and over
 * the optimum that knows the future (Belady): the buffer whose next use is farthest gives way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/evict.h"
#include "bench.h"

#define NOWHERE UINT16_MAX

const char *const bench_policy_names[BENCH_POLICIES] = {
	[BS_EVICT_CLOCK] = "clock",   [BS_EVICT_NONE] = "none", [BS_EVICT_FIFO] = "fifo",
	[BS_EVICT_RANDOM] = "random", [BS_EVICT_LRU] = "lru",
};

/* ---- replays */

struct replay {
	const struct bench_trace *trace;
	uint32_t *next_use; /* by access */
	uint16_t *slot_of;  /* by bid */
	uint16_t *bid_of;   /* by slot */
	uint32_t *used_at;  /* by slot: its next use */
};

static void replay_done(struct replay *r)
{
	free(r->next_use);
	free(r->slot_of);
	free(r->bid_of);
	free(r->used_at);
}

static int replay_init(struct replay *r, const struct bench_trace *trace)
{
	*r = (struct replay){
		.trace = trace,
		.next_use = calloc(trace->nr, sizeof(*r->next_use)),
		.slot_of = calloc(trace->buffers, sizeof(*r->slot_of)),
		.bid_of = calloc(trace->buffers, sizeof(*r->bid_of)),
		.used_at = calloc(trace->buffers, sizeof(*r->used_at)),
	};
	if (r->next_use && r->slot_of && r->bid_of && r->used_at)
		return 0;
	replay_done(r);
	return -ENOMEM;
}

static void forget_slots(struct replay *r)
{
	memset(r->slot_of, 0xff, r->trace->buffers * sizeof(*r->slot_of));
}

static int replay_policy(struct replay *r, int policy, struct bench_eviction *out)
{
	struct evict *evict = evict_new((enum bs_evict)policy, out->table);
	uint64_t start;

	if (!evict)
		return -ENOMEM;
	forget_slots(r);
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (uint32_t i = 0; i < r->trace->nr; i++) {
		uint16_t bid = r->trace->bids[i];
		int slot;

		if (r->slot_of[bid] != NOWHERE) {
			evict_touch(evict, r->slot_of[bid]);
			out->policies[policy].hits++;
			continue;
		}
		slot = evict_choose(evict);
		if (slot < 0)
			continue;
		if (evict_is_filled(evict, (uint32_t)slot)) {
			r->slot_of[r->bid_of[slot]] = NOWHERE;
			out->policies[policy].evicted++;
		}
		evict_fill(evict, (uint32_t)slot);
		out->policies[policy].registered++;
		r->slot_of[bid] = (uint16_t)slot;
		r->bid_of[slot] = bid;
	}
	out->policies[policy].ns =
		(double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / r->trace->nr;
	evict_free(evict);
	return 0;
}

static int find_next_uses(struct replay *r)
{
	uint32_t *next = calloc(r->trace->buffers, sizeof(*next));

	if (!next)
		return -ENOMEM;
	memset(next, 0xff, r->trace->buffers * sizeof(*next));
	for (uint32_t i = r->trace->nr; i--;) {
		r->next_use[i] = next[r->trace->bids[i]];
		next[r->trace->bids[i]] = i;
	}
	free(next);
	return 0;
}

static uint32_t farthest(const struct replay *r, uint32_t nr)
{
	uint32_t best = 0;

	for (uint32_t slot = 1; slot < nr; slot++) {
		if (r->used_at[slot] > r->used_at[best])
			best = slot;
	}
	return best;
}

/* May leave out what would be used later than all that is there. */
static uint32_t replay_optimum(struct replay *r, uint32_t table)
{
	uint32_t hits = 0, filled = 0;

	forget_slots(r);
	for (uint32_t i = 0; i < r->trace->nr; i++) {
		uint16_t bid = r->trace->bids[i];
		uint32_t slot = r->slot_of[bid];

		if (slot != NOWHERE) {
			hits++;
			r->used_at[slot] = r->next_use[i];
			continue;
		}
		slot = filled < table ? filled++ : farthest(r, table);
		if (filled == table && r->slot_of[r->bid_of[slot]] == slot) {
			if (r->used_at[slot] <= r->next_use[i])
				continue;
			r->slot_of[r->bid_of[slot]] = NOWHERE;
		}
		r->slot_of[bid] = (uint16_t)slot;
		r->bid_of[slot] = bid;
		r->used_at[slot] = r->next_use[i];
	}
	return hits;
}

/* Smaller than the trace has buffers, or there is nothing to evict. */
size_t bench_tables(const struct bench_trace *trace, uint32_t tables[BENCH_TABLES])
{
	static const uint32_t sizes[BENCH_TABLES] = {16, 64, 256};
	size_t nr = 0;

	while (nr < BENCH_TABLES && sizes[nr] < trace->buffers) {
		tables[nr] = sizes[nr];
		nr++;
	}
	if (!nr)
		tables[nr++] = trace->buffers / 2;
	return nr;
}

int bench_evict(const struct bench_trace *trace, uint32_t table, struct bench_eviction *out)
{
	struct replay r;
	int err = replay_init(&r, trace);

	if (err)
		return err;
	*out = (struct bench_eviction){.trace = trace->name,
				       .table = table,
				       .accesses = trace->nr,
				       .buffers = trace->buffers};
	err = find_next_uses(&r);
	for (int policy = 0; policy < BENCH_POLICIES && !err; policy++)
		err = replay_policy(&r, policy, out);
	if (!err)
		out->best = replay_optimum(&r, table);
	replay_done(&r);
	return err;
}

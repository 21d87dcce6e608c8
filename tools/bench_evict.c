// SPDX-License-Identifier: MIT
/*
 * Which policy keeps the right buffers registered? Access traces are replayed over each, and over
 * the optimum that knows the future (Belady): the buffer whose next use is farthest gives way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/evict.h"
#include "bench.h"

#define ACCESSES 100000u
#define BUFFERS  1024u
#define NEVER    UINT32_MAX
#define NOWHERE  UINT16_MAX

const char *const bench_policy_names[BENCH_POLICIES] = {
	[BS_EVICT_CLOCK] = "clock",   [BS_EVICT_NONE] = "none", [BS_EVICT_FIFO] = "fifo",
	[BS_EVICT_RANDOM] = "random", [BS_EVICT_LRU] = "lru",
};

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

/* ---- traces: the bid that is used at each step */

/* A pool used first in, first out by a copy: all buffers in turn. */
static void sequential_copy(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES; i++)
		trace[i] = (uint16_t)(i % BUFFERS);
}

/* Eight workers, each in its eighth, with two buffers at a time that it uses again and again. */
static void parallel_regions(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES; i++) {
		uint32_t worker = draw(8), step = i / 64;

		trace[i] = (uint16_t)(worker * 128 + (step + draw(2)) % 128);
	}
}

/* A pool used last in, first out: a few buffers on top, now and then a burst that goes deep. */
static void many_small_files(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES;) {
		uint32_t depth = draw(100) == 0 ? BUFFERS / 2 : 1 + draw(8);

		for (uint32_t j = 0; j < depth && i < ACCESSES; j++)
			trace[i++] = (uint16_t)j;
	}
}

static uint16_t zipf_rank(void)
{
	static double sums[BUFFERS];
	double at;
	uint32_t low = 0, high = BUFFERS - 1;

	for (uint32_t i = 0; !sums[BUFFERS - 1] && i < BUFFERS; i++)
		sums[i] = (i ? sums[i - 1] : 0) + 1.0 / (i + 1);
	at = sums[BUFFERS - 1] * draw(1u << 30) / (1u << 30);
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (sums[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return (uint16_t)(low * 389 % BUFFERS); /* ranks do not lie side by side */
}

static void zipf(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES; i++)
		trace[i] = zipf_rank();
}

/* The same, with somebody who reads everything once from time to time. */
static void zipf_and_scan(uint16_t *trace)
{
	for (uint32_t i = 0; i < ACCESSES; i++)
		trace[i] = i / BUFFERS % 5 == 4 ? (uint16_t)(i % BUFFERS) : zipf_rank();
}

/* Tasks that keep their buffers move between two workers; the trace is one worker's ring. */
static void task_migration(uint16_t *trace)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < ACCESSES; i++) {
		if (i % 500 == 0)
			first = draw(BUFFERS);
		trace[i] = (uint16_t)((first + draw(48)) % BUFFERS);
	}
}

static const struct {
	const char *name;
	void (*fill)(uint16_t *trace);
} traces[] = {
	{"sequential copy", sequential_copy},   {"parallel regions", parallel_regions},
	{"many small files", many_small_files}, {"zipf", zipf},
	{"zipf and scan", zipf_and_scan},       {"task migration", task_migration},
};

static const uint32_t tables[] = {16, 64, 256};

#define NR_TRACES (sizeof(traces) / sizeof(traces[0]))
#define NR_TABLES (sizeof(tables) / sizeof(tables[0]))

/* ---- replays */

struct replay {
	uint16_t trace[ACCESSES];
	uint32_t next_use[ACCESSES];
	uint16_t slot_of[BUFFERS];
	uint16_t bid_of[BUFFERS];  /* by slot */
	uint32_t used_at[BUFFERS]; /* by slot: its next use */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int replay_policy(struct replay *r, int policy, struct bench_eviction *out)
{
	struct evict *evict = evict_new((enum bs_evict)policy, out->table);
	uint64_t start;

	if (!evict)
		return -ENOMEM;
	memset(r->slot_of, 0xff, sizeof(r->slot_of));
	start = now_ns();
	for (uint32_t i = 0; i < ACCESSES; i++) {
		uint16_t bid = r->trace[i];
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
		r->slot_of[bid] = (uint16_t)slot;
		r->bid_of[slot] = bid;
	}
	out->policies[policy].ns = (double)(now_ns() - start) / ACCESSES;
	evict_free(evict);
	return 0;
}

static void find_next_uses(struct replay *r)
{
	uint32_t next[BUFFERS];

	memset(next, 0xff, sizeof(next));
	for (uint32_t i = ACCESSES; i--;) {
		r->next_use[i] = next[r->trace[i]];
		next[r->trace[i]] = i;
	}
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

	memset(r->slot_of, 0xff, sizeof(r->slot_of));
	for (uint32_t i = 0; i < ACCESSES; i++) {
		uint16_t bid = r->trace[i];
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

size_t bench_nr_evictions(void)
{
	return NR_TRACES * NR_TABLES;
}

int bench_evict(size_t i, struct bench_eviction *out)
{
	struct replay *r = calloc(1, sizeof(*r));
	int err = 0;

	if (!r)
		return -ENOMEM;
	seed = 1;
	memset(out, 0, sizeof(*out));
	out->trace = traces[i / NR_TABLES].name;
	out->table = tables[i % NR_TABLES];
	out->accesses = ACCESSES;
	out->buffers = BUFFERS;
	traces[i / NR_TABLES].fill(r->trace);
	find_next_uses(r);
	for (int policy = 0; policy < BENCH_POLICIES && !err; policy++)
		err = replay_policy(r, policy, out);
	out->best = replay_optimum(r, out->table);
	free(r);
	return err;
}

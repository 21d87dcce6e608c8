// SPDX-License-Identifier: MIT
/* Which buffers does the program hold, which goes back next, and how long did it hold them? */
#include "load_keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"

/*
 * A slot for each number below 2^SUB_BITS, then 2^SUB_BITS slots for each power of two: a slot is
 * never wider than 1 in 2^SUB_BITS of what it counts.
 */
#define SUB_BITS 7
#define NR_SLOTS ((64 - SUB_BITS + 1) << SUB_BITS)

struct keep_times {
	uint64_t nr, max;
	uint64_t slots[NR_SLOTS];
};

/* ---- times */

static unsigned int slot_of(uint64_t ns)
{
	unsigned int shift;

	if (ns >> SUB_BITS == 0)
		return (unsigned int)ns;
	shift = 63 - (unsigned int)__builtin_clzll(ns) - SUB_BITS;
	return ((shift + 1) << SUB_BITS) + (unsigned int)((ns >> shift) - (1u << SUB_BITS));
}

static uint64_t slot_top(unsigned int slot)
{
	unsigned int shift = slot >> SUB_BITS;
	uint64_t sub = slot & ((1u << SUB_BITS) - 1);

	if (shift == 0)
		return slot;
	return (((1ull << SUB_BITS) + sub + 1) << (shift - 1)) - 1;
}

static void count_time(struct keep_times *times, uint64_t ns)
{
	times->nr++;
	times->slots[slot_of(ns)]++;
	if (ns > times->max)
		times->max = ns;
}

static uint64_t quantile(const struct keep_times *times, unsigned int percent)
{
	uint64_t left = (times->nr * percent + 99) / 100;
	unsigned int slot = 0;

	while (left > times->slots[slot])
		left -= times->slots[slot++];
	return slot_top(slot) < times->max ? slot_top(slot) : times->max;
}

struct load_hold_times load_keep_times(const struct load_keep *keep)
{
	struct load_hold_times out = {0};

	if (!keep->times || !keep->times->nr)
		return out;
	out.p50 = quantile(keep->times, 50);
	out.p90 = quantile(keep->times, 90);
	out.p99 = quantile(keep->times, 99);
	out.max = keep->times->max;
	return out;
}

int load_keep_measure(struct load_keep *keep)
{
	keep->times = calloc(1, sizeof(*keep->times));
	return keep->times ? 0 : -ENOMEM;
}

/* ---- buffers */

/* Returns take a contiguous piece, so that they are one call: no wrapping around. */
static void move_to_front(struct load_keep *keep)
{
	size_t nr = keep->end - keep->first;

	if (!keep->first)
		return;
	memmove(keep->bufs, keep->bufs + keep->first, nr * sizeof(*keep->bufs));
	if (keep->since_ns)
		memmove(keep->since_ns, keep->since_ns + keep->first, nr * sizeof(*keep->since_ns));
	keep->first = 0;
	keep->end = nr;
}

static int grow(struct load_keep *keep, size_t room)
{
	void *mem = reallocarray(keep->bufs, room, sizeof(*keep->bufs));

	if (!mem)
		return -ENOMEM;
	keep->bufs = mem;
	if (keep->times) {
		mem = reallocarray(keep->since_ns, room, sizeof(*keep->since_ns));
		if (!mem)
			return -ENOMEM;
		keep->since_ns = mem;
	}
	keep->room = room;
	return 0;
}

struct bs_buf *load_keep_reserve(struct load_keep *keep, uint32_t nr)
{
	if (keep->end + nr <= keep->room)
		return keep->bufs + keep->end;
	move_to_front(keep);
	/* At most half full after a move: then moving costs less than a copy for each buffer. */
	if (keep->end + nr > keep->room / 2 && grow(keep, 2 * (keep->end + nr)) < 0)
		return NULL;
	return keep->bufs + keep->end;
}

void load_keep_add(struct load_keep *keep, uint32_t nr)
{
	uint64_t now = keep->times ? clock_ns(CLOCK_MONOTONIC) : 0;

	for (; nr; nr--, keep->end++) {
		keep->whole += !keep->bufs[keep->end].more;
		if (keep->times)
			keep->since_ns[keep->end] = now;
	}
}

uint32_t load_keep_pieces(const struct load_keep *keep, uint32_t whole)
{
	const struct bs_buf *buf = load_keep_oldest(keep);

	while (whole)
		whole -= !buf++->more;
	return (uint32_t)(buf - load_keep_oldest(keep));
}

void load_keep_drop(struct load_keep *keep, uint32_t pieces, uint32_t whole)
{
	uint64_t now = keep->times ? clock_ns(CLOCK_MONOTONIC) : 0;

	for (uint32_t i = 0; keep->times && i < pieces; i++) {
		if (!keep->bufs[keep->first + i].more)
			count_time(keep->times, now - keep->since_ns[keep->first + i]);
	}
	keep->first += pieces;
	keep->whole -= whole;
	if (keep->first == keep->end)
		keep->first = keep->end = 0;
}

void load_keep_done(struct load_keep *keep)
{
	free(keep->bufs);
	free(keep->since_ns);
	free(keep->times);
	*keep = (struct load_keep){0};
}

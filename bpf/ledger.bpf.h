/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ledger of bids: who has each buffer of a group, and since when. Written by whoever looks at
 * the group (see counts.bpf.h), and on the path of a completion where that names its only buffer.
 */
#ifndef BUFSCOPE_LEDGER_BPF_H
#define BUFSCOPE_LEDGER_BPF_H

#include "kernel.bpf.h"
#include "compat.bpf.h"
#include "book.h"
#include "index.bpf.h"
#include "trace.bpf.h"

int hold_bucket(__u64 ns);

#include "books.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bid_state);
} bids SEC(".maps");

const volatile __u32 max_bids = 1; /* a power of two */
__u32 nr_bids;                     /* used elements of bids */

#define CHUNK_SLOTS 64

/*
 * Entries of the ring, and what is known in the course of a look. Numbers lie here, not on the
 * stack: what is read from a map has no known value, so that a verifier need not follow every
 * number that a loop counts to.
 */
struct chunk {
	struct io_uring_buf slots[CHUNK_SLOTS];
	struct trace_return run; /* when tracing: returned, not yet told */
	__u64 now;
	__u64 since;     /* when the holds began that are not yet counted */
	__u64 held;      /* when tracing a legacy group: longest of what comes back */
	__u64 filled;    /* when books are kept: by them, before the look */
	__u32 nr_holds;  /* not yet counted, all of them of one duration */
	__u32 bucket;    /* of that */
	__u32 from;      /* ring position the loop starts at */
	__u32 first;     /* of the slots read */
	__u32 nr;        /* of them */
	__u32 passed;    /* of these: taken again already, their completions are to come */
	__s32 fd;        /* of the completion that named the last bid */
	__u32 nr_beyond; /* entries with bids beyond the ledger's end */
	__u32 top;       /* 1 + the highest of these */
	__u16 new_head;  /* of the ring, now */
	__u16 where;     /* AT_... */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4); /* by whence the look comes: one may interrupt another */
	__type(key, __u32);
	__type(value, struct chunk);
} chunks SEC(".maps");

/* Whence a look comes. */
#define AT_EVENT 0
#define AT_TICK  1
#define AT_CALL  2 /* of user space */
#define AT_STORE 3 /* at the store that moved the tail */

struct look {
	struct account *group;
	struct chunk *chunk;
	struct book_sums *sums; /* if books are kept, and there is room for them */
};

/* What adopting needs. */
struct glance {
	struct account *group;
	__u64 now;
	__u32 top; /* 1 + the highest bid beyond the ledger's end; 0: none is */
	__u16 head;
	__u16 available;
};

static __always_inline struct chunk *open_chunk(__u32 where, __u64 now)
{
	struct chunk *chunk = bpf_map_lookup_elem(&chunks, &where);

	if (chunk) {
		chunk->now = now;
		chunk->where = where;
		chunk->since = 0;
		chunk->held = 0;
		chunk->nr_holds = 0;
		chunk->nr_beyond = 0;
		chunk->top = 0;
	}
	return chunk;
}

static __always_inline struct bid_state *bid_at(const struct account *group, __u32 bid)
{
	__u64 stretch = *(volatile __u64 *)&group->stretch;
	__u32 key = stretch_first(stretch) + bid;

	return bid < stretch_nr(stretch) ? bpf_map_lookup_elem(&bids, &key) : NULL;
}

static __always_inline void note_beyond(struct chunk *chunk, __u32 bid)
{
	chunk->nr_beyond++;
	if (bid >= chunk->top)
		chunk->top = bid + 1;
}

/* Global: verified once, and what it returns is one unknown number instead of 128 cases. */
__noinline int hold_bucket(__u64 ns)
{
	return book_bucket(ns);
}

static __always_inline void count_holds(struct account *group, struct chunk *chunk)
{
	group->hold[chunk->bucket & (HOLD_BUCKETS - 1)] += chunk->nr_holds;
	group->holds += chunk->nr_holds;
	chunk->nr_holds = 0;
}

/*
 * Buffers taken at one time share a time stamp, so the bucket is mostly the last one's. One that
 * was taken and came back in the course of a look was held for less than can be told.
 */
static __always_inline void note_hold(struct account *group, struct chunk *chunk, __u64 since)
{
	if (since != chunk->since) {
		__u64 held_ns = chunk->now > since ? chunk->now - since : 0;

		count_holds(group, chunk);
		chunk->since = since;
		chunk->bucket = hold_bucket(held_ns);
		if (held_ns > group->hold_max_ns)
			group->hold_max_ns = held_ns;
	}
	chunk->nr_holds++;
}

/* `now` are the flags that it gets: BID_HELD if it has been taken again since. */
static __always_inline void note_return(struct account *group, struct chunk *chunk,
					struct bid_state *state, __u16 now)
{
	if (state->flags & BID_IN_RING)
		group->double_returns++;
	else if ((state->flags & (BID_HELD | BID_EARLY)) == BID_HELD)
		note_hold(group, chunk, state->since_ns);
	state->flags = now;
	state->since_ns = chunk->now;
}

/* A buffer of a bundle that no completion named belongs to the request of the one before. */
static __always_inline void note_take(struct chunk *chunk, struct bid_state *state)
{
	__s32 fd = *(volatile __s32 *)&state->fd;

	if (fd >= 0 && fd & BID_NAMED)
		chunk->fd = bid_fd(fd);
	state->fd = chunk->fd;
	state->flags = BID_HELD;
	state->since_ns = chunk->now;
}

static long take_step(__u32 i, struct look *look)
{
	struct account *group = look->group;
	struct bid_state *slot = bid_at(group, (look->chunk->from + i) & (group->entries - 1));
	struct bid_state *state;

	if (!slot)
		return 1;
	state = bid_at(group, slot->order);
	if (state)
		note_take(look->chunk, state);
	else
		note_beyond(look->chunk, slot->order);
	return 0;
}

static __always_inline void return_entry(struct account *group, struct chunk *chunk, __u32 i)
{
	__u16 bid = chunk->slots[i & (CHUNK_SLOTS - 1)].bid;
	struct bid_state *state = bid_at(group, bid);

	if (state)
		note_return(group, chunk, state,
			    i < chunk->passed ? BID_HELD | BID_DUE : BID_IN_RING);
	else
		note_beyond(chunk, bid);
}

/* Which mostly was held for as long as the ledger has it. */
static __always_inline void book_entry(struct look *look, __u32 i)
{
	struct chunk *chunk = look->chunk;
	__s64 age = book_one_return(look->group, look->sums,
				    chunk->slots[i & (CHUNK_SLOTS - 1)].bid, chunk->now);
	__u32 bucket = chunk->bucket;

	if (age < 0)
		return;
	if (age != chunk->now - chunk->since)
		bucket = hold_bucket(age);
	look->sums->hold[bucket & (HOLD_BUCKETS - 1)]++;
}

/*
 * Most was held for as long as what came back before it. 0: it was not, and was not noted. stretch:
 * the group's, so that it is not read anew for each.
 */
static __always_inline int return_plainly(struct chunk *chunk, __u64 stretch, __u32 i)
{
	__u32 bid = chunk->slots[i & (CHUNK_SLOTS - 1)].bid;
	__u32 key = stretch_first(stretch) + bid;
	struct bid_state *state;

	if (bid >= stretch_nr(stretch) || i < chunk->passed)
		return 0;
	state = bpf_map_lookup_elem(&bids, &key);
	if (!state || state->flags != BID_HELD || state->since_ns != chunk->since)
		return 0;
	state->flags = BID_IN_RING;
	state->since_ns = chunk->now;
	chunk->nr_holds++;
	return 1;
}

/* Several at a time: a call of the loop's function costs as much as what it does for one. */
#define RETURNS_A_CALL 8

static long return_some(__u32 call, struct look *look)
{
	struct account *group = look->group;
	struct chunk *chunk = look->chunk;
	__u64 stretch = *(volatile __u64 *)&group->stretch;
	__u32 at = call * RETURNS_A_CALL;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < RETURNS_A_CALL; i++) {
		if (at >= chunk->nr)
			return 1;
		if (!return_plainly(chunk, stretch, at))
			return_entry(group, chunk, at);
		if (keeps_books && look->sums)
			book_entry(look, at);
		at++;
	}
	return 0;
}

static long order_step(__u32 i, struct look *look)
{
	struct account *group = look->group;
	struct chunk *chunk = look->chunk;
	struct bid_state *slot = bid_at(group, (chunk->first + i) & (group->entries - 1));

	if (slot)
		slot->order = chunk->slots[i & (CHUNK_SLOTS - 1)].bid;
	return 0;
}

/*
 * Tells the bids returned so far, when the entry at `position` does not continue them. What was
 * taken since the last look was taken after them: its completions are yet to be told.
 */
static __always_inline void end_run(struct look *look, __u32 position)
{
	struct chunk *chunk = look->chunk;

	chunk->run.available = (__u16)(position - look->group->head);
	if (chunk->run.nr)
		trace_returned(look->group, &chunk->run);
	chunk->run.nr = 0;
	chunk->run.held_ns = 0;
}

static __always_inline void note_held(__u64 *longest, const struct bid_state *state, __u64 now)
{
	if (state->flags & BID_HELD && !(state->flags & BID_EARLY) &&
	    now - state->since_ns > *longest)
		*longest = now - state->since_ns;
}

static long return_step_traced(__u32 i, struct look *look)
{
	struct io_uring_buf *entry = &look->chunk->slots[i & (CHUNK_SLOTS - 1)];
	struct bid_state *state = bid_at(look->group, entry->bid);
	struct trace_return *run = &look->chunk->run;

	if (!run->nr || entry->bid != run->bid + run->nr) {
		end_run(look, look->chunk->first + i);
		run->bid = entry->bid;
	}
	run->nr++;
	if (state)
		note_held(&run->held_ns, state, look->chunk->now);
	return_entry(look->group, look->chunk, i);
	return 0;
}

static __always_inline void open_returns(struct look *look)
{
	look->sums = sums_of(look->group);
	look->chunk->filled = look->sums ? look->sums->filled : 0;
}

/* nr came back in this look, of which the first ever are the group's fill. */
static __always_inline void close_returns(struct look *look, __u32 nr, __u32 is_fill)
{
	struct book_flow flow = {.at_ns = look->chunk->now, .kind = FLOW_RETURN};

	if (!look->sums || !nr)
		return;
	if (!is_fill)
		flow.nr = nr - (__u32)(look->sums->filled - look->chunk->filled);
	book_all_returned(look->group, look->sums, nr, &flow);
}

/* How many of the entries from the first one read on head has passed already, if any. */
static __always_inline __u32 passed_by(const struct look *look, __u16 head)
{
	__u16 passed = head - look->chunk->first;

	return look->group->has_bundles || passed > look->group->entries ? 0 : passed;
}

#define FLAGS_SHIFT (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 16 : 0)

static long settle_step(__u32 i, struct look *look)
{
	struct chunk *chunk = look->chunk;
	__u32 at = chunk->passed + i;
	struct bid_state *state;
	__u32 was, *word;

	if (at >= chunk->nr)
		return 1;
	state = bid_at(look->group, chunk->slots[at & (CHUNK_SLOTS - 1)].bid);
	if (!state)
		return 0;
	word = (void *)state + __builtin_offsetof(struct bid_state, flags);
	was = *(volatile __u32 *)word;
	if ((__u16)(was >> FLAGS_SHIFT) == BID_IN_RING)
		__sync_val_compare_and_swap(
			word, was, was ^ (BID_IN_RING ^ (BID_HELD | BID_DUE)) << FLAGS_SHIFT);
	return 0;
}

/*
 * While this processor noted that buffers are in the ring, others may have taken some and noted
 * that, which was overwritten then. What is taken from here on is noted later than that.
 */
static __always_inline void settle_taken(struct look *look)
{
	struct io_buffer_list *bl = (void *)look->group->bl;
	struct chunk *chunk = look->chunk;
	__u32 passed;
	__u16 head;

	if (chunk->where == AT_EVENT || look->group->has_bundles)
		return;
	/* a full barrier: the notes are there for all to see before head is read */
	__sync_val_compare_and_swap(&look->group->busy, 1, 1);
	if (bpf_core_read(&head, sizeof(head), &bl->head))
		return;
	passed = passed_by(look, head);
	if (passed > chunk->passed)
		bpf_loop(passed - chunk->passed, settle_step, look, 0);
}

/* Up to the next multiple of CHUNK_SLOTS, so that a chunk never wraps around the ring's end. */
static __always_inline __u32 next_slots(const struct account *group, const struct chunk *chunk)
{
	__u32 slot = chunk->first & (group->entries - 1);
	__u32 nr = CHUNK_SLOTS - (chunk->first & (CHUNK_SLOTS - 1));

	if (nr > chunk->from - chunk->first)
		nr = chunk->from - chunk->first;
	return nr > group->entries - slot ? group->entries - slot : nr;
}

static long return_chunk(__u32 i, struct look *look)
{
	struct account *group = look->group;
	struct chunk *chunk = look->chunk;
	__u32 nr = next_slots(group, chunk);
	__u64 slot = chunk->first & (group->entries - 1);

	if (nr == 0)
		return 1;
	barrier_var(nr); /* both tests in one would hide the bound from old verifiers */
	if (nr > CHUNK_SLOTS)
		return 1;
	if (bpf_probe_read_kernel(chunk->slots, nr * sizeof(struct io_uring_buf),
				  (void *)(group->ring + slot * sizeof(struct io_uring_buf))))
		return 1;
	chunk->nr = nr;
	chunk->passed = passed_by(look, chunk->new_head);
	if (group->has_bundles)
		bpf_loop(nr, order_step, look, 0);
	if (trace_kinds && !keeps_books)
		bpf_loop(nr, return_step_traced, look, 0);
	else
		bpf_loop(CHUNK_SLOTS / RETURNS_A_CALL, return_some, look, 0);
	settle_taken(look);
	chunk->first += nr;
	return 0;
}

/* Where each completion names the only buffer it took, returns are all that is to be found. */
static __always_inline void keep_returns(struct look *look, __u16 tail)
{
	struct account *group = look->group;
	struct chunk *chunk = look->chunk;
	__u16 returned = tail - group->tail;

	chunk->first = group->tail;
	chunk->from = chunk->first + returned;
	if (returned > group->entries) {
		group->bids_lost += returned - group->entries;
		chunk->first += returned - group->entries;
	}
	bpf_loop(returned / CHUNK_SLOTS + 2, return_chunk, look, 0);
	count_holds(group, chunk);
	if (trace_kinds && !keeps_books)
		end_run(look, chunk->from);
}

/*
 * Takes up to the old tail, then returns, then takes of what was just returned: a slot that a
 * return has overwritten was read for the take before.
 */
static __always_inline void keep_ledger(struct look *look, __u16 head, __u16 tail)
{
	struct account *group = look->group;
	struct chunk *chunk = look->chunk;
	__u16 taken = head - group->head;
	__u16 known = group->tail - group->head;
	__u16 early = taken < known ? taken : known;

	chunk->fd = -1;
	chunk->from = group->head;
	bpf_loop(early, take_step, look, 0);
	keep_returns(look, tail);
	chunk->from = group->head + early;
	bpf_loop(taken - early, take_step, look, 0);
}

/* ---- the ring as it is now */

static long adopt_slot(__u32 i, struct glance *glance)
{
	struct account *group = glance->group;
	struct bid_state *slot = bid_at(group, i);
	struct io_uring_buf entry;
	struct bid_state *state;
	int is_in = ((i - group->head) & (group->entries - 1)) < group->available;

	if (!slot ||
	    bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(group->ring + i * sizeof(entry))))
		return 1;
	slot->order = entry.bid;
	if (!entry.addr && !entry.len)
		return 0;
	state = bid_at(group, entry.bid);
	if (!state && entry.bid >= glance->top)
		glance->top = entry.bid + 1;
	if (!state || (state->flags && !is_in))
		return 0;
	state->flags = is_in ? BID_IN_RING : BID_HELD | BID_EARLY;
	state->since_ns = glance->now;
	state->fd = -1;
	return 0;
}

/*
 * Returns 1 + the highest bid that is beyond the ledger's end, or 0. Not inline, nor what follows:
 * on 6.1 there is no stack left for it within a look.
 */
static __noinline int adopt_order(struct account *group, __u64 now)
{
	struct glance glance = {.group = group, .now = now};

	bpf_loop(group->entries, adopt_slot, &glance, 0);
	return glance.top;
}

static long lend_step(__u32 i, struct look *look)
{
	const struct bid_state *state = bid_at(look->group, i);
	struct book_buffer *buffer = buffer_at(look->group, i);

	if (!state || !buffer)
		return 1;
	if ((state->flags & (BID_HELD | BID_EARLY)) == (BID_HELD | BID_EARLY) && look->sums)
		book_lend(look->sums, buffer, state->since_ns);
	return 0;
}

/* What a group had lent before anybody watched, by what its memory says. */
static __noinline int lend_early(struct account *group)
{
	struct look look = {.group = group, .sums = group ? sums_of(group) : NULL};

	if (!group || !look.sums || group->kind == GROUP_LEGACY || !hold(group))
		return 0;
	touch(look.sums, group);
	bpf_loop(stretch_nr(group->stretch), lend_step, &look, 0);
	let_go(group);
	return 0;
}

/* ---- bids beyond the ledger's end */

/* The position of a stretch that is free; REC_UNKNOWN_U32: there is none, or not of that length. */
static __always_inline __u32 take_stretch(__u32 nr)
{
	__u32 first = __sync_fetch_and_add(&nr_bids, nr);

	if (first + nr <= max_bids && first + nr >= first)
		return first;
	__sync_fetch_and_sub(&nr_bids, nr);
	return REC_UNKNOWN_U32;
}

struct move {
	__u32 from, to;
};

static long move_step(__u32 i, struct move *move)
{
	__u32 from = move->from + i, to = move->to + i;
	const struct bid_state *old = bpf_map_lookup_elem(&bids, &from);
	struct bid_state *new = bpf_map_lookup_elem(&bids, &to);

	if (!old || !new)
		return 1;
	*new = *old;
	if (keeps_books)
		move_buffer(from, to);
	return 0;
}

/*
 * What the ring remembers of a bid that the ledger has not met. A completion that names one at this
 * moment is noted elsewhere, and knows better.
 */
static long meet_slot(__u32 i, struct glance *glance)
{
	struct account *group = glance->group;
	int is_in = ((i - glance->head) & (group->entries - 1)) < glance->available;
	__u16 flags = is_in ? BID_IN_RING : BID_HELD | BID_EARLY;
	struct bid_state *slot = bid_at(group, i), *state;
	struct io_uring_buf entry;
	__u32 was, *word;

	if (!slot ||
	    bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(group->ring + i * sizeof(entry))))
		return 1;
	slot->order = entry.bid;
	state = entry.addr || entry.len ? bid_at(group, entry.bid) : NULL;
	if (!state)
		return 0;
	word = (void *)state + __builtin_offsetof(struct bid_state, flags);
	was = *(volatile __u32 *)word;
	if ((__u16)(was >> FLAGS_SHIFT))
		return 0;
	state->since_ns = glance->now;
	state->fd = -1;
	__sync_val_compare_and_swap(word, was, was | (__u32)flags << FLAGS_SHIFT);
	return 0;
}

/*
 * A ring may hold any of many more buffers than it has slots. The ledger then gets a longer
 * stretch; the old one is not used again before the next load. 0 or -1: there is no room.
 */
__noinline int widen_ledger(__u32 position, __u32 top)
{
	struct account *group = count_at(position);
	struct move move;
	__u32 nr, want;

	if (!group || !group->stretch || !top || top > 65536)
		return -1;
	nr = stretch_nr(group->stretch);
	want = 2U << book_log2(top - 1);
	if (want <= nr)
		return 0;
	move.from = stretch_first(group->stretch);
	move.to = take_stretch(want);
	if (move.to == REC_UNKNOWN_U32)
		return -1;
	bpf_loop(nr, move_step, &move, 0);
	group->stretch = stretch_of(move.to, want);
	return 0;
}

/* The bids that were beyond the end are in the ring, or were taken meanwhile. */
__noinline int meet_beyond(__u32 position)
{
	struct account *group = count_at(position);
	struct glance glance = {.group = group, .now = bpf_ktime_get_ns()};
	struct io_buffer_list *bl;

	if (!group)
		return 0;
	bl = (void *)group->bl;
	/* a full barrier: who does not see the longer stretch moved head before it is read here */
	__sync_val_compare_and_swap(&group->position, position, position);
	if (bpf_core_read(&glance.head, sizeof(glance.head), &bl->head))
		return 0;
	glance.available = group->tail - glance.head;
	bpf_loop(group->entries, meet_slot, &glance, 0);
	return 0;
}

static long clear_step(__u32 i, struct account **group)
{
	struct bid_state *state = bid_at(*group, i);

	if (state)
		state->flags = 0;
	return !state;
}

static __noinline int clear_bids(struct account *group)
{
	bpf_loop(stretch_nr(group->stretch), clear_step, &group, 0);
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The account of each group: where it is kept, how it is found within nanoseconds, how head and
 * tail are turned into totals and into a ledger of bids.
 *
 * All tables are plain arrays that the programs index themselves: no helper call, no shared
 * atomic on the path of a completion. Completions of one ring are serialised by the kernel, so
 * their counters have one writer; head, tail and the ledger belong to whoever holds `busy`.
 */
#ifndef BUFSCOPE_COUNTS_BPF_H
#define BUFSCOPE_COUNTS_BPF_H

#include "kernel.bpf.h"
#include "compat.bpf.h"
#include "index.bpf.h"
#include "ledger.bpf.h"
#include "trace.bpf.h"

/* ---- knobs */
const volatile __u32 nr_tgids; /* 0: all processes */
const volatile __s32 only_bgid = -1;
const volatile __u32 pid_level;
const volatile __u8 keeps_ledger;
const volatile __u8 has_tick;

__u32 nr_counts; /* used elements of counts */
__u32 is_ready;  /* the groups that were there before have been made known */
__u64 nr_ticks;
__u32 tick_mark; /* another one with each of them */
__u64 losses[EVENT_LOSSES];

/*
 * Positions of accounts that were given up: a queue with one writer, release_dead(), and as many
 * readers as there are CPUs. An array, since kernels up to 6.1 refuse other kinds to programs
 * that may sleep. It holds all accounts there can be, so no slot is written before it was read.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} spares SEC(".maps");

__u32 spares_put; /* both count on and on */
__u32 spares_got;

#define RELEASE_NS 10000000000ULL /* by then every observer has seen the end */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u8);
} tgids SEC(".maps");

static __always_inline void lose(enum event_loss what)
{
	__sync_fetch_and_add(&losses[what], 1);
}

/* When light accounts of many groups were last glanced at, so many that lie together at a time. */
#define GLANCE_BLOCK 16
__u64 glanced_ns[MAX_ACCOUNTS / GLANCE_BLOCK];

static __always_inline __u64 seen_ns(const struct account *group)
{
	__u64 glanced =
		glanced_ns[group->position / GLANCE_BLOCK & (MAX_ACCOUNTS / GLANCE_BLOCK - 1)];

	return glanced > group->looked_ns ? glanced : group->looked_ns;
}

/*
 * A 16-bit counter may have wrapped unseen when, at twice the fastest pace this group ever
 * showed (or at a million a second), the time since it was last seen would have sufficed, or the
 * time before that, had it been known by then how fast it is.
 */
#define LEAST_PACE 1000000ULL

static __always_inline int may_wrap_in(__u64 ns, __u64 fastest)
{
	__u64 bound = fastest * 2 > LEAST_PACE ? fastest * 2 : LEAST_PACE;

	return ns / 1000 * bound / 1000000 >= 65536;
}

static __always_inline void judge_pace(struct account *group, __u32 moved, __u64 now)
{
	__u64 ns = now - group->looked_ns, gap = now - seen_ns(group);
	__u64 pace;

	if (!group->looked_ns || !moved || ns < 1000)
		return;
	pace = moved * 1000000000ULL / ns;
	if (may_wrap_in(gap, group->fastest))
		group->may_wrap++;
	/* short intervals measure bursts, not pace */
	if (ns >= 100000 && pace > group->fastest) {
		if (!may_wrap_in(group->gap_ns, group->fastest) && may_wrap_in(group->gap_ns, pace))
			group->may_wrap++;
		group->fastest = pace;
	}
	group->gap_ns = gap;
}

/* Before the first fill a group is not low, it is not in use yet. */
static __always_inline int was_filled(const struct account *group)
{
	return group->returned || group->low_water != REC_UNKNOWN_U32;
}

static __always_inline void move_to(struct account *group, __u16 head, __u16 tail, __u64 now)
{
	__u16 taken = head - group->head;
	__u16 returned = tail - group->tail;
	__u16 available = tail - head;

	/* with every event counted, looks are never a wrap apart */
	if (!keeps_ledger)
		judge_pace(group, taken > returned ? taken : returned, now);
	if (group->available == 0 && group->looked_ns)
		group->empty_ns += now - group->looked_ns;
	group->taken += taken;
	group->returned += returned;
	group->head = head;
	group->tail = tail;
	group->available = available;
	group->moved_ns = now;
	if (available < group->low_water && was_filled(group))
		group->low_water = available;
	group->looked_ns = now;
}

static __always_inline int read_head_tail(const struct account *group, __u16 *head, __u16 *tail)
{
	struct io_buffer_list *bl = (void *)group->bl;

	/* head first: read later, tail can only be ahead of it */
	if (bpf_core_read(head, sizeof(*head), &bl->head))
		return -1;
	return bpf_probe_read_kernel(tail, sizeof(*tail),
				     (void *)group->ring +
					     bpf_core_field_offset(struct io_uring_buf, resv));
}

/*
 * For a trace, which is to know what came before what while others use the ring: as head is the
 * same before the clock is read and after, what was selected up to head was so before that time,
 * and what is selected from there on will be after it.
 */
#define MOMENT_TRIALS 4

static __always_inline int read_moment(const struct account *group, __u16 *head, __u16 *tail,
				       __u64 *now)
{
	struct io_buffer_list *bl = (void *)group->bl;
	__u16 again;

	for (__u32 i = 0; i < MOMENT_TRIALS; i++) {
		if (read_head_tail(group, head, tail))
			return -1;
		*now = bpf_ktime_get_ns();
		if (bpf_core_read(&again, sizeof(again), &bl->head))
			return -1;
		if (again == *head)
			break;
	}
	return 0;
}

/*
 * Whether the ring still has this very group; a stale pointer may hold anything. On the path of
 * a completion the ring lives, and a group that went was told by its registration.
 */
static __always_inline int is_current(const struct account *group)
{
	struct io_buffer_list *bl = (void *)group->bl;

	return ctx_find_bl((void *)group->ring_id, group->bgid) == group->bl &&
	       (group->kind == GROUP_LEGACY || (__u64)BPF_CORE_READ(bl, buf_ring) == group->ring);
}

/*
 * The same at a tick of a light account, by what lies beside head. A group of the same id in the
 * same memory may pass for it, until user space asks.
 */
static __always_inline int seems_current(const struct account *group)
{
	struct io_buffer_list *bl = (void *)group->bl;

	return (__u64)BPF_CORE_READ(bl, buf_ring) == group->ring &&
	       BPF_CORE_READ(bl, bgid) == group->bgid;
}

static __always_inline void bury(struct account *group, __u64 now)
{
	group->state = ACCOUNT_DEAD;
	group->died_ns = now;
}

static __always_inline void look_at_legacy(struct account *group, __u64 now)
{
	struct io_buffer_list *bl = (void *)group->bl;
	__u32 nbufs = 0;

	if (!bl_has(io_buffer_list, nbufs))
		return;
	bpf_core_read(&nbufs, sizeof(nbufs), &bl->nbufs);
	if (!is_current(group)) {
		bury(group, now);
		return;
	}
	if (group->available == 0 && group->looked_ns)
		group->empty_ns += now - group->looked_ns;
	group->available = nbufs;
	if (nbufs < group->low_water && was_filled(group))
		group->low_water = nbufs;
	group->looked_ns = now;
}

/* Buffers between two looks on the path of completions: the ring must not be overwritten. */
static __always_inline __u32 look_every(__u32 entries)
{
	if (entries >= 256 || !entries)
		return 64;
	return entries >= 8 ? entries / 4 : 1;
}

/* A bundle takes up to 256 buffers with one completion. */
static __always_inline void expect_bundles(struct account *group)
{
	group->has_bundles = 1;
	group->every = !trace_kinds && group->entries >= 512 ? group->entries / 512 : 1;
}

/* What was overwritten unread has made the ledger wrong: begin anew from the ring as it is. */
static __always_inline void begin_anew(struct account *group, __u64 now)
{
	clear_bids(group);
	adopt_order(group, now);
}

/*
 * More taken than completions named, by more than can be under way: bundles, though none was
 * seen submitted. The slots as they are now stand in for the order that was not kept.
 */
static __always_inline void notice_bundles(struct account *group, __u64 now)
{
	if (group->taken <= group->selected - group->partial + group->entries + 64)
		return;
	expect_bundles(group);
	adopt_order(group, now);
}

/* A group's first returns after its registration are its fill. */
static __always_inline int has_returns(const struct account *group)
{
	return group->returned || group->tail || group->head;
}

static __always_inline void begin_returns(struct look *look, __u32 where)
{
	const struct account *group = look->group;
	struct trace_return *run = &look->chunk->run;

	run->at_ns = look->chunk->now;
	run->nr = 0;
	run->held_ns = 0;
	run->kind = has_returns(group) ? TRACE_RETURN : TRACE_FILL;
	run->exact = where == AT_STORE;
}

/* Returns of a group without a ledger: how many, not which. */
static __always_inline void tell_unread(struct look *look, __u16 tail)
{
	look->chunk->run.bid = REC_UNKNOWN_U32;
	look->chunk->run.nr = (__u16)(tail - look->group->tail);
	end_run(look, tail);
}

/*
 * How full a ring is, below 0 where tail lies behind head. Too full and behind meet half way
 * round: neither is right, both come about in small steps.
 */
static __always_inline __s32 fill_of(const struct account *group, __u16 head, __u16 tail)
{
	__s32 fill = (__u16)(tail - head);

	return 2 * fill > 65536 + (__s32)group->entries ? fill - 65536 : fill;
}

/*
 * A tail that was stored lower than it was: two threads publish it, or it was set up anew. What
 * was added beyond it is no longer there. tail alone cannot tell this from a long way forward;
 * with what was taken, and what lies in the ring now and lay there then, its way is known.
 */
static __always_inline void go_back(struct account *group, __u16 head, __u16 tail, __u64 now)
{
	__u16 taken = head - group->head;
	__s32 moved = taken + fill_of(group, head, tail) - fill_of(group, group->head, group->tail);

	if (moved >= 0)
		return;
	group->returned += moved;
	group->tail = tail;
	if (trace_kinds)
		trace_back(group, -moved, now);
}

static __always_inline void go_beyond(struct look *look)
{
	struct account *group = look->group;

	if (widen_ledger(group->position, look->chunk->top))
		group->bids_alien += look->chunk->nr_beyond;
	else
		meet_beyond(group->position);
}

/* Which buffers were taken and came back: to the ledger, the books and a trace. */
static __always_inline void note_moves(struct look *look, __u16 head, __u16 tail, __u32 where)
{
	const struct account *group = look->group;

	if (keeps_books) {
		open_returns(look);
	} else if (trace_kinds) {
		begin_returns(look, where);
		if (!group->stretch)
			tell_unread(look, tail);
	}
	if (group->stretch) {
		if (group->has_bundles)
			keep_ledger(look, head, tail);
		else if (tail != group->tail)
			keep_returns(look, tail);
	}
	if (keeps_books)
		close_returns(look, (__u16)(tail - group->tail), !has_returns(group));
}

static __always_inline void look_at_ring(struct account *group, __u64 now, __u32 where)
{
	struct look look = {.group = group};
	int is_overrun, is_shared = trace_kinds && !keeps_books && where != AT_EVENT;
	__u16 head, tail;

	if ((is_shared ? read_moment(group, &head, &tail, &now)
		       : read_head_tail(group, &head, &tail)) ||
	    (where && (head != group->head || tail != group->tail) &&
	     !(where == AT_TICK && !keeps_ledger ? seems_current(group) : is_current(group)))) {
		bury(group, now);
		return;
	}
	if (head == group->head && tail == group->tail) {
		if (group->available == 0 && group->looked_ns)
			group->empty_ns += now - group->looked_ns;
		group->looked_ns = now;
		return;
	}
	go_back(group, head, tail, now);
	look.chunk = open_chunk(where, now);
	if (!look.chunk)
		return;
	look.chunk->new_head = head;
	note_moves(&look, head, tail, where);
	is_overrun = (__u16)(tail - group->tail) > group->entries;
	move_to(group, head, tail, now);
	if (look.chunk->nr_beyond)
		go_beyond(&look);
	if (group->stretch && is_overrun)
		begin_anew(group, now);
	if (group->stretch && !group->has_bundles)
		notice_bundles(group, now);
}

/*
 * Brings one group up to date. Another CPU, or this one below an interrupt, may be at it: then
 * it is being brought up to date already: 1. Global, so that it is verified once.
 */
__noinline int look_at(__u32 position, __u32 where)
{
	struct account *group = count_at(position);

	if (!group || group->state != ACCOUNT_LIVE)
		return 0;
	if (__sync_val_compare_and_swap(&group->busy, 0, 1))
		return 1;
	if (group->kind == GROUP_LEGACY)
		look_at_legacy(group, bpf_ktime_get_ns());
	else
		look_at_ring(group, bpf_ktime_get_ns(), where);
	__sync_lock_test_and_set(&group->busy, 0);
	return 0;
}

#define LOOK_TRIALS 4096

/*
 * What a step of a loop returns that tries until a global function says no more. A compiler that
 * finds the function's range turns "not" into "xor 1", of which verifiers see no bounds: they take
 * a global function's result for any number (seen with clang 19).
 */
static __always_inline long again_while(int busy)
{
	barrier_var(busy);
	return busy ? 0 : 1;
}

static long retry_step(__u32 i, __u32 *position)
{
	return again_while(look_at(*position, AT_EVENT));
}

/*
 * Waits while another processor looks, for some microseconds at most. It is not this one: a look
 * is interrupted only by the tick and by a watched store, and neither waits for it. 1: the other's
 * lasts, as when a hypervisor has stopped that processor.
 */
static __always_inline int look_surely(__u32 position)
{
	return bpf_loop(LOOK_TRIALS, retry_step, &position, 0) == LOOK_TRIALS;
}

/* ---- meeting a group for the first time */

/* What one group gave up is not reused before the next load. */
static __always_inline void open_ledger(struct account *group, __u32 want, __u64 now)
{
	__u32 first, top;

	/* rather none than one of what was not read */
	if (group->kind != GROUP_LEGACY && want > ring_slots_in_reach(group->kind)) {
		group->stretch = 0;
		lose(EVENT_BIDS_FULL);
		return;
	}
	if (want <= stretch_nr(group->stretch)) { /* of an earlier life */
		clear_bids(group);
		if (keeps_books)
			clear_buffers(group);
	} else {
		first = take_stretch(want);
		group->stretch = first == REC_UNKNOWN_U32 ? 0 : stretch_of(first, want);
		if (!group->stretch) {
			lose(EVENT_BIDS_FULL);
			return;
		}
	}
	if (group->kind == GROUP_LEGACY || (group->returned == 0 && group->tail == 0))
		return; /* fresh: nothing was ever put in */
	top = adopt_order(group, now);
	if (top && !widen_ledger(group->position, top))
		adopt_order(group, now);
}

/* A new life for a key: what another group or ring of the same address counted is gone. */
static __always_inline void forget(struct account *group)
{
	__u64 ring_id = group->ring_id, stretch = group->stretch;
	__u32 bgid = group->bgid, position = group->position;
	__u16 life = group->life;

	__builtin_memset(group, 0, sizeof(*group));
	group->ring_id = ring_id;
	group->bgid = bgid;
	group->stretch = stretch;
	group->position = position;
	group->life = life;
}

static __always_inline void adopt_ring(struct account *group, const struct bl_view *view)
{
	__u16 tail = view->head;

	group->ring = view->ring;
	bpf_probe_read_kernel(&tail, sizeof(tail),
			      (void *)view->ring +
				      bpf_core_field_offset(struct io_uring_buf, resv));
	group->head = view->head;
	group->first_head = view->head;
	group->tail = tail;
	group->available = (__u16)(tail - view->head);
}

/*
 * Fills the account of a group as the kernel has it now: totals start at nothing, a ring that is
 * under way is adopted with the buffers it has. state: if there is such a group.
 */
static __always_inline void adopt(struct account *group, enum account_state state)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 bl = ctx_find_bl((void *)group->ring_id, group->bgid);
	struct bl_view view = {};
	struct bl_raw raw = {};

	group->born_ns = now;
	group->low_water = REC_UNKNOWN_U32;
	if (!bl || bl_read(bl, &view, &raw) ||
	    (view.kind == GROUP_LEGACY && view.nbufs == 0 &&
	     bl_has(io_ring_ctx___blarray, io_bl))) {
		group->state = ACCOUNT_ABSENT;
		return;
	}
	group->bl = bl;
	group->kind = view.kind;
	group->entries = view.entries;
	group->every = trace_kinds && !keeps_books ? 1 : look_every(view.entries);
	if (view.kind == GROUP_LEGACY)
		group->available = bl_legacy_nbufs(bl, &view);
	else
		adopt_ring(group, &view);
	if (group->available)
		group->low_water = group->available;
	group->looked_ns = now;
	if (keeps_ledger)
		open_ledger(group, view.kind == GROUP_LEGACY ? 4096 : view.entries, now);
	barrier(); /* from here on others count */
	group->state = state;
}

/*
 * From now on the order of the ring's slots is kept, or from when counting begins, if nobody is
 * looking just now: 1.
 */
__noinline int start_order(__u32 position)
{
	struct account *group = count_at(position);

	if (group && group->state == ACCOUNT_MET)
		group->wants_order = 1;
	if (!group || group->state != ACCOUNT_LIVE || !group->stretch ||
	    group->kind == GROUP_LEGACY)
		return 0;
	if (__sync_val_compare_and_swap(&group->busy, 0, 1))
		return 1;
	expect_bundles(group);
	adopt_order(group, bpf_ktime_get_ns());
	__sync_lock_test_and_set(&group->busy, 0);
	return 0;
}

static long start_step(__u32 i, __u32 *position)
{
	return again_while(start_order(*position));
}

/* After a look, so that only what is in the ring now is taken for what is in it. */
__noinline int start_order_surely(__u32 position)
{
	look_surely(position);
	bpf_loop(4096, start_step, &position, 0);
	return 0;
}

/* ---- (ring, bgid) -> account */

#define SLOT_LEFT 1 /* as ring_id: was in use, what follows it may still be */

/* The slot for a key, claimed if there was none. NULL: no room. */
static __always_inline struct index_slot *claim_slot(__u64 ring_id, __u32 bgid)
{
	__u32 hash = index_hash((__u32)ring_id, bgid);
	struct index_slot *table = whole_table(positions);
	struct index_slot *free = NULL;
	__u64 was;

	for (__u32 i = 0; table && i < INDEX_PROBES; i++) {
		struct index_slot *slot = &table[(hash + i) & (INDEX_SLOTS - 1)];

		if (slot->ring_id == ring_id && slot->bgid == bgid + 1)
			return slot;
		if (slot->ring_id <= SLOT_LEFT && !free)
			free = slot;
		if (!slot->ring_id)
			break;
	}
	if (!free)
		return NULL;
	was = free->ring_id;
	if (was > SLOT_LEFT || __sync_val_compare_and_swap(&free->ring_id, was, ring_id) != was)
		return NULL;
	free->count = 0;
	free->bgid = bgid + 1;
	return free;
}

__u32 ignored_tgid; /* of a process that is left out with all that it started; 0: none is */

static __always_inline int is_wanted_task(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 tgid;

	if (!nr_tgids)
		return !is_of(task, ignored_tgid, pid_level);
	tgid = pid_in(BPF_CORE_READ(task, signal, pids[1]), pid_level);
	return bpf_map_lookup_elem(&tgids, &tgid) != NULL;
}

static __always_inline int is_wanted(__u32 bgid)
{
	return (only_bgid < 0 || bgid == (__u32)only_bgid) && is_wanted_task();
}

/* ---- rings whose programs are nobody's concern */

/*
 * Where processes were named, all others pay for each of their requests and completions. Once one
 * of them was found not to be wanted, its ring is passed over, for as long as no group of that ring
 * is: processes share rings.
 */
#define IGNORED_SLOTS 1024
#define WANTED_BITS   65536

__u64 ignored_rings[IGNORED_SLOTS];
__u64 ignored_tgids[IGNORED_SLOTS];   /* of whoever used that ring */
__u64 wanted_rings[WANTED_BITS / 64]; /* a bit by the ring's hash: some group of it was met */

static __always_inline __u32 ignored_slot(__u32 low)
{
	return (low >> 6 ^ low >> 16) & (IGNORED_SLOTS - 1);
}

static __always_inline __u64 *wanted_word(__u32 low)
{
	return &wanted_rings[low >> 12 & (WANTED_BITS / 64 - 1)];
}

static __always_inline __u64 wanted_bit(__u32 low)
{
	return 1ULL << (low >> 6 & 63);
}

/* Counts up with each ring at an address. */
#define RING_LIVES 4096

__u16 ring_lives[RING_LIVES];

static __always_inline __u16 *ring_life(__u32 low)
{
	return &ring_lives[(low >> 6 ^ low >> 18) & (RING_LIVES - 1)];
}

static __always_inline __u64 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* ring may be a pointer that the verifier tracks. */
static __always_inline int is_ignored(const void *ring)
{
	__u32 slot;

	if (!nr_tgids)
		return 0;
	slot = ignored_slot(low_half(ring));
	return ignored_rings[slot] == (__u64)ring && ignored_tgids[slot] == current_tgid();
}

/* Here and in what follows: writes first and then reads, so that one of two at a time sees it. */
static __always_inline void ignore_ring(__u64 ring_id)
{
	__u32 slot = ignored_slot(ring_id);

	if (!nr_tgids || is_wanted_task())
		return;
	ignored_rings[slot] = 0;
	ignored_tgids[slot] = current_tgid();
	__sync_lock_test_and_set(&ignored_rings[slot], ring_id);
	if (*(volatile __u64 *)wanted_word(ring_id) & wanted_bit(ring_id))
		ignored_rings[slot] = 0;
}

/* A new ring at this address. */
static __always_inline void forget_ring(__u64 ring_id)
{
	__u32 slot = ignored_slot(ring_id);

	if (*(volatile __u64 *)&ignored_rings[slot] == ring_id)
		ignored_rings[slot] = 0;
}

static __always_inline void want_ring(__u64 ring_id)
{
	if (!nr_tgids)
		return;
	__sync_fetch_and_or(wanted_word(ring_id), wanted_bit(ring_id));
	forget_ring(ring_id);
}

static __always_inline void put_spare(__u32 position)
{
	__u32 key = spares_put & (MAX_ACCOUNTS - 1);

	bpf_map_update_elem(&spares, &key, &position, BPF_ANY);
	__sync_fetch_and_add(&spares_put, 1);
}

/* 1 + position; 0: there is none, or others are taking what there is. */
static __always_inline __u32 get_spare(void)
{
	for (__u32 i = 0; i < 4; i++) {
		__u32 got = *(volatile __u32 *)&spares_got;
		__u32 key = got & (MAX_ACCOUNTS - 1);
		__u32 *spare, position;

		if (got == *(volatile __u32 *)&spares_put)
			return 0;
		spare = bpf_map_lookup_elem(&spares, &key);
		if (!spare)
			return 0;
		position = *spare;
		/* whoever moves on owns what it read: until then the slot was not written again */
		if (__sync_val_compare_and_swap(&spares_got, got, got + 1) == got)
			return position + 1;
	}
	return 0;
}

static __always_inline __u32 new_count(void)
{
	__u32 spare = get_spare();
	__u32 position;

	if (spare)
		return spare;
	position = __sync_fetch_and_add(&nr_counts, 1);
	if (position < MAX_ACCOUNTS)
		return position + 1;
	__sync_fetch_and_sub(&nr_counts, 1);
	lose(EVENT_GROUPS_FULL);
	return INDEX_IGNORED;
}

/*
 * Groups are met one at a time, by one processor: two would give a group two accounts, of which one
 * is never read, or begin anew what the other has begun to count. The tick does not wait.
 */
#define TURN_TRIALS 65536

__u32 whose_turn;

static long turn_step(__u32 i, void *none)
{
	return i < TURN_TRIALS && !__sync_val_compare_and_swap(&whose_turn, 0, 1);
}

static __always_inline int take_turn(void)
{
	return bpf_loop(TURN_TRIALS + 1, turn_step, NULL, 0) <= TURN_TRIALS;
}

static __always_inline void end_turn(void)
{
	__sync_lock_test_and_set(&whose_turn, 0);
}

#define LEARN_WANTED 1 /* the caller has checked the filters */
#define LEARN_BEGIN  2 /* all requests under way on it are known: it is counted from now on */

/*
 * Returns what find_count() will. Of the groups that were there before, events make some known
 * before all of their requests are: what such a request brings would be missing among completions
 * while it is seen in the ring, so nothing is counted of them until user space has met them.
 */
static __always_inline __u32 meet(__u64 ring_id, __u32 bgid, int how)
{
	struct index_slot *slot = claim_slot(ring_id, bgid);
	struct account *group;
	__u8 wants_order;

	if (!slot) {
		lose(EVENT_GROUPS_FULL);
		return INDEX_IGNORED;
	}
	if (!slot->count)
		slot->count = new_count();
	if (slot->count == INDEX_IGNORED)
		return INDEX_IGNORED;
	slot->count &= ~SLOT_FOREIGN;
	group = count_at(slot->count - 1);
	if (!group)
		return INDEX_IGNORED;
	/* by another processor, just now */
	if (group->state == ACCOUNT_LIVE && group->ring_id == ring_id && group->bgid == bgid &&
	    is_current(group))
		return slot->count;
	group->ring_id = ring_id;
	group->bgid = bgid;
	group->position = slot->count - 1;
	wants_order = group->state == ACCOUNT_MET && group->wants_order;
	forget(group);
	group->wants_order = wants_order;
	adopt(group, is_ready || how & LEARN_BEGIN ? ACCOUNT_LIVE : ACCOUNT_MET);
	return slot->count;
}

/*
 * Meets a group, or meets it anew after it was registered again. how: LEARN_*; if the caller has
 * not checked the filters the current task's process decides. Returns what find_count() will;
 * for what is not wanted nothing is remembered, so that it cannot crowd out what is.
 */
__noinline int learn(__u64 ring_id, __u32 bgid, int how)
{
	__u32 code;

	if (!(how & LEARN_WANTED) && !is_wanted(bgid)) {
		ignore_ring(ring_id);
		return INDEX_IGNORED;
	}
	want_ring(ring_id);
	if (!take_turn()) {
		lose(EVENT_UNATTRIBUTED);
		return INDEX_IGNORED;
	}
	code = meet(ring_id, bgid, how);
	end_turn();
	return code;
}

/* The ring at this address is another one now, of ours or not: as is what its group will do. */
static __always_inline void disown(const struct account *group, int is_foreign)
{
	__u32 hash = index_hash((__u32)group->ring_id, group->bgid);
	struct index_slot *table = whole_table(positions);
	__u32 flag = is_foreign ? SLOT_FOREIGN : 0;

	for (__u32 i = 0; table && i < INDEX_PROBES; i++) {
		struct index_slot *slot = &table[(hash + i) & (INDEX_SLOTS - 1)];

		if (slot->ring_id == group->ring_id && slot->bgid == group->bgid + 1)
			slot->count = (slot->count & ~SLOT_FOREIGN) | flag;
	}
}

static __always_inline void free_account(struct account *group, __u32 position)
{
	struct index_slot *slot = claim_slot(group->ring_id, group->bgid);

	if (!slot || (slot->count & ~SLOT_FOREIGN) != position + 1)
		return;
	if (keeps_books)
		shut_sums(group);
	group->state = ACCOUNT_FREE;
	group->life++;
	slot->count = 0;
	slot->ring_id = SLOT_LEFT;
	put_spare(position);
}

/* Gives up the account of a group that has been dead for long. */
static __always_inline void release(__u32 position, __u64 now)
{
	struct account *group = count_at(position);

	/* a ring that is closed tells nobody */
	if (group && group->state == ACCOUNT_LIVE && !is_current(group))
		bury(group, now);
	if (!group || group->state == ACCOUNT_LIVE || group->state == ACCOUNT_FREE ||
	    now - group->died_ns < RELEASE_NS || now - group->born_ns < RELEASE_NS)
		return;
	/* else it is given up another time */
	if (__sync_val_compare_and_swap(&whose_turn, 0, 1))
		return;
	free_account(group, position);
	end_turn();
}

#endif

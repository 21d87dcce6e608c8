/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The clock that looks at groups which no event follows: at all of them, as long as these are few.
 * A light account of many takes them in turns, so that what the programs watched lose to it does
 * not grow with their number.
 */
#ifndef BUFSCOPE_TICK_BPF_H
#define BUFSCOPE_TICK_BPF_H

#include "counts.bpf.h"
#include "follow.bpf.h"

#define IDLE_NS    100000000ULL
#define IDLE_EVERY 4

#define LOOKS_A_TICK 64 /* about 6 microseconds */
#define TICKS_A_TURN 48 /* of a millisecond, the least pace takes 65 for a wrap */
#define FAST_GROUPS  64

__u64 nr_ticks;
__u32 next_turn; /* position that the next turn begins at */

/* 1 + position of those that turns are too far apart for, at its remainder; a guess is no harm. */
__u32 fast_groups[FAST_GROUPS];

struct tick {
	__u64 now;
	__u64 turn;
};

/* A group that stands still costs two reads. */
static __always_inline void tick_at(struct account *group, __u32 position, __u64 now)
{
	__u16 head, tail;

	if (group->state != ACCOUNT_LIVE || (trace_kinds && is_watched(group)))
		return;
	if (group->kind != GROUP_LEGACY && !read_head_tail(group, &head, &tail) &&
	    head == group->head && tail == group->tail && group->available) {
		group->looked_ns = now;
		return;
	}
	look_at(position, AT_TICK);
}

/* One that has stood still for long is looked at now and then only. */
static long tick_step(__u32 i, struct tick *tick)
{
	struct account *group = count_at(i);

	if (!group)
		return 1;
	if (tick->now - group->moved_ns <= IDLE_NS || !((i + tick->turn) & (IDLE_EVERY - 1)))
		tick_at(group, i, tick->now);
	return 0;
}

static long turn_step(__u32 i, struct tick *tick)
{
	__u32 position = (next_turn + i) % nr_counts;
	struct account *group = count_at(position);

	if (!group)
		return 1;
	tick_at(group, position, tick->now);
	if (group->fastest * 2 > LEAST_PACE && tick->now - group->moved_ns <= IDLE_NS)
		fast_groups[position & (FAST_GROUPS - 1)] = position + 1;
	return 0;
}

static long fast_step(__u32 i, struct tick *tick)
{
	__u32 *fast = &fast_groups[i & (FAST_GROUPS - 1)];
	struct account *group = *fast ? count_at(*fast - 1) : NULL;

	if (!group)
		return 0;
	if (tick->now - group->moved_ns > IDLE_NS)
		*fast = 0;
	else
		tick_at(group, *fast - 1, tick->now);
	return 0;
}

static __always_inline void take_turns(struct tick *tick)
{
	__u32 nr = nr_counts / TICKS_A_TURN;

	if (nr < LOOKS_A_TICK)
		nr = LOOKS_A_TICK;
	bpf_loop(nr, turn_step, tick, 0);
	next_turn = (next_turn + nr) % nr_counts;
	bpf_loop(FAST_GROUPS, fast_step, tick, 0);
}

SEC("perf_event")
int on_tick(void *unused)
{
	struct tick tick = {.now = bpf_ktime_get_ns(), .turn = nr_ticks++};

	if (keeps_ledger || nr_counts <= LOOKS_A_TICK)
		bpf_loop(nr_counts, tick_step, &tick, 0);
	else
		take_turns(&tick);
	return 0;
}

#endif

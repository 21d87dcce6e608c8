/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The clock that looks at groups which no event follows. Few groups, and those of full accounts,
 * are looked at whenever it ticks.
 *
 * A look at one of many groups finds nothing of it in the processor's caches, which takes most of
 * a microsecond. So light accounts of many groups take turns: a look at each group comes round in
 * LOOK_NS, a glance at how far its head is in GLANCE_NS. What is faster than that is good for, or
 * about to be empty, is looked at whenever it ticks.
 */
#ifndef BUFSCOPE_TICK_BPF_H
#define BUFSCOPE_TICK_BPF_H

#include "counts.bpf.h"
#include "follow.bpf.h"

#define IDLE_NS    100000000ULL
#define IDLE_EVERY 4

#define FEW_LOOKS  16 /* a tick, at least */
#define MOST_TIGHT 8  /* looked at whenever it ticks because they are about to be empty */
#define LOOK_NS    64000000ULL
#define GLANCE_NS  16000000ULL
#define FAR        8192       /* that head is from where it was looked at: time for a look */
#define SHORT_NS   2000000ULL /* in which the fastest bundles take no 65536 buffers */

__u64 ticked_ns;
__u32 next_look; /* positions that the next turns begin at */
__u32 next_glance;
__u64 near_groups[MAX_ACCOUNTS / 64]; /* a bit for each that is looked at whenever it ticks */
__u32 nr_near;
__u32 near_word; /* the next of them; not in the tick, where the verifier would count along */

/* What a glance needs, close together. */
struct glimpse {
	__u64 bl;   /* 0: none */
	__u16 head; /* at the last look */
	__u16 seen; /* at the last glance */
	__u16 pad[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct glimpse) * MAX_ACCOUNTS);
} glimpses SEC(".maps");

struct tick {
	__u64 now;
	__u64 turn;
	struct glimpse *glimpses;
	__u64 bits;
	__u32 first;
	__u32 is_late; /* glances: at this pace a slow group could wrap */
};

/* A group that stands still costs two reads. */
static __always_inline void tick_at(struct account *group, __u32 position, __u64 now)
{
	__u16 head, tail;

	if (group->state != ACCOUNT_LIVE || (trace_kinds && is_watched(group)))
		return;
	if (group->kind != GROUP_LEGACY && !read_head_tail(group, &head, &tail) &&
	    head == group->head && tail == group->tail && group->available) {
		/* full accounts do without: others may have looked since, and tell that time */
		if (!keeps_ledger)
			group->looked_ns = now;
		return;
	}
	look_at(position, AT_TICK);
}

/*
 * One that has stood still for long is looked at now and then only, unless it is to be told when
 * what it lent comes back.
 */
static long tick_step(__u32 i, struct tick *tick)
{
	struct account *group = count_at(i);

	if (!group)
		return 1;
	if (tick->now - group->moved_ns <= IDLE_NS || !((i + tick->turn) & (IDLE_EVERY - 1)) ||
	    (keeps_ledger && group->available < group->entries))
		tick_at(group, i, tick->now);
	return 0;
}

/* ---- in turns */

static __always_inline int is_near(const struct account *group, __u64 now)
{
	if (group->state != ACCOUNT_LIVE || now - group->moved_ns > IDLE_NS)
		return 0;
	return group->fastest * 2 > LEAST_PACE ||
	       (group->available <= group->entries / 8 && nr_near < MOST_TIGHT);
}

static __always_inline void note_near(__u32 position, int near)
{
	__u64 *word = &near_groups[position / 64 & (MAX_ACCOUNTS / 64 - 1)];
	__u64 bit = 1ULL << (position & 63);

	if (near && !(*word & bit))
		nr_near++;
	if (!near && *word & bit)
		nr_near--;
	*word = near ? *word | bit : *word & ~bit;
}

/*
 * Bundles are faster by far than all that was seen of a group without: one that has moved more than
 * twice as fast as ever, since it was last seen, may have wrapped just as well.
 */
static __always_inline void judge_burst(struct account *group, __u32 moved, __u64 ns, __u64 fastest)
{
	__u64 pace = moved * 1000000000ULL / (ns + 1);

	if (moved < FAR || ns < SHORT_NS || pace <= fastest * 2)
		return;
	/* else somebody looks just now, and judges for himself */
	if (__sync_val_compare_and_swap(&group->busy, 0, 1))
		return;
	if (group->fastest < pace)
		group->fastest = pace;
	group->may_wrap++;
	__sync_lock_test_and_set(&group->busy, 0);
}

/*
 * Looks, and notes how far it looked. Global, so that it is verified once: as a part of the loops
 * below it is a million instructions for the verifier of 6.19.
 */
__noinline int look_in_turn(__u32 position, __u64 now)
{
	struct glimpse *glimpse = whole_table(glimpses);
	struct account *group = count_at(position);
	__u64 was_seen_ns, fastest, wraps;

	if (!group || !glimpse)
		return 0;
	glimpse += position & (MAX_ACCOUNTS - 1);
	was_seen_ns = seen_ns(group);
	fastest = group->fastest;
	wraps = group->may_wrap;
	tick_at(group, position, now);
	if (glimpse->bl && glimpse->bl == group->bl && group->may_wrap == wraps)
		judge_burst(group, (__u16)(group->head - glimpse->seen), now - was_seen_ns,
			    fastest);
	glimpse->bl = group->state == ACCOUNT_LIVE && group->kind != GROUP_LEGACY ? group->bl : 0;
	glimpse->head = glimpse->seen = group->head;
	note_near(position, is_near(group, now));
	return 0;
}

static long look_step_in_turn(__u32 i, struct tick *tick)
{
	look_in_turn((tick->first + i) % nr_counts, tick->now);
	return 0;
}

/* One group, or a word that has none left; one loop, since frames are scarce below a look. */
static long near_step(__u32 i, struct tick *tick)
{
	__u64 bits = tick->bits;

	if (!bits)
		bits = near_groups[near_word++ & (MAX_ACCOUNTS / 64 - 1)];
	tick->bits = bits & (bits - 1);
	if (bits)
		look_in_turn((near_word - 1) * 64 + book_log2(bits & -bits), tick->now);
	return 0;
}

static __always_inline void glance_at(struct tick *tick, __u32 position)
{
	struct glimpse *glimpse = &tick->glimpses[position & (MAX_ACCOUNTS - 1)];
	struct io_buffer_list *bl = (void *)glimpse->bl;
	__u16 head, moved;

	if (!bl)
		return;
	moved = FAR;
	if (!bpf_core_read(&head, sizeof(head), &bl->head))
		moved = head - glimpse->head;
	if (moved < FAR && (!moved || !tick->is_late)) {
		if (head != glimpse->seen)
			glimpse->seen = head;
		return;
	}
	look_in_turn(position, tick->now);
}

static long glance_block(__u32 i, struct tick *tick)
{
	__u32 block = (tick->first + i) % ((nr_counts + GLANCE_BLOCK - 1) / GLANCE_BLOCK);
	__u64 *glanced = &glanced_ns[block & (MAX_ACCOUNTS / GLANCE_BLOCK - 1)];

	tick->is_late = tick->now - *glanced > LOOK_NS;
#pragma clang loop unroll(disable)
	for (__u32 k = 0; k < GLANCE_BLOCK; k++)
		glance_at(tick, block * GLANCE_BLOCK + k);
	*glanced = tick->now;
	return 0;
}

/* How many of nr are due, if all are due in turn_ns. */
static __always_inline __u32 share_of(__u32 nr, __u64 ns, __u64 turn_ns)
{
	return ns < turn_ns ? nr * ns / turn_ns + 1 : nr;
}

static __always_inline void take_turns(struct tick *tick, __u64 ns)
{
	__u32 blocks = (nr_counts + GLANCE_BLOCK - 1) / GLANCE_BLOCK;
	__u32 nr = share_of(blocks, ns, GLANCE_NS);

	near_word = 0;
	bpf_loop((nr_counts + 63) / 64 + nr_near, near_step, tick, 0);
	tick->first = next_glance;
	bpf_loop(nr, glance_block, tick, 0);
	next_glance = (next_glance + nr) % blocks;
	nr = share_of(nr_counts, ns, LOOK_NS);
	if (nr < FEW_LOOKS)
		nr = FEW_LOOKS;
	tick->first = next_look;
	bpf_loop(nr, look_step_in_turn, tick, 0);
	next_look = (next_look + nr) % nr_counts;
}

SEC("perf_event")
int on_tick(void *unused)
{
	struct tick tick = {.now = bpf_ktime_get_ns(), .turn = nr_ticks++};
	__u64 ns = tick.now - ticked_ns;

	ticked_ns = tick.now;
	tick_mark = (__u32)nr_ticks * 0x9e3779b1U;
	tick.glimpses = whole_table(glimpses);
	if (!tick.glimpses)
		return 0;
	if (keeps_ledger || nr_counts <= FEW_GROUPS)
		bpf_loop(nr_counts, tick_step, &tick, 0);
	else
		take_turns(&tick, ns);
	if (trace_kinds)
		wake_reader();
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* What is done to accounts at the request of user space, which runs these programs itself. */
#ifndef BUFSCOPE_CALLS_BPF_H
#define BUFSCOPE_CALLS_BPF_H

#include "counts.bpf.h"
#include "legacy.bpf.h"

static __always_inline __u32 code_of(__u64 ring_id, __u32 bgid)
{
	__u32 code = find_count((void *)ring_id, bgid);
	struct account *group = code && code != INDEX_IGNORED ? count_at(code - 1) : NULL;

	if (group && group->state == ACCOUNT_LIVE)
		return code;
	if (!group || group->state != ACCOUNT_ABSENT)
		return learn(ring_id, bgid, LEARN_WANTED | LEARN_BEGIN);
	meet_legacy(code - 1);
	return code;
}

/* 1: it wants start_armed(). */
SEC("syscall")
int learn_group(struct group_args *args)
{
	__u32 code = code_of(args->ring_id, args->bgid);
	struct account *group = code && code != INDEX_IGNORED ? count_at(code - 1) : NULL;

	if (!group)
		return 0;
	if (keeps_books)
		lend_early(group);
	return group->wants_order;
}

static long look_step(__u32 i, void *unused)
{
	const struct account *group = count_at(i);

	if (!group || !trace_kinds || !is_watched(group))
		look_at(i, AT_CALL);
	return 0;
}

SEC("syscall")
int look_at_all(void *unused)
{
	bpf_loop(nr_counts, look_step, NULL, 0);
	return 0;
}

struct slots_args {
	__u64 ring_id;
	__u32 bgid;
	__u32 first;
};

__u64 slots_read[CHUNK_SLOTS *
		 2]; /* of struct io_uring_buf, whose type user space does not share */
__u16 slots_head, slots_tail;

/* Up to CHUNK_SLOTS slots of a ring from `first`, a multiple of it, on; tail before, head after. */
SEC("syscall")
int read_slots(struct slots_args *args)
{
	__u32 code = find_count((void *)args->ring_id, args->bgid);
	struct account *group = code && code != INDEX_IGNORED ? count_at(code - 1) : NULL;
	__u32 first = args->first, nr;
	__u16 head, tail;

	if (!group || group->state != ACCOUNT_LIVE || group->kind == GROUP_LEGACY ||
	    group->entries > ring_slots_in_reach(group->kind) || !is_current(group) ||
	    first >= group->entries || read_head_tail(group, &head, &tail))
		return -1;
	nr = group->entries - first;
	barrier_var(nr);
	if (nr > CHUNK_SLOTS)
		nr = CHUNK_SLOTS;
	if (bpf_probe_read_kernel(slots_read, nr * sizeof(struct io_uring_buf),
				  (void *)(group->ring + first * sizeof(struct io_uring_buf))))
		return -1;
	slots_tail = tail;
	/* what is published before and not taken after was not written to meanwhile */
	if (read_head_tail(group, &head, &tail))
		return -1;
	slots_head = head;
	return nr;
}

static long release_step(__u32 i, __u64 *now)
{
	release(i, *now);
	return 0;
}

SEC("syscall")
int release_dead(void *unused)
{
	__u64 now = bpf_ktime_get_ns();

	bpf_loop(nr_counts, release_step, &now, 0);
	return 0;
}

#endif

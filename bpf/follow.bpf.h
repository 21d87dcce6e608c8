/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that only a trace uses: they follow the children of processes, and each store to the
 * tail of one ring.
 */
#ifndef BUFSCOPE_FOLLOW_BPF_H
#define BUFSCOPE_FOLLOW_BPF_H

#include "counts.bpf.h"

/* ---- children of wanted processes are wanted */

SEC("tp_btf/sched_process_fork")
int on_fork(__u64 *args)
{
	struct task_struct *parent = (void *)args[0], *child = (void *)args[1];
	__u32 from, to;
	__u8 wanted = 1;

	if (parent->tgid == child->tgid)
		return 0;
	from = pid_in(BPF_CORE_READ(parent, signal, pids[1]), pid_level);
	to = pid_in(BPF_CORE_READ(child, signal, pids[1]), pid_level);
	if (bpf_map_lookup_elem(&tgids, &from) && bpf_map_update_elem(&tgids, &to, &wanted, 0))
		lose(EVENT_PROCESSES);
	return 0;
}

/* What a process leaves behind: no look of user space may have come in time for it. */
struct over {
	__u64 now;
	__u32 tgid;
};

static long over_step(__u32 i, struct over *over)
{
	const struct account *group = count_at(i);
	struct book_sums *sums = known_sums(i);

	if (!group)
		return 1;
	if (!sums || sums->tgid != over->tgid || group->state != ACCOUNT_LIVE)
		return 0;
	sums->left = group->is_behind ? REC_UNKNOWN_U32 : group->available;
	sums->over_ns = over->now;
	return 0;
}

static __always_inline void book_over(__u32 tgid)
{
	struct over over = {.now = bpf_ktime_get_ns(), .tgid = tgid};

	bpf_loop(nr_counts, over_step, &over, 0);
}

SEC("tp_btf/sched_process_exit")
int on_exit(__u64 *args)
{
	struct task_struct *task = (void *)args[0];
	__u32 tgid;

	if (task->pid != task->tgid)
		return 0;
	tgid = pid_in(BPF_CORE_READ(task, signal, pids[1]), pid_level);
	if (!bpf_map_delete_elem(&tgids, &tgid) && keeps_books)
		book_over(tgid);
	return 0;
}

/* ---- a hardware breakpoint on the tail of one ring */

__u64 watched_ring;
__u32 watched_bgid;

/* The tick leaves it alone: it would find returns in the moment before their own thread does. */
static __always_inline int is_watched(const struct account *group)
{
	return group->ring_id == watched_ring && group->bgid == watched_bgid;
}

static long store_step(__u32 i, __u32 *position)
{
	return again_while(look_at(*position, AT_STORE));
}

/* If a look is under way on another processor, this one waits for its turn: it knows the thread. */
SEC("perf_event")
int on_store(void *unused)
{
	__u32 position = find_count((void *)watched_ring, watched_bgid) - 1;

	if (position < nr_counts)
		bpf_loop(4096, store_step, &position, 0);
	return 0;
}

/*
 * Where a ring lies in its process's memory, the kernel does not remember, but in which page it
 * begins: user space goes on from there.
 */
static __always_inline __u64 own_ring(__u32 fd)
{
	struct file *file = current_file(fd);

	return (__u64)BPF_CORE_READ(file, private_data);
}

SEC("syscall")
int find_page(struct ring_page *args)
{
	__u64 ring_id = args->ring_id ? args->ring_id : own_ring(args->fd);
	__u64 bl = ring_id ? ctx_find_bl((void *)ring_id, args->bgid) : 0;

	args->page = bl ? bl_first_page(bl) : 0;
	args->page_size = bpf_core_type_size(struct page);
	return 0;
}

#endif

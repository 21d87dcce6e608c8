/* SPDX-License-Identifier: GPL-2.0 */
/* Groups and rings come and go: who registered which, and what a new ring puts an end to. */
#ifndef BUFSCOPE_LIVES_BPF_H
#define BUFSCOPE_LIVES_BPF_H

#include "kernel.bpf.h"
#include "counts.bpf.h"
#include "requests.bpf.h"
#include "trace.bpf.h"

#define REGISTER_PBUF   22
#define UNREGISTER_PBUF 23

struct buf_reg {
	__u64 ring_addr;
	__u32 ring_entries;
	__u16 bgid;
	__u16 flags;
};

/* Arguments of the system call that the current task is in. */
static __always_inline struct pt_regs *syscall_args(void)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	return (void *)bpf_task_pt_regs(task);
}

static __always_inline void on_unregistered(const void *ring, __u32 bgid)
{
	__u32 code = find_count(ring, bgid);
	struct account *group;

	if (!code || code == INDEX_IGNORED)
		return;
	group = count_at(code - 1);
	if (!group || group->state != ACCOUNT_LIVE)
		return;
	/* head is gone with the group: each selection since the last look took at least one */
	if (group->kind == GROUP_RING || group->kind == GROUP_MMAP)
		group->taken += group->since;
	group->since = 0;
	bury(group, bpf_ktime_get_ns());
	if (keeps_books)
		begin_sums(code - 1);
}

static __always_inline void tell_registration(__u64 ring_id, const struct buf_reg *reg,
					      const __u64 *args)
{
	struct trace_reg told = {
		.ring_id = ring_id,
		.ring_addr = reg->ring_addr,
		.entries = reg->ring_entries,
		.bgid = reg->bgid,
		.kind = args[1] == REGISTER_PBUF ? TRACE_REGISTER : TRACE_UNREGISTER,
		.res = args[4],
	};
	__u32 code = find_count((void *)ring_id, reg->bgid);

	if (code == INDEX_IGNORED || (!code && !is_wanted(reg->bgid)))
		return;
	trace_registration(code ? count_at(code - 1) : NULL, &told);
}

/* By the task that is in the system call. */
static __always_inline void on_registered(__u64 ring_id, __u32 bgid)
{
	__u32 code = find_count((void *)ring_id, bgid);
	struct account *group;

	if (keeps_books && code && code != INDEX_IGNORED)
		begin_sums(code - 1);
	code = learn(ring_id, bgid, LEARN_BEGIN);
	group = code != INDEX_IGNORED ? count_at(code - 1) : NULL;
	if (!group)
		return;
	if (keeps_books)
		begin_whole(code - 1);
	this_thread(&group->by_tgid, &group->by_tid);
	bpf_get_current_comm(group->by_comm, sizeof(group->by_comm));
}

SEC("tp_btf/io_uring_register")
int on_register(__u64 *args)
{
	struct buf_reg reg = {};
	__u64 ring_id = 0;

	if ((args[1] != REGISTER_PBUF && args[1] != UNREGISTER_PBUF) || (args[4] && !trace_kinds))
		return 0;
	if (bpf_probe_read_user(&reg, sizeof(reg), (void *)PT_REG_ARG3(syscall_args())))
		return 0;
	bpf_probe_read_kernel(&ring_id, sizeof(ring_id), args);
	if (args[1] == REGISTER_PBUF && !args[4])
		on_registered(ring_id, reg.bgid);
	else if (!args[4])
		on_unregistered((void *)ring_id, reg.bgid);
	if (trace_kinds)
		tell_registration(ring_id, &reg, args);
	return 0;
}

struct creation {
	__u64 ring_id;
	int is_wanted;
};

static long bury_step(__u32 i, struct creation *creation)
{
	struct account *group = count_at(i);

	if (!group)
		return 1;
	if (group->ring_id != creation->ring_id)
		return 0;
	if (group->state != ACCOUNT_DEAD)
		bury(group, bpf_ktime_get_ns());
	if (keeps_books)
		shut_sums(group);
	group->bl = 0;
	group->life++;
	disown(group, !creation->is_wanted);
	return 0;
}

/* A new ring at this address: what is known under it was another's. */
SEC("tp_btf/io_uring_create")
int on_create(__u64 *args)
{
	struct creation creation = {.is_wanted = is_wanted(only_bgid)};

	bpf_probe_read_kernel(&creation.ring_id, sizeof(creation.ring_id), &args[1]);
	bpf_loop(nr_counts, bury_step, &creation, 0);
	++*ring_life(creation.ring_id);
	forget_ring(creation.ring_id);
	ignore_ring(creation.ring_id);
	if (trace_kinds && creation.is_wanted)
		trace_creation(creation.ring_id, args[0], PT_REG_ARG2(syscall_args()));
	return 0;
}

#endif

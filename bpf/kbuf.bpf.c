// SPDX-License-Identifier: GPL-2.0
/*
 * What do the kernel's own functions do with buffers? Each is seen by fentry and fexit or, where
 * that is refused, by kprobe and kretprobe; user space loads one variant. The accounts are found
 * through the index of the event programs, whose maps these share: what those do not know, or
 * were told to leave alone, is not counted here either.
 *
 * A function returns with less than it was called with, so what its return needs to know is kept
 * per thread. Which group a request picked from is kept per request: by the time its buffer is
 * put, the group may no longer stand in it.
 */
#include "kernel.bpf.h"
#include "compat.bpf.h"
#include "index.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* ---- knobs: how this kernel does it */
const volatile __u8 select_has_group; /* io_buffer_select() is told the group */
const volatile __u8 select_is_struct; /* and returns two words */
const volatile __u8 has_commit;       /* io_kbuf_commit() moves the heads; else who takes does */
const volatile __u64 req_ring;        /* REQ_F_BUFFER_RING */
const volatile __u64 req_selected;    /* REQ_F_BUFFER_SELECTED */
const volatile __u64 req_partial;     /* REQ_F_PARTIAL_IO */

#define NO_BUFFERS (-105)

__u64 missed; /* calls whose return was not seen */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kbuf_account);
} kbufs SEC(".maps");

/* 1 + position of the account that a request picked from; 0: its buffer is no more with it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} picks SEC(".maps");

enum level { LEVEL_SELECT, LEVEL_COMMIT, LEVEL_REGISTER, LEVELS }; /* one within the other */

struct call {
	__u64 what; /* select: the request; commit: the list; register: the ring */
	__u64 arg;  /* register: of the system call */
	__u32 count;
	__u32 bgid;
	__u16 head;
	__u8 is_open;
	__u8 is_done; /* register: it returned well, the tracepoint follows */
	__u8 pad[4];
};

struct thread {
	struct call calls[LEVELS];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct thread);
} threads SEC(".maps");

static __always_inline void add(__u64 *counter, __u64 nr)
{
	__sync_fetch_and_add(counter, nr); /* workers of one ring return side by side */
}

/* What is counted for a group, from nothing on when its account has begun a new life. */
static __always_inline struct kbuf_account *kbuf_at(__u32 count)
{
	__u32 position = count - 1;
	struct account *group = count_at(position);
	struct kbuf_account *kbuf = bpf_map_lookup_elem(&kbufs, &position);
	__u64 born;

	if (!group || !kbuf)
		return NULL;
	born = kbuf->born_ns;
	if (born == group->born_ns ||
	    __sync_val_compare_and_swap(&kbuf->born_ns, born, group->born_ns) != born)
		return kbuf;
	if (born)
		__builtin_memset(&kbuf->picked, 0, KBUF_LIFE_BYTES);
	if (kbuf->ring_id == group->ring_id && kbuf->bgid == group->bgid)
		return kbuf;
	kbuf->registered = kbuf->unregistered = 0;
	kbuf->ring_id = group->ring_id;
	kbuf->bgid = group->bgid;
	return kbuf;
}

/* ---- calls and their returns */

static __always_inline struct call *call_at(enum level level)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct thread *thread = bpf_map_lookup_elem(&threads, &tid);

	return thread ? &thread->calls[level] : NULL;
}

static __always_inline struct call *begin_call(enum level level)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct call *call = call_at(level);
	struct thread fresh = {};

	if (!call) {
		bpf_map_update_elem(&threads, &tid, &fresh, BPF_NOEXIST);
		call = call_at(level);
	}
	if (!call || call->is_open)
		add(&missed, 1);
	if (call)
		call->is_open = 1;
	return call;
}

/* NULL: its beginning was not seen, or not wanted. */
static __always_inline struct call *end_call(enum level level)
{
	struct call *call = call_at(level);

	if (!call || !call->is_open)
		return NULL;
	call->is_open = 0;
	return call;
}

/* ---- a request picks */

/* The buffer it picked before was neither named nor dropped: the kernel put it back unused. */
static __always_inline void settle_pick(__u32 *pick)
{
	struct kbuf_account *kbuf = pick && *pick ? kbuf_at(*pick) : NULL;

	if (kbuf)
		add(&kbuf->recycled, 1);
	if (pick)
		*pick = 0;
}

static __always_inline int enter_pick(__u64 req, __u32 bgid)
{
	__u64 ring = (__u64)BPF_CORE_READ((struct io_kiocb *)req, ctx);
	__u32 count = find_count((void *)ring, bgid);
	struct call *call;

	settle_pick(bpf_map_lookup_elem(&picks, &req));
	if (!count || count == INDEX_IGNORED)
		return 0;
	call = begin_call(LEVEL_SELECT);
	if (!call)
		return 0;
	call->what = req;
	call->count = count;
	return 0;
}

/* Up to 6.12 the group stands where the buffer will. */
static __always_inline __u32 group_of(__u64 req)
{
	return BPF_CORE_READ((struct io_kiocb *)req, buf_index);
}

static __always_inline int enter_select(__u64 req, __u64 unused, __u64 bgid)
{
	return enter_pick(req, select_has_group ? (__u32)bgid & 0xffff : group_of(req));
}

static __always_inline int enter_select_many(__u64 req, __u64 arg, __u64 unused)
{
	struct buf_sel_arg *sel = (void *)arg;

	if (bpf_core_field_exists(sel->buf_group))
		return enter_pick(req, BPF_CORE_READ(sel, buf_group));
	return enter_pick(req, group_of(req));
}

static __always_inline __u64 flags_of(__u64 req)
{
	return BPF_CORE_READ_BITFIELD_PROBED((struct io_kiocb *)req, flags);
}

/* Before there was a commit: taken at once where no completion is sure to follow. */
static __always_inline int is_taken_at_once(__u64 req)
{
	return !has_commit && flags_of(req) & req_ring &&
	       !BPF_CORE_READ((struct io_kiocb___buflist *)req, buf_list);
}

static __always_inline int leave_pick(int is_picked, int is_empty)
{
	struct call *call = end_call(LEVEL_SELECT);
	struct kbuf_account *kbuf = call ? kbuf_at(call->count) : NULL;
	__u64 req;

	if (!kbuf)
		return 0;
	if (is_empty)
		add(&kbuf->starved, 1);
	if (!is_picked)
		return 0;
	req = call->what;
	add(&kbuf->picked, 1);
	if (is_taken_at_once(req))
		add(&kbuf->taken, 1);
	bpf_map_update_elem(&picks, &req, &call->count, BPF_ANY);
	return 0;
}

/* An address, or a list and an address. */
static __always_inline int leave_select(__u64 low, __u64 high)
{
	__u64 address = select_is_struct ? high : low;

	return leave_pick(address != 0, address == 0);
}

static __always_inline int leave_select_many(__u64 low, __u64 high)
{
	return leave_pick((int)low > 0, (int)low == NO_BUFFERS);
}

/* ---- the head moves */

static __always_inline __u16 head_of(__u64 bl)
{
	return BPF_CORE_READ((struct io_buffer_list *)bl, head);
}

static __always_inline int enter_commit(__u64 req, __u64 bl, __u64 unused)
{
	__u64 ring = (__u64)BPF_CORE_READ((struct io_kiocb *)req, ctx);
	__u32 count = find_count((void *)ring, BPF_CORE_READ((struct io_buffer_list *)bl, bgid));
	struct call *call;

	if (!count || count == INDEX_IGNORED)
		return 0;
	call = begin_call(LEVEL_COMMIT);
	if (!call)
		return 0;
	call->what = bl;
	call->count = count;
	call->head = head_of(bl);
	return 0;
}

/* The ring's lock is held throughout: the difference is this call's. */
static __always_inline int leave_commit(__u64 low, __u64 high)
{
	struct call *call = end_call(LEVEL_COMMIT);
	struct kbuf_account *kbuf = call ? kbuf_at(call->count) : NULL;

	if (kbuf)
		add(&kbuf->taken, (__u16)(head_of(call->what) - call->head));
	return 0;
}

/* ---- its buffer leaves the request: named by a completion, dropped, or put back */

static __always_inline struct kbuf_account *take_pick(__u64 req)
{
	__u32 *pick = bpf_map_lookup_elem(&picks, &req);
	struct kbuf_account *kbuf = pick && *pick ? kbuf_at(*pick) : NULL;

	if (pick)
		*pick = 0;
	return kbuf;
}

static __always_inline int enter_put(__u64 req, __u64 unused, __u64 unused2)
{
	struct kbuf_account *kbuf = take_pick(req);

	if (!kbuf)
		return 0;
	add(&kbuf->selected, 1);
	if (!(flags_of(req) & req_ring) ||
	    (!has_commit && BPF_CORE_READ((struct io_kiocb___buflist *)req, buf_list)))
		add(&kbuf->taken, 1);
	return 0;
}

static __always_inline int enter_drop(__u64 req, __u64 unused, __u64 unused2)
{
	struct kbuf_account *kbuf = flags_of(req) & req_selected ? take_pick(req) : NULL;

	if (!kbuf)
		return 0;
	add(&kbuf->dropped, 1);
	add(&kbuf->taken, 1);
	return 0;
}

/* A buffer that was written to in part stays with its request. */
static __always_inline int enter_recycle(__u64 req, __u64 unused, __u64 unused2)
{
	if (!(flags_of(req) & req_partial))
		settle_pick(bpf_map_lookup_elem(&picks, &req));
	return 0;
}

/* ---- groups come and go */

static __always_inline int enter_register(__u64 ring, __u64 arg, __u64 unused)
{
	struct call *call = begin_call(LEVEL_REGISTER);

	if (!call)
		return 0;
	call->what = ring;
	call->arg = arg;
	call->is_done = 0;
	return 0;
}

static __always_inline int leave_register(__u64 low, __u64 high)
{
	struct call *call = end_call(LEVEL_REGISTER);
	__u16 bgid = 0;

	/* after eight bytes of address and four of entries */
	if (!call || (int)low || bpf_probe_read_user(&bgid, sizeof(bgid), (void *)call->arg + 12))
		return 0;
	call->bgid = bgid;
	call->is_done = 1;
	return 0;
}

/* The account of a new group is made at this tracepoint, by the program that was there before. */
SEC("tp_btf/io_uring_register")
int on_registered(__u64 *args)
{
	struct call *call = call_at(LEVEL_REGISTER);
	struct kbuf_account *kbuf;
	__u32 count;

	if (!call || !call->is_done)
		return 0;
	call->is_done = 0;
	count = find_count((void *)call->what, call->bgid);
	kbuf = count && count != INDEX_IGNORED ? kbuf_at(count) : NULL;
	if (!kbuf)
		return 0;
	if (args[1] == 22) /* IORING_REGISTER_PBUF_RING */
		add(&kbuf->registered, 1);
	else
		add(&kbuf->unregistered, 1);
	return 0;
}

static long forget_step(__u32 i, __u64 *ring)
{
	struct kbuf_account *kbuf = bpf_map_lookup_elem(&kbufs, &i);

	if (kbuf && kbuf->ring_id == *ring)
		kbuf->ring_id = 0;
	return !kbuf;
}

/* A ring goes: the next at this address is another. */
static __always_inline int enter_kill(__u64 ring, __u64 unused, __u64 unused2)
{
	bpf_loop(1U << 16, forget_step, &ring, 0);
	return 0;
}

/* ---- the programs: f by fentry and fexit, k by kprobe and kretprobe */

#define ENTER(function, nr, enter)                                                                 \
	SEC("fentry/" #function)                                                                   \
	int f_##function(__u64 *args)                                                              \
	{                                                                                          \
		return enter(args[0], (nr) > 1 ? args[1] : 0,                                      \
			     (nr) > 2 && select_has_group ? args[2] : 0);                          \
	}                                                                                          \
	SEC("kprobe/" #function)                                                                   \
	int k_##function(void *regs)                                                               \
	{                                                                                          \
		return enter(PT_REG_ARG1(regs), PT_REG_ARG2(regs), PT_REG_ARG3(regs));             \
	}

#define LEAVE(function, leave)                                                                     \
	SEC("fexit/" #function)                                                                    \
	int fx_##function(__u64 *args)                                                             \
	{                                                                                          \
		__u64 result = 0;                                                                  \
                                                                                                   \
		bpf_get_func_ret(args, &result);                                                   \
		return leave(result, 0);                                                           \
	}                                                                                          \
	SEC("kretprobe/" #function)                                                                \
	int kx_##function(void *regs)                                                              \
	{                                                                                          \
		return leave(PT_REG_RESULT(regs), PT_REG_RESULT2(regs));                           \
	}

#define BOTH(function, nr, what)                                                                   \
	ENTER(function, nr, enter_##what)                                                          \
	LEAVE(function, leave_##what)

BOTH(io_buffer_select, 3, select)
BOTH(io_buffers_select, 2, select_many)
BOTH(io_buffers_peek, 2, select_many)
BOTH(io_kbuf_commit, 2, commit)
ENTER(__io_put_kbuf, 1, enter_put)
ENTER(__io_put_kbufs, 1, enter_put)
ENTER(io_kbuf_drop_legacy, 1, enter_drop)
ENTER(io_kbuf_recycle_legacy, 1, enter_recycle)
BOTH(io_register_pbuf_ring, 2, register)
BOTH(io_unregister_pbuf_ring, 2, register)
ENTER(io_ring_ctx_wait_and_kill, 1, enter_kill)

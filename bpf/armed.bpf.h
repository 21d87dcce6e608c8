/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests that were waiting for their file before anybody watched. The kernel keeps them in a
 * hash table, to find what is to be cancelled, and each knows its group, its descriptor and its
 * user_data: the completions of a multishot receive armed an hour ago need not be guessed.
 */
#ifndef BUFSCOPE_ARMED_BPF_H
#define BUFSCOPE_ARMED_BPF_H

#include "kernel.bpf.h"
#include "counts.bpf.h"
#include "requests.bpf.h"
#include "trace.bpf.h"

#define ARMED_BITS      8         /* the kernel makes no more buckets */
#define ARMED_STEPS     (1 << 18) /* the walk takes no lock: a list may turn in circles meanwhile */
#define MOST_SCANS      (1 << 20) /* milliseconds */
#define REQ_FIXED_FILE  1         /* as IOSQE_FIXED_FILE */
#define RECVSEND_BUNDLE 16        /* in sqe->ioprio of recv and send */

struct armed_walk {
	__u64 ring_id;
	__u64 buckets;
	__u64 node;
	__u32 left; /* buckets */
};

/* One completion of it takes several buffers. */
static __always_inline int is_bundle(struct io_kiocb *req)
{
	struct io_sr_msg *sr = (void *)req;
	__u32 opcode = BPF_CORE_READ(req, opcode);

	return (opcode == OP_RECV || opcode == OP_SEND) &&
	       BPF_CORE_READ(sr, flags) & RECVSEND_BUNDLE;
}

/* ---- its descriptor */

/* Where it stands in a table of the process or of the ring. */
struct fd_search {
	__u64 wanted;
	__u64 slots;
	__u32 nr;
	__s32 fd;
};

__u32 scans_left; /* in this walk, of which there is one at a time */

#define SLOT_BITS 7ULL /* of a pointer in a table: what else is known of the file, up to 6.12 */

static long fd_step(__u32 i, struct fd_search *search)
{
	__u64 slot = 0;

	bpf_probe_read_kernel(&slot, sizeof(slot), (void *)(search->slots + i * sizeof(slot)));
	if ((slot & ~SLOT_BITS) != search->wanted)
		return 0;
	search->fd = i;
	return 1;
}

static __always_inline struct task_struct *task_of(struct io_kiocb *req)
{
	struct io_kiocb___task *direct = (void *)req;

	return bpf_core_field_exists(direct->task) ? BPF_CORE_READ(direct, task)
						   : BPF_CORE_READ(req, tctx, task);
}

static __always_inline void look_in_process(struct fd_search *search, struct io_kiocb *req)
{
	struct fdtable *table = BPF_CORE_READ(task_of(req), files, fdt);

	search->wanted = (__u64)BPF_CORE_READ(req, file);
	search->slots = (__u64)BPF_CORE_READ(table, fd);
	search->nr = BPF_CORE_READ(table, max_fds);
}

/* Registered files. */
static __always_inline void look_in_ring(struct fd_search *search, struct io_kiocb *req)
{
	struct io_ring_ctx *ring = BPF_CORE_READ(req, ctx);
	struct io_ring_ctx___userfiles *old = (void *)ring;

	if (bpf_core_field_exists(old->nr_user_files)) {
		search->wanted = (__u64)BPF_CORE_READ(req, file);
		search->slots = (__u64)BPF_CORE_READ(old, file_table.files);
		search->nr = BPF_CORE_READ(old, nr_user_files);
	} else {
		search->wanted = (__u64)BPF_CORE_READ(req, file_node);
		search->slots = (__u64)BPF_CORE_READ(ring, file_table.data.nodes);
		search->nr = BPF_CORE_READ(ring, file_table.data.nr);
	}
}

/*
 * The request had its descriptor's number at first. It is the same word as the flags of a
 * completion: a wakeup may have made it 0, and a bundle that came in parts a bid. Then it is looked
 * for where the number comes from. -1: it is not there any more, or that would take too long.
 * Global: the verifier looks at it once.
 */
__noinline int armed_fd(__u64 address, __u32 flags)
{
	struct io_kiocb *req = (void *)address;
	struct fd_search search = {};

	if (flags & REQ_FIXED_FILE)
		look_in_ring(&search, req);
	else
		look_in_process(&search, req);
	search.fd = BPF_CORE_READ(req, cqe.fd);
	if (!search.wanted)
		return -1;
	if ((__u32)search.fd < search.nr && fd_step(search.fd, &search))
		return search.fd;
	search.fd = -1;
	if (search.nr > scans_left)
		search.nr = scans_left;
	scans_left -= search.nr;
	bpf_loop(search.nr, fd_step, &search, 0);
	return search.fd;
}

/* ---- the request */

/* Is it still in the table, so that its completion is still to come? */
static __always_inline int is_armed(const struct armed_walk *walk, struct io_kiocb *req)
{
	return (__u64)BPF_CORE_READ(req, ctx) == walk->ring_id &&
	       BPF_CORE_READ(req, hash_node.pprev);
}

static __always_inline __u32 code_of_armed(__u64 ring_id, __u32 bgid)
{
	__u32 code = find_count((void *)ring_id, bgid);

	if (code)
		return code;
	if (only_bgid >= 0 && bgid != (__u32)only_bgid)
		return INDEX_IGNORED;
	return learn(ring_id, bgid, LEARN_WANTED);
}

static __always_inline void note_armed(struct armed_walk *walk, struct io_kiocb *req)
{
	__u64 flags = BPF_CORE_READ_BITFIELD_PROBED(req, flags);
	__u32 opcode = BPF_CORE_READ(req, opcode), code;
	struct req_slot *slot;

	if (!(flags & REQ_BUFFER_SELECT) || !is_armed(walk, req) || find_req(req))
		return;
	code = code_of_armed(walk->ring_id, group_of_waiting((__u64)req, opcode));
	if (code == INDEX_IGNORED && only_bgid < 0)
		return;
	slot = slot_for_req(req);
	if (!slot)
		return;
	slot->user_data = BPF_CORE_READ(req, cqe.user_data);
	slot->fd = armed_fd((__u64)req, flags);
	slot->flags = SLOT_ARMED | (flags & req_multishot ? SLOT_MULTISHOT : 0);
	slot->nbufs = trace_kinds ? trace_what(opcode, flags) : 0;
	slot->req = (__u64)req;
	slot->life = life_of((void *)walk->ring_id, code);
	give_count(slot, code);
	if (flags & req_multishot)
		note_stream((void *)walk->ring_id, slot);
	if (is_armed(walk, req))
		return;
	slot->count = 0;
	end_stream((void *)walk->ring_id, slot->user_data, code);
}

/*
 * A request that is being run while the table is walked waits in none: it is met when it begins to
 * wait. Global: seldom wanted, and it needs a stack of its own. The code of a group whose order is
 * to be kept from now on, or 0.
 */
__noinline int meet_late(__u64 address)
{
	struct io_kiocb *req = (void *)address;
	__u64 flags = BPF_CORE_READ_BITFIELD_PROBED(req, flags);
	__u64 ring_id = (__u64)BPF_CORE_READ(req, ctx);
	__u32 opcode = BPF_CORE_READ(req, opcode);
	__u32 bgid = group_of_waiting(address, opcode), code;
	struct account *group;
	struct req_slot *slot;

	code = find_count((void *)ring_id, bgid);
	if (!code)
		code = learn(ring_id, bgid, 0);
	if (code == INDEX_IGNORED && only_bgid < 0)
		return 0;
	slot = slot_for_req(req);
	if (!slot)
		return 0;
	slot->req = address;
	slot->user_data = BPF_CORE_READ(req, cqe.user_data);
	slot->fd = armed_fd(address, flags);
	slot->flags = SLOT_ARMED | (flags & req_multishot ? SLOT_MULTISHOT : 0);
	slot->nbufs = trace_kinds ? trace_what(opcode, flags) : 0;
	slot->life = life_of((void *)ring_id, code);
	give_count(slot, code);
	if (flags & req_multishot)
		note_stream((void *)ring_id, slot);
	group = is_bundle(req) ? count_at(code - 1) : NULL;
	return group && !group->has_bundles ? code : 0;
}

static __always_inline void note_armed_bundle(struct io_kiocb *req)
{
	struct req_slot *slot = find_req(req);
	struct account *group;

	if (!slot || !is_bundle(req))
		return;
	group = count_at(slot->count - 1);
	if (group && !group->has_bundles)
		group->wants_order = 1;
}

static __always_inline void next_bucket(struct armed_walk *walk)
{
	struct io_hash_bucket *bucket;

	walk->left--;
	bucket = (void *)(walk->buckets + walk->left * bpf_core_type_size(struct io_hash_bucket));
	walk->node = (__u64)BPF_CORE_READ(bucket, list.first);
}

/* One request, or on to the next bucket: a loop in a loop would nest calls too deep. */
static long armed_step(__u32 i, struct armed_walk *walk)
{
	struct io_kiocb *req =
		(void *)(walk->node - bpf_core_field_offset(struct io_kiocb, hash_node));

	if (walk->node) {
		note_armed(walk, req);
		note_armed_bundle(req);
		walk->node = (__u64)BPF_CORE_READ(req, hash_node.next);
	} else if (walk->left) {
		next_bucket(walk);
	} else {
		return 1;
	}
	return 0;
}

static __always_inline void walk_table(struct armed_walk *walk, __u64 buckets, __u32 bits)
{
	if (!buckets || bits > ARMED_BITS)
		return;
	walk->buckets = buckets;
	walk->left = 1U << bits;
	/* not in the loop: see nothing */
	next_bucket(walk);
	bpf_loop(ARMED_STEPS, armed_step, walk, 0);
}

struct armed_args {
	__u64 ring_id;
};

struct group_args {
	__u64 ring_id;
	__u32 bgid;
};

/* Of one ring. */
SEC("syscall")
int meet_armed(struct armed_args *args)
{
	struct armed_walk walk = {.ring_id = args->ring_id};
	struct io_ring_ctx *ring = (void *)args->ring_id;
	struct io_ring_ctx___locked *locked = (void *)ring;

	scans_left = MOST_SCANS;
	walk_table(&walk, (__u64)BPF_CORE_READ(ring, cancel_table.hbs),
		   BPF_CORE_READ(ring, cancel_table.hash_bits));
	if (bpf_core_field_exists(locked->cancel_table_locked))
		walk_table(&walk, (__u64)BPF_CORE_READ(locked, cancel_table_locked.hbs),
			   BPF_CORE_READ(locked, cancel_table_locked.hash_bits));
	return 0;
}

/* From here, since a walk nests calls too deep already. */
SEC("syscall")
int start_armed(struct group_args *args)
{
	__u32 code = find_count((void *)args->ring_id, args->bgid);
	struct account *group = code && code != INDEX_IGNORED ? count_at(code - 1) : NULL;

	if (!group || !group->wants_order)
		return 0;
	group->wants_order = 0;
	if (group->state == ACCOUNT_LIVE && !group->has_bundles)
		start_order_surely(code - 1);
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The requests that are under way: found by the request's address, and, since the completions of
 * a multishot request do not carry it, by ring and user_data.
 */
#ifndef BUFSCOPE_REQUESTS_BPF_H
#define BUFSCOPE_REQUESTS_BPF_H

#include "counts.bpf.h"

/* ---- knobs */
const volatile __u32 old_complete;  /* io_uring_complete with values instead of a cqe */
const volatile __u64 req_multishot; /* REQ_F_APOLL_MULTISHOT of this kernel */

#define REQ_BUFFER_SELECT 32

#define OP_PROVIDE 31
#define OP_REMOVE  32

#define SLOT_MULTISHOT 1
#define SLOT_ARMED     2
#define SLOT_AMBIGUOUS 4 /* stream: live requests of several groups share the user_data */
#define SLOT_PROVIDE   8
#define SLOT_REMOVE    16
#define SLOT_SILENT    32 /* completes only if it fails */

/* A request that selects buffers, from its submission to its last completion. */
struct req_slot {
	__u64 req;
	__u64 user_data;
	__u32 count; /* 1 + position of its group's account, written last; 0: the request is done */
	__s32 fd;    /* provide: first bid */
	__u16 flags;
	__u16 life;  /* of that account by then */
	__u32 nbufs; /* provide: how many; else, when tracing, which operation it is */
};

/* The same for multishot requests, as their completions know them; alike from user_data on. */
struct stream_slot {
	__u64 ring_id;
	__u64 user_data;
	__u32 count;
	__s32 fd;
	__u16 flags;
	__u16 life; /* of that account by then */
	__u32 what; /* when tracing: which operation it is */
};

/* What lies side by side in one word: one load and one branch for all of it. */
static __always_inline __u32 as_word(const void *at)
{
	__u32 word;

	__builtin_memcpy(&word, __builtin_assume_aligned(at, sizeof(word)), sizeof(word));
	return word;
}

/* Two numbers of 16 bits, the first one where memory has it first. */
#define PAIR(first, second)                                                                        \
	(__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? (first) << 16 | (second)                         \
						: (first) | (second) << 16)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct req_slot) * REQ_SLOTS);
} reqs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct stream_slot) * REQ_SLOTS / 2);
} streams SEC(".maps");

#define BUCKET 4
#define NEAR   2 /* of a bucket of streams */

/*
 * The first slots of each bucket: the program's own memory, which needs no look-up. There is not
 * room for all in it: it is one element of a map, too.
 */
static struct stream_slot near_streams[REQ_SLOTS / 2];

/*
 * Four slots that lie together, from the request's own on. Requests are neighbours in a slab of
 * objects of 256 bytes, and their slots are neighbours here: tables like this lie in small
 * pages, and scattered slots would cost a TLB miss each. Slabs that are 32 MiB apart share their
 * slots: what finds those taken goes to other four, which are not the same for both; and, where
 * those are taken too, on to farther ones.
 */
static __always_inline __u32 req_key(__u32 own, __u32 way)
{
	__u32 key = (own & ~(BUCKET - 1)) | ((own + way) & (BUCKET - 1));

	barrier_var(key); /* 6.1 knows no bounds behind an "or" of 32 bits */
	return key & (REQ_SLOTS - 1);
}

static __always_inline struct req_slot *req_at(struct req_slot *table, __u32 own, __u32 way)
{
	return &table[req_key(own, way)];
}

static __always_inline __u32 req_bucket(const void *req)
{
	return low_half(req) >> 8;
}

/* Where it is sought the nth time. */
static __always_inline __u32 nth_bucket(const void *req, __u32 nth)
{
	__u32 low = low_half(req);

	return (low >> 8) + ((low >> 25) + 1) * 1087 * BUCKET * nth;
}

/* The slot that has the request's address. */
static __always_inline struct req_slot *own_req(struct req_slot *table, __u32 bucket,
						const void *req)
{
	for (__u32 way = 0; way < BUCKET; way++) {
		struct req_slot *slot = req_at(table, bucket, way);

		if (slot->req == (__u64)req)
			return slot;
	}
	return NULL;
}

/* As a count: of a slot that is being filled in. No group has it: INDEX_IGNORED is another. */
#define SLOT_CLAIMED 0xfffffffeU

/*
 * Its own slot, else a free one, or one whose request may have gone silently. A done request
 * leaves its address in its slot: the kernel uses the same few addresses again and again. Requests
 * of two processors may want the same slot: it is for who changes its count.
 */
static __always_inline int claim(struct req_slot *slot, const void *req)
{
	__u32 count = *(volatile __u32 *)&slot->count;

	if (count == SLOT_CLAIMED ||
	    (count && slot->req != (__u64)req && !(slot->flags & SLOT_SILENT)))
		return 0;
	return __sync_val_compare_and_swap(&slot->count, count, SLOT_CLAIMED) == count;
}

static __always_inline struct req_slot *claim_among(struct req_slot *table, __u32 bucket,
						    const void *req)
{
	for (__u32 way = 0; way < BUCKET; way++) {
		struct req_slot *slot = req_at(table, bucket, way);

		if (claim(slot, req))
			return slot;
	}
	return NULL;
}

/* ---- requests that found no room in the two buckets that are tried first */

#define FAR_TRIES 62

/* By the first bucket, as a request may be far only where one was before. */
static __u8 far_from[REQ_SLOTS / BUCKET];

static __always_inline __u8 *is_far(const void *req)
{
	return &far_from[(req_bucket(req) / BUCKET) & (REQ_SLOTS / BUCKET - 1)];
}

struct far_search {
	__u64 req;
	__u32 is_new;
	__u32 found; /* 1 + key */
};

static long far_step(__u32 i, struct far_search *search)
{
	struct req_slot *table = whole_table(reqs);
	__u32 bucket = nth_bucket((void *)search->req, 2 + i);

	for (__u32 way = 0; table && way < BUCKET; way++) {
		__u32 key = req_key(bucket, way);

		if (search->is_new ? claim(&table[key], (void *)search->req)
				   : table[key].req == search->req) {
			search->found = key + 1;
			return 1;
		}
	}
	return 0;
}

/* Its own slot or, for a new one, a free one. */
static __noinline struct req_slot *far_slot(const void *req, __u32 is_new)
{
	struct far_search search = {.req = (__u64)req, .is_new = is_new, .found = nothing};
	struct req_slot *table = whole_table(reqs);

	if (!table)
		return NULL;
	bpf_loop(FAR_TRIES, far_step, &search, 0);
	return search.found ? &table[(search.found - 1) & (REQ_SLOTS - 1)] : NULL;
}

/* ---- */

static __always_inline struct req_slot *find_req(const void *req)
{
	struct req_slot *table = whole_table(reqs), *slot;

	if (!table)
		return NULL;
	slot = own_req(table, req_bucket(req), req);
	if (!slot)
		slot = own_req(table, nth_bucket(req, 1), req);
	if (!slot && *is_far(req))
		slot = far_slot(req, 0);
	return slot && slot->count && slot->count != SLOT_CLAIMED ? slot : NULL;
}

/*
 * To be filled in, and then given its count. Where there is no room, the request that has the first
 * slot is forgotten.
 */
static __always_inline struct req_slot *slot_for_req(const void *req)
{
	struct req_slot *table = whole_table(reqs), *slot;

	if (!table)
		return NULL;
	slot = claim_among(table, req_bucket(req), req);
	if (!slot)
		slot = claim_among(table, nth_bucket(req, 1), req);
	if (slot)
		return slot;
	slot = far_slot(req, 1);
	if (slot) {
		*is_far(req) = 1;
		return slot;
	}
	lose(EVENT_REQS_EVICTED);
	slot = req_at(table, req_bucket(req), 0);
	slot->count = SLOT_CLAIMED;
	return slot;
}

/* All else of it is written. */
static __always_inline void give_count(struct req_slot *slot, __u32 count)
{
	barrier();
	slot->count = count;
}

/* table: the near slots or the others */
static __always_inline struct stream_slot *stream_at(struct stream_slot *table, __u32 bucket,
						     __u32 way)
{
	__u32 key = bucket * NEAR + way;

	barrier_var(key); /* as above */
	return &table[key & (REQ_SLOTS / 2 - 1)];
}

static __always_inline __u32 stream_bucket(const void *ring, __u64 user_data)
{
	__u64 mix = user_data * 0x9e3779b97f4a7c15ULL;

	return (low_half(ring) >> 6) ^ (__u32)(mix >> 32);
}

static __always_inline struct stream_slot *stream_among(struct stream_slot *table, const void *ring,
							__u64 user_data)
{
	__u32 bucket = stream_bucket(ring, user_data);

	for (__u32 way = 0; way < NEAR; way++) {
		struct stream_slot *slot = stream_at(table, bucket, way);

		if (slot->user_data == user_data && slot->ring_id == (__u64)ring)
			return slot;
	}
	return NULL;
}

static __always_inline struct stream_slot *find_stream(const void *ring, __u64 user_data)
{
	struct stream_slot *slot = stream_among(near_streams, ring, user_data), *table;

	if (slot)
		return slot;
	table = whole_table(streams);
	return table ? stream_among(table, ring, user_data) : NULL;
}

/* As a copy: where the slot lies is no matter then, or a verifier would go both ways from there. */
static __always_inline int read_stream(const void *ring, __u64 user_data, struct req_slot *copy)
{
	const struct stream_slot *slot = find_stream(ring, user_data);

	if (!slot)
		return 0;
	copy->count = slot->count;
	copy->fd = slot->fd;
	copy->flags = slot->flags;
	copy->life = slot->life;
	copy->nbufs = slot->what;
	return 1;
}

static __always_inline struct stream_slot *free_stream(struct stream_slot *table, __u32 bucket)
{
	for (__u32 way = 0; way < NEAR; way++) {
		struct stream_slot *slot = stream_at(table, bucket, way);

		if (!slot->ring_id)
			return slot;
	}
	return NULL;
}

static __always_inline struct stream_slot *slot_for_stream(const void *ring, __u64 user_data)
{
	__u32 bucket = stream_bucket(ring, user_data);
	struct stream_slot *slot = find_stream(ring, user_data), *table;

	if (!slot)
		slot = free_stream(near_streams, bucket);
	if (slot)
		return slot;
	table = whole_table(streams);
	if (!table)
		return NULL;
	slot = free_stream(table, bucket);
	if (slot)
		return slot;
	return stream_at(user_data & NEAR ? table : near_streams, bucket, user_data & (NEAR - 1));
}

/* Accounts outlive their rings, and others get their places: whose was it? */
static __always_inline __u16 life_of(const void *ring, __u32 code)
{
	const struct account *group = count_at(code - 1);

	return group ? group->life : *ring_life(low_half(ring));
}

/* By an earlier ring at this address. */
static __always_inline int is_of_earlier(const struct stream_slot *slot)
{
	return life_of((void *)slot->ring_id, slot->count) != slot->life;
}

/*
 * Left by an earlier ring at this address, or by a group that went: nothing more comes of it. Nor
 * of what was passed over, if that was the ring as a whole.
 */
static __always_inline int is_left_over(const struct stream_slot *slot)
{
	const struct account *group = count_at(slot->count - 1);

	if (group ? group->state == ACCOUNT_DEAD : only_bgid < 0)
		return 1;
	return is_of_earlier(slot);
}

static __always_inline void note_stream(const void *ring, const struct req_slot *req)
{
	struct stream_slot *slot = slot_for_stream(ring, req->user_data);

	if (!slot)
		return;
	if (slot->ring_id == (__u64)ring && slot->user_data == req->user_data &&
	    slot->count != req->count && !is_left_over(slot))
		slot->flags |= SLOT_AMBIGUOUS;
	else
		slot->flags = 0;
	slot->ring_id = (__u64)ring;
	slot->user_data = req->user_data;
	slot->count = req->count;
	slot->fd = req->fd;
	slot->life = req->life;
	slot->what = req->nbufs;
}

/* count: of the group that it drew from; another one's request may have the slot by now. */
static __always_inline void end_stream(const void *ring, __u64 user_data, __u32 count)
{
	struct stream_slot *slot = find_stream(ring, user_data);

	if (slot && slot->count == count && !(slot->flags & SLOT_AMBIGUOUS))
		slot->ring_id = 0;
}

/* ---- what was submitted */

#define OP_READV          1
#define OP_READ_FIXED     4
#define OP_WRITE_FIXED    5
#define OP_SENDMSG        9
#define OP_RECVMSG        10
#define OP_READ           22
#define OP_SEND           26
#define OP_RECV           27
#define OP_READ_MULTISHOT 49

static __always_inline int is_socket_op(__u32 opcode)
{
	return opcode == OP_RECV || opcode == OP_RECVMSG || opcode == OP_SEND ||
	       opcode == OP_SENDMSG;
}

/*
 * What completes silently leaves its slot behind. The next request at that address may be one that
 * selects nothing: no slot is written for it. Global: the verifier looks at it once.
 */
__noinline int is_another(__u64 address, __u32 flags)
{
	struct io_kiocb *req = (void *)address;
	__u32 opcode = BPF_CORE_READ(req, opcode);

	if (flags & (SLOT_PROVIDE | SLOT_REMOVE))
		return opcode != (flags & SLOT_PROVIDE ? OP_PROVIDE : OP_REMOVE);
	return !(BPF_CORE_READ_BITFIELD_PROBED(req, flags) & REQ_BUFFER_SELECT);
}

/*
 * Whether a slot tells of requests of this ring, not of one that was at its request's address
 * before: on another ring, or on one that was where this is.
 */
static __always_inline int is_of_ring(const struct req_slot *slot, __u64 ring_id)
{
	const struct account *group = count_at(slot->count - 1);

	if (group && group->ring_id != ring_id)
		return 0;
	return life_of((void *)ring_id, slot->count) == slot->life;
}

/*
 * The group of a request that has no buffer now. Receiving and sending ones keep it in their own
 * fields, reading ones, since 6.16, in what they keep of an attempt: a bid may have overwritten
 * buf_index. Before, buf_index is the group again once the buffer was put.
 */
static __always_inline __u32 group_of_waiting(__u64 address, __u32 opcode)
{
	struct io_kiocb *req = (void *)address;
	struct io_sr_msg *sr = (void *)address;
	struct io_async_rw *attempt = BPF_CORE_READ(req, async_data);

	if (old_complete)
		return BPF_CORE_READ(req, buf_index);
	if (is_socket_op(opcode))
		return BPF_CORE_READ(sr, buf_group);
	if (bpf_core_field_exists(attempt->buf_group) && attempt &&
	    (opcode == OP_READV || opcode == OP_READ || opcode == OP_READ_MULTISHOT))
		return BPF_CORE_READ(attempt, buf_group);
	return BPF_CORE_READ(req, buf_index);
}

/* The beginning of struct io_uring_sqe, which is ABI. */
struct entry {
	__u8 opcode;
	__u8 flags;
	__u16 ioprio;
	__s32 fd;
	__u64 off, addr;
	__u32 len, op_flags;
	__u64 user_data;
	__u16 buf_group;
	__u16 pad[3];
};

/* The entry of the request that is being submitted; what the request keeps of it is less. 0 or -1.
 */
static __noinline int read_submitted(struct io_kiocb *req, struct entry *sqe)
{
	/* read as they are: a helper for each would take most of the time */
	const struct io_ring_ctx *ctx = req->ctx;
	const struct io_ring_ctx___sq *sq = (void *)ctx;
	__u32 index, flags, *array;
	void *entries;

	if (!sqe || !bpf_core_field_exists(sq->cached_sq_head) ||
	    !bpf_core_field_exists(sq->sq_array) || !bpf_core_field_exists(sq->sq_sqes))
		return -1;
	flags = ctx->flags;
	array = sq->sq_array;
	bpf_probe_read_kernel(&entries, sizeof(entries), &sq->sq_sqes);
	index = (sq->cached_sq_head - 1) & (ctx->sq_entries - 1);
	if (!(flags & SETUP_NO_SQARRAY) &&
	    bpf_probe_read_kernel(&index, sizeof(index), array + index))
		return -1;
	if (bpf_probe_read_kernel(sqe, sizeof(*sqe),
				  entries + ((__u64)index << (flags & SETUP_SQE128 ? 7 : 6))))
		return -1;
	/* nothing else tells that this is the one */
	return sqe->user_data == req->cqe.user_data && sqe->opcode == req->opcode ? 0 : -1;
}

#endif

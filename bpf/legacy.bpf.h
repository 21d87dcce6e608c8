/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Buffers that are provided and removed by requests. There is no head or tail to read: what went
 * in and out is known from the requests alone.
 *
 * One that completes silently (IOSQE_CQE_SKIP_SUCCESS) is heard of again only when it failed. So
 * it counts when it is submitted, and a completion takes that back.
 */
#ifndef BUFSCOPE_LEGACY_BPF_H
#define BUFSCOPE_LEGACY_BPF_H

#include "requests.bpf.h"

/* The low bits of a request's flags equal those of its sqe on every kernel. */
#define REQ_CQE_SKIP 64

/* A list that was there before, and too long to walk, is not counted on kernels that do not. */
static __always_inline int counts_legacy(const struct account *group)
{
	return !bl_has(io_buffer_list, nbufs) && group->available != REC_UNKNOWN_U32;
}

static __always_inline void take_legacy(struct account *group)
{
	group->taken++;
	/* where the kernel keeps no count, this one is all there is */
	if (counts_legacy(group) && group->available)
		group->available--;
}

/* ---- the group itself */

/* What silent requests put in before there was a group to tell of. */
static __noinline int tell_silent_fill(const struct account *group, __u32 nr)
{
	struct trace_return told = {
		.bid = REC_UNKNOWN_U32,
		.nr = nr,
		.available = nr,
		.kind = TRACE_FILL,
	};
	struct book_flow fill = {.at_ns = bpf_ktime_get_ns()};
	struct book_sums *sums = keeps_books ? sums_of(group) : NULL;

	if (sums)
		book_all_returned(group, sums, nr, &fill);
	return keeps_books ? 0 : trace_returned(group, &told);
}

/*
 * There was no such group when it was last asked for. It may exist by now, made by a silent
 * request: what that put in was noted as returned.
 */
__noinline int meet_legacy(__u32 position)
{
	struct account *group = count_at(position);
	__u64 provided;

	if (!group || group->state != ACCOUNT_ABSENT)
		return 0;
	provided = group->returned;
	learn(group->ring_id, group->bgid, LEARN_WANTED | LEARN_BEGIN);
	if (group->state == ACCOUNT_LIVE && group->kind != GROUP_LEGACY)
		return 0;
	group->returned = provided;
	if (group->state != ACCOUNT_LIVE || !provided)
		return 0;
	group->is_whole = 1;
	if (!bl_has(io_buffer_list, nbufs))
		group->available = provided;
	if (trace_kinds)
		tell_silent_fill(group, provided);
	return 0;
}

/* ---- what an operation did */

static __always_inline void book_provided(struct look *look, __u32 bid)
{
	__s64 age = book_one_return(look->group, look->sums, bid, look->chunk->now);

	if (age >= 0)
		look->sums->hold[hold_bucket(age) & (HOLD_BUCKETS - 1)]++;
}

static long provide_step(__u32 i, struct look *look)
{
	struct chunk *chunk = look->chunk;
	struct bid_state *state = bid_at(look->group, chunk->first + i);

	if (!state)
		return 1;
	if (look->sums)
		book_provided(look, chunk->first + i);
	else if (trace_kinds)
		note_held(&chunk->held, state, chunk->now);
	note_return(look->group, chunk, state, BID_IN_RING);
	return 0;
}

/* A group's first buffers are its fill. */
static __always_inline void tell_provided(const struct account *group, const struct req_slot *slot,
					  __u64 held_ns)
{
	struct trace_return told = {
		.bid = slot->fd,
		.nr = slot->nbufs,
		.available = group->available,
		.held_ns = held_ns,
		.kind = group->returned > slot->nbufs || group->taken ? TRACE_RETURN : TRACE_FILL,
		.exact = 1,
	};

	trace_returned(group, &told);
}

/* Returns how long the one that was out longest was. */
static __always_inline __u64 count_provided(struct account *group, const struct req_slot *slot)
{
	struct look look = {.group = group};
	__u32 end = slot->fd + slot->nbufs, nr;

	group->returned += slot->nbufs;
	if (counts_legacy(group))
		group->available += slot->nbufs;
	look.chunk = open_chunk(AT_EVENT, bpf_ktime_get_ns());
	if (!look.chunk)
		return 0;
	if (group->stretch) {
		if (end > stretch_nr(group->stretch))
			widen_ledger(group->position, end);
		look.chunk->first = slot->fd;
		if (keeps_books)
			open_returns(&look);
		bpf_loop(slot->nbufs & 0xffff, provide_step, &look, 0);
		nr = stretch_nr(group->stretch);
		if (end > nr)
			group->bids_alien += slot->nbufs < end - nr ? slot->nbufs : end - nr;
	}
	count_holds(group, look.chunk);
	if (keeps_books)
		close_returns(&look, slot->nbufs, group->returned <= slot->nbufs && !group->taken);
	return look.chunk->held;
}

static __always_inline void count_removed(struct account *group, __u32 nr)
{
	if (counts_legacy(group))
		group->available -= nr < group->available ? nr : group->available;
}

static __always_inline void count_op(struct account *group, const struct req_slot *slot, __u32 nr)
{
	__u64 held_ns = 0;

	if (group->kind != GROUP_LEGACY)
		return;
	if (slot->flags & SLOT_PROVIDE)
		held_ns = count_provided(group, slot);
	else
		count_removed(group, nr);
	look_at(slot->count - 1, AT_EVENT);
	if (trace_kinds && !keeps_books && slot->flags & SLOT_PROVIDE)
		tell_provided(group, slot, held_ns);
}

/* ---- submission */

static __always_inline void count_silent_op(const struct req_slot *slot)
{
	struct account *group = count_at(slot->count - 1);

	if (!group)
		return;
	if (group->state == ACCOUNT_DEAD) {
		forget(group);
		group->state = ACCOUNT_ABSENT;
	}
	meet_legacy(slot->count - 1);
	if (group->state == ACCOUNT_LIVE)
		count_op(group, slot, slot->nbufs);
	else if (slot->flags & SLOT_PROVIDE)
		group->returned += slot->nbufs;
}

static __always_inline void note_legacy_op(struct io_kiocb *req, __u64 flags)
{
	struct io_provide_buf *op = (void *)req;
	struct req_slot *slot;
	__u64 ring_id = 0;
	__u32 bgid = BPF_CORE_READ_BITFIELD_PROBED(op, bgid);
	__u32 code;

	bpf_core_read(&ring_id, sizeof(ring_id), &req->ctx);
	code = find_count((void *)ring_id, bgid);
	if (!code)
		code = learn(ring_id, bgid, 0);
	if (code == INDEX_IGNORED)
		return;
	slot = slot_for_req(req);
	if (!slot)
		return;
	slot->req = (__u64)req;
	slot->user_data = req->cqe.user_data;
	slot->life = life_of((void *)ring_id, code);
	slot->fd = BPF_CORE_READ_BITFIELD_PROBED(op, bid);
	slot->nbufs = BPF_CORE_READ_BITFIELD_PROBED(op, nbufs);
	slot->flags = req->opcode == OP_PROVIDE ? SLOT_PROVIDE : SLOT_REMOVE;
	give_count(slot, code);
	if (flags & REQ_CQE_SKIP) {
		slot->flags |= SLOT_SILENT;
		count_silent_op(slot);
	}
}

/* ---- completion */

static __noinline int tell_refused(const struct account *group, const struct req_slot *slot,
				   __s32 res)
{
	struct trace_done told = {
		.group = group,
		.user_data = slot->user_data,
		.res = res,
		.fd = -1,
		.what = slot->flags & SLOT_PROVIDE ? OP_PROVIDE : OP_REMOVE,
	};
	struct trace_rec *rec;

	read_level(&told, 0);
	rec = begin_done(TRACE_DONE, &told);
	if (rec)
		end_done(rec);
	return 0;
}

static __always_inline void take_back(struct account *group, const struct req_slot *slot)
{
	if (!(slot->flags & SLOT_PROVIDE))
		return;
	group->returned -= slot->nbufs < group->returned ? slot->nbufs : group->returned;
	if (group->state == ACCOUNT_LIVE)
		count_removed(group, slot->nbufs);
}

/* A PROVIDE or REMOVE that is done; the first PROVIDE makes the group. */
static __always_inline void count_legacy_op(const struct req_slot *slot, __s32 res)
{
	struct account *group = count_at(slot->count - 1);
	int is_silent = slot->flags & SLOT_SILENT;

	if (group && group->state < ACCOUNT_LIVE)
		return;
	if (group && res < 0 && trace_kinds)
		tell_refused(group, slot, res);
	if (group && res < 0 && is_silent)
		take_back(group, slot);
	if (!group || res < 0 || is_silent)
		return;
	if (group->state == ACCOUNT_DEAD) {
		forget(group);
		group->state = ACCOUNT_ABSENT;
	}
	if (group->state == ACCOUNT_ABSENT) {
		meet_legacy(slot->count - 1);
		/* made by this operation, if not by silent ones: it was empty before */
		group->is_whole = 1;
		if (!bl_has(io_buffer_list, nbufs))
			group->available = group->returned;
	}
	if (group->state == ACCOUNT_LIVE)
		count_op(group, slot, res);
}

#endif

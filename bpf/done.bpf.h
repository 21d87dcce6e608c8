/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One completion, whose group is known, is added to that group's account and ledger, and told to
 * trace and books.
 */
#ifndef BUFSCOPE_DONE_BPF_H
#define BUFSCOPE_DONE_BPF_H

#include "kernel.bpf.h"
#include "compat.bpf.h"
#include "counts.bpf.h"
#include "requests.bpf.h"
#include "legacy.bpf.h"
#include "evidence.bpf.h"
#include "tick.bpf.h"

#define NO_BUFFERS (-105)

struct done {
	__u64 user_data;
	__s32 res;
	__u32 flags;
	__u32 moment; /* equal for completions that come at one time; 0: not known */
};

/*
 * To read the clock takes as long as all else that is done at a completion. So it is read once for
 * those that come in one go, and at a tick. Before the queue's tail is moved over all that are
 * posted in one go; older kernels move it over each of a multishot request: there it is the head
 * that did not move, with the thread awake all the while.
 */
static __always_inline __u32 moment_of(const __u64 *args)
{
	const struct io_ring_ctx *typed = (void *)args[0];
	struct io_ring_ctx *ring;
	__u32 head;

	if (!has_tick)
		return 0;
	if (old_complete) {
		/* args may be without types */
		bpf_probe_read_kernel(&ring, sizeof(ring), args);
		head = BPF_CORE_READ(ring, rings, cq.head);
	} else if (bpf_core_field_exists(struct io_submit_state, cq_flush)) {
		return typed->rings->cq.tail + tick_mark;
	} else {
		head = typed->rings->cq.head;
	}
	return head + tick_mark + (__u32)bpf_get_current_task_btf()->nvcsw * 0x85ebca6bU;
}

/* When the completion came that is being counted. */
static __always_inline __u64 taken_ns(struct account *group, __u32 moment)
{
	if (!moment || moment != group->moment) {
		group->moment = moment;
		group->moment_ns = bpf_ktime_get_ns();
	}
	return group->moment_ns;
}

/* A look has read the clock just now. */
static __always_inline void share_clock(struct account *group, __u32 moment)
{
	__u64 looked_ns = *(volatile __u64 *)&group->looked_ns;

	if (looked_ns <= group->moment_ns)
		return;
	group->moment = moment;
	group->moment_ns = looked_ns;
}

static __always_inline void name_taker(struct account *group, struct bid_state *state,
				       const struct done *done, __s32 fd)
{
	state->fd = group->has_bundles ? (fd & (BID_NAMED - 1)) | BID_NAMED : fd;
	if (group->has_bundles)
		return;
	if (done->flags & CQE_BUF_MORE)
		return;
	state->flags = BID_HELD;
	state->since_ns = taken_ns(group, done->moment);
}

/*
 * Whether what came back is to be booked before this. Of a bundle the ring tells how many it took,
 * up to where head is now.
 */
static __always_inline int is_to_be_booked(const struct account *group)
{
	__u16 tail;

	if (group->has_bundles || group->kind == GROUP_LEGACY)
		return group->has_bundles;
	return bpf_probe_read_kernel(&tail, sizeof(tail),
				     (void *)group->ring +
					     bpf_core_field_offset(struct io_uring_buf, resv)) ||
	       tail != group->tail;
}

/*
 * The group is looked at when it is time, and when its ledger is behind: a buffer that it does not
 * know to be in the ring came back unseen, which is to be noted before it is taken again.
 */
static __always_inline void note_taken(__u32 code, struct account *group, const struct done *done,
				       __s32 fd)
{
	__u32 bid = done->flags >> 16;
	struct bid_state *state = bid_at(group, bid);
	int is_behind = 0;

	/*
	 * A buffer that was not in the ring has come back since the last look. As a ring gives in
	 * the order in which it got, that takes as many selections as there were buffers then.
	 */
	if (state && !group->has_bundles && group->kind != GROUP_LEGACY &&
	    group->since >= group->available)
		is_behind = !(state->flags & (BID_IN_RING | BID_DUE));
	/* the ledger is to get longer */
	if (!state && group->stretch && !group->bids_alien)
		is_behind = 1;
	/* the order of bundles is found by the look, which then knows who */
	if (state && group->has_bundles)
		name_taker(group, state, done, fd);
	group->since++;
	/* a trace tells what is available now, after what came back until now */
	is_behind |= keeps_books ? is_to_be_booked(group) : trace_kinds != 0;
	if (is_behind)
		group->is_behind = look_at(code - 1, AT_EVENT) && look_surely(code - 1);
	if (is_behind || (group->since >= group->every && !look_at(code - 1, AT_EVENT))) {
		group->since = 0;
		share_clock(group, done->moment);
		state = bid_at(group, bid); /* it may have moved */
	}
	if (state && !group->has_bundles)
		name_taker(group, state, done, fd);
}

/* As tell() would. It may be multishot: what it does not end is booked alike. Not inline, as tell.
 */
static __noinline int select_briefly(struct account *group, const struct done *done, __s32 fd,
				     __u32 what)
{
	const struct trace_rec rec = {
		.kind = TRACE_SELECT,
		.at_ns = taken_ns(group, done->moment),
		.res = done->res,
		.fd = fd,
		.nr = 1,
		.bid = done->flags >> 16,
		.flags = what & WHAT_FIXED ? TRACE_FIXED_FILE : 0,
		.opcode = what & WHAT_OPCODE,
		.group_kind = group->kind,
		.cqe_flags = done->flags,
	};

	return rec.opcode != OP_SEND && is_traced(TRACE_SELECT, rec.res) &&
	       !is_to_be_booked(group) && book_select_briefly(group, &rec);
}

/* A ring begins at its first slot: what is written there is not published. */
static __always_inline int is_written(const struct account *group)
{
	struct io_uring_buf first = {};

	return group->kind != GROUP_LEGACY && !read_entry(group, 0, &first) && first.addr &&
	       first.len;
}

/* Read anew: who looks at the group just now may have been stopped in the middle of it. */
__noinline int is_dry(__u32 position)
{
	const struct account *group = count_at(position);
	__u16 head, tail;

	if (!group)
		return 0;
	if (group->kind == GROUP_LEGACY || read_head_tail(group, &head, &tail))
		return group->available == 0;
	return head == tail;
}

static __always_inline __u32 judge_starve(struct account *group, __u32 position, __u32 slot_flags)
{
	enum starve_cause cause = STARVE_NOT_EMPTY;
	int is_empty = group->state == ACCOUNT_LIVE && is_dry(position);

	if (group->state == ACCOUNT_ABSENT)
		cause = STARVE_NO_GROUP;
	else if (group->state == ACCOUNT_DEAD)
		cause = group->bl ? STARVE_UNREGISTERED : STARVE_NO_GROUP;
	else if (is_empty && group->tail == 0 && group->returned == 0)
		cause = is_written(group) ? STARVE_UNPUBLISHED : STARVE_NEVER_FILLED;
	else if (is_empty)
		cause = slot_flags & SLOT_ARMED ? STARVE_EMPTY_AT_DATA : STARVE_EMPTY_AT_ISSUE;
	group->causes[cause]++;
	return cause;
}

/* Not inline: what it needs of the stack is not needed while a group is looked at. */
static __noinline int tell(__u32 position, const struct done *done, const struct req_slot *who,
			   __u32 cause)
{
	struct trace_done told = {
		.group = count_at(position),
		.user_data = done->user_data,
		.res = done->res,
		.flags = done->flags,
		.fd = who->fd,
		.what = who->nbufs,
		.cause = cause,
		.is_multishot = (who->flags & SLOT_MULTISHOT) != 0,
	};

	if (!told.group)
		return 0;
	/* a ring was looked at, on behalf of what is told */
	read_level(&told, told.group->state == ACCOUNT_LIVE && told.group->kind != GROUP_LEGACY &&
				  (done->flags & CQE_BUFFER || cause != STARVE_CAUSES));
	trace_completion(&told);
	return 0;
}

/* Whether it is among those that head has passed last and no completion has named yet. */
static __always_inline int is_passed(const struct account *group, __u16 head, __u32 bid)
{
	__s64 due = group->has_bundles ? 0 : unnamed(group, head);

	for (__u16 back = 1; back <= 8; back++) {
		if (back <= due && slot_names(group, head - back, bid))
			return 1;
	}
	return 0;
}

/*
 * A receive that failed may name a buffer that it has put back (seen on 6.16, with MSG_DONTWAIT):
 * it is the ring's next one still. Where it took the buffer (6.1) the next one may have the same
 * bid, if the program publishes one several times.
 */
__noinline int is_put_back(__u32 position, __u32 flags)
{
	const struct account *group = count_at(position);
	__u32 bid = flags >> 16;
	__u16 head, tail;

	if (!group || group->state != ACCOUNT_LIVE || group->kind == GROUP_LEGACY ||
	    flags & CQE_BUF_MORE || read_head_tail(group, &head, &tail) || head == tail)
		return 0;
	return slot_names(group, head, bid) && !is_passed(group, head, bid);
}

/* Adds one completion to its group's account. */
static __always_inline void count(__u32 code, struct done *done, const struct req_slot *who)
{
	struct account *group = count_at(code - 1);
	__u32 cause = STARVE_CAUSES;

	if (!group || group->state < ACCOUNT_LIVE)
		return;
	if (done->res < 0 && done->flags & CQE_BUFFER && is_put_back(code - 1, done->flags))
		done->flags &= 0xffff & ~CQE_BUFFER;
	if (done->flags & CQE_BUFFER) {
		if (group->state == ACCOUNT_ABSENT)
			meet_legacy(code - 1);
		group->selected++;
		if (done->res > 0)
			group->bytes += done->res;
		if (done->flags & CQE_BUF_MORE)
			group->partial++;
		else if (group->kind == GROUP_LEGACY)
			take_legacy(group);
		note_taken(code, group, done, who->fd);
	} else if (done->res == NO_BUFFERS) {
		group->starved++;
		group->is_behind = look_surely(code - 1);
		cause = judge_starve(group, code - 1, who->flags);
	}
	if (who->flags & SLOT_MULTISHOT && !(done->flags & CQE_MORE)) {
		group->mshot_ended++;
		/* whether it got the last buffer is to be known */
		if (keeps_books && done->flags & CQE_BUFFER)
			look_surely(code - 1);
	}
	if (trace_kinds)
		tell(code - 1, done, who, cause);
}

#endif

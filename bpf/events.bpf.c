// SPDX-License-Identifier: GPL-2.0
/*
 * Who took which buffer? Tracepoints of io_uring, one program per signature. The completion
 * carries a bid but no group: the group is remembered at submission, by request and, for
 * multishot requests, whose completions carry no request, by (ring, user_data). What was
 * submitted before is told by the request itself or by the ring's memory: the slot that the
 * kernel consumed last names the bid.
 */
#include "kernel.bpf.h"
#include "compat.bpf.h"
#include "counts.bpf.h"
#include "requests.bpf.h"
#include "legacy.bpf.h"
#include "evidence.bpf.h"
#include "armed.bpf.h"
#include "follow.bpf.h"
#include "fixed.bpf.h"
#include "tick.bpf.h"
#include "lives.bpf.h"
#include "calls.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define NO_BUFFERS (-105)

#define LOW_BYTE (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/* ---- submission */

/*
 * What the operation keeps in its request, by an offset into that: to the verifier these are bytes
 * of no type, to be read one by one. Of the flags the low one.
 */
static __always_inline const __u8 *sr_flags(const struct io_kiocb *req)
{
	return (void *)req + bpf_core_field_offset(struct io_sr_msg, flags) + LOW_BYTE;
}

static __always_inline __u32 word_of(const struct io_kiocb *req, __u32 offset)
{
	const volatile __u8 *bytes = (void *)req + offset;
	__u32 word = 0;

	for (__u32 i = 0; i < sizeof(word); i++)
		word |= bytes[i] << 8 * (LOW_BYTE ? sizeof(word) - 1 - i : i);
	return word;
}

/* One completion will take several buffers and name the first. */
static __always_inline void note_bundle(struct io_kiocb *req, __u32 code)
{
	struct account *group;

	if (!(*sr_flags(req) & RECVSEND_BUNDLE))
		return;
	group = count_at(code - 1);
	if (group && !group->has_bundles)
		start_order_surely(code - 1);
}

/*
 * A request that completes silently. What it takes from a ring shows in the ring; a list forgets.
 */
static __always_inline void note_hidden(__u32 position)
{
	struct account *group = count_at(position);

	if (!group || group->state != ACCOUNT_LIVE)
		return;
	if (group->kind == GROUP_LEGACY)
		lose(EVENT_HIDDEN);
	else if (!group->has_bundles)
		start_order_surely(position);
	else if (++group->since >= group->every && !look_at(position, AT_EVENT))
		group->since = 0;
}

/* What a socket's request asks for. */
static __always_inline void read_asked(struct io_kiocb *req, struct trace_rec *rec)
{
	rec->nr = word_of(req, bpf_core_field_offset(struct io_sr_msg, len));
	rec->cqe_flags = *sr_flags(req);
	rec->available = word_of(req, bpf_core_field_offset(struct io_sr_msg, msg_flags));
}

static __noinline int submit_briefly(struct io_kiocb *req, __u32 position,
				     const struct req_slot *slot)
{
	struct account *group = count_at(position);
	struct trace_rec rec = {.kind = TRACE_SUBMIT, .available = REC_UNKNOWN_U32};

	rec.opcode = slot->nbufs & WHAT_OPCODE;
	if (!group || (rec.opcode != OP_RECV && is_socket_op(rec.opcode)))
		return 0;
	if (rec.opcode == OP_RECV)
		read_asked(req, &rec);
	rec.user_data = slot->user_data;
	rec.fd = slot->fd;
	rec.flags = (slot->nbufs & WHAT_FIXED ? TRACE_FIXED_FILE : 0) |
		    (slot->flags & SLOT_SILENT ? TRACE_SILENT : 0) |
		    (slot->flags & SLOT_MULTISHOT ? TRACE_MULTISHOT : 0);
	rec.at_ns = recent_ns(group);
	return rec.at_ns && book_submit_briefly(group, &rec);
}

/* Not inline: seldom wanted, and what it needs of the stack is not needed otherwise. */
static __noinline int tell_submit(struct io_kiocb *req, __u32 position, const struct req_slot *slot)
{
	struct trace_done told = {
		.group = count_at(position),
		.user_data = slot->user_data,
		.fd = slot->fd,
		.what = slot->nbufs,
		.is_multishot = (slot->flags & SLOT_MULTISHOT) != 0,
	};
	struct entry sqe = {};
	struct trace_rec *rec;

	if (!told.group)
		return 0;
	read_level(&told, 0);
	rec = begin_done(TRACE_SUBMIT, &told);
	if (!rec)
		return 0;
	if (slot->flags & SLOT_SILENT)
		rec->flags |= TRACE_SILENT;
	rec->available = REC_UNKNOWN_U32;
	if (rec->opcode == OP_RECV) {
		read_asked(req, rec);
	} else if (is_socket_op(rec->opcode) && !read_submitted(req, &sqe)) {
		rec->nr = sqe.len;
		rec->cqe_flags = sqe.ioprio;
		rec->available = sqe.op_flags;
	}
	/* books ask only if it matters */
	if (!keeps_books && !(told.what & WHAT_FIXED))
		rec->extra = inode_of(told.fd);
	end_done(rec);
	return 0;
}

static __noinline int note_plain(struct io_kiocb *req, __u64 ring_id, __u32 is_fixed, __u32 bgid)
{
	struct plain plain = {
		.ring_id = ring_id, .fd = BPF_CORE_READ(req, cqe.fd), .is_fixed = is_fixed};

	book_plain_submit(&plain, bgid);
	return 0;
}

/* A request that receives without selecting: what became of a file that starved. */
static __noinline int tell_plain(struct io_kiocb *req, __u64 flags)
{
	struct trace_rec *rec;
	struct entry sqe = {};
	__u64 ring_id = 0;

	if (!is_traced(TRACE_SUBMIT, 0) || !is_wanted(only_bgid))
		return 0;
	bpf_probe_read_kernel(&ring_id, sizeof(ring_id), &req->ctx);
	if (req->opcode == OP_READ || read_submitted(req, &sqe))
		sqe.buf_group = 0;
	if (keeps_books)
		return note_plain(req, ring_id, flags & 1, sqe.buf_group);
	rec = trace_begin(TRACE_SUBMIT, ring_id, 0, 0);
	if (!rec)
		return 0;
	rec->bgid = sqe.buf_group;
	rec->fd = BPF_CORE_READ(req, cqe.fd);
	rec->opcode = BPF_CORE_READ(req, opcode);
	rec->flags = TRACE_PLAIN | (flags & 1 ? TRACE_FIXED_FILE : 0);
	trace_thread(rec);
	trace_end(rec);
	return 0;
}

/* A request that selects no buffer: it may bring its own, or provide some. */
static __always_inline int note_other(struct io_kiocb *req, __u64 flags)
{
	if (trace_kinds &&
	    (req->opcode == OP_RECV || req->opcode == OP_RECVMSG || req->opcode == OP_READ))
		tell_plain(req, flags);
	if (req->opcode == OP_PROVIDE || req->opcode == OP_REMOVE)
		note_legacy_op(req, flags);
	return 0;
}

static __always_inline int note_submit(struct io_kiocb *req)
{
	__u64 flags = req->flags;
	struct req_slot *slot;
	__u32 code;

	if (is_ignored(req->ctx))
		return 0;
	if (!(flags & REQ_BUFFER_SELECT))
		return note_other(req, flags);
	code = find_count(req->ctx, req->buf_index);
	if (!code) {
		__u64 ring_id = 0;

		bpf_core_read(&ring_id, sizeof(ring_id), &req->ctx);
		code = learn(ring_id, req->buf_index, 0);
	}
	/* some groups of a ring may be wanted: what draws from its others must be known as such */
	if (code == INDEX_IGNORED && (only_bgid < 0 || !is_wanted(only_bgid)))
		return 0;
	slot = slot_for_req(req);
	if (!slot)
		return 0;
	slot->req = (__u64)req;
	slot->user_data = req->cqe.user_data;
	slot->life = life_of(req->ctx, code);
	slot->fd = req->cqe.fd;
	slot->flags = flags & req_multishot ? SLOT_MULTISHOT : 0;
	if (trace_kinds)
		slot->nbufs = trace_what(req->opcode, flags);
	give_count(slot, code);
	if (flags & req_multishot)
		note_stream(req->ctx, slot);
	if (req->opcode == OP_RECV || req->opcode == OP_SEND)
		note_bundle(req, code);
	if (flags & REQ_CQE_SKIP) {
		slot->flags |= SLOT_SILENT;
		note_hidden(code - 1);
	}
	if (trace_kinds && !(keeps_books && submit_briefly(req, code - 1, slot)))
		tell_submit(req, code - 1, slot);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int on_submit_req(__u64 *args)
{
	return note_submit((struct io_kiocb *)args[0]);
}

/* up to 6.4: the same moment under another name */
SEC("tp_btf/io_uring_submit_sqe")
int on_submit_sqe(__u64 *args)
{
	return note_submit((struct io_kiocb *)args[0]);
}

/* ---- completion */

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

	if (!group)
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

/*
 * A completion without its request: one of several of a multishot, or (slot_flags 0) of any
 * request. Returns its group's code.
 */
static __always_inline __u32 on_stream(__u64 *args, struct done *done, __u32 slot_flags)
{
	struct req_slot who = {};
	int is_known = read_stream((void *)args[0], done->user_data, &who) &&
		       life_of((void *)args[0], who.count) == who.life;
	__u64 ring_id = 0;
	int is_guess;
	__u32 code;

	if (is_known && who.count == INDEX_IGNORED)
		return INDEX_IGNORED;
	if (is_known && !(who.flags & SLOT_AMBIGUOUS)) {
		who.flags = SLOT_MULTISHOT;
		count(who.count, done, &who);
		return who.count;
	}
	who.flags = is_known ? SLOT_MULTISHOT : slot_flags;
	who.fd = -1;
	who.nbufs = 0;
	/* args is kernel memory: a copy of a pointer in it is a plain number */
	bpf_probe_read_kernel(&ring_id, sizeof(ring_id), args);
	code = find_by_evidence(ring_id, done->flags);
	if (!code) {
		lose(EVENT_UNATTRIBUTED);
		return INDEX_IGNORED;
	}
	is_guess = without_doubt(code) != code;
	code = without_doubt(code);
	who.count = code;
	who.life = life_of((void *)ring_id, code);
	who.user_data = done->user_data;
	if (!is_known && slot_flags && is_ready && !is_guess)
		note_stream((void *)ring_id, &who);
	if (code != INDEX_IGNORED)
		count(code, done, &who);
	return code;
}

/* A request that was not seen at submission knows its group itself, unless a bid is in its place.
 */
static __always_inline __u32 code_of_stranger(__u64 ring_id, __u64 address, const struct done *done)
{
	struct io_kiocb *req = (void *)address;
	__u32 opcode = BPF_CORE_READ(req, opcode);
	__u32 bgid, code;

	if (!old_complete && !is_socket_op(opcode) && done->flags & CQE_BUFFER)
		return without_doubt(find_by_evidence(ring_id, done->flags));
	bgid = group_of_waiting(address, opcode);
	code = find_count((void *)ring_id, bgid);
	return code ? code : learn(ring_id, bgid, 0);
}

static __always_inline void on_stranger(__u64 *args, struct done *done)
{
	struct req_slot who = {.fd = -1};
	__u64 address[2] = {};
	struct io_kiocb *req;
	__u64 flags;
	__u32 code;

	/* without a buffer it matters only as an end: starved, cancelled, failed, end of file */
	if (!(done->flags & CQE_BUFFER) && done->res > 0)
		return;
	bpf_probe_read_kernel(address, sizeof(address), args);
	req = (void *)address[1];
	flags = BPF_CORE_READ_BITFIELD_PROBED(req, flags);
	if (!(flags & REQ_BUFFER_SELECT))
		return;
	code = code_of_stranger(address[0], address[1], done);
	if (flags & req_multishot)
		who.flags = SLOT_MULTISHOT;
	if (trace_kinds)
		who.nbufs = trace_what(BPF_CORE_READ(req, opcode), flags);
	if (!code)
		lose(EVENT_UNATTRIBUTED);
	else if (code != INDEX_IGNORED)
		count(code, done, &who);
}

static __always_inline void end_request(__u64 *args, struct req_slot *slot, struct done *done)
{
	if (slot->flags & (SLOT_PROVIDE | SLOT_REMOVE))
		count_legacy_op(slot, done->res);
	else
		count(slot->count, done, slot);
	if (slot->flags & SLOT_MULTISHOT)
		end_stream((void *)args[0], done->user_data, slot->count);
	slot->count = 0;
}

/* Whether the slot tells of this request, not of one that was at its address before. */
static __always_inline int is_its_own(const __u64 *args, const struct req_slot *slot)
{
	__u64 address = 0;

	if (!is_of_ring(slot, (__u64)args[0]))
		return 0;
	if (!(slot->flags & SLOT_SILENT))
		return 1;
	bpf_probe_read_kernel(&address, sizeof(address), &args[1]);
	return !is_another(address, slot->flags);
}

static __always_inline void on_request(__u64 *args, struct done *done)
{
	struct req_slot *slot = find_req((void *)args[1]);

	if (slot && slot->user_data == done->user_data && is_its_own(args, slot))
		end_request(args, slot, done);
	else
		on_stranger(args, done);
}

/* ---- completions that there are most of, apart from all else: little is done for one */

static __always_inline void read_done(const __u64 *args, struct done *done)
{
	struct io_uring_cqe *cqe = (void *)args[2];

	if (old_complete) {
		done->user_data = args[2];
		done->res = args[3];
		done->flags = args[4];
	} else {
		done->user_data = cqe->user_data;
		done->res = cqe->res;
		done->flags = cqe->flags;
	}
}

/* done: a copy, so that the fields of what it is a copy of can stay in registers. */
static __always_inline int book_plainly(struct account *group, const struct req_slot *slot,
					struct done done)
{
	return select_briefly(group, &done, slot->fd, slot->nbufs);
}

/* A ring that gives one buffer at a time. */
static __always_inline int is_plain(const struct account *group)
{
	const struct {
		__u16 kind;
		__u8 has_bundles;
		__u8 wants_order;
	} matter = {.kind = GROUP_LEGACY, .has_bundles = 0xff}; /* no other kind has that bit */

	return !(as_word(&group->kind) & as_word(&matter));
}

/* The group of a slot, if it lives still. pair: flags and life of the slot; no flag is left. */
static __always_inline struct account *plain_group(const struct req_slot *slot, __u32 pair)
{
	struct account *group = count_at(slot->count - 1);

	return group && as_word(&group->state) == (pair | PAIR(ACCOUNT_LIVE, 0)) && is_plain(group)
		       ? group
		       : NULL;
}

/*
 * Most completions name one buffer that their group is known to have had, and it is not yet time to
 * look: nothing else is to be done then. 0: it is not such a one, and was not counted.
 */
static __always_inline int count_plainly(const __u64 *args, struct account *group,
					 const struct req_slot *slot, struct done *done)
{
	struct bid_state *state = bid_at(group, done->flags >> 16);
	__u32 since = group->since + 1;

	if (!state || since >= group->every ||
	    (since > group->available && !(state->flags & (BID_IN_RING | BID_DUE))))
		return 0;
	done->moment = moment_of(args);
	if (keeps_books && !book_plainly(group, slot, *done))
		return 0;
	group->since = since;
	group->selected++;
	group->bytes += (__u32)done->res;
	state->fd = slot->fd;
	state->flags = BID_HELD;
	state->since_ns = taken_ns(group, done->moment);
	return 1;
}

/* A slot may be left from a request of another ring, at the same address. */
static __always_inline int count_request_plainly(const __u64 *args, struct done *done)
{
	struct req_slot *slot = find_req((void *)args[1]);
	struct account *group;
	__u32 pair;

	if (!slot || slot->user_data != done->user_data)
		return 0;
	pair = as_word(&slot->flags) & ~PAIR(SLOT_ARMED, 0);
	group = pair & PAIR(0xffff, 0) ? NULL : plain_group(slot, pair);
	if (!group || group->ring_id != args[0] || !count_plainly(args, group, slot, done))
		return 0;
	slot->count = 0;
	return 1;
}

/* By the near slots alone: others are seldom in use. No group equals the pair of ambiguous ones. */
static __always_inline int count_stream_plainly(const __u64 *args, struct done *done)
{
	const struct req_slot *slot =
		(void *)stream_among(near_streams, (void *)args[0], done->user_data);
	struct account *group = slot ? plain_group(slot, as_word(&slot->flags)) : NULL;

	return group && count_plainly(args, group, slot, done);
}

static __always_inline int complete_plainly(const __u64 *args)
{
	struct done done;

	if (trace_kinds && !keeps_books)
		return 0;
	read_done(args, &done);
	if (done.res < 0 || (done.flags & (CQE_BUFFER | CQE_BUF_MORE)) != CQE_BUFFER)
		return 0;
	if (args[1])
		return count_request_plainly(args, &done);
	return done.flags & CQE_MORE && count_stream_plainly(args, &done);
}

SEC("tp_btf/io_uring_complete")
int on_complete(__u64 *args)
{
	struct done done;

	if (is_ignored((void *)args[0]) || complete_plainly(args))
		return 0;
	read_done(args, &done);
	if (trace_kinds && args[1] && done.res == BAD_MEMORY)
		note_fixed(args[1]);
	done.moment = done.flags & CQE_BUFFER ? moment_of(args) : 0;
	if (args[1])
		on_request(args, &done);
	else if (done.flags & CQE_BUFFER)
		on_stream(args, &done, SLOT_MULTISHOT);
	return 0;
}

static __noinline int tell_overflow(__u32 position, const struct done *done)
{
	struct trace_done told = {
		.group = count_at(position),
		.user_data = done->user_data,
		.res = done->res,
		.flags = done->flags,
		.fd = -1,
	};

	if (!told.group)
		return 0;
	read_level(&told, 0);
	trace_overflow(&told);
	return 0;
}

#define BATCH_MAX 1024

struct batch {
	__u64 node;
	const struct done *done;
	__u64 req;
};

static long batch_step(__u32 i, struct batch *batch)
{
	struct io_kiocb *req =
		(void *)(batch->node - bpf_core_field_offset(struct io_kiocb, comp_list));

	if (!batch->node)
		return 1;
	if (BPF_CORE_READ(req, cqe.user_data) == batch->done->user_data &&
	    BPF_CORE_READ(req, cqe.res) == batch->done->res &&
	    BPF_CORE_READ(req, cqe.flags) == batch->done->flags && find_req(req)) {
		batch->req = (__u64)req;
		return 1;
	}
	batch->node = (__u64)BPF_CORE_READ(req, comp_list.next);
	return 0;
}

/*
 * An overflow does not tell its request, but requests complete in batches, which the ring lists
 * meanwhile. One of them that was counted is known no more: equal ones are found one by one.
 */
static __always_inline struct req_slot *find_in_batch(__u64 *args, const struct done *done)
{
	struct batch batch = {.done = done, .req = nothing};
	struct req_slot *slot;
	struct io_ring_ctx *ring;
	__u64 ring_id = 0;

	bpf_probe_read_kernel(&ring_id, sizeof(ring_id), args);
	ring = (void *)ring_id;
	batch.node = (__u64)BPF_CORE_READ(ring, submit_state.compl_reqs.first);
	bpf_loop(BATCH_MAX, batch_step, &batch, 0);
	slot = batch.req ? find_req((void *)batch.req) : NULL;
	return slot && is_of_ring(slot, ring_id) ? slot : NULL;
}

/* A completion that found the CQ full fires this instead, for requests of either sort. */
SEC("tp_btf/io_uring_cqe_overflow")
int on_overflow(__u64 *args)
{
	struct done done = {.user_data = args[1], .res = args[2], .flags = args[3]};
	struct req_slot *slot;
	__u32 code;

	if (is_ignored((void *)args[0]))
		return 0;
	slot = done.flags & CQE_MORE ? NULL : find_in_batch(args, &done);
	if (slot) {
		code = slot->count;
		end_request(args, slot, &done);
	} else if (done.flags & CQE_BUFFER || done.res == NO_BUFFERS) {
		code = on_stream(args, &done, 0);
	} else {
		return 0;
	}
	if (trace_kinds && code != INDEX_IGNORED)
		tell_overflow(code - 1, &done);
	return 0;
}

/* What was wrong with it is in the submitted entry alone. */
static __noinline int tell_mistaken(const void *from, __u64 ring_id, __s32 error)
{
	struct entry sqe = {};
	struct trace_rec *rec;

	if (!is_traced(TRACE_DONE, error) || bpf_probe_read_kernel(&sqe, sizeof(sqe), from))
		return 0;
	if (error == BAD_MEMORY && (sqe.opcode == OP_READ_FIXED || sqe.opcode == OP_WRITE_FIXED))
		return refuse_fixed(ring_id, &sqe);
	if ((sqe.opcode != OP_RECV && sqe.opcode != OP_RECVMSG && !(sqe.flags & REQ_BUFFER_SELECT)))
		return 0;
	if (find_count((void *)ring_id, sqe.buf_group) == INDEX_IGNORED ||
	    !is_wanted(sqe.buf_group))
		return 0;
	rec = trace_begin(TRACE_DONE, ring_id, sqe.buf_group, 0);
	if (!rec)
		return 0;
	rec->user_data = sqe.user_data;
	rec->res = error;
	rec->fd = sqe.fd;
	rec->nr = sqe.ioprio;
	rec->available = sqe.flags;
	rec->opcode = sqe.opcode;
	rec->flags = TRACE_REFUSED;
	trace_thread(rec);
	trace_end(rec);
	return 0;
}

/* Prep failed: no submission was seen, and a completion of whatever had this address follows. */
SEC("tp_btf/io_uring_req_failed")
int on_req_failed(__u64 *args)
{
	struct req_slot *slot = find_req((void *)args[1]);
	struct io_kiocb *req = (void *)args[1];

	if (slot)
		slot->count = 0;
	if (trace_kinds)
		tell_mistaken((void *)args[0], (__u64)BPF_CORE_READ(req, ctx), args[2]);
	return 0;
}

SEC("tp_btf/io_uring_poll_arm")
int on_poll_arm(__u64 *args)
{
	struct io_kiocb *req = (void *)args[0];
	__u64 address = 0;
	struct req_slot *slot;
	__u32 code;

	if (!(req->flags & REQ_BUFFER_SELECT))
		return 0;
	slot = find_req(req);
	if (slot) {
		slot->flags |= SLOT_ARMED;
	} else if (!is_ignored(req->ctx)) {
		bpf_probe_read_kernel(&address, sizeof(address), args);
		code = meet_late(address);
		if (code)
			start_order_surely(code - 1);
	}
	return 0;
}

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
#include "submit.bpf.h"
#include "done.bpf.h"
#include "short.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* ---- submission */

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

/* ---- whose completion it is */

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

/* ---- completion, and what comes in its place */

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

	if (!told.group || told.group->state < ACCOUNT_LIVE)
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

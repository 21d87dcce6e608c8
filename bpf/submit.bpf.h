/* SPDX-License-Identifier: GPL-2.0 */
/* A request is submitted: what it draws from is remembered until it completes. */
#ifndef BUFSCOPE_SUBMIT_BPF_H
#define BUFSCOPE_SUBMIT_BPF_H

#include "kernel.bpf.h"
#include "compat.bpf.h"
#include "counts.bpf.h"
#include "requests.bpf.h"
#include "legacy.bpf.h"
#include "evidence.bpf.h"
#include "armed.bpf.h"
#include "lives.bpf.h"
#include "calls.bpf.h"

#define LOW_BYTE (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

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

	if (group && group->state == ACCOUNT_MET)
		group->wants_order = 1;
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
	if (!group || group->state < ACCOUNT_LIVE ||
	    (rec.opcode != OP_RECV && is_socket_op(rec.opcode)))
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

	if (!told.group || told.group->state < ACCOUNT_LIVE)
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

#endif

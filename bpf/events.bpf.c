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

char LICENSE[] SEC("license") = "GPL";

#define NO_BUFFERS (-105)

#define LOW_BYTE (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/* ---- submission */

/* One completion will take several buffers and name the first. */
static __always_inline void note_bundle(struct io_kiocb *req, __u32 code)
{
	/* its low byte, by an offset into the request: to the verifier these are bytes of no type
	 */
	const __u8 *flags = (void *)req + bpf_core_field_offset(struct io_sr_msg, flags) + LOW_BYTE;
	struct account *group;

	if (!(*flags & RECVSEND_BUNDLE))
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

/* Not inline: seldom wanted, and what it needs of the stack is not needed otherwise. */
static __noinline int tell_submit(__u32 position, const struct req_slot *slot)
{
	struct trace_done told = {
		.group = count_at(position),
		.user_data = slot->user_data,
		.fd = slot->fd,
		.what = slot->nbufs,
		.is_multishot = slot->flags & SLOT_MULTISHOT,
	};
	struct trace_rec *rec;

	if (!told.group)
		return 0;
	rec = begin_done(TRACE_SUBMIT, &told);
	if (!rec)
		return 0;
	if (!(told.what & WHAT_FIXED)) {
		struct file *file = current_file(told.fd);

		rec->extra = BPF_CORE_READ(file, f_inode, i_ino);
	}
	trace_end(rec);
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
	rec = trace_begin(TRACE_SUBMIT, ring_id, 0, 0);
	if (!rec)
		return 0;
	if (req->opcode != OP_READ && !read_submitted(req, &sqe))
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
	slot->count = code;
	slot->fd = req->cqe.fd;
	slot->flags = flags & req_multishot ? SLOT_MULTISHOT : 0;
	if (trace_kinds)
		slot->nbufs = trace_what(req->opcode, flags);
	if (flags & req_multishot)
		note_stream(req->ctx, slot);
	if (req->opcode == OP_RECV || req->opcode == OP_SEND)
		note_bundle(req, code);
	if (flags & REQ_CQE_SKIP) {
		slot->flags |= SLOT_SILENT;
		note_hidden(code - 1);
	}
	if (trace_kinds)
		tell_submit(code - 1, slot);
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
};

static __always_inline void name_taker(const struct account *group, struct bid_state *state,
				       const struct done *done, __s32 fd)
{
	state->fd = group->has_bundles ? (fd & (BID_NAMED - 1)) | BID_NAMED : fd;
	if (group->has_bundles)
		return;
	if (done->flags & CQE_BUF_MORE)
		return;
	state->flags = BID_HELD;
	state->since_ns = bpf_ktime_get_ns();
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
	is_behind |= trace_kinds != 0;
	if (is_behind)
		look_surely(code - 1);
	if (is_behind || (group->since >= group->every && !look_at(code - 1, AT_EVENT))) {
		group->since = 0;
		state = bid_at(group, bid); /* it may have moved */
	}
	if (state && !group->has_bundles)
		name_taker(group, state, done, fd);
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
		.position = position,
		.user_data = done->user_data,
		.res = done->res,
		.flags = done->flags,
		.fd = who->fd,
		.what = who->nbufs,
		.cause = cause,
		.is_multishot = who->flags & SLOT_MULTISHOT,
	};

	if (told.group)
		trace_completion(&told);
	return 0;
}

/*
 * A receive that failed may name a buffer that it has put back (seen on 6.16, with MSG_DONTWAIT):
 * it is the ring's next one still.
 */
__noinline int is_put_back(__u32 position, __u32 flags)
{
	const struct account *group = count_at(position);
	__u16 head, tail;

	if (!group || group->state != ACCOUNT_LIVE || group->kind == GROUP_LEGACY ||
	    flags & CQE_BUF_MORE || read_head_tail(group, &head, &tail) || head == tail)
		return 0;
	return slot_names(group, head, flags >> 16);
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
		look_surely(code - 1);
		cause = judge_starve(group, code - 1, who->flags);
	}
	if (who->flags & SLOT_MULTISHOT && !(done->flags & CQE_MORE))
		group->mshot_ended++;
	if (trace_kinds)
		tell(code - 1, done, who, cause);
}

/*
 * A completion without its request: one of several of a multishot, or (slot_flags 0) of any
 * request. Returns its group's code.
 */
static __always_inline __u32 on_stream(__u64 *args, struct done *done, __u32 slot_flags)
{
	struct stream_slot *slot = find_stream((void *)args[0], done->user_data);
	struct req_slot who = {.flags = slot ? SLOT_MULTISHOT : slot_flags, .fd = -1};
	__u64 ring_id = 0;
	int is_guess;
	__u32 code;

	if (slot && slot->count == INDEX_IGNORED)
		return INDEX_IGNORED;
	if (slot && !(slot->flags & SLOT_AMBIGUOUS)) {
		who.fd = slot->fd;
		who.nbufs = slot->what;
		count(slot->count, done, &who);
		return slot->count;
	}
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
	who.user_data = done->user_data;
	if (!slot && slot_flags && is_ready && !is_guess)
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
		end_stream((void *)args[0], done->user_data);
	slot->count = 0;
}

static __always_inline void on_request(__u64 *args, struct done *done)
{
	struct req_slot *slot = find_req((void *)args[1]);

	if (slot && slot->user_data == done->user_data)
		end_request(args, slot, done);
	else
		on_stranger(args, done);
}

SEC("tp_btf/io_uring_complete")
int on_complete(__u64 *args)
{
	struct done done;

	if (is_ignored((void *)args[0]))
		return 0;
	if (old_complete) {
		done.user_data = args[2];
		done.res = args[3];
		done.flags = args[4];
	} else {
		struct io_uring_cqe *cqe = (void *)args[2];

		done.user_data = cqe->user_data;
		done.res = cqe->res;
		done.flags = cqe->flags;
	}
	if (trace_kinds && args[1] && done.res == BAD_MEMORY)
		note_fixed(args[1]);
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

	if (told.group)
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
	struct io_ring_ctx *ring;
	__u64 ring_id = 0;

	bpf_probe_read_kernel(&ring_id, sizeof(ring_id), args);
	ring = (void *)ring_id;
	batch.node = (__u64)BPF_CORE_READ(ring, submit_state.compl_reqs.first);
	bpf_loop(BATCH_MAX, batch_step, &batch, 0);
	return batch.req ? find_req((void *)batch.req) : NULL;
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
	struct req_slot *slot = find_req((void *)args[0]);

	if (slot)
		slot->flags |= SLOT_ARMED;
	return 0;
}

/* ---- groups and rings come and go */

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
	__u32 code = learn(ring_id, bgid, 0);
	struct account *group = code != INDEX_IGNORED ? count_at(code - 1) : NULL;

	if (!group)
		return;
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
	group->bl = 0;
	if (!creation->is_wanted)
		disown(group);
	return 0;
}

/* A new ring at this address: what is known under it was another's. */
SEC("tp_btf/io_uring_create")
int on_create(__u64 *args)
{
	struct creation creation = {.is_wanted = is_wanted(only_bgid)};

	bpf_probe_read_kernel(&creation.ring_id, sizeof(creation.ring_id), &args[1]);
	bpf_loop(nr_counts, bury_step, &creation, 0);
	forget_ring(creation.ring_id);
	ignore_ring(creation.ring_id);
	if (trace_kinds && creation.is_wanted)
		trace_creation(creation.ring_id, args[0], PT_REG_ARG2(syscall_args()));
	return 0;
}

/* ---- at the request of user space */

SEC("syscall")
int learn_group(struct group_args *args)
{
	__u32 code = find_count((void *)args->ring_id, args->bgid);
	struct account *group = code && code != INDEX_IGNORED ? count_at(code - 1) : NULL;

	if (group && group->state == ACCOUNT_LIVE)
		return 0;
	if (group && group->state == ACCOUNT_ABSENT)
		meet_legacy(code - 1);
	else
		learn(args->ring_id, args->bgid, 1);
	return 0;
}

static long look_step(__u32 i, void *unused)
{
	const struct account *group = count_at(i);

	if (!group || !trace_kinds || !is_watched(group))
		look_at(i, AT_CALL);
	return 0;
}

SEC("syscall")
int look_at_all(void *unused)
{
	bpf_loop(nr_counts, look_step, NULL, 0);
	return 0;
}

struct slots_args {
	__u64 ring_id;
	__u32 bgid;
	__u32 first;
};

__u64 slots_read[CHUNK_SLOTS *
		 2]; /* of struct io_uring_buf, whose type user space does not share */
__u16 slots_head, slots_tail;

/* Up to CHUNK_SLOTS slots of a ring from `first`, a multiple of it, on; and head and tail now. */
SEC("syscall")
int read_slots(struct slots_args *args)
{
	__u32 code = find_count((void *)args->ring_id, args->bgid);
	struct account *group = code && code != INDEX_IGNORED ? count_at(code - 1) : NULL;
	__u32 first = args->first, nr;
	__u16 head, tail;

	if (!group || group->state != ACCOUNT_LIVE || group->kind == GROUP_LEGACY ||
	    group->entries > ring_slots_in_reach(group->kind) || !is_current(group) ||
	    first >= group->entries || read_head_tail(group, &head, &tail))
		return -1;
	nr = group->entries - first;
	barrier_var(nr);
	if (nr > CHUNK_SLOTS)
		nr = CHUNK_SLOTS;
	if (bpf_probe_read_kernel(slots_read, nr * sizeof(struct io_uring_buf),
				  (void *)(group->ring + first * sizeof(struct io_uring_buf))))
		return -1;
	slots_head = head;
	slots_tail = tail;
	return nr;
}

static long release_step(__u32 i, __u64 *now)
{
	release(i, *now);
	return 0;
}

SEC("syscall")
int release_dead(void *unused)
{
	__u64 now = bpf_ktime_get_ns();

	bpf_loop(nr_counts, release_step, &now, 0);
	return 0;
}

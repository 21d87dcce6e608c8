/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a trace is told: one record per event, in a ring buffer. Without a trace the knob makes
 * all of it dead code, which the verifier removes.
 */
#ifndef BUFSCOPE_TRACE_BPF_H
#define BUFSCOPE_TRACE_BPF_H

#include "kernel.bpf.h"
#include "compat.bpf.h"

#define BAD_MEMORY (-14) /* -EFAULT */

/* ---- knobs */
const volatile __u32 trace_kinds; /* a bit per enum trace_kind; 0: no trace */
const volatile __u8 trace_errors; /* only what went wrong */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* Per account: ring position behind the buffers of the last completion. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cursors SEC(".maps");

struct trace_lost trace_losses[TRACE_KINDS_MAX];

/* In counts.bpf.h. */
extern const volatile __u32 pid_level;
static __always_inline void lose(enum event_loss what);

static __always_inline int is_traced(enum trace_kind kind, __s32 res)
{
	if (!(trace_kinds & (1U << kind)))
		return 0;
	return !trace_errors || res < 0 || kind == TRACE_OVERFLOW || kind == TRACE_CREATE;
}

static __noinline int lose_record(__u32 kind, __u32 nr)
{
	struct trace_lost *lost = &trace_losses[kind & (TRACE_KINDS_MAX - 1)];

	lose(EVENT_RING_FULL);
	__sync_fetch_and_add(&lost->records, 1);
	__sync_fetch_and_add(&lost->buffers, nr);
	return 0;
}

/* nr: of its buffers. NULL: no room, which is counted. */
static __always_inline struct trace_rec *trace_begin(enum trace_kind kind, __u64 ring_id,
						     __u32 bgid, __u32 nr)
{
	struct trace_rec *rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);

	if (!rec) {
		lose_record(kind, nr);
		return NULL;
	}
	__builtin_memset(rec, 0, sizeof(*rec));
	rec->kind = kind;
	rec->ring_id = ring_id;
	rec->bgid = bgid;
	rec->nr = nr;
	rec->bid = REC_UNKNOWN_U32;
	rec->available = REC_UNKNOWN_U32;
	rec->fd = -1;
	rec->at_ns = bpf_ktime_get_ns();
	return rec;
}

static __always_inline void trace_end(struct trace_rec *rec)
{
	bpf_ringbuf_submit(rec, 0);
}

/* The thread that runs now; the caller knows whether it is the one that did it. */
static __always_inline void this_thread(__u32 *tgid, __u32 *tid)
{
	struct task_struct *task;
	__u64 id;

	if (pid_level == 0) {
		id = bpf_get_current_pid_tgid();
		*tgid = id >> 32;
		*tid = id;
		return;
	}
	task = (void *)bpf_get_current_task();
	*tgid = pid_in(BPF_CORE_READ(task, signal, pids[1]), pid_level);
	*tid = pid_in(BPF_CORE_READ(task, thread_pid), pid_level);
}

static __always_inline void trace_thread(struct trace_rec *rec)
{
	this_thread(&rec->tgid, &rec->tid);
}

/* ---- returns */

struct trace_return {
	__u32 bid; /* of the first; REC_UNKNOWN_U32 */
	__u32 nr;  /* with ascending bids */
	__u32 available;
	__u64 held_ns; /* longest that one of them was out; 0: not known */
	__u8 kind;     /* TRACE_RETURN or TRACE_FILL */
	__u8 exact;    /* told as it happens, by the thread that does it */
	__u8 back;     /* no return: the tail went back */
};

static __noinline int trace_returned(const struct account *group, const struct trace_return *told)
{
	struct trace_rec *rec;

	if (!is_traced(told->kind, 0))
		return 0;
	rec = trace_begin(told->kind, group->ring_id, group->bgid, told->nr);
	if (!rec)
		return 0;
	rec->bid = told->bid;
	rec->held_ns = told->held_ns;
	rec->available = told->available;
	rec->group_kind = group->kind;
	if (told->back)
		rec->flags = TRACE_BACK;
	if (told->exact) {
		rec->flags |= TRACE_EXACT;
		trace_thread(rec);
	}
	trace_end(rec);
	return 0;
}

/* A tail went back over so many. Apart, since programs on 6.1 are short of stack. */
static __noinline int trace_back(const struct account *group, __u32 nr)
{
	struct trace_return told = {
		.bid = REC_UNKNOWN_U32,
		.nr = nr,
		.available = (__u16)(group->tail - group->head),
		.kind = TRACE_RETURN,
		.back = 1,
	};

	trace_returned(group, &told);
	return 0;
}

/* ---- completions */

/* The operation of a request: the opcode, and what kind of number its fd is. */
#define WHAT_OPCODE 0xff
#define WHAT_FIXED  0x100

static __always_inline __u32 trace_what(__u32 opcode, __u64 req_flags)
{
	return opcode | (req_flags & 1 ? WHAT_FIXED : 0); /* equals IOSQE_FIXED_FILE */
}

/*
 * The buffers of one completion while they are counted. In a map, not on the stack: what is read
 * from a map has no known value, so that old verifiers need not try each number a loop counts to.
 */
struct trace_buffers {
	__u32 from;  /* ring position where the first is looked for */
	__u32 ahead; /* positions from there to head */
	__u32 at;    /* ring position of the first */
	__u32 total;
	__u32 nr;   /* of the first ones, whose bids ascend */
	__s32 left; /* bytes that are in further buffers */
	__u32 bid;  /* of the first of a run of ascending bids */
	__u32 run;  /* how many of this run */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trace_buffers);
} buffers SEC(".maps");

struct trace_done {
	const struct account *group;
	struct trace_buffers *buffers;
	__u64 user_data;
	__u32 position; /* of the account */
	__s32 res;
	__u32 flags; /* of the completion */
	__s32 fd;
	__u32 what;
	__u32 cause; /* enum starve_cause; STARVE_CAUSES: it did not starve */
	__u32 is_multishot;
	__u32 nr; /* buffers that the next record tells of; the completion names the first */
};

static __always_inline struct trace_rec *begin_done(enum trace_kind kind,
						    const struct trace_done *done)
{
	struct trace_rec *rec;

	if (!is_traced(kind, done->res))
		return NULL;
	rec = trace_begin(kind, done->group->ring_id, done->group->bgid, done->nr);
	if (!rec)
		return NULL;
	rec->user_data = done->user_data;
	rec->res = done->res;
	rec->fd = done->fd;
	rec->opcode = done->what & WHAT_OPCODE;
	rec->flags = done->what & WHAT_FIXED ? TRACE_FIXED_FILE : 0;
	rec->flags |= done->is_multishot ? TRACE_MULTISHOT : 0;
	rec->cqe_flags = done->flags;
	rec->available = done->group->available;
	rec->group_kind = done->group->kind;
	if (done->flags & CQE_BUFFER)
		rec->bid = done->flags >> 16;
	trace_thread(rec);
	return rec;
}

static __always_inline int read_entry(const struct account *group, __u32 position,
				      struct io_uring_buf *entry)
{
	__u32 slot = position & (group->entries - 1);

	if (slot >= ring_slots_in_reach(group->kind))
		return -1;
	return bpf_probe_read_kernel(entry, sizeof(*entry),
				     (void *)(group->ring + slot * sizeof(*entry)));
}

/* From where the last completion ended on to head, then back from there. */
static long find_step(__u32 i, struct trace_done *done)
{
	struct trace_buffers *buffers = done->buffers;
	struct io_uring_buf entry;
	__u32 at = buffers->from + i;

	if (i >= buffers->ahead)
		at = buffers->from - 1 - (i - buffers->ahead);
	if (read_entry(done->group, at, &entry) || entry.bid != buffers->bid)
		return 0;
	buffers->at = (__u16)at;
	buffers->run = 1;
	return 1;
}

static long count_step(__u32 i, struct trace_done *done)
{
	struct trace_buffers *buffers = done->buffers;
	struct io_uring_buf entry;
	__u16 at = buffers->at + i;

	if (buffers->left <= 0 || (i && at == done->group->head) ||
	    read_entry(done->group, at, &entry))
		return 1;
	if (buffers->nr == buffers->total && entry.bid == buffers->bid + buffers->nr)
		buffers->nr++;
	buffers->total++;
	buffers->left -= entry.len;
	return 0;
}

/*
 * How many buffers a completion took is not in it: as many as hold its bytes, counted in the
 * ring's entries from the one that it names. Incremental entries change as they are used: there
 * only the named one is told.
 */
static __always_inline void find_buffers(struct trace_done *done)
{
	const struct account *group = done->group;
	struct trace_buffers *buffers = done->buffers;
	__u32 *cursor = bpf_map_lookup_elem(&cursors, &done->position);

	if (!cursor || done->res <= 0 || bl_has(io_ring_ctx___blarray, io_bl) ||
	    (group->kind != GROUP_RING && group->kind != GROUP_MMAP))
		return;
	buffers->bid = done->flags >> 16;
	buffers->run = 0;
	buffers->from = *cursor;
	buffers->ahead = (__u16)(group->head - *cursor);
	if (buffers->ahead > group->entries) {
		buffers->from = group->head;
		buffers->ahead = 0;
	}
	bpf_loop(group->entries, find_step, done, 0);
	if (!buffers->run)
		return;
	buffers->nr = buffers->total = 0;
	buffers->left = done->res;
	bpf_loop(group->entries, count_step, done, 0);
	*cursor = buffers->at + buffers->total;
}

static __noinline int trace_run(struct trace_done *done)
{
	struct trace_rec *rec;

	done->nr = done->buffers->run;
	rec = begin_done(TRACE_BUNDLE, done);
	if (!rec)
		return 0;
	rec->flags |= TRACE_CONTINUED;
	rec->res = 0;
	rec->bid = done->buffers->bid;
	trace_end(rec);
	return 0;
}

static long rest_step(__u32 i, struct trace_done *done)
{
	struct trace_buffers *buffers = done->buffers;
	struct io_uring_buf entry;

	if (read_entry(done->group, buffers->at + buffers->nr + i, &entry))
		return 1;
	if (buffers->run && entry.bid != buffers->bid + buffers->run) {
		trace_run(done);
		buffers->run = 0;
	}
	if (!buffers->run)
		buffers->bid = entry.bid;
	buffers->run++;
	return 0;
}

/* What does not continue the first run of bids: a record for each further run, without bytes. */
static __always_inline void trace_rest(struct trace_done *done)
{
	struct trace_buffers *buffers = done->buffers;

	buffers->run = 0;
	bpf_loop(buffers->total - buffers->nr, rest_step, done, 0);
	if (buffers->run)
		trace_run(done);
}

static __always_inline void trace_buffer(struct trace_done *done)
{
	enum trace_kind kind = TRACE_PARTIAL;
	struct trace_rec *rec;
	__u32 zero = 0;

	done->buffers = bpf_map_lookup_elem(&buffers, &zero);
	if (!done->buffers)
		return;
	done->buffers->nr = done->buffers->total = 1;
	if (!(done->flags & CQE_BUF_MORE)) {
		find_buffers(done);
		kind = done->buffers->total > 1 ? TRACE_BUNDLE : TRACE_SELECT;
	}
	done->nr = done->buffers->nr;
	rec = begin_done(kind, done);
	if (rec)
		trace_end(rec);
	if (done->buffers->total > done->buffers->nr)
		trace_rest(done);
}

/* Of an incremental group: a request that finds too little there fails. */
static __always_inline __u32 left_of_first(const struct account *group)
{
	struct bl_view view = {};
	struct io_uring_buf entry = {};
	struct bl_raw raw;

	if (group->kind != GROUP_INC && group->kind != GROUP_INC_MMAP)
		return 0;
	if (!group->bl || bl_read(group->bl, &view, &raw) || read_entry(group, view.head, &entry))
		return 0;
	return entry.len;
}

static __always_inline void trace_completion(struct trace_done *done)
{
	struct trace_rec *rec = NULL;

	if (done->flags & CQE_BUFFER)
		trace_buffer(done);
	else
		rec = begin_done(done->cause != STARVE_CAUSES ? TRACE_STARVE : TRACE_DONE, done);
	if (rec) {
		rec->cause = done->cause;
		if (done->res == BAD_MEMORY)
			rec->extra = left_of_first(done->group);
		trace_end(rec);
	}
	if (!done->is_multishot || done->flags & CQE_MORE)
		return;
	done->nr = 0;
	rec = begin_done(TRACE_MSHOT_END, done);
	if (rec)
		trace_end(rec);
}

/* Besides what the completion itself is told as. */
static __always_inline void trace_overflow(struct trace_done *done)
{
	struct trace_rec *rec;

	done->nr = done->flags & CQE_BUFFER ? 1 : 0;
	rec = begin_done(TRACE_OVERFLOW, done);
	if (rec)
		trace_end(rec);
}

/* ---- rings and groups */

struct trace_reg {
	__u64 ring_id;
	__u64 ring_addr;
	__u32 entries;
	__u32 bgid;
	__u32 kind;
	__s32 res;
};

/* group: NULL if there is none. */
static __noinline int trace_registration(const struct account *group, const struct trace_reg *told)
{
	struct trace_rec *rec;

	if (!is_traced(told->kind, told->res))
		return 0;
	rec = trace_begin(told->kind, told->ring_id, told->bgid, 0);
	if (!rec)
		return 0;
	rec->user_data = told->ring_addr;
	rec->res = told->res;
	rec->nr = told->entries;
	if (group && !told->res && told->kind == TRACE_REGISTER) {
		rec->group_kind = group->kind;
		rec->available = group->available;
	}
	trace_thread(rec);
	trace_end(rec);
	return 0;
}

/* The part of struct io_uring_params that tells where the queues lie, which is ABI. */
struct queues {
	__u32 sq_entries, cq_entries;
	__u32 flags;
	__u32 pad[7];
	struct {
		__u32 head, tail, mask, entries, flags, dropped, array, pad;
		__u64 address;
	} sq;
	struct {
		__u32 head, tail, mask, entries, overflow, cqes, flags, pad;
		__u64 address;
	} cq;
};

#define SETUP_SQE128     (1U << 10)
#define SETUP_CQE32      (1U << 11)
#define SETUP_NO_MMAP    (1U << 14)
#define SETUP_NO_SQARRAY (1U << 16)

/* Queues in the program's own memory: the kernel does not keep where; the call has just told. */
static __noinline int note_queues(struct trace_rec *rec, __u64 params)
{
	struct queues queues = {};
	__u32 end;

	if (!rec || bpf_probe_read_user(&queues, sizeof(queues), (void *)params) ||
	    !(queues.flags & SETUP_NO_MMAP))
		return 0;
	rec->user_data = queues.sq.address;
	rec->nr = queues.sq_entries << (queues.flags & SETUP_SQE128 ? 7 : 6);
	rec->held_ns = queues.cq.address;
	rec->extra = queues.cq.cqes + (queues.cq_entries << (queues.flags & SETUP_CQE32 ? 5 : 4));
	end = queues.sq.array + queues.sq_entries * sizeof(__u32);
	if (!(queues.flags & SETUP_NO_SQARRAY) && end > rec->extra)
		rec->extra = end;
	return 0;
}

/* params: of the call, in the program. */
static __always_inline void trace_creation(__u64 ring_id, __s32 fd, __u64 params)
{
	struct trace_rec *rec;

	if (!is_traced(TRACE_CREATE, 0))
		return;
	rec = trace_begin(TRACE_CREATE, ring_id, 0, 0);
	if (!rec)
		return;
	rec->fd = fd;
	note_queues(rec, params);
	bpf_get_current_comm(rec->comm, sizeof(rec->comm));
	trace_thread(rec);
	trace_end(rec);
}

#endif

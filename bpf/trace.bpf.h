/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a trace is told: one record per event, in a ring buffer. Without a trace the knob makes
 * all of it dead code, which the verifier removes.
 */
#ifndef BUFSCOPE_TRACE_BPF_H
#define BUFSCOPE_TRACE_BPF_H

#include "kernel.bpf.h"
#include "compat.bpf.h"

#define BAD_MEMORY   (-14) /* -EFAULT */
#define BAD_ARGUMENT (-22) /* -EINVAL */

/* ---- knobs */
const volatile __u32 trace_kinds; /* a bit per enum trace_kind; 0: no trace */
const volatile __u8 trace_errors; /* only what went wrong */
const volatile __u32 wake_every;  /* records; 0: there is no tick, each wakes the reader */
const volatile __u8 keeps_books;  /* what happens to a group is booked here, see books.bpf.h */

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
extern const volatile __u8 has_tick;
extern __u64 ticked_ns; /* in tick.bpf.h */
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

/* nr: of its buffers. Without a time yet. NULL: no room, which is counted. */
static __always_inline struct trace_rec *trace_open(enum trace_kind kind, __u64 ring_id, __u32 bgid,
						    __u32 nr)
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
	return rec;
}

static __always_inline struct trace_rec *trace_begin(enum trace_kind kind, __u64 ring_id,
						     __u32 bgid, __u32 nr)
{
	struct trace_rec *rec = trace_open(kind, ring_id, bgid, nr);

	if (rec)
		rec->at_ns = bpf_ktime_get_ns();
	return rec;
}

/*
 * Where the reader keeps up, to wake it for each record costs more than the record. So the tick
 * does it, or a part of the buffer that has filled meanwhile: a reader sleeps only when all is
 * read, thus never before a full buffer.
 */
__u32 untold; /* records since the reader was woken; counted by all at once, if roughly */

static __always_inline void trace_end(struct trace_rec *rec)
{
	int is_time = !wake_every || ++untold >= wake_every;

	if (is_time)
		untold = 0;
	bpf_ringbuf_submit(rec, is_time ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* At a tick. There is no other way to wake the reader than by a record, if one that is thrown away.
 */
static __always_inline void wake_reader(void)
{
	void *none;

	if (!untold)
		return;
	none = bpf_ringbuf_reserve(&events, sizeof(__u64), 0);
	if (!none)
		return;
	untold = 0;
	bpf_ringbuf_discard(none, BPF_RB_FORCE_WAKEUP);
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
	__u64 at_ns; /* 0: now, as the clock was not read yet */
	__u32 bid;   /* of the first; REC_UNKNOWN_U32 */
	__u32 nr;    /* with ascending bids */
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
	rec = trace_open(told->kind, group->ring_id, group->bgid, told->nr);
	if (!rec)
		return 0;
	rec->at_ns = told->at_ns ? told->at_ns : bpf_ktime_get_ns();
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

/* See books.bpf.h. */
static __always_inline void book_tail_back(const struct account *group, __u32 nr, __u32 available);

/* A tail went back over so many. Apart, since programs on 6.1 are short of stack. */
static __noinline int trace_back(const struct account *group, __u32 nr, __u64 now)
{
	struct trace_return told = {
		.at_ns = now,
		.bid = REC_UNKNOWN_U32,
		.nr = nr,
		.available = (__u16)(group->tail - group->head),
		.kind = TRACE_RETURN,
		.back = 1,
	};

	if (keeps_books)
		book_tail_back(group, nr, told.available);
	else
		trace_returned(group, &told);
	return 0;
}

/* ---- completions */

/* Of that file of the current task; 0: there is none. Not inline: who asks is short of stack. */
static __noinline int inode_of(__u32 fd)
{
	struct file *file = current_file(fd);

	return BPF_CORE_READ(file, f_inode, i_ino);
}

/* The operation of a request: the opcode, and what kind of number its fd is. */
#define WHAT_OPCODE 0xff
#define WHAT_SEND   26
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
	__u32 len;  /* of the first; 0: not known */
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
	__u64 at_ns; /* when available was so; books have a time of their own */
	__u64 user_data;
	__u32 available; /* REC_UNKNOWN_U32 */
	__s32 res;
	__u32 flags; /* of the completion */
	__s32 fd;
	__u16 what;
	__u8 cause; /* enum starve_cause; STARVE_CAUSES: it did not starve */
	__u8 is_multishot;
	__u32 nr; /* buffers that the next record tells of; the completion names the first */
};

/*
 * A record that is booked and then forgotten. Submissions and completions are programs of their
 * own: one may interrupt the other.
 */
struct draft {
	struct trace_rec rec;
	__u32 position; /* of the account */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct draft);
} drafts SEC(".maps");

/* Global, see books.bpf.h: verified once. */
int book_draft(__u32 which);

/*
 * The level and its time, before a place among the records is taken. Another processor that looks
 * meanwhile reads the clock, tells what came back, sets the level and then looked_ns: what was
 * read before that is told with an earlier time than the returns that precede it.
 */
static __always_inline void read_level(struct trace_done *done, int has_looked)
{
	const struct account *group = done->group;
	int is_known = !group->is_behind;

	if (!keeps_books && is_known && has_looked) {
		done->at_ns = *(volatile __u64 *)&group->looked_ns;
	} else if (!keeps_books) {
		done->at_ns = bpf_ktime_get_ns();
		is_known &= !*(volatile __u32 *)&group->busy;
	}
	done->available = is_known ? *(volatile __u32 *)&group->available : REC_UNKNOWN_U32;
}

/* For what need not be known to the nanosecond: the clock as it was last read, at a tick at least.
 */
static __always_inline __u64 recent_ns(const struct account *group)
{
	if (!has_tick)
		return 0;
	return ticked_ns > group->moment_ns ? ticked_ns : group->moment_ns;
}

static __always_inline struct trace_rec *open_draft(enum trace_kind kind,
						    const struct trace_done *done)
{
	__u32 which = kind == TRACE_SUBMIT;
	struct draft *draft = bpf_map_lookup_elem(&drafts, &which);

	if (!draft)
		return NULL;
	draft->position = done->group->position;
	draft->rec.kind = kind;
	draft->rec.ring_id = done->group->ring_id;
	draft->rec.bgid = done->group->bgid;
	draft->rec.nr = done->nr;
	draft->rec.bid = REC_UNKNOWN_U32;
	draft->rec.cause = 0;
	draft->rec.extra = 0;
	/* the clock was read when its taker was noted */
	draft->rec.at_ns =
		done->flags & CQE_BUFFER && !done->group->has_bundles ? done->group->moment_ns : 0;
	if (kind == TRACE_SUBMIT)
		draft->rec.at_ns = recent_ns(done->group);
	if (!draft->rec.at_ns)
		draft->rec.at_ns = bpf_ktime_get_ns();
	return &draft->rec;
}

/* What was begun is told, or booked. */
static __always_inline void end_done(struct trace_rec *rec)
{
	if (keeps_books)
		book_draft(rec->kind == TRACE_SUBMIT);
	else
		trace_end(rec);
}

static __always_inline struct trace_rec *begin_done(enum trace_kind kind,
						    const struct trace_done *done)
{
	struct trace_rec *rec;

	if (!is_traced(kind, done->res))
		return NULL;
	rec = keeps_books ? open_draft(kind, done)
			  : trace_open(kind, done->group->ring_id, done->group->bgid, done->nr);
	if (!rec)
		return NULL;
	if (!keeps_books)
		rec->at_ns = done->at_ns;
	rec->user_data = done->user_data;
	rec->res = done->res;
	rec->fd = done->fd;
	rec->opcode = done->what & WHAT_OPCODE;
	rec->flags = done->what & WHAT_FIXED ? TRACE_FIXED_FILE : 0;
	rec->flags |= done->is_multishot ? TRACE_MULTISHOT : 0;
	rec->cqe_flags = done->flags;
	rec->available = done->available;
	rec->group_kind = done->group->kind;
	if (done->flags & CQE_BUFFER)
		rec->bid = done->flags >> 16;
	if (!keeps_books)
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
	if (!i)
		buffers->len = entry.len;
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
	__u32 *cursor = bpf_map_lookup_elem(&cursors, &group->position);

	/* as many completions as buffers: this one took the one that it names; of sends its length
	 * is told, too */
	if (!group->has_bundles && (done->what & WHAT_OPCODE) != WHAT_SEND &&
	    (keeps_books || group->taken <= group->selected - group->partial))
		return;
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
	end_done(rec);
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
	done->buffers->len = 0;
	if (!(done->flags & CQE_BUF_MORE)) {
		find_buffers(done);
		kind = done->buffers->total > 1 ? TRACE_BUNDLE : TRACE_SELECT;
	}
	done->nr = done->buffers->nr;
	rec = begin_done(kind, done);
	if (rec) {
		rec->extra = done->buffers->len;
		end_done(rec);
	}
	if (done->buffers->total > done->buffers->nr)
		trace_rest(done);
}

/*
 * Of an incremental group: a request that finds too little there fails. Not inline: what it needs
 * of the stack is not needed while a completion is told.
 */
static __noinline int left_of_first(const struct account *group)
{
	struct bl_view view = {};
	struct io_uring_buf entry = {};
	struct bl_raw raw;

	if (!group || (group->kind != GROUP_INC && group->kind != GROUP_INC_MMAP))
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
		if (keeps_books && done->cause != STARVE_CAUSES && !(done->what & WHAT_FIXED))
			rec->extra = inode_of(done->fd);
		if (done->res == BAD_MEMORY || done->res == BAD_ARGUMENT)
			rec->extra = left_of_first(done->group);
		end_done(rec);
	}
	if (!done->is_multishot || done->flags & CQE_MORE)
		return;
	done->nr = 0;
	rec = begin_done(TRACE_MSHOT_END, done);
	if (rec)
		end_done(rec);
}

/* Besides what the completion itself is told as. */
static __always_inline void trace_overflow(struct trace_done *done)
{
	struct trace_rec *rec;

	done->nr = done->flags & CQE_BUFFER ? 1 : 0;
	rec = begin_done(TRACE_OVERFLOW, done);
	if (rec)
		end_done(rec);
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

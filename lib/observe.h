/* SPDX-License-Identifier: MIT */
/*
 * The only door to the kernel's view: loads the BPF programs, runs the iterators, turns their
 * records into a struct sample. Knows libbpf and the skeletons; nobody else does.
 */
#ifndef BUFSCOPE_OBSERVE_H
#define BUFSCOPE_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/book.h"
#include "sample.h"

struct observe;

#define OBSERVE_MAX_TGIDS 64

enum observe_depth {
	OBSERVE_ONCE,  /* snapshots alone */
	OBSERVE_LIGHT, /* and head and tail at a tick: taken, returned, low water, empty time */
	OBSERVE_FULL,  /* and every event: all counters, and the ledger of bids */
};

/* Which single events shall be told. */
struct observe_trace {
	uint32_t kinds; /* a bit per enum trace_kind; 0: no trace */
	bool only_errors;
	bool is_tree;       /* the processes that those of tgids start, too */
	bool is_watched;    /* observe_watch() will be called */
	bool is_booked;     /* what is not rare is booked by the programs: see observe_books() */
	uint32_t processes; /* of a tree at a time; 0: 16384. What does not fit is a loss */
	uint32_t room;      /* BOOKED: for so many buffers, of all groups ever seen; 0: for 1M, in
			       about 100 MB. Rounded up; what does not fit is a loss */
	uint32_t bytes;     /* of the buffer: a power of two, at least a page */
};

struct observe_opts {
	enum observe_depth depth;
	bool is_optional;  /* if the kernel refuses the depth, snapshots will do */
	uint64_t tick_ns;  /* LIGHT, FULL: how often head and tail are read; 0: at events only */
	uint64_t stuck_ns; /* FULL: held for longer counts as stuck */
	const uint32_t *tgids; /* only rings that these processes show; NULL: of all */
	size_t nr_tgids;       /* at most OBSERVE_MAX_TGIDS */
	int bgid;              /* only groups with this id; -1: all */
	uint32_t scan_entries; /* rings of at most so many slots are read whole, for held and buffer
				  size; 0: none is */
	bool functions;        /* FULL: see the kernel's buffer functions, too, where that can be */
	struct observe_trace trace; /* FULL: single events, too */
	bool verbose;               /* libbpf's own messages go to stderr */
};

/* What failed, for people: operation and subject, no advice. */
struct observe_err {
	int code; /* -errno */
	char what[160];
	const char *hint; /* one line of advice that fits what was found, or NULL; static storage */
};

/*
 * Loads and readies everything. NULL with errno and *err filled: -EPERM (a capability or
 * lockdown), -EOPNOTSUPP (no BTF, no iterator), -ENOSYS / -EACCES (io_uring disabled is no
 * error: there are just no rings).
 */
struct observe *observe_open(const struct observe_opts *opts, struct observe_err *err);

/*
 * One pass over the system. *sample is overwritten; give it zeroed or as filled by an earlier
 * call (its arrays are reused), release it with sample_done(). 0 or -errno.
 */
int observe_sample(struct observe *o, struct sample *sample);

/*
 * From now on that process and those that it started are left out, if the observer was opened for
 * all processes; 0: none is. For what the observer itself starts.
 */
void observe_ignore(struct observe *o, uint32_t tgid);

/* ---- the fixed buffers of one ring */

/*
 * From the next sample on its slots are told one by one; 0: of no ring. Those of the last sample:
 * *nr of them (0 ... MAX_FIXED_SLOTS), valid until the next one; NULL: the ring was not in it, or
 * its table is larger than what may be read.
 */
void observe_tell_fixed(struct observe *o, uint64_t ring_id);
const struct fixed_slot *observe_fixed(const struct observe *o, size_t *nr);

/* ---- the memory of one ring */

struct observe_slots {
	struct ring_slot *at; /* of the caller, max of them */
	uint32_t max;
	uint32_t nr;
	uint16_t head_after;  /* what lies from there ... */
	uint16_t tail_before; /* ... to here was not written to while it was read */
};

/*
 * The slots of a group of the last sample, as they are now; the program that owns them notices
 * nothing. FULL only. 0 or -errno: the group may have gone.
 */
int observe_slots(struct observe *o, const struct group_rec *group, struct observe_slots *slots);

/* ---- the account of one group */

struct observe_detail {
	uint32_t hold[HOLD_BUCKETS]; /* buffers that came back, by how long they were held */
	uint64_t causes[STARVE_CAUSES];
	uint64_t born_ns;       /* CLOCK_MONOTONIC, when the account began */
	struct bid_state *bids; /* of the caller, max of them; by bid */
	uint32_t max;
	uint32_t nr; /* 0: there is no ledger */
};

/*
 * What was counted of a group of the last sample besides its totals, without a system call. FULL
 * only. 0 or -errno: the group may have gone.
 */
int observe_detail(const struct observe *o, const struct group_rec *group,
		   struct observe_detail *detail);

/* Who registered a group. */
struct observe_origin {
	uint64_t at_ns; /* CLOCK_MONOTONIC */
	uint32_t tgid, tid;
	char comm[REC_COMM_LEN]; /* as it was then; ends with 0 */
};

/*
 * Of a group of the last sample that was registered since it is watched. LIGHT, FULL. 0 or -errno:
 * -ENOENT: it was not seen.
 */
int observe_origin(const struct observe *o, const struct group_rec *group,
		   struct observe_origin *origin);

/* ---- single events */

/* For poll(): readable when there are records. -1: there is no trace. */
int observe_trace_fd(const struct observe *o);

/*
 * Gives records that are there to `take`, in the order of their making. 1: there may be more, 0:
 * that was all, or -errno.
 */
typedef void observe_take_fn(void *context, const struct trace_rec *rec);
int observe_trace(struct observe *o, observe_take_fn *take, void *context);

/*
 * Where the programs book in place of telling. -EOPNOTSUPP: they do not. Valid until the observer
 * is closed; how far it is used is of this moment.
 */
int observe_books(const struct observe *o, struct book_view *view);

/* The buffer ring whose returns shall be told as they happen. */
struct observe_watch {
	uint64_t ring_id;
	uint32_t bgid;
	uint32_t tgid;    /* whose threads store to the tail */
	uint64_t address; /* of the ring there; 0: it is looked for */
};

/*
 * Sets hardware breakpoints, in place of earlier ones; NULL: only takes those away. The number of
 * threads, or -errno: -ENOENT (not mapped there, or not yet), -ENOSPC (a thread has no breakpoint
 * left), -ENODATA (breakpoints do not fire here), -EPERM, -ESRCH, -EINVAL (trace.is_watched was not
 * set).
 */
int observe_watch(struct observe *o, const struct observe_watch *watch);

/*
 * Has the programs look at all groups: for returns that no event follows, where the tick is slow or
 * there is none. LIGHT, FULL.
 */
void observe_look(struct observe *o);

/* Records lost because the buffer was full, since the beginning. */
uint64_t observe_trace_lost(const struct observe *o);

/* The same, by kind. */
void observe_trace_losses(const struct observe *o, struct trace_lost lost[TRACE_KINDS]);

/* All other losses since the beginning, as a sample has them. */
void observe_losses(const struct observe *o, uint64_t losses[LOSS_MAX]);

/* NULL is accepted. */
void observe_close(struct observe *o);

#endif

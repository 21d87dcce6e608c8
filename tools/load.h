/* SPDX-License-Identifier: MIT */
/*
 * A workload that knows the exact truth about itself: what it is told to do (struct load_opts),
 * what it did (struct load_truth), and who turns one into the other. Knows no observer.
 *
 * load_op.c     which request an operation is
 * load_source.c where the bytes come from
 * load_keep.c   the buffers that were taken and not yet returned
 * load_group.c  one buffer group: pool, source, counters
 * load_ring.c   one ring: submit, reap, come to rest
 * load_run.c    processes, threads, phases, signals
 * load_truth.c  counters that others may read meanwhile
 * load_report.c the truth as text or JSON
 */
#ifndef BUFSCOPE_LOAD_H
#define BUFSCOPE_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../lib/bufscope.h"

struct io_uring;
struct io_uring_sqe;

/* ---- what to do */

enum load_medium {
	MEDIUM_NONE,
	MEDIUM_SOCKET, /* a unix socket pair */
	MEDIUM_PIPE,
	MEDIUM_FILE,
};

/* One way to let the kernel pick a buffer. */
struct load_op {
	const char *name;
	const char *needs; /* what a kernel that cannot do it lacks */
	enum load_medium medium;
	uint8_t opcode;
	uint16_t ioprio;      /* IORING_RECV_MULTISHOT and its kin */
	uint8_t header_bytes; /* that the kernel puts before the data in each buffer */
	bool multishot;
	bool bundle;
};

/* NULL: no such operation, or past the last one. */
const struct load_op *load_op_find(const char *name);
const struct load_op *load_op_at(size_t index);

/* Whether the ring's kernel has it; what no probe tells shows at the first completion. */
bool load_op_supported(const struct load_op *op, struct io_uring *ring);

#define LOAD_MESSAGE_MAX (256u << 10)
/* Bytes that a unix stream socket queues as one piece (one skb). */
#define LOAD_STREAM_PIECE 32768u
/* In packet mode (O_DIRECT) a pipe keeps messages up to this size apart. */
#define LOAD_PIPE_PACKET 4096u

struct load_opts {
	const struct load_op *op;
	enum bs_pool_kind kind;
	const char *name; /* of the pools; NULL: none */
	uint32_t buffers; /* per group */
	uint32_t buf_bytes;
	uint32_t message_bytes; /* what is sent at once; a bundle may be larger than a buffer */
	const uint16_t *bgids;  /* of each ring, nr_groups of them */
	uint32_t nr_groups;
	uint32_t nr_rings;   /* of each process */
	uint32_t nr_threads; /* of each process, at most nr_rings */
	uint32_t nr_procs;
	uint32_t setup_flags; /* IORING_SETUP_* */
	uint64_t count;       /* completions with a buffer, per group; 0: without end */
	uint64_t duration_ns; /* 0: without end */
	uint64_t rate;        /* messages a second, per group; 0: as fast as it goes */
	uint32_t hold;        /* buffers kept before the oldest goes back */
	uint32_t leak;        /* the first so many are never returned */
	uint32_t link;        /* one-shot requests in a chain (IOSQE_IO_LINK); 0, 1: none */
	uint32_t cq_entries;  /* of each ring; what does not fit overflows; 0: room for all */
	uint32_t batch;       /* buffers per publication; 0: all that one look at the CQ brought */
	bool starve;          /* return nothing before the group ran dry */
	bool arm_first;       /* requests wait for data instead of data for requests; with `paused`
				 the first of each group before the pause */
	bool async;           /* requests run in worker threads (IOSQE_ASYNC) */
	bool measure_hold;
	bool wait;   /* keep everything as it is after the work, until a signal */
	bool paused; /* begin at SIGUSR1 */
	bool json;
	bool verbose; /* report each second, too */
};

static inline const char *load_kind_name(enum bs_pool_kind kind)
{
	static const char *const names[] = {"ring", "mmap", "inc", "legacy"};

	return names[kind];
}

/* ---- what was done */

/* Exact. Only members of type uint64_t: they are published word by word. */
struct load_counts {
	uint64_t selected;    /* completions that named a buffer */
	uint64_t partial;     /* of these: the buffer stayed current in its group */
	uint64_t taken;       /* buffers that left the group: head */
	uint64_t returned;    /* buffers put into it, the first fill included: tail */
	uint64_t starved;     /* completions with -ENOBUFS */
	uint64_t mshot_ended; /* completions that ended a multishot request */
	uint64_t bytes;       /* received */
	uint64_t leaked;      /* buffers that will never be returned */
	uint64_t armed;       /* requests with the kernel; none of them has a buffer */
};

enum load_check {
	CHECK_NONE,   /* not yet, or the kernel does not tell its head */
	CHECK_AGREES, /* the kernel's head is where the counters say */
	CHECK_DIFFERS,
};

/* Nanoseconds between a completion and the publication that returned its buffer. */
struct load_hold_times {
	uint64_t p50, p90, p99, max; /* quantiles to 1 in 128, upwards; max exact */
};

/* Counts at any time, through load_truth_read(); what follows them only when the group is at rest.
 */
struct load_group_truth {
	uint32_t version; /* odd while the owner writes counts; atomic */
	struct load_counts counts;
	enum load_check check;
	struct load_hold_times hold;
	bool is_exhausted;     /* ran dry when no buffer was left that would be returned */
	uint16_t *leaked_bids; /* counts.leaked of them */
};

struct load_ring_truth {
	uint32_t tgid, tid;
	int32_t fd;
	uint32_t sq_entries, cq_entries;
	uint32_t setup_flags;
	uint32_t slots;  /* entries of each of its buffer rings */
	uint64_t end_ns; /* when its work was done */
};

/*
 * In memory that all processes share. Rings of the first process first; the groups of ring i are
 * groups[i * opts->nr_groups] and following, in the order of opts->bgids.
 */
struct load_truth {
	const struct load_opts *opts;
	uint64_t start_ns;
	uint32_t nr_rings; /* of all processes */
	struct load_ring_truth *rings;
	struct load_group_truth *groups;
};

/* By the owner: what others see from now on. */
void load_truth_publish(struct load_group_truth *group, const struct load_counts *counts);

/* By anyone, at any time: counters that were true together at one moment. */
void load_truth_read(const struct load_group_truth *group, struct load_counts *counts);

/* ---- how */

/* Does it all, reports included. Returns an exit code. */
int load_run(const struct load_opts *opts);

/* The truth as of at_ns, complete or (`final` not set) in the middle of the work. */
void load_report_text(FILE *out, const struct load_truth *truth, uint64_t at_ns, bool final);
void load_report_json(FILE *out, const struct load_truth *truth, uint64_t at_ns, bool final);

/* What went wrong, for people. */
struct load_fault {
	int exit_code;
	const char *hint; /* or NULL; static storage */
	char what[192];
};

/* Fills *fault. Returns -EIO, so that a caller can return it. */
int load_fault(struct load_fault *fault, int exit_code, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif

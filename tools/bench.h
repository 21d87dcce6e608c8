/* SPDX-License-Identifier: MIT */
/* The same work over each pool strategy, and access traces over each eviction policy. */
#ifndef BUFSCOPE_BENCH_H
#define BUFSCOPE_BENCH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum bench_source {
	BENCH_NOTHING, /* a buffer is got and given back, without any I/O */
	BENCH_FILE,    /* reads of a page-cached file */
	BENCH_DIRECT,  /* reads of a file with O_DIRECT, where the filesystem has it */
	BENCH_SOCKET,  /* receive from a socket pair; multishot where the kernel picks */
	BENCH_TCP,     /* the same from a loopback connection */
	BENCH_PIPE,    /* reads of a pipe */
	BENCH_TREE,    /* each chunk of each file of a tree is read and written to another one */
	BENCH_IDLE,    /* connections on which nothing arrives: what they occupy */
};

/* One kind of work. */
struct bench_case {
	const char *key;
	enum bench_source source;
	uint32_t bytes;   /* of an operation and of a buffer */
	uint32_t depth;   /* operations in flight; stream: messages waiting */
	uint32_t threads; /* 1 or 2, each with its own ring and file */
};

extern const struct bench_case bench_cases[];
extern const size_t bench_nr_cases;

/* Messages are written by the thread that receives them, outside of what is measured. */
static inline bool bench_is_stream(const struct bench_case *work)
{
	return work->source == BENCH_SOCKET || work->source == BENCH_TCP ||
	       work->source == BENCH_PIPE;
}

static inline bool bench_is_recv(const struct bench_case *work)
{
	return work->source == BENCH_SOCKET || work->source == BENCH_TCP ||
	       work->source == BENCH_IDLE;
}

/* Ways to come by buffers on liburing alone. */
enum bench_hand {
	HAND_PLAIN,  /* one for each operation, allocated before */
	HAND_HEAP,   /* allocated for each operation */
	HAND_GLOBAL, /* a stack behind a mutex */
	HAND_LOCAL,  /* a stack of the thread's own */
	HAND_FIXED,  /* registered, one for each operation */
	HAND_RING,   /* the kernel picks: buffer ring in user memory */
	HAND_MMAP,   /* in kernel memory */
	HAND_LEGACY, /* PROVIDE_BUFFERS */
	HAND_READ,   /* no io_uring: poll(2) and read(2) */
	HAND_NONE,
};

/* A kind of pool, or a way by hand. */
struct bench_strategy {
	const char *key;
	int kind;             /* enum bs_pool_kind; -1: by hand */
	enum bench_hand hand; /* which; of a pool the one that does the same */
};

extern const struct bench_strategy bench_strategies[];
extern const size_t bench_nr_strategies;

/* Why this strategy makes no sense there; NULL: it does. */
const char *bench_why_not(const struct bench_strategy *strategy, const struct bench_case *work);

/*
 * Does an operation that waits have no buffer yet? Then one goes on from message to message; else a
 * program asks again when it has given the buffer back, and gets that one, which is in the caches.
 */
bool bench_stays_armed(const struct bench_strategy *strategy);

struct bench_result {
	double wall_ns, cpu_ns; /* of one operation; 0: not measured */
	double p50_ns, p99_ns;  /* latency; 0: not measured */
	uint64_t resident;      /* bytes of anonymous memory more than before */
	uint64_t pinned;        /* bytes */
	uint64_t allocated;     /* buffers got from the system */
	uint32_t buffers, peak; /* of a pool, and so many were lent at once at most */
	uint64_t starved;       /* its */
	uint32_t ops;           /* idle: connections */
};

/* Set by a signal: what runs ends soon with -EINTR, leaving nothing behind. */
extern volatile sig_atomic_t bench_stop;

/* Runs `ops` operations after some that do not count. 0, or -errno: this kernel cannot. */
int bench_run(const struct bench_case *what, const struct bench_strategy *strategy, uint32_t ops,
	      struct bench_result *result);

/* ---- figures of several rounds */

#define BENCH_MAX_ROUNDS     99u
#define BENCH_MAX_STRATEGIES 20u

struct bench_row {
	const struct bench_strategy *strategy;
	struct bench_result rounds[BENCH_MAX_ROUNDS];
	double ratio[BENCH_MAX_ROUNDS]; /* of CPU time, to the baseline of the same round */
	double own[BENCH_MAX_ROUNDS];   /* the same, to what does it by hand; 0: nothing does */
	int err;
	const char *why_not; /* it makes no sense, but was asked for; NULL: it does */
};

#define BENCH_MOST_IDLE 10000u /* connections */

struct bench_table {
	const struct bench_case *work;
	struct bench_row rows[BENCH_MAX_STRATEGIES]; /* the first is the baseline */
	size_t nr;
	uint32_t ops, rounds;
};

/* Quartiles: the middle half lies between low and high. */
struct bench_spread {
	double low, median, high;
};

struct bench_spread bench_spread(const double *values, uint32_t nr);

/* Of a figure of struct bench_result over all rounds: BENCH_FIGURE(row, rounds, cpu_ns). */
struct bench_spread bench_figure(const struct bench_row *row, uint32_t rounds, size_t offset);
#define BENCH_FIGURE(row, rounds, field)                                                           \
	bench_figure(row, rounds, offsetof(struct bench_result, field))

const struct bench_case *bench_case_of(const char *key);
const struct bench_row *bench_row_of(const struct bench_table *table, const char *key);
void bench_show_progress(size_t done, size_t all, const char *key);

struct bench_plan {
	uint32_t ops; /* a round, of 4 KiB */
	uint32_t rounds;
	uint32_t chosen; /* a bit for each of bench_strategies; 0: all */
};

/* One case, round by round: what is chosen, what does the same by hand, and the baseline. */
void bench_fill(struct bench_table *table, const struct bench_case *work,
		const struct bench_plan *plan);

/* ---- claims */

/* More: it holds, and by more than was claimed. */
enum bench_verdict { BENCH_CANNOT_TELL, BENCH_HOLDS, BENCH_HOLDS_NOT, BENCH_MORE };

struct bench_claim {
	const char *key, *claim;
	enum bench_verdict verdict;
	char evidence[160];
};

#define BENCH_MAX_CLAIMS 16

/* What was claimed of pools, judged by what is measured now. How many, or -errno. */
int bench_judge(const struct bench_plan *plan, struct bench_claim *claims);

/* Is a factor between low and high, as far as the middle half of what was measured tells? */
enum bench_verdict bench_verdict_between(const struct bench_spread *factor, double low,
					 double high);

/* Is the first above the second? */
enum bench_verdict bench_verdict_above(const struct bench_spread *a, const struct bench_spread *b);

/* ---- eviction */

#define BENCH_POLICIES     5
#define BENCH_TABLES       3
#define BENCH_MAX_ACCESSES 1000000u

/* Which buffer is used at each step. */
struct bench_trace {
	const char *name; /* static */
	uint16_t *bids;
	uint32_t nr;
	uint32_t buffers; /* different ones */
};

extern const size_t bench_nr_traces;

/* The i-th of those made after a pattern, and then of those recorded that are built in. 0 or
 * -errno. */
int bench_trace_get(size_t i, struct bench_trace *out);

/*
 * One that was recorded: a line for each access, of which the first word names the buffer. 0;
 * -E2BIG: more than BENCH_MAX_ACCESSES, or than 32768 buffers; -ENODATA: less than two buffers; or
 * what reading says.
 */
int bench_trace_read(const char *path, struct bench_trace *out);
void bench_trace_done(struct bench_trace *trace);

struct bench_eviction {
	const char *trace;
	uint32_t accesses, buffers, table;
	uint32_t best; /* hits of Belady's optimum */
	struct {
		uint32_t hits, registered, evicted;
		double ns;          /* of an access, the policy alone */
	} policies[BENCH_POLICIES]; /* by enum bs_evict */
};

extern const char *const bench_policy_names[BENCH_POLICIES];

/* Sizes of tables that a trace is replayed with; how many. */
size_t bench_tables(const struct bench_trace *trace, uint32_t tables[BENCH_TABLES]);

/* 0 or -ENOMEM. */
int bench_evict(const struct bench_trace *trace, uint32_t table, struct bench_eviction *out);

#endif

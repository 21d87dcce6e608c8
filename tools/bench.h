/* SPDX-License-Identifier: MIT */
/* The same work over each pool strategy, and access traces over each eviction policy. */
#ifndef BUFSCOPE_BENCH_H
#define BUFSCOPE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One kind of work. */
struct bench_case {
	const char *key;
	bool is_socket; /* multishot receive from a socket pair; else reads of a page-cached file */
	uint32_t bytes; /* of an operation and of a buffer */
	uint32_t depth; /* operations in flight; socket: messages waiting */
};

extern const struct bench_case bench_cases[];
extern const size_t bench_nr_cases;

/* How buffers are come by: by hand on liburing, or a kind of pool. */
struct bench_strategy {
	const char *key;
	int kind; /* enum bs_pool_kind; or one of these */
	bool of_files, of_sockets;
};

enum { BENCH_PLAIN = -1, BENCH_BY_HAND = -2 };

extern const struct bench_strategy bench_strategies[];
extern const size_t bench_nr_strategies;

struct bench_result {
	double wall_ns, cpu_ns; /* of one operation */
};

/* Runs `ops` operations after some that do not count. 0, or -errno: this kernel cannot. */
int bench_run(const struct bench_case *work, const struct bench_strategy *strategy, uint32_t ops,
	      struct bench_result *result);

/* ---- eviction */

#define BENCH_POLICIES 5

struct bench_eviction {
	const char *trace;
	uint32_t accesses, buffers, table;
	uint32_t best; /* hits of Belady's optimum */
	struct {
		uint32_t hits, evicted;
		double ns;          /* of an access, the policy alone */
	} policies[BENCH_POLICIES]; /* by enum bs_evict */
};

extern const char *const bench_policy_names[BENCH_POLICIES];

/* The number of pairs of trace and table size; the i-th of them. -ENOMEM, or 0. */
size_t bench_nr_evictions(void);
int bench_evict(size_t i, struct bench_eviction *out);

#endif

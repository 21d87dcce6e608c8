/* SPDX-License-Identifier: MIT */
/*
 * One thread of a benchmark: its ring, what it reads from, and its buffers, from a pool or by hand.
 * The loop (bench_run.c) asks, takes and gives; how, is bench_hand.c's
 * or the pool's.
 */
#ifndef BUFSCOPE_BENCH_JOB_H
#define BUFSCOPE_BENCH_JOB_H

#include <liburing.h>
#include <poll.h>
#include <pthread.h>

#include "../lib/bufscope.h"
#include "bench.h"

#define BENCH_MAX_DEPTH 128u
#define BENCH_SAMPLES   4096u
#define BENCH_WRITTEN   1u /* in user_data: the chunk was written to the other tree */

/* What the threads of a run share. */
struct bench_shared {
	const struct bench_case *work;
	const struct bench_strategy *strategy;
	uint32_t ops;
	struct bs_pool *pool; /* global */
	pthread_barrier_t start;
	pthread_mutex_t lock; /* by hand: of the stack */
	unsigned char **stack, *mem;
	size_t mem_bytes;
	uint32_t nr;
};

/* What an operation has in its hands. */
struct bench_chunk {
	void *addr;
	uint32_t len;
	uint16_t bid; /* by hand */
	struct bs_buf buf;
};

struct bench_slot {
	struct bs_op op;    /* by hand, too, says what is read */
	unsigned char *mem; /* by hand */
	struct bench_chunk chunk;
	int to;            /* of a tree: written to */
	uint64_t asked_ns; /* 0: is no sample */
	uint16_t dir, file;
} __attribute__((aligned(64))); /* that no way has it better by chance */

struct bench_job {
	struct bench_shared *shared;
	const struct bench_case *work;
	const struct bench_strategy *strategy;
	struct io_uring ring;
	bool has_ring;
	bool is_deferred;     /* the kernel does its part only when this thread waits */
	struct bs_pool *pool; /* NULL: by hand */
	struct bench_slot *slots;
	uint32_t nr_slots;

	struct io_uring_buf_ring *group; /* by hand */
	unsigned char *mem, **stack;
	size_t mem_bytes;
	uint32_t nr_free;     /* on the stack */
	struct pollfd *polls; /* without a ring: by slot */
	uint32_t next_poll;   /* from here on the last look was not followed yet */
	uint64_t allocated;
	struct bs_pool_stats stats; /* of the pool, at last */
	uint64_t unread;            /* streams: bytes that wait */

	int fd, in; /* read from, written to */
	int dir;    /* tree */
	char *tree;
	uint64_t next;
	uint32_t next_file;

	uint64_t asked, done, until; /* operations */
	uint32_t in_flight;          /* of one-shot ones, and writes */
	double wall_ns, cpu_ns;      /* measured so far */
	uint64_t *samples;
	uint32_t nr_samples;
	int err;
};

/* ---- bench_hand.c */

int bench_hand_open(struct bench_job *j);
int bench_hand_ask(struct bench_job *j, uint32_t i);
int bench_hand_take(struct bench_job *j, uint32_t i, const struct io_uring_cqe *cqe);
int bench_hand_give(struct bench_job *j, uint32_t i);
int bench_hand_get(struct bench_job *j, uint32_t i); /* without asking for data */
int bench_hand_next(struct bench_job *j, struct io_uring_cqe *cqe);
void bench_hand_close(struct bench_job *j);

static inline bool bench_hand_picks(enum bench_hand hand)
{
	return hand == HAND_RING || hand == HAND_MMAP || hand == HAND_LEGACY;
}

/* ---- bench_source.c */

#define BENCH_FILE_BYTES (8u << 20)

int bench_source_open(struct bench_job *j);
void bench_source_close(struct bench_job *j);
int bench_source_fill(struct bench_job *j); /* streams: messages to be read */
int bench_source_next(struct bench_job *j, struct bench_slot *slot); /* what it is to read */

/* ---- bench_run.c */

static inline bool bench_is_multishot(const struct bench_job *j)
{
	return bench_is_recv(j->work) && bench_stays_armed(j->strategy);
}

int bench_job_ask(struct bench_job *j, struct bench_slot *slot);
int bench_job_measure(struct bench_job *j);

/* ---- bench_idle.c */

uint32_t bench_idle_connections(uint32_t wanted); /* as far as descriptors allow; 0: too few */
int bench_idle(struct bench_job *j);

/* Anonymous memory of this process, and what it has pinned; bytes. */
void bench_read_memory(uint64_t *resident, uint64_t *pinned);

#endif

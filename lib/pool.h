/* SPDX-License-Identifier: MIT */
/*
 * What all pools share, whatever they are made of: who owns one, which buffers are lent, the
 * statistics. Knows nothing of how buffers reach the kernel: that is behind struct pool_ops.
 */
#ifndef BUFSCOPE_POOL_H
#define BUFSCOPE_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bufscope.h"
#include "pool_probe.h"

/*
 * One kind of pool. Called by the owner only; the statistics that the kernel's side moves (taken,
 * returned) are kept by the kind itself.
 */
struct pool_ops {
	/* Gets all buffers to the kernel. 0, or -errno with nothing left behind. */
	int (*open)(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts);

	/* Lends what a completion with IORING_CQE_F_BUFFER delivered: a count or -errno. */
	int (*take)(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
		    unsigned int max);

	/* The program is done with these pieces; they are checked and marked. Cannot fail. */
	void (*give)(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr);

	/* Takes everything from the kernel and frees what open() made. */
	void (*close)(struct bs_pool *pool);

	/* Where the program picks: lends up to nr free buffers. How many. NULL: the kernel picks.
	 */
	unsigned int (*acquire)(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr);

	/* Lends a buffer of the pool that is not out. 0 or -errno. */
	int (*acquire_bid)(struct bs_pool *pool, uint32_t bid, struct bs_buf *buf);

	/* fixed: where bid, which is lent, is registered, or -ENOENT. */
	int (*index)(const struct bs_pool *pool, uint32_t bid);

	bool is_movable;  /* it may change its owner */
	bool is_ringless; /* it may be opened without a ring */
	bool is_shared;   /* every call is made under the pool's lock, by any thread */
	bool has_no_data; /* it finds memory itself */
};

extern const struct pool_ops pool_ring_ops, pool_legacy_ops, pool_heap_ops, pool_global_ops,
	pool_local_ops, pool_fixed_ops, pool_fallback_ops;

/*
 * Lendings of one bid. Its pieces carry ascending numbers, the last `live` of them belong to the
 * present lending: a copy from an earlier one is recognised by its number.
 */
struct pool_lease {
	uint32_t next; /* number of the next piece; wraps */
	uint32_t live; /* pieces of the present lending, 0: not lent */
};

/* Which pieces of the present lending are out; only where a buffer is lent piecewise. */
struct pool_pieces {
	uint64_t out; /* of the first 64, one bit each; the others are in pool->pieces_more */
	uint32_t nr_out;
};

#define POOL_ANYONE UINT64_MAX       /* owner of a shared pool */
#define POOL_NOBODY (UINT64_MAX - 1) /* handed over, not adopted yet */

/*
 * Headers are type-stable: recycled, never handed back to libc, so that whoever holds a stale
 * pointer reads a header that says "closed", or one with another serial.
 *
 * Written by the owner alone, except where it says otherwise. What other threads read is stored
 * and loaded atomically.
 */
struct bs_pool {
	uint64_t owner;  /* token of the owning thread, 0: closed, or POOL_*; atomic */
	uint32_t serial; /* which life of this header; atomic */
	uint32_t buffers;
	uint32_t buf_bytes;
	uint32_t stride; /* from one buffer to the next */
	const struct pool_ops *ops;
	void *impl; /* of the kind */
	unsigned char *data;
	struct pool_lease *leases;  /* by bid */
	struct pool_pieces *pieces; /* by bid; NULL: buffers are lent whole */
	uint64_t *pieces_more;      /* by bid, pieces_words each; untouched as long as unused */
	const char *name;           /* never NULL: of a pool without one that of its kind */
	uint32_t pieces_words;
	uint16_t bgid;
	bool is_single;            /* BS_POOL_SINGLE */
	uint32_t capacity;         /* memory is set aside for so many buffers */
	uint32_t forks;            /* shared: the process, by how often it was forked */
	struct io_uring *ring;     /* NULL: none */
	struct io_uring *own_ring; /* the same, if it was opened here */
	struct bs_pool *meta;      /* the pool of metadata buffers, closed with this one */
	struct bs_pool *of;        /* this is the one of metadata, of that pool */
	struct bs_op *ops_first;   /* in flight */
	struct bs_op *ops_last;
	pthread_mutex_t lock;        /* shared: of everything here; never destroyed */
	struct bs_pool_stats stats;  /* atomic; `refused` is counted by any thread */
	struct bs_pool *next_closed; /* under the lock of the closed headers */
	char own_name[BS_NAME_BYTES];
	uint32_t roster; /* its entry, from 1; 0: none yet. It stays with the header */
} __attribute__((aligned(64)));

/* One writer at a time, any reader: a plain load and an atomic store, no read-modify-write. */
#define POOL_SET(pool, field, value)                                                               \
	__atomic_store_n(&(pool)->stats.field, (value), __ATOMIC_RELAXED)
#define POOL_ADD(pool, field, nr) POOL_SET(pool, field, (pool)->stats.field + (nr))

/* For kinds that lend a buffer in pieces, from open(). 0 or -errno. */
int pool_track_pieces(struct bs_pool *pool);

static inline bool pool_is_out(const struct bs_pool *pool, uint32_t bid)
{
	return pool->pieces ? pool->pieces[bid].nr_out : pool->leases[bid].live;
}

/* Part of pool_lend(). */
void pool_mark_piece(struct bs_pool *pool, uint32_t bid);

/*
 * Lends the bytes of bid from offset on; what is out already gets a further piece. How many
 * buffers more are out now: for pool_count_lent().
 */
static inline uint32_t pool_lend(struct bs_pool *pool, uint32_t bid, uint32_t offset,
				 struct bs_buf *buf)
{
	struct pool_lease *lease = &pool->leases[bid];
	uint32_t new_out = !pool_is_out(pool, bid);

	if (pool->pieces)
		pool_mark_piece(pool, bid);
	buf->pool = pool;
	/* In integers: a pool that finds memory itself has no data. */
	buf->addr = (void *)((uintptr_t)pool->data + (size_t)bid * pool->stride + offset);
	buf->bid = (uint16_t)bid;
	buf->lease = lease->next;
	buf->serial = pool->serial;
	lease->next++;
	lease->live++;
	PROBE(acquire, pool, bid);
	return new_out;
}

static inline void pool_count_lent(struct bs_pool *pool, uint32_t nr)
{
	uint32_t in_use = pool->stats.in_use + nr;

	POOL_SET(pool, in_use, in_use);
	if (in_use > pool->stats.peak)
		POOL_SET(pool, peak, in_use);
}

static inline void pool_count_starve(struct bs_pool *pool)
{
	POOL_ADD(pool, starved, 1);
	PROBE(starve, pool, pool->stats.in_use);
}

/* The lending of bid is over: all pieces are back and the buffer enters its group again. */
static inline void pool_settle(struct bs_pool *pool, uint32_t bid)
{
	pool->leases[bid].live = 0;
}

/*
 * What the public calls do, for pool_op.c. Each call that could enter a pool leaves it; between the
 * two the pool is the caller's. pool_leave() counts a refusal and returns `result`.
 */
int pool_enter(const struct bs_pool *pool);
int pool_leave(const struct bs_pool *pool, int result);
int pool_take(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
	      unsigned int max);
bool pool_acquire_one(struct bs_pool *pool, struct bs_buf *buf);
int pool_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr);

/* Without io_uring: waits, reads for one operation, and says so. 1, 0 (timeout) or -errno. */
int pool_fallback_next(struct bs_pool *pool, struct io_uring_cqe *cqe, int timeout_ms);

/* bs_op.state */
enum op_phase {
	OP_IDLE,
	OP_ARMED,
	OP_STOPPING, /* to be ended, whatever comes */
	OP_READY,    /* fallback: its completion was handed out, not passed to bs_op_done() yet */
};
#define OP_PHASE 0xffu
#define OP_RECV  0x100u /* not a read */
#define OP_STOP  0x200u /* was cancelled: is not asked for again */

static inline enum op_phase op_phase(const struct bs_op *op)
{
	return (enum op_phase)(op->state & OP_PHASE);
}

static inline void op_set_phase(struct bs_op *op, enum op_phase phase)
{
	op->state = (uint16_t)((op->state & ~OP_PHASE) | phase);
}

/* io_uring_register(2). 0, a count or -errno. */
int pool_register_nr(const struct io_uring *ring, unsigned int op, void *arg, uint32_t nr);

/* io_uring_register(2) with one argument. 0 or -errno. */
int pool_register(const struct io_uring *ring, unsigned int op, void *arg);

/* Where the kernel begins in a ring registered next under bgid: 0 ... 65535, or -errno. */
int pool_ring_head(struct io_uring *ring, uint16_t bgid);

/*
 * Sets the name, and puts it where others can read it as long as the pool is open, if it is one
 * that the kernel knows of. Where there is no memory for that it goes without; so does one on a
 * ring that has no descriptor.
 */
void pool_name(struct bs_pool *pool, const struct bs_pool_opts *opts);
void pool_unlist(struct bs_pool *pool);

/* In a child that was forked: its parent's roster is not there. */
void pool_forget_roster(void);

/* Anonymous memory, zeroed; NULL: none to be had. */
void *pool_map(size_t bytes);

#endif

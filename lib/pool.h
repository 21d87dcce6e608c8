/* SPDX-License-Identifier: MIT */
/*
 * What all pools share, whatever they are made of: who owns one, which buffers are lent, the
 * statistics. Knows nothing of how buffers reach the kernel: that is behind struct pool_ops.
 */
#ifndef BUFSCOPE_POOL_H
#define BUFSCOPE_POOL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bufscope.h"
#include "pool_lock.h"
#include "pool_probe.h"

#define POOL_LINE 64u /* of the caches */

/* What each operation goes through is laid out straight, and all else away from it. */
#define POOL_USUAL(condition) __builtin_expect(!!(condition), 1)
#define POOL_RARE(condition)  __builtin_expect(!!(condition), 0)

/* In each of the few places where it is asked for: no call, no registers to be saved. */
#define POOL_INLINE inline __attribute__((always_inline))

/* Together on a page: where a system call throws translations away, each page is paid for again. */
#define POOL_HOT __attribute__((hot))

/* Which way an operation goes. */
struct pool_ways {
	bool is_shared : 1;     /* every call is made under the pool's lock, by any thread */
	bool is_carried : 1;    /* an operation has its buffer from its beginning */
	bool is_plain : 1;      /* a buffer is lent and given by the stack alone */
	bool is_allocating : 1; /* plain, but for its memory: impl, by bid, of what is lent */
	bool is_registered : 1; /* the kernel knows buffer `bid` as number base + bid */
	bool is_picked : 1;     /* the kernel picks, and buffers are lent whole (pool_picked.h) */
	bool is_ring : 1;       /* the same, and impl is a struct pool_ring */
};

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

	/*
	 * The program is done with these pieces; they are checked and marked. Cannot fail. NULL:
	 * plain.
	 */
	void (*give)(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr);

	/* Takes everything from the kernel and frees what open() made. */
	void (*close)(struct bs_pool *pool);

	/* Where the program picks: lends up to nr free buffers. How many. NULL: the kernel picks.
	 */
	unsigned int (*acquire)(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr);

	/* Lends a buffer of the pool that is not out. 0 or -errno. */
	int (*acquire_bid)(struct bs_pool *pool, uint32_t bid, struct bs_buf *buf);

	/* Where bid, which is lent, is registered, or -ENOENT. NULL: it is if all are. */
	int (*index)(const struct bs_pool *pool, uint32_t bid);

	bool is_movable;  /* it may change its owner */
	bool is_ringless; /* it may be opened without a ring */
	struct pool_ways ways;
};

extern const struct pool_ops pool_ring_ops, pool_legacy_ops, pool_heap_ops, pool_global_ops,
	pool_local_ops, pool_fixed_ops, pool_registered_ops, pool_fallback_ops;

/*
 * Lendings of one bid. Its pieces carry ascending numbers, the last `live` of them belong to the
 * present lending: a copy from an earlier one is recognised by its number.
 */
struct pool_lease {
	uint32_t next; /* number of the next piece; wraps */
	uint32_t live; /* pieces of the present lending, 0: not lent */
	union {
		/* where the program picks */
		struct bs_op *op; /* lent: in flight with it, or NULL */
		struct {
			uint32_t below, above;
		} place; /* free: in the stack */
		/* where the kernel picks */
		uint32_t successor; /* ring: the bid published right after this, if any was */
	};
};

/* Which pieces of the present lending are out; only where a buffer is lent piecewise. */
struct pool_pieces {
	uint64_t out; /* of the first 64, one bit each; the others are in pool->pieces_more */
	uint32_t nr_out;
};

#define POOL_BOTTOM   UINT32_MAX       /* no free buffer is on top */
#define POOL_ANYONE   UINT64_MAX       /* owner of a shared pool */
#define POOL_NOBODY   (UINT64_MAX - 1) /* handed over, not adopted yet */
#define POOL_STRANGER (UINT64_MAX - 2) /* a thread that never opened a pool: owns none */

/*
 * What struct bs_pool_stats tells, in another order: what each operation counts stands together.
 * All atomic; `refused` is counted by any thread.
 */
struct pool_stats {
	uint32_t in_use, peak, in_flight;
	uint32_t mirrors; /* POOL_MIRRORS_*: what is not counted, for it is what `taken` is */
	uint64_t taken, returned, selected, bytes, partial;
	uint64_t starved, refused, allocated, registered, evicted, hits, plain;
	uint32_t buffers, entries, kind;
};

#define POOL_MIRRORS_ALLOCATED 1u
#define POOL_MIRRORS_HITS      2u

/*
 * Headers are type-stable: recycled, never handed back to libc, so that whoever holds a stale
 * pointer reads a header that says "closed", or one with another serial.
 *
 * Written by the owner alone, except where it says otherwise. What other threads read is stored
 * and loaded atomically. What each operation needs lies in two lines of the caches.
 */
struct bs_pool {
	uint64_t owner;  /* token of the owning thread, 0: closed, or POOL_*; atomic */
	uint32_t serial; /* which life of this header; atomic */
	uint32_t buffers;
	uint32_t buf_bytes;
	uint32_t stride; /* from one buffer to the next */
	struct pool_ways ways;
	uint16_t bgid;
	unsigned char *data;
	struct pool_lease *leases; /* by bid */
	void *impl;                /* of the kind */
	const struct pool_ops *ops;

	struct pool_pieces *pieces __attribute__((aligned(POOL_LINE))); /* by bid; NULL: whole */
	uint64_t *pieces_more; /* by bid, pieces_words each; untouched as long as unused */
	const char *name;      /* never NULL: of a pool without one that of its kind */
	uint32_t pieces_words;
	uint32_t base;               /* fixed: its first slot in the ring's table */
	uint32_t capacity;           /* memory is set aside for so many buffers */
	uint32_t forks;              /* shared: the process, by how often it was forked */
	uint32_t sleepers;           /* shared: see pool_lock.h */
	struct io_uring *ring;       /* NULL: none */
	struct io_uring *own_ring;   /* the same, if it was opened here */
	struct bs_pool *meta;        /* the pool of metadata buffers, closed with this one */
	struct bs_pool *of;          /* this is the one of metadata, of that pool */
	struct bs_pool *next_closed; /* under the lock of the closed headers */
	struct bs_link listed;       /* operations in flight without a buffer of their own */
	char own_name[BS_NAME_BYTES];
	uint32_t roster; /* its entry, from 1; 0: none yet. It stays with the header */
	bool is_single;  /* BS_POOL_SINGLE */

	/* Written by each call, of a shared pool by each thread. */
	uint32_t lock __attribute__((aligned(POOL_LINE))); /* shared: of everything here */
	uint32_t top; /* where the program picks: the next one */
	struct pool_stats stats;
} __attribute__((aligned(POOL_LINE)));

_Static_assert(offsetof(struct bs_pool, pieces) == POOL_LINE, "what all need");
_Static_assert(offsetof(struct bs_pool, stats.starved) ==
		       offsetof(struct bs_pool, lock) + POOL_LINE,
	       "and what all count");

/*
 * One writer at a time, any reader: a plain load, and a store that nobody sees half of. A compiler
 * makes three instructions of that, and forgets what it knew of memory; here one does it, and needs
 * no lock. A sanitizer of threads is shown the store.
 */
static inline void pool_add(uint64_t *at, uint64_t nr)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	__asm__ volatile("addq %1, %0" : "+m"(*at) : "er"(nr) : "cc");
#else
	__atomic_store_n(at, *at + nr, __ATOMIC_RELAXED);
#endif
}

static inline void pool_move(uint32_t *at, uint32_t by)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	__asm__ volatile("addl %1, %0" : "+m"(*at) : "er"(by) : "cc");
#else
	__atomic_store_n(at, *at + by, __ATOMIC_RELAXED);
#endif
}

#define POOL_SET(pool, field, value)                                                               \
	__atomic_store_n(&(pool)->stats.field, (value), __ATOMIC_RELAXED)
#define POOL_ADD(pool, field, nr) pool_add(&(pool)->stats.field, (nr))
/* What goes up and down: in_use, in_flight. */
#define POOL_UP(pool, field, nr)   pool_move(&(pool)->stats.field, (nr))
#define POOL_DOWN(pool, field, nr) pool_move(&(pool)->stats.field, -(uint32_t)(nr))

/* For kinds that lend a buffer in pieces, from open(). 0 or -errno. */
int pool_track_pieces(struct bs_pool *pool);
void pool_forget_pieces(struct bs_pool *pool);

static inline bool pool_is_out(const struct bs_pool *pool, uint32_t bid)
{
	return pool->pieces ? pool->pieces[bid].nr_out : pool->leases[bid].live;
}

/* Before it is lent. */
void pool_mark_piece(struct bs_pool *pool, uint32_t bid);

/* Lends the bytes from `addr` on, which are some of bid's. */
static inline void pool_lend_at(struct bs_pool *pool, uint32_t bid, void *addr, struct bs_buf *buf)
{
	struct pool_lease *lease = &pool->leases[bid];

	buf->pool = pool;
	buf->addr = addr;
	buf->bid = (uint16_t)bid;
	buf->lease = lease->next++;
	buf->serial = pool->serial;
	lease->live++;
	PROBE(acquire, pool, bid);
}

static inline void *pool_addr(const struct bs_pool *pool, uint32_t bid)
{
	return pool->data + (size_t)bid * pool->stride;
}

/* Where bid, which is lent, is registered, or -ENOENT. */
static inline int pool_index(const struct bs_pool *pool, uint32_t bid)
{
	if (pool->ways.is_registered)
		return (int)(pool->base + bid);
	if (POOL_USUAL(pool->ways.is_plain))
		return -ENOENT;
	return pool->ops->index ? pool->ops->index(pool, bid) : -ENOENT;
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

/* pool_ops.acquire and acquire_bid of plain pools. */
unsigned int pool_plain_acquire(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr);
int pool_plain_acquire_bid(struct bs_pool *pool, uint32_t bid, struct bs_buf *buf);

/* Of a kind of which the program picks: how many were lent. */
unsigned int pool_acquire(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr);

/* ---- entering and leaving */

extern __thread uint64_t pool_self __attribute__((tls_model("initial-exec")));

/* How often an ancestor of this process was forked: a shared pool is not the child's, either. */
extern uint32_t pool_forks;

/* Counts a refusal; its error. */
__attribute__((cold)) int pool_refuse(const struct bs_pool *pool, int err);

/* The pool is not the caller's own. */
int pool_enter_other(const struct bs_pool *pool, uint64_t owner);

/* Open, and the caller's alone. */
static inline bool pool_is_own(const struct bs_pool *pool)
{
	return __atomic_load_n(&pool->owner, __ATOMIC_RELAXED) == pool_self;
}

/*
 * 0 or -errno. Each call that could enter a pool leaves it; between the two the pool is the
 * caller's.
 */
static inline int pool_enter(const struct bs_pool *pool)
{
	if (!pool)
		return -EBADF;
	if (POOL_USUAL(pool_is_own(pool)))
		return 0;
	return pool_enter_other(pool, __atomic_load_n(&pool->owner, __ATOMIC_RELAXED));
}

static inline void pool_exit_shared(const struct bs_pool *pool)
{
	pool_unlock((uint32_t *)&pool->lock, (uint32_t *)&pool->sleepers);
}

/* The same where each operation comes through, of shared pools, too. */
static POOL_INLINE int pool_enter_soon(const struct bs_pool *pool)
{
	/* Only the owner may be read of a pool that is not entered yet, and what is atomic like it.
	 */
	if (POOL_RARE(!pool) || __atomic_load_n(&pool->owner, __ATOMIC_RELAXED) != POOL_ANYONE ||
	    POOL_RARE(__atomic_load_n(&pool->forks, __ATOMIC_RELAXED) != pool_forks))
		return pool_enter(pool);
	pool_lock((uint32_t *)&pool->lock, (uint32_t *)&pool->sleepers);
	if (POOL_USUAL(__atomic_load_n(&pool->owner, __ATOMIC_ACQUIRE) == POOL_ANYONE))
		return 0;
	pool_exit_shared(pool);
	return -EBADF;
}

static inline void pool_exit(const struct bs_pool *pool)
{
	if (POOL_RARE(pool->ways.is_shared))
		pool_exit_shared(pool);
}

/* The same; returns `result`, and counts it if it is a refusal. */
static inline int pool_leave(const struct bs_pool *pool, int result)
{
	if (POOL_RARE(result < 0) && result != -ENOSPC)
		pool_refuse(pool, result);
	pool_exit(pool);
	return result;
}

/* What the public calls do, for pool_op.c: inside. */
int pool_take(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
	      unsigned int max);
int pool_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr);

/*
 * Operations in flight without a buffer of their own, the one that began last at the end. The list
 * is a circle that goes through the pool: nothing is the first or the last, and to be asked for.
 */
static inline struct bs_op *pool_op_of(struct bs_link *link)
{
	return (struct bs_op *)(void *)((char *)link - offsetof(struct bs_op, link));
}

static inline void pool_link_between(struct bs_link *prev, struct bs_link *link,
				     struct bs_link *next)
{
	link->next = next;
	link->prev = prev;
	prev->next = link;
	next->prev = link;
}

static inline void pool_link_op(struct bs_pool *pool, struct bs_op *op)
{
	pool_link_between(pool->listed.prev, &op->link, &pool->listed);
}

static inline void pool_unlink_op(struct bs_op *op)
{
	struct bs_link *prev = op->link.prev, *next = op->link.next;

	prev->next = next;
	next->prev = prev;
}

/* Without io_uring: it stands before all others, if it can end without waiting. */
void pool_fallback_hurry(struct bs_pool *pool, struct bs_op *op);

/* Without io_uring: waits, reads for one operation, and says so. 1, 0 (timeout) or -errno. */
int pool_fallback_next(struct bs_pool *pool, struct io_uring_cqe *cqe, int timeout_ms);

/* bs_op.state */
enum op_phase {
	OP_IDLE,
	OP_ARMED,
	OP_STOPPING, /* to be ended, whatever comes */
	OP_READY,    /* fallback: its completion was handed out, not passed to bs_op_done() yet */
};
#define OP_PHASE  0xffu
#define OP_RECV   0x100u /* not a read */
#define OP_STOP   0x200u /* was cancelled: is not asked for again */
#define OP_POLLED 0x400u /* fallback: there was something to read */

static inline enum op_phase op_phase(const struct bs_op *op)
{
	return (enum op_phase)(op->state & OP_PHASE);
}

/*
 * Written under the lock, where there is one: by who cancels, too. Read without it for what never
 * changes.
 */
static inline void op_set_state(struct bs_op *op, uint32_t state)
{
	__atomic_store_n(&op->state, (uint16_t)state, __ATOMIC_RELAXED);
}

static inline void op_set_phase(struct bs_op *op, enum op_phase phase)
{
	op_set_state(op, (op->state & ~OP_PHASE) | phase);
}

static inline bool op_is_recv(const struct bs_op *op)
{
	return __atomic_load_n(&op->state, __ATOMIC_RELAXED) & OP_RECV;
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

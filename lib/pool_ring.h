/* SPDX-License-Identifier: MIT */
/*
 * The usual way of a buffer ring: one buffer comes with a completion, and goes back. What else may
 * happen, and how a ring begins and ends, is pool_ring.c's.
 */
#ifndef BUFSCOPE_POOL_RING_H
#define BUFSCOPE_POOL_RING_H

#include <liburing.h>

#include "pool.h"
#include "pool_picked.h"

#define POOL_NO_BID UINT32_MAX

/* Of a buffer that is filled piecewise. */
struct ring_fill {
	uint32_t cursor; /* bytes lent since it entered the group */
	uint16_t pos;    /* the tail when it entered: where its entry is */
	bool in_group;   /* the kernel may fill it */
};

struct pool_ring {
	struct io_uring *ring;
	struct io_uring_buf *entries; /* shared with the kernel */
	struct ring_fill *fills;      /* by bid; NULL: not inc */
	struct pool_lease *last;      /* of the buffer published last */
	uint32_t mask;
	uint32_t tail; /* its lower half as the kernel sees it after the next publication */
	uint16_t bgid;
	bool single;
	bool mmap;
} __attribute__((aligned(POOL_LINE)));

static inline void ring_append(struct bs_pool *pool, struct pool_ring *r, uint32_t bid)
{
	struct pool_lease *lease = &pool->leases[bid];
	struct io_uring_buf *entry = &r->entries[r->tail & r->mask];

	/* Field by field: the tail lies in the first entry's resv. */
	entry->addr = (uintptr_t)pool_addr(pool, bid);
	entry->len = pool->buf_bytes;
	entry->bid = (uint16_t)bid;

	/* In this order: the last one may be this one, taken and returned meanwhile. */
	r->last->successor = bid;
	lease->successor = POOL_NO_BID;
	r->last = lease;
	r->tail++;
}

/* The kernel reads entries up to the tail it sees: they must be complete before. */
static inline void ring_publish(struct bs_pool *pool, struct pool_ring *r, uint32_t nr)
{
	__atomic_store_n(&r->entries[0].resv, (uint16_t)r->tail, __ATOMIC_RELEASE);
	POOL_ADD(pool, returned, nr);
}

#endif

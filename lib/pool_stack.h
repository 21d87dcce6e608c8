/* SPDX-License-Identifier: MIT */
/*
 * The free buffers of a pool of which the program picks: the one that came last goes first.
 *
 * They are linked through their leases, which a lending writes to anyway: no memory besides, and
 * no further line of the caches.
 */
#ifndef BUFSCOPE_POOL_STACK_H
#define BUFSCOPE_POOL_STACK_H

#include <stdlib.h>

#include "pool.h"

static inline bool pool_stack_is_empty(const struct bs_pool *pool)
{
	return pool->top == POOL_BOTTOM;
}

static inline void pool_stack_push(struct bs_pool *pool, uint32_t bid)
{
	pool->leases[bid].place.below = pool->top;
	if (pool->top != POOL_BOTTOM)
		pool->leases[pool->top].place.above = bid;
	pool->top = bid;
}

/* There is one. */
static inline uint32_t pool_stack_pop(struct bs_pool *pool)
{
	uint32_t bid = pool->top;

	pool->top = pool->leases[bid].place.below;
	pool->leases[bid].op = NULL;
	return bid;
}

/* It is there. What is above the uppermost one is not known. */
static inline void pool_stack_remove(struct bs_pool *pool, uint32_t bid)
{
	struct pool_lease *lease = &pool->leases[bid];
	uint32_t below = lease->place.below, above = lease->place.above;

	lease->op = NULL;
	if (bid == pool->top) {
		pool->top = below;
		return;
	}
	pool->leases[above].place.below = below;
	if (below != POOL_BOTTOM)
		pool->leases[below].place.above = above;
}

/* All from `first` on, the lowest on top. */
static inline void pool_stack_fill(struct bs_pool *pool, uint32_t first)
{
	uint32_t bid;

	for (bid = pool->buffers; bid > first;)
		pool_stack_push(pool, --bid);
}

/* The whole of a buffer that is off the stack, and lies there. */
static inline void pool_lend_plain(struct bs_pool *pool, uint32_t bid, void *addr,
				   struct bs_buf *buf)
{
	pool_lend_at(pool, bid, addr, buf);
	buf->len = pool->buf_bytes;
	buf->more = 0;
}

#define POOL_HEAP_ALIGN 4096u /* O_DIRECT wants it; of large buffers only */

/* Memory for a buffer that has none as long as it is free; NULL: none to be had. */
static inline void *pool_alloc(struct bs_pool *pool, uint32_t bid)
{
	void **mem = (void **)pool->impl + bid;

	if (pool->buf_bytes < POOL_HEAP_ALIGN)
		*mem = malloc(pool->buf_bytes);
	else if (POOL_RARE(posix_memalign(mem, POOL_HEAP_ALIGN, pool->buf_bytes)))
		*mem = NULL;
	return *mem;
}

static inline void pool_free(struct bs_pool *pool, uint32_t bid)
{
	void **mem = (void **)pool->impl + bid;

	free(*mem);
	*mem = NULL;
}

/* Its memory: where it lies, or what is got for it. */
static inline void *pool_find(struct bs_pool *pool, uint32_t bid)
{
	return pool->ways.is_allocating ? pool_alloc(pool, bid) : pool_addr(pool, bid);
}

/* Can one be lent, and given, without a call to anything else? Such ways save no registers. */
static inline bool pool_is_stacked(const struct bs_pool *pool)
{
	return pool->ways.is_plain && !pool->ways.is_allocating;
}

static inline bool pool_has_one(const struct bs_pool *pool)
{
	return pool_is_stacked(pool) && POOL_USUAL(!pool_stack_is_empty(pool));
}

/* It has one: which. */
static POOL_INLINE uint32_t pool_lend_top(struct bs_pool *pool, struct bs_buf *buf)
{
	uint32_t bid = pool_stack_pop(pool);

	pool_lend_plain(pool, bid, pool_addr(pool, bid), buf);
	POOL_ADD(pool, taken, 1);
	pool_count_lent(pool, 1);
	return bid;
}

/* The same as pool_acquire(), of one, the usual number: was one lent? */
static POOL_INLINE bool pool_acquire_one(struct bs_pool *pool, struct bs_buf *buf)
{
	uint32_t bid = pool->top;
	void *addr;

	if (POOL_RARE(!pool->ways.is_plain) || POOL_RARE(bid == POOL_BOTTOM))
		return pool_acquire(pool, buf, 1) == 1;
	addr = pool_find(pool, bid);
	if (POOL_RARE(!addr)) {
		pool_count_starve(pool);
		return false;
	}
	pool_lend_plain(pool, pool_stack_pop(pool), addr, buf);
	POOL_ADD(pool, taken, 1);
	pool_count_lent(pool, 1);
	return true;
}

static inline void pool_give_plain(struct bs_pool *pool, uint32_t bid)
{
	if (pool->ways.is_allocating)
		pool_free(pool, bid);
	pool_stack_push(pool, bid);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The usual way of a buffer that the kernel picks: one comes whole with a completion. What is
 * not lent the kernel may have.
 */
#ifndef BUFSCOPE_POOL_PICKED_H
#define BUFSCOPE_POOL_PICKED_H

#include <liburing.h>

#include "pool.h"

/* Of a pool that lends whole buffers, what has data: does one buffer hold them? */
static inline bool picked_is_usual(const struct bs_pool *pool, const struct io_uring_cqe *cqe)
{
	return pool->ways.is_picked && cqe->flags & IORING_CQE_F_BUFFER &&
	       (uint32_t)cqe->res - 1 < pool->buf_bytes; /* 1 ... */
}

/* Which one came, or -errno: none of the pool, or one that the kernel cannot have. */
static inline int picked_bid(const struct bs_pool *pool, const struct io_uring_cqe *cqe)
{
	uint32_t bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	if (POOL_RARE(bid >= pool->buffers))
		return -ERANGE;
	return POOL_USUAL(!pool->leases[bid].live) ? (int)bid : -EPROTO;
}

static inline void picked_lend_bid(struct bs_pool *pool, uint32_t bid, uint32_t bytes,
				   struct bs_buf *buf)
{
	pool_lend_at(pool, bid, pool_addr(pool, bid), buf);
	buf->len = bytes;
	buf->more = 0;
	POOL_ADD(pool, taken, 1);
	pool_count_lent(pool, 1);
}

/* Lends what is usual. 1 or -errno. */
static inline int picked_lend(struct bs_pool *pool, const struct io_uring_cqe *cqe,
			      struct bs_buf *buf)
{
	int bid = picked_bid(pool, cqe);
	uint32_t bytes = (uint32_t)cqe->res;

	if (POOL_RARE(bid < 0))
		return bid;
	picked_lend_bid(pool, (uint32_t)bid, bytes, buf);
	POOL_ADD(pool, selected, 1);
	POOL_ADD(pool, bytes, bytes);
	return 1;
}

#endif

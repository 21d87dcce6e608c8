// SPDX-License-Identifier: MIT
/*
 * Which of the buffers are registered with the ring, and where?
 *
 * Without a table of its own size all are registered at once, in their order, and there is nothing
 * to be done when they are lent. With one, a buffer is registered when it is lent, in the place of
 * one that is not: what is lent may be in flight, so it is pinned. Registration that fails costs no
 * buffer, only the gain: it is lent without.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "evict.h"
#include "pool.h"
#include "pool_stack.h"

#define NO_SLOT   UINT16_MAX
#define MAX_TABLE 16384u

struct pool_fixed {
	struct io_uring *ring;
	uint32_t base;       /* the first slot that is this pool's */
	bool is_guest;       /* the table is another pool's */
	struct evict *evict; /* NULL, as the others: all are registered */
	uint16_t *slots;     /* by bid; NO_SLOT: not registered */
	uint16_t *bids;      /* by slot, what is there; of filled ones */
};

/* ---- the kernel's table */

static int register_sparse(const struct io_uring *ring, uint32_t nr)
{
	struct io_uring_rsrc_register reg = {.nr = nr, .flags = IORING_RSRC_REGISTER_SPARSE};

	return pool_register_nr(ring, IORING_REGISTER_BUFFERS2, &reg, sizeof(reg));
}

/* How many were updated, or -errno. */
static int update(const struct pool_fixed *f, uint32_t slot, const struct iovec *iov, uint32_t nr)
{
	struct io_uring_rsrc_update2 reg = {
		.offset = f->base + slot, .data = (uintptr_t)iov, .nr = nr};

	return pool_register_nr(f->ring, IORING_REGISTER_BUFFERS_UPDATE, &reg, sizeof(reg));
}

static int register_all(const struct bs_pool *pool, const struct pool_fixed *f)
{
	struct iovec *iovs = calloc(pool->buffers, sizeof(*iovs));
	uint32_t bid;
	int nr;

	if (!iovs)
		return -ENOMEM;
	for (bid = 0; bid < pool->buffers; bid++) {
		iovs[bid].iov_base = pool_addr(pool, bid);
		iovs[bid].iov_len = pool->buf_bytes;
	}
	nr = update(f, 0, iovs, pool->buffers);
	free(iovs);
	if (nr < 0)
		return nr;
	return (uint32_t)nr == pool->buffers ? 0 : -ENOMEM; /* it stopped where memory did */
}

/* ---- as they are used */

/* Puts bid into a slot; false: it goes without. */
static bool settle(struct bs_pool *pool, struct pool_fixed *f, uint32_t bid)
{
	struct iovec iov = {pool_addr(pool, bid), pool->buf_bytes};
	const uint32_t nr = 1;
	int slot = evict_choose(f->evict);

	if (slot < 0)
		return false;
	if (evict_is_filled(f->evict, (uint32_t)slot)) {
		f->slots[f->bids[slot]] = NO_SLOT;
		POOL_ADD(pool, evicted, 1);
		PROBE2(evict, pool, f->bids[slot], slot);
	}
	if (update(f, (uint32_t)slot, &iov, nr) != 1) {
		/* What was there may still be registered; nobody reads through it. */
		evict_empty(f->evict, (uint32_t)slot);
		return false;
	}
	evict_fill(f->evict, (uint32_t)slot);
	f->slots[bid] = (uint16_t)slot;
	f->bids[slot] = (uint16_t)bid;
	POOL_ADD(pool, registered, 1);
	PROBE2(register, pool, bid, nr);
	return true;
}

static void find_slot(struct bs_pool *pool, struct pool_fixed *f, uint32_t bid)
{
	if (f->slots[bid] != NO_SLOT) {
		POOL_ADD(pool, hits, 1);
		evict_touch(f->evict, f->slots[bid]);
	} else if (!settle(pool, f, bid)) {
		POOL_ADD(pool, plain, 1);
		return;
	}
	evict_pin(f->evict, f->slots[bid]);
}

static void lend(struct bs_pool *pool, struct pool_fixed *f, uint32_t bid, struct bs_buf *buf)
{
	find_slot(pool, f, bid);
	pool_lend_plain(pool, bid, pool_addr(pool, bid), buf);
}

static unsigned int fixed_acquire(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr)
{
	struct pool_fixed *f = pool->impl;
	unsigned int got;

	for (got = 0; got < nr && !pool_stack_is_empty(pool); got++)
		lend(pool, f, pool_stack_pop(pool), &bufs[got]);
	return got;
}

static int fixed_acquire_bid(struct bs_pool *pool, uint32_t bid, struct bs_buf *buf)
{
	struct pool_fixed *f = pool->impl;

	pool_stack_remove(pool, bid);
	lend(pool, f, bid, buf);
	return 0;
}

static void fixed_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	struct pool_fixed *f = pool->impl;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		uint32_t bid = bufs[i].bid;

		if (f->slots[bid] != NO_SLOT)
			evict_unpin(f->evict, f->slots[bid]);
		pool_stack_push(pool, bid);
	}
	POOL_ADD(pool, returned, nr);
}

static int fixed_index(const struct bs_pool *pool, uint32_t bid)
{
	const struct pool_fixed *f = pool->impl;

	return f->slots[bid] == NO_SLOT ? -ENOENT : (int)(f->base + f->slots[bid]);
}

/* ---- opening and closing */

static void fixed_free(struct bs_pool *pool)
{
	struct pool_fixed *f = pool->impl;

	evict_free(f->evict);
	free(f->slots);
	free(f->bids);
	free(f);
	pool->impl = NULL;
}

static void fixed_close(struct bs_pool *pool)
{
	const struct pool_fixed *f = pool->impl;

	if (!f->is_guest)
		pool_register_nr(f->ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	fixed_free(pool);
}

static int alloc_tables(struct bs_pool *pool, struct pool_fixed *f, const struct bs_pool_opts *opts)
{
	uint32_t bid;

	if (!opts->table)
		return 0;
	f->slots = calloc(pool->buffers, sizeof(*f->slots));
	f->bids = calloc(opts->table, sizeof(*f->bids));
	f->evict = evict_new(opts->evict, opts->table);
	if (!f->slots || !f->bids || !f->evict)
		return -ENOMEM;
	for (bid = 0; bid < pool->buffers; bid++)
		f->slots[bid] = NO_SLOT;
	return 0;
}

/* The slots that this pool and the one of its metadata need. */
static int set_up_table(struct bs_pool *pool, struct pool_fixed *f, const struct bs_pool_opts *opts)
{
	uint32_t own = opts->table ? opts->table : pool->buffers;

	if (pool->of) {
		f->is_guest = true;
		f->base = pool->of->stats.entries;
		return 0;
	}
	if (own + opts->meta_buffers > MAX_TABLE)
		return -EINVAL;
	return register_sparse(f->ring, own + opts->meta_buffers);
}

static int fixed_open(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts)
{
	struct pool_fixed *f;
	int err;

	if (opts->table > pool->buffers || (uint32_t)opts->evict > BS_EVICT_LRU)
		return -EINVAL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	pool->impl = f;
	f->ring = ring;
	err = alloc_tables(pool, f, opts);
	if (!err)
		err = set_up_table(pool, f, opts);
	if (err) {
		fixed_free(pool);
		return err;
	}
	pool->base = f->base;
	pool_stack_fill(pool, 0);
	POOL_SET(pool, entries, opts->table ? opts->table : pool->buffers);
	POOL_SET(pool, returned, pool->buffers);
	return 0;
}

static int registered_open(struct bs_pool *pool, struct io_uring *ring,
			   const struct bs_pool_opts *opts)
{
	int err = fixed_open(pool, ring, opts);

	if (err)
		return err;
	err = register_all(pool, pool->impl);
	if (err) {
		fixed_close(pool);
		return err;
	}
	POOL_SET(pool, registered, pool->buffers);
	POOL_SET(pool, mirrors, POOL_MIRRORS_HITS);
	PROBE2(register, pool, (uint32_t)0, pool->buffers);
	return 0;
}

const struct pool_ops pool_fixed_ops = {
	.open = fixed_open,
	.give = fixed_give,
	.close = fixed_close,
	.acquire = fixed_acquire,
	.acquire_bid = fixed_acquire_bid,
	.index = fixed_index,
	.ways = {.is_carried = true},
};

const struct pool_ops pool_registered_ops = {
	.open = registered_open,
	.close = fixed_close,
	.acquire = pool_plain_acquire,
	.acquire_bid = pool_plain_acquire_bid,
	.ways = {.is_carried = true, .is_plain = true, .is_registered = true},
};

// SPDX-License-Identifier: MIT
/*
 * Pools that the kernel knows nothing of: where does the program get a buffer from?
 *
 * heap allocates each time (impl: by bid, what is lent); the plain ones keep what they have: local,
 * and global behind the pool's lock (pool.c takes it), which grows into the memory that was set
 * aside.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"
#include "pool_stack.h"

/* ---- memory */

/*
 * Preallocated means that no page fault comes later: pages are touched now, by the kernel, for at
 * the edges they are also those of buffers in use. Where there is no memory, or no such call
 * (before 5.14), they come when they are used.
 */
static void touch(const struct bs_pool *pool, uint32_t first, uint32_t nr)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *from = pool->data + (size_t)first * pool->stride;
	size_t before = (uintptr_t)from & (page - 1);

	madvise(from - before, before + (size_t)nr * pool->stride, MADV_POPULATE_WRITE);
}

/* Twice as many as there were, within what was set aside. */
static bool grow(struct bs_pool *pool)
{
	uint32_t old = pool->buffers, nr = old;

	if (nr > pool->capacity - old)
		nr = pool->capacity - old;
	if (!nr)
		return false;
	touch(pool, old, nr);
	pool->buffers += nr;
	pool_stack_fill(pool, old);
	POOL_SET(pool, buffers, pool->buffers);
	POOL_ADD(pool, allocated, nr);
	POOL_ADD(pool, returned, nr);
	return true;
}

/* ---- lending (pool_stack.h and pool_lease.c do the same for one, and give back) */

unsigned int pool_plain_acquire(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr)
{
	unsigned int got;
	void *addr;

	for (got = 0; got < nr; got++) {
		if (pool_stack_is_empty(pool) && !grow(pool))
			break;
		addr = pool_find(pool, pool->top);
		if (!addr)
			break;
		pool_lend_plain(pool, pool_stack_pop(pool), addr, &bufs[got]);
	}
	return got;
}

int pool_plain_acquire_bid(struct bs_pool *pool, uint32_t bid, struct bs_buf *buf)
{
	void *addr = pool_find(pool, bid);

	if (!addr)
		return -ENOBUFS;
	pool_stack_remove(pool, bid);
	pool_lend_plain(pool, bid, addr, buf);
	return 0;
}

/* ---- opening and closing */

static void heap_close(struct bs_pool *pool)
{
	void **mem = pool->impl;
	uint32_t bid;

	for (bid = 0; bid < pool->buffers; bid++)
		free(mem[bid]);
	free(mem);
	pool->impl = NULL;
}

static int heap_open(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts)
{
	(void)ring;
	(void)opts;
	pool->impl = calloc(pool->capacity, sizeof(void *));
	if (!pool->impl)
		return -ENOMEM;
	pool_stack_fill(pool, 0);
	POOL_SET(pool, returned, pool->buffers);
	POOL_SET(pool, mirrors, POOL_MIRRORS_ALLOCATED);
	return 0;
}

static void plain_close(struct bs_pool *pool)
{
	(void)pool; /* pool.c has its memory */
}

static int plain_open(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts)
{
	(void)ring;
	(void)opts;
	touch(pool, 0, pool->buffers);
	pool_stack_fill(pool, 0);
	POOL_SET(pool, returned, pool->buffers);
	return 0;
}

#define PLAIN_ACQUIRE                                                                              \
	.acquire = pool_plain_acquire, .acquire_bid = pool_plain_acquire_bid, .is_ringless = true
#define PLAIN_OPS .open = plain_open, .close = plain_close, PLAIN_ACQUIRE

const struct pool_ops pool_heap_ops = {
	.open = heap_open,
	.close = heap_close,
	PLAIN_ACQUIRE,
	.is_movable = true,
	.ways = {.is_plain = true, .is_carried = true, .is_allocating = true},
};

const struct pool_ops pool_local_ops = {
	PLAIN_OPS,
	.is_movable = true,
	.ways = {.is_plain = true, .is_carried = true},
};

const struct pool_ops pool_global_ops = {
	PLAIN_OPS,
	.ways = {.is_plain = true, .is_carried = true, .is_shared = true},
};

/* Its operations are in pool_fallback.c; its buffers are those of a local pool. */
const struct pool_ops pool_fallback_ops = {
	PLAIN_OPS,
	.is_movable = true,
	.ways = {.is_plain = true},
};

// SPDX-License-Identifier: MIT
/*
 * Pools that the kernel knows nothing of: where does the program get a buffer from?
 *
 * heap allocates each time; local and global keep what they have, global behind the pool's lock
 * (pool.c takes it), and grows into the memory that was set aside.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"
#include "pool_stack.h"

#define HEAP_ALIGN 4096u /* O_DIRECT wants it; of large buffers only */

struct pool_heap {
	struct pool_stack stack;
	void **mem; /* heap: by bid, what is lent; NULL: not heap */
};

/* ---- memory */

static void *heap_alloc(const struct bs_pool *pool)
{
	void *mem = NULL;

	if (pool->buf_bytes < HEAP_ALIGN)
		return malloc(pool->buf_bytes);
	return posix_memalign(&mem, HEAP_ALIGN, pool->buf_bytes) ? NULL : mem;
}

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
static bool grow(struct bs_pool *pool, struct pool_heap *heap)
{
	uint32_t old = pool->buffers, nr = old, bid;

	if (nr > pool->capacity - old)
		nr = pool->capacity - old;
	if (!nr)
		return false;
	touch(pool, old, nr);
	pool->buffers += nr;
	for (bid = pool->buffers; bid > old;)
		pool_stack_push(&heap->stack, --bid);
	POOL_SET(pool, buffers, pool->buffers);
	POOL_ADD(pool, allocated, nr);
	POOL_ADD(pool, returned, nr);
	return true;
}

/* ---- lending */

/* False: no memory. */
static bool lend(struct bs_pool *pool, struct pool_heap *heap, uint32_t bid, struct bs_buf *buf)
{
	if (heap->mem) {
		heap->mem[bid] = heap_alloc(pool);
		if (!heap->mem[bid])
			return false;
		POOL_ADD(pool, allocated, 1);
	}
	pool_lend(pool, bid, 0, buf);
	if (heap->mem)
		buf->addr = heap->mem[bid];
	buf->len = pool->buf_bytes;
	buf->more = 0;
	return true;
}

static unsigned int heap_acquire(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr)
{
	struct pool_heap *heap = pool->impl;
	unsigned int got = 0;

	while (got < nr) {
		uint32_t bid;

		if (!heap->stack.nr && !grow(pool, heap))
			break;
		bid = pool_stack_pop(&heap->stack);
		if (!lend(pool, heap, bid, &bufs[got])) {
			pool_stack_push(&heap->stack, bid);
			break;
		}
		got++;
	}
	return got;
}

static int heap_acquire_bid(struct bs_pool *pool, uint32_t bid, struct bs_buf *buf)
{
	struct pool_heap *heap = pool->impl;

	if (!lend(pool, heap, bid, buf))
		return -ENOBUFS;
	pool_stack_remove(&heap->stack, bid);
	return 0;
}

static void heap_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	struct pool_heap *heap = pool->impl;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		uint32_t bid = bufs[i].bid;

		pool_settle(pool, bid);
		if (heap->mem) {
			free(heap->mem[bid]);
			heap->mem[bid] = NULL;
		}
		pool_stack_push(&heap->stack, bid);
	}
	POOL_ADD(pool, returned, nr);
}

/* ---- opening and closing */

static void heap_close(struct bs_pool *pool)
{
	struct pool_heap *heap = pool->impl;
	uint32_t bid;

	for (bid = 0; heap->mem && bid < pool->buffers; bid++)
		free(heap->mem[bid]);
	free(heap->mem);
	pool_stack_done(&heap->stack);
	free(heap);
	pool->impl = NULL;
}

static int heap_open(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts)
{
	struct pool_heap *heap = calloc(1, sizeof(*heap));

	(void)ring;
	if (!heap)
		return -ENOMEM;
	if (opts->kind == BS_POOL_HEAP) {
		heap->mem = calloc(pool->capacity, sizeof(*heap->mem));
		if (!heap->mem)
			goto no_memory;
	}
	if (pool_stack_init(&heap->stack, pool->buffers, pool->capacity))
		goto no_memory;
	if (!heap->mem)
		touch(pool, 0, pool->buffers);
	pool->impl = heap;
	POOL_SET(pool, returned, pool->buffers);
	return 0;
no_memory:
	free(heap->mem);
	free(heap);
	return -ENOMEM;
}

#define HEAP_OPS                                                                                   \
	.open = heap_open, .give = heap_give, .close = heap_close, .acquire = heap_acquire,        \
	.acquire_bid = heap_acquire_bid, .is_ringless = true

const struct pool_ops pool_heap_ops = {HEAP_OPS, .is_movable = true, .has_no_data = true};
const struct pool_ops pool_local_ops = {HEAP_OPS, .is_movable = true};
const struct pool_ops pool_global_ops = {HEAP_OPS, .is_shared = true};

/* Its operations are in pool_fallback.c; its buffers are those of a local pool. */
const struct pool_ops pool_fallback_ops = {HEAP_OPS, .is_movable = true};

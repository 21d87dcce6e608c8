// SPDX-License-Identifier: MIT
/*
 * How do buffers reach the kernel through a provided-buffer ring, and which of them did a
 * completion use up?
 *
 * The ring is an array of entries that this side appends to by moving the tail; the kernel moves
 * its own head, which is not visible here. A completion names one bid only, the first: what else
 * a bundle used is what was published right after it. That is remembered by bid, for the slots
 * themselves are overwritten by returns as soon as the kernel has passed them.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool_ring.h"
#include "uapi.h"

#define MAX_ENTRIES 32768u

/* ---- registration */

static size_t entries_bytes(const struct pool_ring *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = ((size_t)r->mask + 1) * sizeof(*r->entries);

	return (bytes + page - 1) & ~(page - 1);
}

static void unregister(struct pool_ring *r)
{
	struct bs_buf_reg reg = {.bgid = r->bgid};

	pool_register(r->ring, IORING_UNREGISTER_PBUF_RING, &reg);
}

static int map_kernel_entries(struct pool_ring *r)
{
	off_t offset = (off_t)(BS_OFF_PBUF_RING | (uint64_t)r->bgid << BS_OFF_PBUF_RING_SHIFT);
	void *mem = mmap(NULL, entries_bytes(r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			 r->ring->ring_fd, offset);

	if (mem == MAP_FAILED)
		return -errno;
	r->entries = mem;
	return 0;
}

static int register_group(struct pool_ring *r, uint16_t min_left)
{
	struct bs_buf_reg reg = {
		.ring_entries = r->mask + 1,
		.bgid = r->bgid,
		.flags = (r->mmap ? IOU_PBUF_RING_MMAP : 0) | (r->fills ? IOU_PBUF_RING_INC : 0),
		.min_left = min_left,
	};
	int err = pool_ring_head(r->ring, r->bgid);

	if (err < 0)
		return err;
	r->tail = (uint32_t)err;
	if (!r->mmap) {
		r->entries = pool_map(entries_bytes(r));
		if (!r->entries)
			return -ENOMEM;
		r->entries[0].resv = (uint16_t)r->tail;
		reg.ring_addr = (uintptr_t)r->entries;
	}
	err = pool_register(r->ring, IORING_REGISTER_PBUF_RING, &reg);
	if (err || !r->mmap)
		return err;
	err = map_kernel_entries(r);
	if (err)
		unregister(r);
	return err;
}

/* ---- publication */

static void append(struct bs_pool *pool, struct pool_ring *r, uint32_t bid)
{
	if (r->fills)
		r->fills[bid] = (struct ring_fill){.pos = (uint16_t)r->tail, .in_group = true};
	ring_append(pool, r, bid);
}

/* inc: no piece is out, the kernel has let go, and another piece did not bring it back before. */
static bool is_complete(struct bs_pool *pool, const struct pool_ring *r, uint32_t bid)
{
	if (pool_is_out(pool, bid) || r->fills[bid].in_group)
		return false;
	pool->leases[bid].live = 0;
	return true;
}

static void ring_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	struct pool_ring *r = pool->impl;
	uint32_t published = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (r->fills && !is_complete(pool, r, bufs[i].bid))
			continue;
		append(pool, r, bufs[i].bid);
		published++;
	}
	if (published)
		ring_publish(pool, r, published);
}

/* ---- completions */

/* What a completion delivered: bytes that fill nr buffers in the order of their publication. */
struct delivery {
	uint32_t bid; /* the first */
	uint32_t last;
	uint32_t bytes;
	uint32_t nr;
	bool more; /* inc: the last one stays current */
};

static inline uint32_t filled(const struct pool_ring *r, uint32_t bid)
{
	return r->fills ? r->fills[bid].cursor : 0;
}

/* Lent whole, it is either there or out. */
static bool is_in_group(const struct bs_pool *pool, uint32_t bid)
{
	const struct pool_ring *r = pool->impl;

	return r->fills ? r->fills[bid].in_group : !pool->leases[bid].live;
}

static int count_buffers(const struct bs_pool *pool, struct delivery *d)
{
	const struct pool_ring *r = pool->impl;
	uint32_t bytes = d->bytes, bid = d->bid, room;

	for (d->nr = 1;; d->nr++) {
		if (bid >= pool->buffers)
			return d->nr == 1 ? -ERANGE : -EPROTO;
		if (!is_in_group(pool, bid))
			return -EPROTO;
		room = pool->buf_bytes - filled(r, bid);
		d->last = bid;
		if (bytes <= room || r->single)
			return 0;
		bytes -= room;
		bid = pool->leases[bid].successor;
	}
}

static const struct io_uring_buf *entry_of(const struct pool_ring *r, uint32_t bid)
{
	return &r->entries[r->fills[bid].pos & r->mask];
}

/* The slot may serve another buffer by now. */
static bool has_room_left(const struct pool_ring *r, uint32_t bid)
{
	const struct io_uring_buf *entry = entry_of(r, bid);

	return entry->bid == bid && __atomic_load_n(&entry->len, __ATOMIC_RELAXED);
}

/*
 * inc: the kernel keeps its own account of a buffer in its entry. While the buffer is current,
 * addr is where the kernel goes on; when it lets go, addr stays where the last piece began and
 * len becomes 0.
 *
 * Some kernels (until 6.18) forget IORING_CQE_F_BUF_MORE when a worker, a file or a bundle is
 * involved: then the entry tells. And where a worker or a file moved the kernel on by more than it
 * delivered, the data are not where the sum of the results puts them.
 */
static int compare_entry(const struct bs_pool *pool, struct delivery *d)
{
	const struct pool_ring *r = pool->impl;
	const struct io_uring_buf *entry = entry_of(r, d->bid);
	uint64_t start = (uintptr_t)pool_addr(pool, d->bid) + filled(r, d->bid);
	uint64_t addr = __atomic_load_n(&entry->addr, __ATOMIC_RELAXED);
	bool is_current;

	if (has_room_left(r, d->last))
		d->more = true;
	if (entry->bid != d->bid)
		return 0;
	is_current = d->more && d->nr == 1;
	if (!d->bytes)
		return 0;
	return (is_current ? addr >= start + d->bytes : addr == start) ? 0 : -EPROTO;
}

static void lend_all(struct bs_pool *pool, const struct delivery *d, struct bs_buf *buf)
{
	const struct pool_ring *r = pool->impl;
	uint32_t bytes = d->bytes, bid = d->bid, new_out = 0, left;

	for (left = d->nr; left; left--, buf++) {
		uint32_t start = filled(r, bid);
		uint32_t room = pool->buf_bytes - start;

		buf->len = bytes < room ? bytes : room;
		buf->more = d->more && left == 1;
		new_out += !pool_is_out(pool, bid);
		if (pool->pieces)
			pool_mark_piece(pool, bid);
		pool_lend_at(pool, bid, (unsigned char *)pool_addr(pool, bid) + start, buf);
		if (r->fills) {
			r->fills[bid].cursor += buf->len;
			r->fills[bid].in_group = buf->more;
		}
		bytes -= buf->len;
		bid = pool->leases[bid].successor;
	}
	POOL_ADD(pool, taken, (uint64_t)d->nr - d->more);
	pool_count_lent(pool, new_out);
}

/*
 * A receive that failed may name a buffer that it has put back (seen on 6.16, with MSG_DONTWAIT):
 * what still lies before the tail was not taken. False as well where the head cannot be asked for.
 */
static bool is_still_there(const struct pool_ring *r, uint32_t bid)
{
	struct bs_buf_status status = {.buf_group = r->bgid};
	uint16_t at;

	if (pool_register(r->ring, IORING_REGISTER_PBUF_STATUS, &status))
		return false;
	for (at = (uint16_t)status.head; at != (uint16_t)r->tail; at++)
		if (r->entries[at & r->mask].bid == bid)
			return true;
	return false;
}

static int ring_take(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
		     unsigned int max)
{
	const struct pool_ring *r = pool->impl;
	struct delivery d = {
		.bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT,
		.bytes = cqe->res > 0 ? (uint32_t)cqe->res : 0,
	};
	int err;

	if (cqe->res < 0 && is_still_there(r, d.bid))
		return 0;
	err = count_buffers(pool, &d);
	if (!err && r->fills) {
		d.more = cqe->flags & IORING_CQE_F_BUF_MORE;
		err = compare_entry(pool, &d);
	}
	if (err)
		return err;
	if (d.more && !d.bytes) /* nothing filled, nothing let go: nothing to lend */
		d.nr = 0;
	if (d.nr > max)
		return -ENOSPC;
	if (d.more)
		POOL_ADD(pool, partial, 1);
	if (d.nr)
		lend_all(pool, &d, bufs);
	return (int)d.nr;
}

/* ---- opening and closing */

static void ring_free(struct pool_ring *r)
{
	if (r->entries)
		munmap(r->entries, entries_bytes(r));
	free(r->fills);
	free(r);
}

/* Memory of an mmap ring goes first: kernels before 6.7 free it with the group, mapped or not. */
static void ring_close(struct bs_pool *pool)
{
	struct pool_ring *r = pool->impl;

	if (r->mmap) {
		munmap(r->entries, entries_bytes(r));
		r->entries = NULL;
	}
	unregister(r);
	ring_free(r);
	pool->impl = NULL;
}

static int read_opts(struct pool_ring *r, const struct bs_pool_opts *opts)
{
	uint32_t entries = opts->entries;
	bool inc = opts->kind == BS_POOL_INC;

	r->mmap = opts->kind == BS_POOL_MMAP;
	r->single = opts->flags & BS_POOL_SINGLE;
	r->bgid = opts->bgid;
	if (inc ? r->single || opts->min_left > opts->buf_bytes : opts->min_left)
		return -EINVAL;
	if (!entries)
		for (entries = 1; entries < opts->buffers;)
			entries *= 2;
	if (entries & (entries - 1) || entries < opts->buffers || entries > MAX_ENTRIES)
		return -EINVAL;
	r->mask = entries - 1;
	return 0;
}

/* A line of its own: each operation needs it. */
static struct pool_ring *alloc_ring(struct io_uring *ring)
{
	struct pool_ring *r;
	void *mem;

	if (posix_memalign(&mem, _Alignof(struct pool_ring), sizeof(*r)))
		return NULL;
	r = mem;
	*r = (struct pool_ring){.ring = ring};
	return r;
}

static int alloc_fills(struct bs_pool *pool, struct pool_ring *r)
{
	r->fills = calloc(pool->buffers, sizeof(*r->fills));
	return r->fills ? pool_track_pieces(pool) : -ENOMEM;
}

static int ring_open(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts)
{
	struct pool_ring *r = alloc_ring(ring);
	uint32_t bid;
	int err;

	if (!r)
		return -ENOMEM;
	err = read_opts(r, opts);
	if (!err && opts->kind == BS_POOL_INC)
		err = alloc_fills(pool, r);
	if (!err)
		err = register_group(r, opts->min_left);
	if (err) {
		ring_free(r);
		return err;
	}
	pool->impl = r;
	r->last = pool->leases;
	pool->ways.is_ring = pool->ways.is_picked = !r->fills;
	POOL_SET(pool, entries, r->mask + 1);
	for (bid = 0; bid < pool->buffers; bid++)
		append(pool, r, bid);
	ring_publish(pool, r, pool->buffers);
	PROBE2(register, pool, (uint32_t)0, pool->buffers);
	return 0;
}

const struct pool_ops pool_ring_ops = {
	.open = ring_open,
	.take = ring_take,
	.give = ring_give,
	.close = ring_close,
};

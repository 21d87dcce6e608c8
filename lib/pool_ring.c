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
#include <sys/syscall.h>
#include <unistd.h>

#include "pool.h"
#include "uapi.h"

#define MAX_ENTRIES 32768u
#define NO_BID      0xffffu

struct ring_slot {
	uint32_t cursor; /* inc: bytes lent of this buffer since it entered the group */
	uint16_t pos;    /* the tail when it was published */
	uint16_t next;   /* the bid published right after this one, NO_BID: none yet */
	bool in_group;   /* the kernel may fill it */
};

struct pool_ring {
	struct io_uring *ring;
	struct io_uring_buf *entries; /* shared with the kernel */
	struct ring_slot *slots;      /* by bid */
	uint32_t mask;
	uint16_t bgid;
	uint16_t tail; /* as the kernel sees it after the next publication */
	uint16_t last; /* bid published last */
	bool inc;
	bool single;
	bool mmap;
};

/* ---- registration */

static int ring_register(const struct io_uring *ring, unsigned int op, void *arg)
{
	int fd = ring->ring_fd;

	if (fd < 0) { /* the ring has no file descriptor, only an index with its thread */
		fd = ring->enter_ring_fd;
		op |= IORING_REGISTER_USE_REGISTERED_RING;
	}
	return syscall(__NR_io_uring_register, fd, op, arg, 1) < 0 ? -errno : 0;
}

static size_t entries_bytes(const struct pool_ring *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = ((size_t)r->mask + 1) * sizeof(*r->entries);

	return (bytes + page - 1) & ~(page - 1);
}

static void unregister(struct pool_ring *r)
{
	struct bs_buf_reg reg = {.bgid = r->bgid};

	ring_register(r->ring, IORING_UNREGISTER_PBUF_RING, &reg);
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
		.flags = (r->mmap ? IOU_PBUF_RING_MMAP : 0) | (r->inc ? IOU_PBUF_RING_INC : 0),
		.min_left = min_left,
	};
	int err;

	if (!r->mmap) {
		r->entries = pool_map(entries_bytes(r));
		if (!r->entries)
			return -ENOMEM;
		reg.ring_addr = (uintptr_t)r->entries;
	}
	err = ring_register(r->ring, IORING_REGISTER_PBUF_RING, &reg);
	if (err || !r->mmap)
		return err;
	err = map_kernel_entries(r);
	if (err)
		unregister(r);
	return err;
}

/* ---- publication */

static inline uint64_t buf_addr(const struct bs_pool *pool, uint32_t bid)
{
	return (uintptr_t)pool->data + (uint64_t)bid * pool->stride;
}

static void append(const struct bs_pool *pool, struct pool_ring *r, uint32_t bid)
{
	struct io_uring_buf *entry = &r->entries[r->tail & r->mask];

	/* Field by field: the tail lies in the first entry's resv. */
	entry->addr = buf_addr(pool, bid);
	entry->len = pool->buf_bytes;
	entry->bid = (uint16_t)bid;

	/* In this order: the last one may be this one, taken and returned meanwhile. */
	r->slots[r->last].next = (uint16_t)bid;
	r->slots[bid] = (struct ring_slot){.pos = r->tail++, .next = NO_BID, .in_group = true};
	r->last = (uint16_t)bid;
}

/* The kernel reads entries up to the tail it sees: they must be complete before. */
static void publish(struct bs_pool *pool, struct pool_ring *r, uint32_t nr)
{
	if (!nr)
		return;
	__atomic_store_n(&r->entries[0].resv, r->tail, __ATOMIC_RELEASE);
	POOL_ADD(pool, returned, nr);
}

static void ring_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	struct pool_ring *r = pool->impl;
	uint32_t published = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		uint32_t bid = bufs[i].bid;

		/* Pieces are out, the kernel goes on filling it, or it went with another piece. */
		if (pool_is_out(pool, bid) || r->slots[bid].in_group)
			continue;
		pool_settle(pool, bid);
		append(pool, r, bid);
		published++;
	}
	publish(pool, r, published);
}

/* ---- completions */

static inline uint32_t room(const struct bs_pool *pool, const struct pool_ring *r, uint32_t bid)
{
	return pool->buf_bytes - r->slots[bid].cursor;
}

/* How many buffers, from bid on, hold so many bytes. */
static int span(const struct bs_pool *pool, const struct pool_ring *r, uint32_t bid, uint32_t bytes)
{
	int nr = 1;

	for (;; nr++) {
		if (bid >= pool->buffers)
			return nr == 1 ? -ERANGE : -EPROTO;
		if (!r->slots[bid].in_group)
			return -EPROTO;
		if (bytes <= room(pool, r, bid) || r->single)
			return nr;
		bytes -= room(pool, r, bid);
		bid = r->slots[bid].next;
	}
}

/*
 * inc: the entry as the kernel left it, for it keeps its own account there. While a buffer is
 * current, addr is where the kernel goes on; when it lets go, addr stays where the last piece
 * began and len becomes 0. NULL: the slot serves another buffer by now.
 */
static const struct io_uring_buf *entry_of(const struct pool_ring *r, uint32_t bid)
{
	const struct io_uring_buf *entry = &r->entries[r->slots[bid].pos & r->mask];

	return entry->bid == bid ? entry : NULL;
}

/* Some kernels (until 6.18) forget IORING_CQE_F_BUF_MORE when a worker or a file was involved. */
static bool stays(const struct pool_ring *r, uint32_t bid, uint32_t flags)
{
	const struct io_uring_buf *entry = entry_of(r, bid);

	return flags & IORING_CQE_F_BUF_MORE ||
	       (entry && __atomic_load_n(&entry->len, __ATOMIC_RELAXED));
}

/* Did the kernel fill the bytes that the completion speaks of where they are thought to lie? */
static bool is_in_place(const struct bs_pool *pool, uint32_t bid, uint32_t bytes, bool more)
{
	const struct pool_ring *r = pool->impl;
	const struct io_uring_buf *entry = entry_of(r, bid);
	uint64_t start = buf_addr(pool, bid) + r->slots[bid].cursor;
	uint64_t addr;

	if (!entry || !bytes)
		return true;
	addr = __atomic_load_n(&entry->addr, __ATOMIC_RELAXED);
	return more ? addr >= start + bytes : addr == start;
}

/* Lends what follows the cursor, up to bytes; buf->more says whether the buffer stays current. */
static uint32_t lend(struct bs_pool *pool, uint32_t bid, uint32_t bytes, struct bs_buf *buf)
{
	struct pool_ring *r = pool->impl;
	struct ring_slot *slot = &r->slots[bid];

	buf->len = bytes < room(pool, r, bid) ? bytes : room(pool, r, bid);
	pool_lend(pool, bid, slot->cursor, buf);
	if (r->inc)
		slot->cursor += buf->len;
	slot->in_group = buf->more;
	return buf->len;
}

static int ring_take(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
		     unsigned int max)
{
	struct pool_ring *r = pool->impl;
	uint32_t bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	uint32_t bytes = cqe->res > 0 ? (uint32_t)cqe->res : 0;
	int nr = span(pool, r, bid, bytes);
	bool more = false;
	int i;

	if (nr < 0)
		return nr;
	if (r->inc) {
		more = nr == 1 ? stays(r, bid, cqe->flags) : cqe->flags & IORING_CQE_F_BUF_MORE;
		if (!is_in_place(pool, bid, bytes, more && nr == 1))
			return -EPROTO;
		nr -= more && !bytes; /* nothing was filled, nothing let go: nothing to lend */
	}
	if ((unsigned int)nr > max)
		return -ENOSPC;
	for (i = 0; i < nr; i++) {
		uint32_t next = r->slots[bid].next;

		bufs[i].more = more && i == nr - 1;
		bytes -= lend(pool, bid, bytes, &bufs[i]);
		bid = next;
	}
	POOL_ADD(pool, taken, (uint64_t)(nr - (more && nr)));
	POOL_ADD(pool, partial, more);
	return nr;
}

/* ---- opening and closing */

static void ring_free(struct pool_ring *r)
{
	if (r->entries)
		munmap(r->entries, entries_bytes(r));
	free(r->slots);
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

	r->inc = opts->kind == BS_POOL_INC;
	r->mmap = opts->kind == BS_POOL_MMAP;
	r->single = opts->flags & BS_POOL_SINGLE;
	r->bgid = opts->bgid;
	if (r->inc ? r->single || opts->min_left > opts->buf_bytes : opts->min_left)
		return -EINVAL;
	if (!entries)
		for (entries = 1; entries < opts->buffers;)
			entries *= 2;
	if (entries & (entries - 1) || entries < opts->buffers || entries > MAX_ENTRIES)
		return -EINVAL;
	r->mask = entries - 1;
	return 0;
}

static int ring_open(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts)
{
	struct pool_ring *r = calloc(1, sizeof(*r));
	uint32_t bid;
	int err = r ? read_opts(r, opts) : -ENOMEM;

	if (err)
		goto out;
	err = -ENOMEM;
	r->ring = ring;
	r->slots = calloc(opts->buffers, sizeof(*r->slots));
	if (!r->slots)
		goto out;
	err = r->inc ? pool_track_pieces(pool) : 0;
	if (!err)
		err = register_group(r, opts->min_left);
	if (err)
		goto out;
	pool->impl = r;
	POOL_SET(pool, entries, r->mask + 1);
	for (bid = 0; bid < opts->buffers; bid++)
		append(pool, r, bid);
	publish(pool, r, opts->buffers);
	return 0;
out:
	if (r)
		ring_free(r);
	return err;
}

const struct pool_ops pool_ring_ops = {
	.open = ring_open,
	.take = ring_take,
	.give = ring_give,
	.close = ring_close,
};

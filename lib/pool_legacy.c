// SPDX-License-Identifier: MIT
/*
 * How do buffers reach the kernel without a ring, by requests (PROVIDE_BUFFERS)?
 *
 * Each return is a request on the program's own ring. It goes out with the program's next
 * submission, for a system call each would cost more than all else; only when few buffers are left
 * in the group, or no room in the queue, it is submitted at once. What comes back in the order of
 * its numbers, as it does where completions do, shares a request until that is submitted. Such
 * requests complete silently; only a failed one posts a completion. What the ring has no room for
 * waits here.
 */
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool_picked.h"
#include "uapi.h"

/* A request of ours, and where it stands in the queue. */
struct provision {
	struct io_uring_sqe *sqe, *queue;
	uint32_t at;
	uint32_t next; /* the bid that would lengthen it, or NO_NEXT */
};

#define NO_NEXT UINT32_MAX

struct pool_legacy {
	struct io_uring *ring;
	struct provision last;
	uint16_t *waiting; /* bids given and not yet in a request, in their order */
	uint32_t nr_waiting;
	uint32_t unsent; /* at most so many buffers are in requests that are not submitted */
	uint16_t bgid;
};

/* ---- requests */

/* The submission queue is empty if the kernel takes it; what it does not take stays there. */
static void submit(struct pool_legacy *l)
{
	if (io_uring_sq_ready(l->ring))
		io_uring_submit(l->ring);
	l->unsent = 0;
}

static __attribute__((noinline)) struct io_uring_sqe *make_room(struct pool_legacy *l)
{
	submit(l);
	if (l->ring->flags & IORING_SETUP_SQPOLL)
		io_uring_sqring_wait(l->ring);
	return io_uring_get_sqe(l->ring);
}

static POOL_INLINE struct io_uring_sqe *get_sqe(struct pool_legacy *l)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(l->ring);

	return POOL_USUAL(sqe) ? sqe : make_room(l);
}

static void finish_sqe(const struct bs_pool *pool, struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, (uintptr_t)pool);
}

/*
 * Is the last request still this side's alone? A queue may have been replaced, or begin anew with
 * each submission: then another request stands in this one's place.
 */
static POOL_INLINE bool is_last_queued(const struct bs_pool *pool, const struct pool_legacy *l)
{
	const struct io_uring_sq *sq = &l->ring->sq;
	const struct provision *last = &l->last;

	return last->queue == sq->sqes && last->at - sq->sqe_head < sq->sqe_tail - sq->sqe_head &&
	       last->sqe->user_data == (uintptr_t)pool;
}

/* Side by side in number buffers are in memory, too, if their size needs no padding. */
static POOL_INLINE bool provide_anew(const struct bs_pool *pool, struct pool_legacy *l,
				     uint32_t bid)
{
	struct io_uring_sqe *sqe = get_sqe(l);

	if (POOL_RARE(!sqe))
		return false;
	io_uring_prep_provide_buffers(sqe, pool_addr(pool, bid), (int)pool->buf_bytes, 1, l->bgid,
				      (int)bid);
	finish_sqe(pool, sqe);
	l->last = (struct provision){
		.sqe = sqe,
		.queue = l->ring->sq.sqes,
		.at = l->ring->sq.sqe_tail - 1,
		.next = pool->stride == pool->buf_bytes ? bid + 1 : NO_NEXT,
	};
	return true;
}

/* False: the ring has no room. */
static POOL_INLINE bool provide(struct bs_pool *pool, struct pool_legacy *l, uint32_t bid)
{
	struct provision *last = &l->last;
	bool is_queued = is_last_queued(pool, l);

	if (!is_queued) /* nor are those before it */
		l->unsent = 0;
	if (is_queued && bid == last->next) {
		last->sqe->fd++; /* how many */
		last->next++;
	} else if (!provide_anew(pool, l, bid)) {
		return false;
	}
	l->unsent++;
	POOL_ADD(pool, returned, 1);
	return true;
}

/* Puts what waits into requests, as far as there is room for them. */
static void provide_waiting(struct bs_pool *pool)
{
	struct pool_legacy *l = pool->impl;
	uint32_t done = 0, i;

	while (done < l->nr_waiting && provide(pool, l, l->waiting[done]))
		done++;
	l->nr_waiting -= done;
	for (i = 0; i < l->nr_waiting; i++)
		l->waiting[i] = l->waiting[i + done];
}

/* A quarter of the buffers or less are where the kernel can pick them, for all that is known. */
static bool is_short(const struct bs_pool *pool)
{
	const struct pool_legacy *l = pool->impl;
	uint64_t there = pool->stats.returned - pool->stats.taken - l->unsent;

	return there <= pool->buffers / 4;
}

/* What was given must go now: the program would find no room for a request, or starve. */
static bool is_urgent(const struct bs_pool *pool, const struct pool_legacy *l)
{
	return POOL_RARE(l->nr_waiting) || POOL_RARE(!io_uring_sq_space_left(l->ring)) ||
	       is_short(pool);
}

static void legacy_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	struct pool_legacy *l = pool->impl;
	unsigned int i;

	if (POOL_RARE(l->nr_waiting))
		provide_waiting(pool);
	for (i = 0; i < nr; i++) {
		if (POOL_RARE(l->nr_waiting) || POOL_RARE(!provide(pool, l, bufs[i].bid)))
			l->waiting[l->nr_waiting++] = bufs[i].bid;
	}
	if (is_urgent(pool, l))
		submit(l);
}

/* ---- completions */

static int legacy_take(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
		       unsigned int max)
{
	uint32_t bytes = cqe->res > 0 ? (uint32_t)cqe->res : 0;
	int bid = picked_bid(pool, cqe);

	if (bid < 0)
		return bid;
	if (!max)
		return -ENOSPC;
	if (bytes > pool->buf_bytes)
		bytes = pool->buf_bytes;
	picked_lend_bid(pool, (uint32_t)bid, bytes, bufs);
	return 1;
}

/* ---- opening and closing */

/*
 * Buffers that somebody else provided under this id would mix with the pool's. The kernel takes a
 * ring only where there are none, and leaves an empty group behind when it goes.
 */
static int check_bgid_free(struct pool_legacy *l)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct bs_buf_reg reg = {.ring_entries = 1, .bgid = l->bgid};
	void *mem = pool_map(page);
	int err;

	if (!mem)
		return -ENOMEM;
	reg.ring_addr = (uintptr_t)mem;
	err = pool_register(l->ring, IORING_REGISTER_PBUF_RING, &reg);
	if (!err)
		pool_register(l->ring, IORING_UNREGISTER_PBUF_RING,
			      &(struct bs_buf_reg){.bgid = l->bgid});
	munmap(mem, page);
	return err;
}

/* A polling kernel thread has worked off what it has fetched when it says so, in whole batches. */
static void await_kernel(struct pool_legacy *l)
{
	while (l->ring->flags & IORING_SETUP_SQPOLL && io_uring_sq_ready(l->ring)) {
		if (io_uring_submit(l->ring) < 0)
			return;
		sched_yield();
	}
}

/* The result of a request that failed. Its completion goes if it is the next one. */
static int find_failure(const struct bs_pool *pool, const struct pool_legacy *l)
{
	struct io_uring_cqe *cqe;
	unsigned int head, nr = 0;

	io_uring_for_each_cqe (l->ring, head, cqe) {
		int err = cqe->res;

		if (cqe->user_data == (uintptr_t)pool && err < 0) {
			if (!nr)
				io_uring_cq_advance(l->ring, 1);
			return err;
		}
		nr++;
	}
	return 0;
}

static void remove_all(struct bs_pool *pool)
{
	struct pool_legacy *l = pool->impl;
	struct io_uring_sqe *sqe = get_sqe(l);

	if (!sqe)
		return;
	io_uring_prep_remove_buffers(sqe, (int)pool->buffers, l->bgid);
	finish_sqe(pool, sqe);
	submit(l);
	await_kernel(l);
}

static void legacy_free(struct bs_pool *pool)
{
	struct pool_legacy *l = pool->impl;

	free(l->waiting);
	free(l);
	pool->impl = NULL;
}

static void legacy_close(struct bs_pool *pool)
{
	remove_all(pool);
	legacy_free(pool);
}

/*
 * All or nothing. Requests that the kernel has not fetched cannot be taken back; the removal that
 * the caller sends after them undoes them.
 */
static int provide_first(struct bs_pool *pool)
{
	struct pool_legacy *l = pool->impl;
	uint32_t bid;
	int err;

	err = io_uring_get_events(l->ring); /* a ring not enabled yet takes no requests */
	if (err < 0)
		return err;
	for (bid = 0; bid < pool->buffers; bid++)
		l->waiting[bid] = (uint16_t)bid;
	l->nr_waiting = pool->buffers;
	while (l->nr_waiting) {
		uint32_t before = l->nr_waiting;

		provide_waiting(pool);
		if (l->nr_waiting == before)
			return -EBUSY;
	}
	submit(l);
	await_kernel(l);
	err = find_failure(pool, l);
	if (!err && io_uring_sq_ready(l->ring))
		err = -EBUSY;
	return err;
}

static int legacy_open(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts)
{
	struct pool_legacy *l;
	int err;

	if (opts->entries || opts->min_left)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	pool->impl = l;
	l->ring = ring;
	l->bgid = opts->bgid;
	l->waiting = calloc(pool->buffers, sizeof(*l->waiting));
	err = l->waiting ? check_bgid_free(l) : -ENOMEM;
	if (!err) {
		pool->ways.is_picked = true;
		POOL_SET(pool, entries, pool->buffers);
		err = provide_first(pool);
		if (err)
			remove_all(pool);
	}
	if (err)
		legacy_free(pool);
	else
		PROBE2(register, pool, (uint32_t)0, pool->buffers);
	return err;
}

const struct pool_ops pool_legacy_ops = {
	.open = legacy_open,
	.take = legacy_take,
	.give = legacy_give,
	.close = legacy_close,
};

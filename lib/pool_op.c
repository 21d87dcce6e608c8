// SPDX-License-Identifier: MIT
/*
 * How does a program get a buffer with data in it, whatever kind its pool is of?
 *
 * Where the kernel picks, an operation is a request with a group. Of the other kinds it carries a
 * buffer from its beginning to its completion, and a multishot one is asked for again each time.
 * Operations in flight stand in a list of their pool, or with the buffer that they carry, so that
 * all can be cancelled. A ring is its thread's: requests are written outside of a pool's lock.
 */
#include <errno.h>
#include <liburing.h>

#include "pool_ring.h"
#include "pool_stack.h"
#include "uapi.h"

static bool is_fallback(const struct bs_pool *pool)
{
	return pool->ops == &pool_fallback_ops;
}

/* ---- the account */

/* The buffer that the operation carries next. */
static POOL_INLINE int load(struct bs_pool *pool, struct bs_op *op)
{
	op->buf.pool = NULL;
	if (POOL_RARE(!pool_acquire_one(pool, &op->buf)))
		return -ENOBUFS;
	pool->leases[op->buf.bid].op = op;
	return 0;
}

/* The buffer goes back without data. */
static int unload(struct bs_pool *pool, struct bs_op *op)
{
	int err = op->buf.pool ? pool_give(pool, &op->buf, 1) : 0;

	op->buf.pool = NULL;
	return err;
}

static POOL_INLINE void arm(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	op_set_state(op, (is_recv ? OP_RECV : 0) | OP_ARMED);
	op->pool = pool;
	op->armed = 1;
	op->res = 0;
	POOL_UP(pool, in_flight, 1);
}

static POOL_INLINE void disarm(struct bs_pool *pool, struct bs_op *op)
{
	op->armed = 0;
	op_set_state(op, OP_IDLE);
	POOL_DOWN(pool, in_flight, 1);
}

/* Of a pool of one thread nobody else looks at the state: what lies side by side is written at
 * once. */
static POOL_INLINE void arm_own(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	op->res = 0;
	op->armed = 1;
	op->state = (is_recv ? OP_RECV : 0) | OP_ARMED;
	op->pool = pool;
	POOL_UP(pool, in_flight, 1);
}

static POOL_INLINE void disarm_own(struct bs_pool *pool, struct bs_op *op, int res)
{
	op->res = res;
	op->armed = 0;
	op->state = OP_IDLE;
	POOL_DOWN(pool, in_flight, 1);
}

/* ---- requests */

static struct io_uring *ring_of(const struct bs_pool *pool, const struct bs_op *op)
{
	return op->ring ? op->ring : pool->ring;
}

static POOL_INLINE struct io_uring_sqe *get_sqe(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (POOL_USUAL(sqe))
		return sqe;
	io_uring_submit(ring);
	return io_uring_get_sqe(ring);
}

static uint32_t room(const struct bs_pool *pool, const struct bs_op *op)
{
	return op->len && op->len < pool->buf_bytes ? op->len : pool->buf_bytes;
}

/* Of a group: nothing is said of memory, and a length of 0 is that of the buffer. */
static POOL_INLINE void prepare_select(const struct bs_pool *pool, const struct bs_op *op,
				       struct io_uring_sqe *sqe, bool is_recv)
{
	io_uring_prep_rw(is_recv ? IORING_OP_RECV : IORING_OP_READ, sqe, op->fd, NULL, op->len,
			 is_recv ? 0 : op->offset);
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = pool->bgid;
}

/* The same, with what flags ask for. */
static POOL_INLINE void prepare_flagged(const struct bs_pool *pool, const struct bs_op *op,
					struct io_uring_sqe *sqe, bool is_recv)
{
	prepare_select(pool, op, sqe, is_recv);
	if (op->flags & BS_OP_MULTISHOT) {
		sqe->len = 0;
		if (is_recv)
			sqe->ioprio = IORING_RECV_MULTISHOT;
		else
			sqe->opcode = BS_OP_READ_MULTISHOT;
	}
	/* Of a legacy group a bundle does not tell how many buffers it took, or which. */
	if (POOL_RARE(op->flags & BS_OP_BUNDLE) && pool->ops == &pool_ring_ops &&
	    ring_of(pool, op)->features & IORING_FEAT_RECVSEND_BUNDLE)
		sqe->ioprio |= IORING_RECVSEND_BUNDLE;
}

static POOL_INLINE void prepare_own(const struct bs_pool *pool, const struct bs_op *op,
				    struct io_uring_sqe *sqe, bool is_recv)
{
	int index = is_recv ? -ENOENT : pool_index(pool, op->buf.bid);

	io_uring_prep_rw(is_recv ? IORING_OP_RECV : IORING_OP_READ, sqe, op->fd, op->buf.addr,
			 room(pool, op), is_recv ? 0 : op->offset);
	if (index >= 0) {
		sqe->opcode = IORING_OP_READ_FIXED;
		sqe->buf_index = (uint16_t)index;
	}
}

/* Of no use to go on: what was booked is undone. */
static __attribute__((cold)) int call_off(struct bs_pool *pool, struct bs_op *op)
{
	if (pool_enter(pool))
		return -EAGAIN;
	if (pool->ways.is_carried)
		unload(pool, op);
	else
		pool_unlink_op(op);
	disarm(pool, op);
	pool_exit(pool);
	return -EAGAIN;
}

/* Its request; outside of the lock, for the pool does not change in what is read here. */
static POOL_INLINE int request(struct bs_pool *pool, struct bs_op *op, bool is_recv,
			       bool is_carried)
{
	struct io_uring_sqe *sqe = get_sqe(ring_of(pool, op));

	if (POOL_RARE(!sqe))
		return call_off(pool, op);
	if (is_carried)
		prepare_own(pool, op, sqe, is_recv);
	else
		prepare_flagged(pool, op, sqe, is_recv);
	io_uring_sqe_set_data(sqe, op);
	return 0;
}

/* ---- starting */

static POOL_INLINE int check(const struct bs_pool *pool, const struct bs_op *op, bool is_recv)
{
	if (POOL_RARE(!op))
		return -EINVAL;
	if (POOL_RARE(op->armed))
		return -EALREADY;
	if (POOL_RARE(op->flags & ~BS_OP_MULTISHOT) &&
	    (op->flags & ~(BS_OP_MULTISHOT | BS_OP_BUNDLE) || !is_recv || pool->pieces ||
	     pool->is_single))
		return -EINVAL;
	return POOL_USUAL(op->ring) || pool->ring || is_fallback(pool) ? 0 : -EINVAL;
}

static POOL_INLINE int start_carried(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	int err = load(pool, op);

	if (POOL_USUAL(!err))
		arm(pool, op, is_recv);
	pool_exit(pool);
	return POOL_USUAL(!err) ? request(pool, op, is_recv, true) : err;
}

/* Without a buffer until there are data. */
static POOL_INLINE int start_listed(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	op->buf.pool = NULL;
	arm(pool, op, is_recv);
	pool_link_op(pool, op);
	if (POOL_USUAL(!is_fallback(pool)))
		return request(pool, op, is_recv, false);
	if (POOL_RARE(op->fd < 0)) /* it can end without waiting */
		pool_fallback_hurry(pool, op);
	return 0;
}

static POOL_INLINE int start_any(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	int err = pool_enter_soon(pool);

	if (POOL_RARE(err))
		return err;
	err = check(pool, op, is_recv);
	if (POOL_RARE(err))
		return pool_leave(pool, err);
	if (pool->ways.is_carried)
		return start_carried(pool, op, is_recv);
	return start_listed(pool, op, is_recv);
}

static __attribute__((noinline)) int read_any(struct bs_pool *pool, struct bs_op *op)
{
	return start_any(pool, op, false);
}

static __attribute__((noinline)) int recv_any(struct bs_pool *pool, struct bs_op *op)
{
	return start_any(pool, op, true);
}

/* Of the thread's own, and checked, but with memory to be got for it first, or room. */
static __attribute__((noinline)) int read_calling(struct bs_pool *pool, struct bs_op *op)
{
	return pool->ways.is_carried ? start_carried(pool, op, false)
				     : start_listed(pool, op, false);
}

static __attribute__((noinline)) int recv_calling(struct bs_pool *pool, struct bs_op *op)
{
	return pool->ways.is_carried ? start_carried(pool, op, true) : start_listed(pool, op, true);
}

/* With a buffer that there is. */
static POOL_INLINE int start_held(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	struct io_uring_sqe *sqe = NULL;

	if (pool->ways.is_carried && pool_has_one(pool))
		sqe = io_uring_get_sqe(ring_of(pool, op));
	if (POOL_RARE(!sqe))
		return is_recv ? recv_calling(pool, op) : read_calling(pool, op);
	arm_own(pool, op, is_recv);
	pool->leases[pool_lend_top(pool, &op->buf)].op = op;
	prepare_own(pool, op, sqe, is_recv);
	io_uring_sqe_set_data(sqe, op);
	return 0;
}

static POOL_HOT __attribute__((noinline)) int read_held(struct bs_pool *pool, struct bs_op *op)
{
	return start_held(pool, op, false);
}

static POOL_HOT __attribute__((noinline)) int recv_held(struct bs_pool *pool, struct bs_op *op)
{
	return start_held(pool, op, true);
}

/* The usual operation of a pool of the thread's own needs no call, and saves no registers for one.
 */
static POOL_INLINE int start(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	struct io_uring_sqe *sqe;
	struct io_uring *ring;

	if (POOL_RARE(!pool) || POOL_RARE(!pool_is_own(pool)) || POOL_RARE(!op) ||
	    POOL_RARE(op->armed) || POOL_RARE(op->flags))
		return is_recv ? recv_any(pool, op) : read_any(pool, op);
	ring = ring_of(pool, op);
	if (POOL_RARE(!ring))
		return is_recv ? recv_any(pool, op) : read_any(pool, op);
	if (!pool->ways.is_picked)
		return is_recv ? recv_held(pool, op) : read_held(pool, op);
	sqe = io_uring_get_sqe(ring);
	if (POOL_RARE(!sqe))
		return is_recv ? recv_calling(pool, op) : read_calling(pool, op);
	prepare_select(pool, op, sqe, is_recv);
	io_uring_sqe_set_data(sqe, op);
	arm_own(pool, op, is_recv);
	pool_link_op(pool, op);
	return 0;
}

POOL_HOT int bs_read_managed_at(struct bs_pool *pool, struct bs_op *op)
{
	return start(pool, op, false);
}

POOL_HOT int bs_recv_managed(struct bs_pool *pool, struct bs_op *op)
{
	return start(pool, op, true);
}

/* ---- completions */

/* The operation's buffer, with data, is the program's now. */
static POOL_INLINE int hand_out(struct bs_pool *pool, struct bs_op *op, int res, struct bs_buf *buf)
{
	*buf = op->buf;
	buf->len = (uint32_t)res;
	pool->leases[buf->bid].op = NULL;
	op->buf.pool = NULL;
	POOL_ADD(pool, selected, 1);
	POOL_ADD(pool, bytes, (uint64_t)res);
	return 1;
}

/* Where a read has its place the next one follows; where it has none, it goes on by itself. */
static POOL_INLINE bool wants_more(const struct bs_op *op)
{
	return POOL_RARE(op->flags & BS_OP_MULTISHOT) && op->res > 0 && !(op->state & OP_STOP);
}

/* With what it carries next. */
static __attribute__((noinline)) int go_on(struct bs_pool *pool, struct bs_op *op)
{
	if (load(pool, op)) {
		disarm(pool, op);
		return pool_leave(pool, 1);
	}
	op_set_phase(op, OP_ARMED);
	pool_exit(pool);
	request(pool, op, op_is_recv(op), true);
	return 1;
}

static POOL_INLINE int done_carried(struct bs_pool *pool, struct bs_op *op, int res,
				    struct bs_buf *buf)
{
	int nr;

	if (POOL_RARE(res > 0 && !buf))
		return pool_leave(pool, -ENOSPC);
	op->res = res;
	nr = POOL_USUAL(res > 0) ? hand_out(pool, op, res, buf) : unload(pool, op);
	if (POOL_RARE(wants_more(op)))
		return go_on(pool, op);
	disarm(pool, op);
	return pool_leave(pool, nr);
}

static POOL_INLINE int done_fallback(struct bs_pool *pool, struct bs_op *op, int res,
				     struct bs_buf *buf)
{
	int nr;

	if (res > 0 && !buf)
		return -ENOSPC;
	op->res = res;
	nr = res > 0 && op->buf.pool ? hand_out(pool, op, res, buf) : unload(pool, op);
	if (wants_more(op)) {
		op_set_phase(op, OP_ARMED);
		return nr;
	}
	pool_unlink_op(op);
	disarm(pool, op);
	return nr;
}

/* What came without data, or in several buffers, or from another kind. */
static __attribute__((noinline)) int take_any(struct bs_pool *pool, const struct io_uring_cqe *cqe,
					      struct bs_buf *bufs, unsigned int max)
{
	struct bs_buf empty;
	int nr;

	if (cqe->res > 0)
		return pool_take(pool, cqe, bufs, max);
	nr = pool_take(pool, cqe, &empty, 1);
	return nr == 1 ? pool_give(pool, &empty, 1) : nr;
}

static POOL_INLINE int done_select(struct bs_pool *pool, struct bs_op *op,
				   const struct io_uring_cqe *cqe, struct bs_buf *bufs,
				   unsigned int max)
{
	int nr;

	if (POOL_USUAL(picked_is_usual(pool, cqe)) && POOL_USUAL(bufs && max))
		nr = picked_lend(pool, cqe, bufs);
	else
		nr = take_any(pool, cqe, bufs, max);
	if (POOL_RARE(nr == -ENOSPC))
		return nr;
	op->res = cqe->res;
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		pool_unlink_op(op);
		disarm(pool, op);
	}
	return nr;
}

static POOL_INLINE bool is_completion(const struct bs_op *op, const struct io_uring_cqe *cqe)
{
	return POOL_USUAL(op) && POOL_USUAL(cqe) && POOL_USUAL(cqe->user_data == (uintptr_t)op) &&
	       POOL_USUAL(op->armed);
}

static __attribute__((noinline)) int done_any(struct bs_op *op, const struct io_uring_cqe *cqe,
					      struct bs_buf *bufs, unsigned int max)
{
	struct bs_pool *pool;
	int err;

	if (!is_completion(op, cqe))
		return -EINVAL;
	pool = op->pool;
	err = pool_enter_soon(pool);
	if (POOL_RARE(err))
		return err;
	if (pool->ways.is_carried)
		return done_carried(pool, op, cqe->res, max ? bufs : NULL);
	if (POOL_USUAL(!is_fallback(pool)))
		return pool_leave(pool, done_select(pool, op, cqe, bufs, max));
	return pool_leave(pool, done_fallback(pool, op, cqe->res, max ? bufs : NULL));
}

/* One buffer with data, of an operation of a pool of the thread's own, needs no call. */
POOL_HOT int bs_op_done(struct bs_op *op, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
			unsigned int max)
{
	struct bs_pool *pool;
	int res;

	if (!is_completion(op, cqe) || POOL_RARE(!bufs))
		return done_any(op, cqe, bufs, max);
	pool = op->pool;
	res = cqe->res;
	if (POOL_RARE(!pool_is_own(pool)) || POOL_RARE(!max))
		return done_any(op, cqe, bufs, max);
	if (picked_is_usual(pool, cqe)) {
		if (POOL_RARE(picked_lend(pool, cqe, bufs) < 0))
			return done_any(op, cqe, bufs, max);
		if (cqe->flags & IORING_CQE_F_MORE) {
			op->res = res;
			return 1;
		}
		pool_unlink_op(op);
		disarm_own(pool, op, res);
		return 1;
	}
	if (POOL_RARE(res <= 0) || POOL_RARE(!pool->ways.is_carried) ||
	    POOL_RARE(op->flags & BS_OP_MULTISHOT))
		return done_any(op, cqe, bufs, max);
	hand_out(pool, op, res, bufs);
	disarm_own(pool, op, res);
	return 1;
}

/* ---- ending */

static int submit(struct io_uring *ring)
{
	int ret = io_uring_sq_ready(ring) ? io_uring_submit(ring) : 0;

	return ret < 0 ? ret : 0;
}

/* Whatever the answer, the operation's own completion says how it ended. */
static int cancel(struct bs_pool *pool, struct bs_op *op)
{
	struct io_uring_sync_cancel_reg reg = {.addr = (uintptr_t)op, .fd = -1};
	int err;

	op_set_state(op, op->state | OP_STOP);
	if (op_phase(op) == OP_ARMED)
		op_set_phase(op, OP_STOPPING);
	if (is_fallback(pool)) {
		pool_fallback_hurry(pool, op);
		return 0;
	}
	err = pool_register(ring_of(pool, op), IORING_REGISTER_SYNC_CANCEL, &reg);
	return err == -ENOENT || err == -EALREADY || err == -ETIME ? 0 : err;
}

/* What was not submitted yet cannot be canceled. */
static int submit_and_cancel(struct bs_pool *pool, struct bs_op *op)
{
	int err = is_fallback(pool) ? 0 : submit(ring_of(pool, op));

	return err ? err : cancel(pool, op);
}

int bs_op_cancel(struct bs_op *op)
{
	int err;

	if (!op || !op->armed)
		return -EINVAL;
	err = pool_enter(op->pool);
	return err ? err : pool_leave(op->pool, submit_and_cancel(op->pool, op));
}

/* Of a shared pool they are on other threads' rings, into which nobody else may reach. */
static int cancel_carried(struct bs_pool *pool)
{
	uint32_t bid;
	int err = 0, nr = 0;

	for (bid = 0; bid < pool->buffers && !err; bid++) {
		const struct pool_lease *lease = &pool->leases[bid];

		if (!lease->live || !lease->op)
			continue;
		err = pool->ways.is_shared ? cancel(pool, lease->op)
					   : submit_and_cancel(pool, lease->op);
		nr++;
	}
	return err ? err : nr;
}

/* Backwards: what is canceled may go before all others. */
static int cancel_listed(struct bs_pool *pool)
{
	struct bs_link *at = pool->listed.prev, *prev;
	uint32_t nr = pool->stats.in_flight, i;
	int err = 0;

	for (i = 0; i < nr && !err; i++, at = prev) {
		prev = at->prev;
		err = submit_and_cancel(pool, pool_op_of(at));
	}
	return err ? err : (int)nr;
}

int bs_pool_cancel(struct bs_pool *pool)
{
	int err = pool_enter(pool);

	if (err)
		return err;
	return pool_leave(pool, pool->ways.is_carried ? cancel_carried(pool) : cancel_listed(pool));
}

/* ---- waiting */

static __attribute__((noinline)) int ring_next(struct io_uring *ring, struct io_uring_cqe *out,
					       int timeout_ms)
{
	struct __kernel_timespec ts = {timeout_ms / 1000, timeout_ms % 1000 * 1000000ll};
	struct io_uring_cqe *cqe;
	int err = 0;

	if (io_uring_sq_ready(ring))
		err = io_uring_submit(ring);
	if (err < 0)
		return err;
	if (io_uring_peek_cqe(ring, &cqe)) {
		if (timeout_ms < 0)
			err = io_uring_wait_cqe(ring, &cqe);
		else
			err = io_uring_wait_cqe_timeout(ring, &cqe, &ts);
		if (err)
			return err == -ETIME || err == -EAGAIN ? 0 : err;
	}
	out->user_data = cqe->user_data;
	out->res = cqe->res;
	out->flags = cqe->flags;
	io_uring_cqe_seen(ring, cqe);
	return 1;
}

int bs_pool_next(struct bs_pool *pool, struct io_uring_cqe *cqe, int timeout_ms)
{
	int ret = pool_enter(pool);

	if (ret)
		return ret;
	if (!cqe || pool->ways.is_shared || (!pool->ring && !is_fallback(pool)))
		return pool_leave(pool, -EINVAL);
	/* One thread's alone: nothing to be left. */
	return is_fallback(pool) ? pool_fallback_next(pool, cqe, timeout_ms)
				 : ring_next(pool->ring, cqe, timeout_ms);
}

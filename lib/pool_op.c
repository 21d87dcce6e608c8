// SPDX-License-Identifier: MIT
/*
 * How does a program get a buffer with data in it, whatever kind its pool is of?
 *
 * Where the kernel picks, an operation is a request with a group. Of the other kinds it carries a
 * buffer from its beginning to its completion, and a multishot one is asked for again each time.
 * Operations in flight stand in a list of their pool, so that all can be cancelled.
 */
#include <errno.h>
#include <liburing.h>

#include "pool.h"
#include "uapi.h"

static bool is_fallback(const struct bs_pool *pool)
{
	return pool->ops == &pool_fallback_ops;
}

static bool kernel_picks(const struct bs_pool *pool)
{
	return pool->ops->take;
}

/* ---- the list */

static void link_op(struct bs_pool *pool, struct bs_op *op)
{
	op->next = NULL;
	op->prev = pool->ops_last;
	if (op->prev)
		op->prev->next = op;
	else
		pool->ops_first = op;
	pool->ops_last = op;
	POOL_ADD(pool, in_flight, 1);
}

static void finish(struct bs_pool *pool, struct bs_op *op)
{
	if (op->prev)
		op->prev->next = op->next;
	else
		pool->ops_first = op->next;
	if (op->next)
		op->next->prev = op->prev;
	else
		pool->ops_last = op->prev;
	op->next = op->prev = NULL;
	op->armed = 0;
	op_set_phase(op, OP_IDLE);
	POOL_SET(pool, in_flight, pool->stats.in_flight - 1);
}

/* ---- requests */

static struct io_uring *ring_of(const struct bs_pool *pool, const struct bs_op *op)
{
	return op->ring ? op->ring : pool->ring;
}

static struct io_uring_sqe *get_sqe(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (sqe)
		return sqe;
	io_uring_submit(ring);
	return io_uring_get_sqe(ring);
}

static uint32_t room(const struct bs_pool *pool, const struct bs_op *op)
{
	return op->len && op->len < pool->buf_bytes ? op->len : pool->buf_bytes;
}

/* Of a group: nothing is said of memory, and a length of 0 is that of the buffer. */
static void prepare_select(const struct bs_pool *pool, const struct bs_op *op,
			   struct io_uring_sqe *sqe)
{
	bool is_multishot = op->flags & BS_OP_MULTISHOT;
	int opcode = IORING_OP_READ;

	if (op->state & OP_RECV)
		opcode = IORING_OP_RECV;
	else if (is_multishot)
		opcode = BS_OP_READ_MULTISHOT;
	io_uring_prep_rw(opcode, sqe, op->fd, NULL, is_multishot ? 0 : op->len,
			 op->state & OP_RECV ? 0 : op->offset);
	if (op->state & OP_RECV && is_multishot)
		sqe->ioprio |= IORING_RECV_MULTISHOT;
	/* Of a legacy group a bundle does not tell how many buffers it took, or which. */
	if (op->flags & BS_OP_BUNDLE && pool->ops == &pool_ring_ops &&
	    ring_of(pool, op)->features & IORING_FEAT_RECVSEND_BUNDLE)
		sqe->ioprio |= IORING_RECVSEND_BUNDLE;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = pool->bgid;
}

static void prepare_own(const struct bs_pool *pool, struct bs_op *op, struct io_uring_sqe *sqe)
{
	int index;

	if (op->state & OP_RECV) {
		io_uring_prep_recv(sqe, op->fd, op->buf.addr, room(pool, op), 0);
		return;
	}
	index = pool->ops->index ? pool->ops->index(pool, op->buf.bid) : -ENOENT;
	if (index < 0)
		io_uring_prep_read(sqe, op->fd, op->buf.addr, room(pool, op), op->offset);
	else
		io_uring_prep_read_fixed(sqe, op->fd, op->buf.addr, room(pool, op), op->offset,
					 index);
}

/* Once more on its way; nothing has changed if it cannot be. */
static int issue(struct bs_pool *pool, struct bs_op *op)
{
	struct io_uring_sqe *sqe;

	op->buf.pool = NULL;
	if (is_fallback(pool)) /* gets a buffer when there are data */
		return 0;
	if (!kernel_picks(pool) && !pool_acquire_one(pool, &op->buf))
		return -ENOBUFS;
	sqe = get_sqe(ring_of(pool, op));
	if (!sqe) {
		if (op->buf.pool)
			pool_give(pool, &op->buf, 1);
		return -EAGAIN;
	}
	if (kernel_picks(pool))
		prepare_select(pool, op, sqe);
	else
		prepare_own(pool, op, sqe);
	io_uring_sqe_set_data(sqe, op);
	return 0;
}

static int check(const struct bs_pool *pool, const struct bs_op *op, bool is_recv)
{
	if (op->flags & ~(BS_OP_MULTISHOT | BS_OP_BUNDLE))
		return -EINVAL;
	if (op->flags & BS_OP_BUNDLE && (!is_recv || pool->pieces || pool->is_single))
		return -EINVAL;
	return is_fallback(pool) || ring_of(pool, op) ? 0 : -EINVAL;
}

static int start(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	int err;

	if (op->armed)
		return -EALREADY;
	err = check(pool, op, is_recv);
	if (err)
		return err;
	op->state = is_recv ? OP_RECV : 0;
	err = issue(pool, op);
	if (err)
		return err;
	op->pool = pool;
	op->serial = pool->serial;
	op->armed = 1;
	op->res = 0;
	op_set_phase(op, OP_ARMED);
	link_op(pool, op);
	return 0;
}

static int enter_and_start(struct bs_pool *pool, struct bs_op *op, bool is_recv)
{
	int err = pool_enter(pool);

	if (err)
		return err;
	if (!op)
		return pool_leave(pool, -EINVAL);
	err = start(pool, op, is_recv);
	if (err == -ENOBUFS || err == -EAGAIN) { /* no misuse */
		pool_leave(pool, 0);
		return err;
	}
	return pool_leave(pool, err);
}

int bs_read_managed_at(struct bs_pool *pool, struct bs_op *op)
{
	return enter_and_start(pool, op, false);
}

int bs_recv_managed(struct bs_pool *pool, struct bs_op *op)
{
	return enter_and_start(pool, op, true);
}

/* ---- completions */

static int done_select(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
		       unsigned int max)
{
	struct bs_buf empty;
	int nr;

	if (cqe->res > 0)
		return pool_take(pool, cqe, bufs, max);
	nr = pool_take(pool, cqe, &empty, 1);
	if (nr == 1)
		nr = pool_give(pool, &empty, 1);
	return nr;
}

static int done_own(struct bs_pool *pool, struct bs_op *op, int res, struct bs_buf *bufs)
{
	struct bs_buf buf = op->buf;

	op->buf.pool = NULL;
	if (!buf.pool) /* fallback: ended without one */
		return 0;
	if (res <= 0)
		return pool_give(pool, &buf, 1);
	buf.len = (uint32_t)res;
	POOL_ADD(pool, selected, 1);
	POOL_ADD(pool, bytes, (uint64_t)res);
	bufs[0] = buf;
	return 1;
}

/* Where a read has its place the next one follows; where it has none, it goes on by itself. */
static bool goes_on(struct bs_pool *pool, struct bs_op *op, const struct io_uring_cqe *cqe)
{
	if (kernel_picks(pool))
		return cqe->flags & IORING_CQE_F_MORE;
	if (!(op->flags & BS_OP_MULTISHOT) || cqe->res <= 0 || op->state & OP_STOP)
		return false;
	if (issue(pool, op))
		return false;
	op_set_phase(op, OP_ARMED);
	return true;
}

static int done(struct bs_pool *pool, struct bs_op *op, const struct io_uring_cqe *cqe,
		struct bs_buf *bufs, unsigned int max)
{
	int nr;

	if (kernel_picks(pool)) {
		nr = done_select(pool, cqe, bufs, max);
	} else {
		if (cqe->res > 0 && (!max || !bufs))
			return -ENOSPC;
		nr = done_own(pool, op, cqe->res, bufs);
	}
	if (nr == -ENOSPC)
		return nr;
	op->res = cqe->res;
	if (!goes_on(pool, op, cqe))
		finish(pool, op);
	return nr;
}

int bs_op_done(struct bs_op *op, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
	       unsigned int max)
{
	struct bs_pool *pool;
	int err;

	if (!op || !cqe || cqe->user_data != (uintptr_t)op || !op->armed)
		return -EINVAL;
	pool = op->pool;
	err = pool_enter(pool);
	if (err)
		return err;
	return pool_leave(pool, done(pool, op, cqe, bufs, max));
}

/* ---- ending */

/* Whatever the answer, the operation's own completion says how it ended. */
static int cancel_request(const struct bs_pool *pool, struct bs_op *op)
{
	struct io_uring *ring = ring_of(pool, op);
	struct io_uring_sync_cancel_reg reg = {.addr = (uintptr_t)op, .fd = -1};
	int err;

	if (io_uring_sq_ready(ring)) {
		err = io_uring_submit(ring);
		if (err < 0)
			return err;
	}
	err = pool_register(ring, IORING_REGISTER_SYNC_CANCEL, &reg);
	return err == -ENOENT || err == -EALREADY || err == -ETIME ? 0 : err;
}

static int cancel(struct bs_pool *pool, struct bs_op *op)
{
	op->state |= OP_STOP;
	if (op_phase(op) == OP_ARMED)
		op_set_phase(op, OP_STOPPING);
	return is_fallback(pool) ? 0 : cancel_request(pool, op);
}

int bs_op_cancel(struct bs_op *op)
{
	int err;

	if (!op || !op->armed)
		return -EINVAL;
	err = pool_enter(op->pool);
	return err ? err : pool_leave(op->pool, cancel(op->pool, op));
}

int bs_pool_cancel(struct bs_pool *pool)
{
	struct bs_op *op;
	int err = pool_enter(pool), nr = 0;

	if (err)
		return err;
	for (op = pool->ops_first; op && !err; op = op->next) {
		err = cancel(pool, op);
		nr++;
	}
	return pool_leave(pool, err ? err : nr);
}

/* ---- waiting */

static int ring_next(struct io_uring *ring, struct io_uring_cqe *out, int timeout_ms)
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
	if (!cqe || pool->ops->is_shared || (!pool->ring && !is_fallback(pool)))
		return pool_leave(pool, -EINVAL);
	ret = is_fallback(pool) ? pool_fallback_next(pool, cqe, timeout_ms)
				: ring_next(pool->ring, cqe, timeout_ms);
	pool_leave(pool, 0);
	return ret;
}

// SPDX-License-Identifier: MIT
/*
 * How do managed operations work where there is no io_uring? By poll(2), and by reading when there
 * is something to read. A buffer is taken only then: idle operations occupy none. All that one look
 * found is served before the next one.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool.h"
#include "pool_stack.h"

#define FEW 64 /* descriptors: their array needs no allocation */

/*
 * Operations that can end without waiting stand before all others: what is to be ended, what has no
 * descriptor, and what the last poll found something for (OP_POLLED). What was served goes behind
 * all others, so that each has its turn.
 */
static POOL_INLINE void move_last(struct bs_pool *pool, struct bs_op *op)
{
	pool_unlink_op(op);
	pool_link_op(pool, op);
}

static POOL_INLINE int complete(struct bs_pool *pool, struct bs_op *op, int res,
				struct io_uring_cqe *cqe)
{
	move_last(pool, op);
	op_set_state(op, (op->state & ~(OP_POLLED | OP_PHASE)) | OP_READY);
	cqe->user_data = (uintptr_t)op;
	cqe->res = res;
	cqe->flags = 0;
	return 1;
}

/* A stream that another operation may have emptied since it was looked at. */
static ssize_t read_stream(const struct bs_op *op, uint32_t bytes, bool is_fresh)
{
	struct pollfd fd = {.fd = op->fd, .events = POLLIN};

	if (!is_fresh && poll(&fd, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return read(op->fd, op->buf.addr, bytes);
}

static POOL_INLINE ssize_t read_now(const struct bs_pool *pool, const struct bs_op *op,
				    bool is_fresh)
{
	uint32_t bytes = op->len && op->len < pool->buf_bytes ? op->len : pool->buf_bytes;
	ssize_t got;

	do {
		if (op_is_recv(op))
			got = recv(op->fd, op->buf.addr, bytes, MSG_DONTWAIT);
		else if (op->offset == UINT64_MAX)
			got = read_stream(op, bytes, is_fresh);
		else
			got = pread(op->fd, op->buf.addr, bytes, (off_t)op->offset);
		if (got < 0 && errno == ESPIPE) /* io_uring ignores the offset of a pipe */
			got = read_stream(op, bytes, is_fresh);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* 1: *cqe says how it went; 0: there was nothing to read after all. */
static POOL_INLINE int perform(struct bs_pool *pool, struct bs_op *op, struct io_uring_cqe *cqe,
			       bool is_fresh)
{
	ssize_t res;

	if (!pool_acquire_one(pool, &op->buf))
		return complete(pool, op, -ENOBUFS, cqe);
	res = read_now(pool, op, is_fresh);
	if (res != -EAGAIN)
		return complete(pool, op, (int)res, cqe);
	pool_give(pool, &op->buf, 1);
	op->buf.pool = NULL;
	op_set_state(op, op->state & ~OP_POLLED);
	move_last(pool, op);
	return 0;
}

/* poll(2) would wait for ever for a descriptor below 0. */
static POOL_INLINE bool is_due(const struct bs_op *op)
{
	if (op_phase(op) == OP_STOPPING)
		return true;
	return op_phase(op) == OP_ARMED && (op->fd < 0 || op->state & OP_POLLED);
}

/* The first of those that can end now. 1 or 0. */
static POOL_INLINE int serve(struct bs_pool *pool, struct io_uring_cqe *cqe, bool is_fresh)
{
	while (pool->listed.next != &pool->listed) {
		struct bs_op *op = pool_op_of(pool->listed.next);

		if (!is_due(op))
			return 0;
		if (op_phase(op) == OP_STOPPING)
			return complete(pool, op, -ECANCELED, cqe);
		if (op->fd < 0)
			return complete(pool, op, -EBADF, cqe);
		if (perform(pool, op, cqe, is_fresh))
			return 1;
		is_fresh = false;
	}
	return 0;
}

static POOL_INLINE void move_first(struct bs_pool *pool, struct bs_op *op)
{
	pool_unlink_op(op);
	pool_link_between(&pool->listed, &op->link, pool->listed.next);
}

void pool_fallback_hurry(struct bs_pool *pool, struct bs_op *op)
{
	if (is_due(op))
		move_first(pool, op);
}

/* Backwards, so that they keep their order in front; by number, for the front is moving. */
static void mark(struct bs_pool *pool, const struct pollfd *fds, nfds_t nr)
{
	struct bs_link *at = pool->listed.prev, *prev;

	for (; nr; at = prev) {
		struct bs_op *op = pool_op_of(at);

		prev = at->prev;
		if (fds[--nr].revents) {
			op_set_state(op, op->state | OP_POLLED);
			move_first(pool, op);
		}
	}
}

/* Looks at all descriptors. How many have something, or -errno. */
static int look(struct bs_pool *pool, struct pollfd *fds, int ms)
{
	struct bs_link *at = pool->listed.next;
	nfds_t nr;
	int ready;

	for (nr = 0; nr < pool->stats.in_flight; nr++, at = at->next) {
		const struct bs_op *op = pool_op_of(at);

		fds[nr] = (struct pollfd){.fd = op_phase(op) == OP_READY ? -1 : op->fd,
					  .events = POLLIN};
	}
	ready = poll(fds, nr, ms);
	if (ready > 0)
		mark(pool, fds, nr);
	return ready < 0 ? -errno : ready;
}

/* One completion of those that a look finds. 1, 0 (timeout) or -errno. */
static int look_and_serve(struct bs_pool *pool, struct pollfd *fds, struct io_uring_cqe *cqe,
			  int timeout_ms)
{
	int ret;

	do {
		ret = look(pool, fds, timeout_ms);
		if (ret <= 0)
			return ret;
		ret = serve(pool, cqe, true);
	} while (!ret && timeout_ms < 0);
	return ret;
}

/* Away from what is done for each operation: the descriptors take half a page of the stack. */
static __attribute__((noinline)) int look_for(struct bs_pool *pool, struct io_uring_cqe *cqe,
					      int timeout_ms)
{
	struct pollfd few[FEW], *fds = few;
	int ret;

	if (pool->stats.in_flight > FEW)
		fds = calloc(pool->stats.in_flight, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	ret = look_and_serve(pool, fds, cqe, timeout_ms);
	if (fds != few)
		free(fds);
	return ret;
}

int pool_fallback_next(struct bs_pool *pool, struct io_uring_cqe *cqe, int timeout_ms)
{
	return serve(pool, cqe, false) ? 1 : look_for(pool, cqe, timeout_ms);
}

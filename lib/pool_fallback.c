// SPDX-License-Identifier: MIT
/*
 * How do managed operations work where there is no io_uring? By poll(2), and by reading when there
 * is something to read. A buffer is taken only then: idle operations occupy none.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool.h"

/* Behind all others, so that each has its turn. */
static void move_last(struct bs_pool *pool, struct bs_op *op)
{
	if (!op->next)
		return;
	op->next->prev = op->prev;
	if (op->prev)
		op->prev->next = op->next;
	else
		pool->ops_first = op->next;
	op->prev = pool->ops_last;
	op->next = NULL;
	op->prev->next = op;
	pool->ops_last = op;
}

static int complete(struct bs_pool *pool, struct bs_op *op, int res, struct io_uring_cqe *cqe)
{
	move_last(pool, op);
	op_set_phase(op, OP_READY);
	cqe->user_data = (uintptr_t)op;
	cqe->res = res;
	cqe->flags = 0;
	return 1;
}

static ssize_t read_now(const struct bs_pool *pool, const struct bs_op *op)
{
	uint32_t bytes = op->len && op->len < pool->buf_bytes ? op->len : pool->buf_bytes;
	ssize_t got;

	do {
		if (op->state & OP_RECV)
			got = recv(op->fd, op->buf.addr, bytes, MSG_DONTWAIT);
		else if (op->offset == UINT64_MAX)
			got = read(op->fd, op->buf.addr, bytes);
		else
			got = pread(op->fd, op->buf.addr, bytes, (off_t)op->offset);
		if (got < 0 && errno == ESPIPE) /* io_uring ignores the offset of a pipe */
			got = read(op->fd, op->buf.addr, bytes);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* 1: *cqe says how it went; 0: there was nothing to read after all. */
static int perform(struct bs_pool *pool, struct bs_op *op, struct io_uring_cqe *cqe)
{
	ssize_t res;

	if (!pool_acquire_one(pool, &op->buf))
		return complete(pool, op, -ENOBUFS, cqe);
	res = read_now(pool, op);
	if (res != -EAGAIN)
		return complete(pool, op, (int)res, cqe);
	pool_give(pool, &op->buf, 1);
	op->buf.pool = NULL;
	return 0;
}

static bool is_handed_out(const struct bs_op *op)
{
	return op_phase(op) == OP_READY;
}

/* What ends without reading; poll(2) would wait for ever for a descriptor below 0. */
static int next_without_data(struct bs_pool *pool, struct io_uring_cqe *cqe)
{
	struct bs_op *op;

	for (op = pool->ops_first; op; op = op->next) {
		if (op_phase(op) == OP_STOPPING)
			return complete(pool, op, -ECANCELED, cqe);
		if (op_phase(op) == OP_ARMED && op->fd < 0)
			return complete(pool, op, -EBADF, cqe);
	}
	return 0;
}

/* Looks at all descriptors, reads for the first that has something. */
static int poll_once(struct bs_pool *pool, struct pollfd *fds, struct io_uring_cqe *cqe, int ms)
{
	struct bs_op *op, *next;
	nfds_t nr = 0, i = 0;
	int ready;

	for (op = pool->ops_first; op; op = op->next)
		fds[nr++] =
			(struct pollfd){.fd = is_handed_out(op) ? -1 : op->fd, .events = POLLIN};
	ready = poll(fds, nr, ms);
	if (ready <= 0)
		return ready < 0 ? -errno : 0;
	for (op = pool->ops_first; op; op = next, i++) {
		next = op->next;
		if (fds[i].revents && perform(pool, op, cqe))
			return 1;
	}
	return -EAGAIN;
}

int pool_fallback_next(struct bs_pool *pool, struct io_uring_cqe *cqe, int timeout_ms)
{
	struct pollfd *fds;
	int ret = next_without_data(pool, cqe);

	if (ret)
		return ret;
	fds = calloc(pool->stats.in_flight + 1, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	do
		ret = poll_once(pool, fds, cqe, timeout_ms);
	while (ret == -EAGAIN && timeout_ms < 0);
	free(fds);
	return ret == -EAGAIN ? 0 : ret;
}

// SPDX-License-Identifier: MIT
/* Can a program, in C or C++, that has only the installed header and library use a pool? */
#include <bufscope.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int fail(const char *what, int code)
{
	fprintf(stderr, "%s: %s\n", what, strerror(code < 0 ? -code : code));
	return 1;
}

/* One message through a socket into a buffer that the kernel picks. */
static int receive(struct io_uring *ring, struct bs_pool *pool, int *sockets)
{
	struct bs_buf buf;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int err;

	if (send(sockets[1], "hello", 5, 0) != 5)
		return fail("send", errno);
	io_uring_prep_recv(sqe, sockets[0], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 7;
	err = io_uring_submit(ring);
	if (err != 1)
		return fail("submit", err);
	err = io_uring_wait_cqe(ring, &cqe);
	if (err)
		return fail("wait", err);
	err = bs_pool_take(pool, cqe, &buf, 1);
	io_uring_cqe_seen(ring, cqe);
	if (err != 1)
		return fail("take", err);
	if (buf.len != 5 || memcmp(buf.addr, "hello", 5) != 0)
		return fail("content", EPROTO);
	err = bs_pool_give(pool, &buf, 1);
	return err ? fail("give", err) : 0;
}

int main(void)
{
	struct bs_pool_opts opts;
	struct bs_pool_stats stats;
	struct bs_pool *pool;
	struct io_uring ring;
	int sockets[2];
	int err = io_uring_queue_init(8, &ring, 0);

	if (err) {
		fprintf(stderr, "no io_uring here: %s\n", strerror(-err));
		return 77;
	}
	memset(&opts, 0, sizeof(opts));
	opts.size = sizeof(opts);
	opts.kind = BS_POOL_RING;
	opts.buffers = 4;
	opts.buf_bytes = 64;
	opts.bgid = 7;
	pool = bs_pool_open(&ring, &opts);
	if (!pool)
		return fail("open", errno);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return fail("socketpair", errno);
	if (receive(&ring, pool, sockets))
		return 1;
	err = bs_pool_read_stats(pool, &stats);
	if (err || stats.selected != 1 || stats.in_use != 0)
		return fail("statistics", err ? err : EPROTO);
	err = bs_pool_close(pool);
	io_uring_queue_exit(&ring);
	return err ? fail("close", err) : 0;
}

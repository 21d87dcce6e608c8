// SPDX-License-Identifier: MIT
/*
 * Does a pool lend exactly what the kernel delivered, for every kind of pool and of request?
 */
#include "pool_rig.h"

#include <fcntl.h>
#include <sys/mman.h>

static void takes_one_shot(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	struct rig rig;
	struct bs_buf buf;
	int i;

	rig_open(&rig, kind, 4, 64);
	for (i = 0; i < 100; i++) {
		rig_send(&rig, 64);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
		assert_int_equal(buf.more, 0);
		assert_int_equal(buf.len, 64);
		assert_ptr_equal(buf.pool, rig.pool);
		rig_check(&rig);
		rig_give(&rig, &buf, 1);
	}
	assert_int_equal(rig_check(&rig).bytes, rig.sent);
	assert_int_equal(rig_check(&rig).selected, 100);
	assert_int_equal(rig_check(&rig).peak, 1);
	rig_close(&rig, 0);
}

/* Drains the group, learns of it, gives all back and goes on. */
static void takes_multishot(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	struct bs_buf bufs[8];
	struct io_uring_cqe cqe;
	struct rig rig;
	int round, i;

	rig_open(&rig, kind, 8, 100);
	for (round = 0; round < 20; round++) {
		rig_send(&rig, 8 * 100 + 50);
		rig_recv(&rig, RIG_MULTISHOT);
		for (i = 0; i < 8; i++)
			assert_int_equal(rig_take_next(&rig, &bufs[i], 1), 1);
		rig_next(&rig, &cqe);
		assert_int_equal(cqe.res, -ENOBUFS);
		assert_int_equal(rig_take(&rig, &cqe, NULL, 0), 0);
		assert_int_equal(bs_pool_available(rig.pool), 0);
		rig_check(&rig);
		rig_give(&rig, bufs, 8);

		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &bufs[0], 1), 1);
		assert_int_equal(bufs[0].len, 50);
		rig_give(&rig, bufs, 1);
		if (kind ==
		    BS_POOL_INC) { /* the rest of that buffer, to begin the next round anew */
			rig_send(&rig, 50);
			rig_recv(&rig, 0);
			assert_int_equal(rig_take_next(&rig, &bufs[0], 1), 1);
			rig_give(&rig, bufs, 1);
		}
	}
	assert_int_equal(rig_check(&rig).starved, 20);
	assert_int_equal(rig_check(&rig).peak, 8);
	rig_close(&rig, 0);
}

static void bundle(void **state)
{
	struct bs_buf bufs[16];
	struct rig rig;
	int nr, i, most = 0;

	(void)state;
	rig_need("recv_bundle");
	rig_open(&rig, BS_POOL_RING, 16, 100);
	for (i = 1; i < 1300; i += 7) {
		rig_send(&rig, (size_t)i);
		while (rig.seen < rig.sent) {
			rig_stay_armed(&rig);
			nr = rig_take_next(&rig, bufs, 16);
			assert_true(nr > 0);
			most = nr > most ? nr : most;
			rig_give(&rig, bufs, (unsigned int)nr);
		}
		rig_check(&rig);
	}
	/* where a bundle begins with a single buffer, none came to be larger */
	assert_int_equal(most > 1, caps_can("recv_bundle.at_once"));
	rig_close(&rig, 0);
}

/* What follows the first buffer is found though returns have overwritten the slots meanwhile. */
static void bundle_after_disorder(void **state)
{
	struct bs_buf first[4], second[4], bufs[8];
	struct rig rig;

	(void)state;
	rig_need("recv_bundle.at_once");
	rig_open(&rig, BS_POOL_RING, 8, 10);
	rig_send(&rig, 40);
	rig_recv(&rig, RIG_BUNDLE);
	assert_int_equal(rig_take_next(&rig, first, 4), 4);
	rig_send(&rig, 40);
	rig_recv(&rig, RIG_BUNDLE);
	assert_int_equal(rig_take_next(&rig, second, 4), 4);

	rig_give(&rig, &second[2], 1);
	rig_give(&rig, &first[3], 1);
	rig_give(&rig, second, 2);
	rig_give(&rig, &first[1], 1);
	rig_send(&rig, 35);
	rig_recv(&rig, RIG_BUNDLE);
	assert_int_equal(rig_take_next(&rig, bufs, 8), 4);
	assert_int_equal(bufs[0].bid, second[2].bid);
	assert_int_equal(bufs[1].bid, first[3].bid);
	assert_int_equal(bufs[2].bid, second[0].bid);
	assert_int_equal(bufs[3].bid, second[1].bid);
	assert_int_equal(bufs[3].len, 5);
	rig_send(&rig, 5);
	rig_recv(&rig, RIG_BUNDLE);
	assert_int_equal(rig_take_next(&rig, bufs, 8), 1);
	assert_int_equal(bufs[0].bid, first[1].bid);
	rig_close(&rig, 8);
}

static void bundle_needs_room(void **state)
{
	struct io_uring_cqe cqe;
	struct bs_buf bufs[5];
	struct rig rig;

	(void)state;
	rig_need("recv_bundle.at_once");
	rig_open(&rig, BS_POOL_RING, 8, 10);
	rig_send(&rig, 50);
	rig_recv(&rig, RIG_BUNDLE);
	rig_next(&rig, &cqe);
	assert_int_equal(cqe.res, 50);
	assert_int_equal(bs_pool_take(rig.pool, &cqe, bufs, 0), -ENOSPC);
	assert_int_equal(bs_pool_take(rig.pool, &cqe, bufs, 4), -ENOSPC);
	assert_int_equal(bs_pool_available(rig.pool), 8);
	assert_int_equal(rig_take(&rig, &cqe, bufs, 5), 5);
	assert_int_equal(rig_check(&rig).refused, 0);
	rig_give(&rig, bufs, 5);
	rig_close(&rig, 0);
}

/* Of a datagram cut short one buffer was used, not as many as its full length would need. */
static void truncated_datagram(void **state)
{
	struct bs_pool_opts opts = {.buffers = 8, .buf_bytes = 100, .flags = BS_POOL_SINGLE};
	struct io_uring_params params = {0};
	unsigned char data[350] = {1};
	struct io_uring_sqe *sqe;
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	struct rig rig;
	int fds[2];

	(void)state;
	rig_open_with(&rig, &opts, &params);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	assert_int_equal(write(fds[0], data, sizeof(data)), sizeof(data));
	sqe = rig_sqe(&rig, IORING_OP_RECV, 0);
	sqe->msg_flags = MSG_TRUNC;
	sqe->fd = fds[1];
	io_uring_submit(&rig.ring);
	rig_next(&rig, &cqe);
	assert_int_equal(cqe.res, 350);
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &buf, 1), 1);
	assert_int_equal(buf.len, 100);
	rig_check(&rig);
	rig_give(&rig, &buf, 1);
	rig_close(&rig, 0);
	close(fds[0]);
	close(fds[1]);
}

/* A worker takes its buffer before it knows whether there will be data. */
static void failed_operations(void **state)
{
	struct io_uring_cqe cqe;
	struct bs_buf bufs[2];
	struct rig rig;

	(void)state;
	rig_open(&rig, BS_POOL_RING, 4, 64);
	shutdown(rig.in, SHUT_WR);
	rig_sqe(&rig, IORING_OP_RECV, 0)->flags |= IOSQE_ASYNC;
	io_uring_submit(&rig.ring);
	rig_next(&rig, &cqe);
	assert_int_equal(cqe.res, 0);
	assert_true(cqe.flags & IORING_CQE_F_BUFFER);
	assert_int_equal(rig_take(&rig, &cqe, &bufs[0], 1), 1);
	assert_int_equal(bufs[0].len, 0);
	rig_check(&rig);

	rig_sqe(&rig, IORING_OP_RECV, 0)->fd = -1;
	io_uring_submit(&rig.ring);
	rig_next(&rig, &cqe);
	assert_int_equal(cqe.res, -EBADF);
	assert_int_equal(rig_take(&rig, &cqe, &bufs[1], 1), 0);
	assert_int_equal(rig_check(&rig).selected, 1);
	assert_int_equal(rig_check(&rig).bytes, 0);
	rig_give(&rig, bufs, 1);
	rig_close(&rig, 0);
}

/* 6.16 names a buffer here that it has put back; what is lent is what the kernel's head has passed.
 */
static void failed_at_once(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	struct rig rig;
	int i, nr;

	rig_open(&rig, kind, 4, 64);
	for (i = 0; i < 9; i++) {
		rig_sqe(&rig, IORING_OP_RECV, 64)->msg_flags = MSG_DONTWAIT;
		io_uring_submit(&rig.ring);
		rig_next(&rig, &cqe);
		assert_int_equal(cqe.res, -EAGAIN);
		nr = rig_take(&rig, &cqe, &buf, 1);
		rig_check(&rig);
		rig_give(&rig, &buf, (unsigned int)nr);
		rig_send(&rig, 64);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
		rig_give(&rig, &buf, 1);
	}
	assert_int_equal(rig_check(&rig).bytes, 9 * 64);
	rig_close(&rig, 0);
}

static void cancel_pipe_read(struct rig *rig, int fd, struct io_uring_cqe *cqe)
{
	struct io_uring_sqe *sqe = rig_sqe(rig, IORING_OP_READ, 0);

	sqe->fd = fd;
	sqe->off = -1;
	sqe->flags |= IOSQE_ASYNC;
	sqe->user_data = 1;
	io_uring_submit(&rig->ring);
	usleep(20000); /* until the worker has the buffer and waits */
	sqe = io_uring_get_sqe(&rig->ring);
	io_uring_prep_cancel64(sqe, 1, 0);
	sqe->user_data = 2;
	io_uring_submit(&rig->ring);
	do
		rig_next(rig, cqe);
	while (cqe->user_data != 1);
}

static void cancelled_operation(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	struct rig rig;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	rig_open(&rig, kind, 4, 64);
	cancel_pipe_read(&rig, fds[0], &cqe);
	assert_true(cqe.res < 0);
	assert_int_equal(rig_take(&rig, &cqe, &buf, 1), !!(cqe.flags & IORING_CQE_F_BUFFER));
	rig_check(&rig);
	if (cqe.flags & IORING_CQE_F_BUFFER)
		rig_give(&rig, &buf, 1);
	assert_int_equal(bs_pool_available(rig.pool), 4);
	rig_close(&rig, 0);
	close(fds[0]);
	close(fds[1]);
}

static void pipe_read_multishot(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	struct rig rig;
	int i, fds[2];

	rig_need("read_multishot");
	rig_open(&rig, kind, 4, 64);
	assert_int_equal(pipe(fds), 0);
	close(rig.in);
	close(rig.out);
	rig.in = fds[1];
	rig.out = fds[0];
	rig_sqe(&rig, BS_OP_READ_MULTISHOT, 0)->off = -1;
	io_uring_submit(&rig.ring);
	for (i = 1; i < 500; i++) {
		rig_send(&rig, 1 + (size_t)i * 7 % 64);
		while (rig.seen < rig.sent) {
			rig_next(&rig, &cqe);
			assert_int_equal(rig_take(&rig, &cqe, &buf, 1), 1);
			rig_check(&rig);
			rig_give(&rig, &buf, 1);
		}
	}
	rig_close(&rig, 0);
}

static void file_read(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	struct io_uring_sqe *sqe;
	struct bs_buf buf;
	struct rig rig;

	rig_open(&rig, kind, 4, 64);
	close(rig.in);
	rig.in = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_true(rig.in >= 0);
	rig_send(&rig, 1000);
	while (rig.seen < rig.sent) {
		sqe = rig_sqe(&rig, IORING_OP_READ, 0);
		sqe->fd = rig.in;
		sqe->off = rig.seen;
		io_uring_submit(&rig.ring);
		assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
		rig_check(&rig);
		rig_give(&rig, &buf, 1);
	}
	assert_int_equal(rig_check(&rig).selected, 16);
	rig_close(&rig, 0);
}

/* ---- incremental */

static void inc_pieces(void **state)
{
	struct bs_buf bufs[6];
	struct rig rig;
	int i;

	(void)state;
	rig_open(&rig, BS_POOL_INC, 2, 100);
	rig_recv(&rig, RIG_MULTISHOT);
	for (i = 0; i < 3; i++) {
		rig_send(&rig, 30);
		assert_int_equal(rig_take_next(&rig, &bufs[i], 1), 1);
		assert_int_equal(bufs[i].more, 1);
		assert_int_equal(bufs[i].bid, bufs[0].bid);
		assert_ptr_equal(bufs[i].addr, (char *)bufs[0].addr + i * 30);
	}
	assert_int_equal(rig_check(&rig).in_use, 1);
	assert_int_equal(rig_check(&rig).taken, 0);
	assert_int_equal(rig_check(&rig).partial, 3);

	/* All pieces are back, the kernel goes on: the buffer does not enter the group again. */
	rig_give(&rig, &bufs[1], 1);
	rig_give(&rig, &bufs[0], 1);
	rig_give(&rig, &bufs[2], 1);
	assert_int_equal(rig_check(&rig).returned, 2);
	assert_int_equal(rig_check(&rig).in_use, 0);

	rig_send(&rig, 30);
	assert_int_equal(rig_take_next(&rig, &bufs[3], 1), 1);
	assert_int_equal(bufs[3].len, 10);
	assert_int_equal(bufs[3].more, 0);
	assert_int_equal(rig_take_next(&rig, &bufs[4], 1), 1);
	assert_int_equal(bufs[4].more, 1);
	assert_int_not_equal(bufs[4].bid, bufs[3].bid);
	assert_int_equal(rig_check(&rig).taken, 1);
	rig_give(&rig, &bufs[3], 1);
	assert_int_equal(rig_check(&rig).returned, 3);
	rig_give(&rig, &bufs[4], 1);
	assert_int_equal(rig_check(&rig).returned, 3);
	rig_close(&rig, 0);
}

static void inc_batch_of_pieces(void **state)
{
	struct bs_buf bufs[3];
	struct rig rig;
	int i;

	(void)state;
	rig_open(&rig, BS_POOL_INC, 2, 90);
	rig_recv(&rig, RIG_MULTISHOT);
	for (i = 0; i < 3; i++) {
		rig_send(&rig, 30);
		assert_int_equal(rig_take_next(&rig, &bufs[i], 1), 1);
	}
	rig_give(&rig, bufs, 3);
	assert_int_equal(rig_check(&rig).returned, 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(bs_pool_give(rig.pool, &bufs[i], 1), -EALREADY);
	rig_close(&rig, 0);
}

/* More pieces than one word has bits. */
static void inc_many_pieces(void **state)
{
	static struct bs_buf bufs[1000];
	struct rig rig;
	int round, i;

	(void)state;
	rig_open(&rig, BS_POOL_INC, 3, 1000);
	rig_recv(&rig, RIG_MULTISHOT);
	for (round = 0; round < 6; round++) {
		for (i = 0; i < 1000; i++) {
			rig_send(&rig, 1);
			assert_int_equal(rig_take_next(&rig, &bufs[i], 1), 1);
			assert_int_equal(bufs[i].more, i < 999);
		}
		for (i = 0; i < 1000; i++)
			rig_give(&rig, &bufs[i * 7 % 1000], 1);
		for (i = 0; i < 1000; i++)
			assert_int_equal(bs_pool_give(rig.pool, &bufs[i], 1), -EALREADY);
		assert_int_equal(rig_check(&rig).returned, 3 + round + 1);
	}
	rig_close(&rig, 0);
}

static void inc_bundle(void **state)
{
	struct bs_buf bufs[16];
	struct rig rig;
	int nr, i, most = 0;

	(void)state;
	rig_need("recv_bundle");
	rig_open(&rig, BS_POOL_INC, 16, 100);
	for (i = 1; i < 1300; i += 7) {
		rig_send(&rig, (size_t)i);
		while (rig.seen < rig.sent) {
			rig_stay_armed(&rig);
			nr = rig_take_next(&rig, bufs, 16);
			assert_true(nr > 0);
			most = nr > most ? nr : most;
			rig_give(&rig, bufs, (unsigned int)nr);
		}
		rig_check(&rig);
	}
	assert_int_equal(most > 2, caps_can("recv_bundle.at_once"));
	rig_close(&rig, 0);
}

static void inc_min_left(void **state)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = BS_POOL_INC,
				    .buffers = 4,
				    .buf_bytes = 100,
				    .min_left = 20};
	struct io_uring_params params = {0};
	struct bs_buf buf;
	struct rig rig;

	(void)state;
	rig_need("pbuf_ring.inc.min_left");
	rig_open_with(&rig, &opts, &params);
	rig_recv(&rig, RIG_MULTISHOT);
	rig_send(&rig, 80);
	assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
	assert_int_equal(buf.more, 1);
	rig_give(&rig, &buf, 1);
	rig_send(&rig, 1);
	assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
	assert_int_equal(buf.more, 0);
	assert_int_equal(rig_check(&rig).taken, 1);
	rig_give(&rig, &buf, 1);
	rig_send(&rig, 100);
	assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
	assert_int_equal(buf.len, 100);
	rig_give(&rig, &buf, 1);
	rig_close(&rig, 0);
}

/* Kernels without the flag on some paths: the entry itself says that the buffer is still filled. */
static void inc_lost_flag(void **state)
{
	struct io_uring_cqe cqe;
	struct bs_buf bufs[2];
	struct rig rig;

	(void)state;
	rig_open(&rig, BS_POOL_INC, 2, 100);
	rig_send(&rig, 30);
	rig_recv(&rig, 0);
	rig_next(&rig, &cqe);
	assert_true(cqe.flags & IORING_CQE_F_BUF_MORE);
	cqe.flags &= ~IORING_CQE_F_BUF_MORE;
	assert_int_equal(rig_take(&rig, &cqe, &bufs[0], 1), 1);
	assert_int_equal(bufs[0].more, 1);
	rig_give(&rig, &bufs[0], 1);
	assert_int_equal(rig_check(&rig).returned, 2);
	rig_send(&rig, 70);
	rig_recv(&rig, 0);
	assert_int_equal(rig_take_next(&rig, &bufs[1], 1), 1);
	assert_int_equal(bufs[1].more, 0);
	rig_give(&rig, &bufs[1], 1);
	assert_int_equal(rig_check(&rig).returned, 3);
	rig_close(&rig, 0);
}

/* A worker moves the kernel's cursor by what was asked for; the answer says less. */
static void inc_displaced(void **state)
{
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	struct rig rig;

	(void)state;
	rig_open(&rig, BS_POOL_INC, 2, 100);
	rig_send(&rig, 30);
	rig_sqe(&rig, IORING_OP_RECV, 50)->flags |= IOSQE_ASYNC;
	io_uring_submit(&rig.ring);
	assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
	rig_send(&rig, 50);
	rig_recv(&rig, 0);
	rig_next(&rig, &cqe);
	assert_int_equal(cqe.res, 50);
	assert_int_equal(bs_pool_take(rig.pool, &cqe, &buf, 1), -EPROTO);
	assert_int_equal(bs_pool_close(rig.pool), 1);
	io_uring_queue_exit(&rig.ring);
	close(rig.in);
	close(rig.out);
}

static void inc_nothing_filled(void **state)
{
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	struct rig rig;

	(void)state;
	rig_open(&rig, BS_POOL_INC, 2, 100);
	shutdown(rig.in, SHUT_WR);
	rig_sqe(&rig, IORING_OP_RECV, 50)->flags |= IOSQE_ASYNC;
	io_uring_submit(&rig.ring);
	rig_next(&rig, &cqe);
	assert_int_equal(cqe.res, 0);
	assert_true(cqe.flags & IORING_CQE_F_BUFFER);
	assert_int_equal(rig_take(&rig, &cqe, &buf, 1), 0);
	assert_int_equal(rig_check(&rig).in_use, 0);

	rig_sqe(&rig, IORING_OP_RECV, 0)->flags |= IOSQE_ASYNC;
	io_uring_submit(&rig.ring);
	rig_next(&rig, &cqe);
	assert_int_equal(cqe.res, 0);
	assert_false(cqe.flags & IORING_CQE_F_BUF_MORE);
	assert_int_equal(rig_take(&rig, &cqe, &buf, 1), 1);
	assert_int_equal(buf.len, 0);
	rig_check(&rig);
	rig_give(&rig, &buf, 1);
	rig_close(&rig, 0);
}

/* What rig_check() compares in every test, where the kernel tells its head. */
static void head_is_the_kernels(void **state)
{
	struct bs_pool_stats stats;
	struct bs_buf bufs[3];
	struct rig rig;
	int i;

	rig_need("pbuf_status");
	rig_open(&rig, *(enum bs_pool_kind *)*state, 4, 10);
	for (i = 0; i < 3; i++) {
		rig_send(&rig, 10);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &bufs[i], 1), 1);
	}
	assert_int_equal(bs_pool_read_stats(rig.pool, &stats), 0);
	assert_int_equal(stats.taken, 3);
	assert_int_equal(rig_kernel_head(&rig), 3);
	rig_give(&rig, bufs, 3);
	rig_close(&rig, 0);
}

/* A number that was used before, and where that matters to the kernel. */
static void number_used_again(void **state)
{
	uint16_t bgids[] = {3, 63, 64, 65535};
	struct bs_buf buf;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct bs_pool_opts opts = {.buffers = 1, .buf_bytes = 10, .bgid = bgids[i]};
		struct io_uring_params params = {0};
		struct rig rig;

		rig_open_with(&rig, &opts, &params);
		rig_send(&rig, 10);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
		assert_int_equal(bs_pool_close(rig.pool), 1);
		rig.pool = bs_pool_open(&rig.ring, &rig.opts);
		assert_non_null(rig.pool);
		rig_send(&rig, 10);
		rig_recv(&rig, 0);
		assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
		rig_close(&rig, 1);
	}
}

/* Moves the head of a group as a ring that is not a pool does, and lets go of it. */
static void use_up(struct io_uring *ring, uint16_t bgid, unsigned int nr)
{
	struct io_uring_buf_ring *group =
		mmap(NULL, 32768 * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct bs_buf_reg reg = {(uintptr_t)group, 32768, bgid};
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	static char byte;
	unsigned int i;

	assert_ptr_not_equal(group, MAP_FAILED);
	assert_true(zero >= 0);
	assert_int_equal(syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_PBUF_RING,
				 &reg, 1),
			 0);
	for (i = 0; i < 32768; i++)
		io_uring_buf_ring_add(group, &byte, 1, (unsigned short)i, 32767, (int)i);
	__atomic_store_n(&group->tail, (uint16_t)nr, __ATOMIC_RELEASE);
	for (i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_read(sqe, zero, NULL, 1, 0);
		sqe->flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
		sqe->buf_group = bgid;
		if (!io_uring_sq_space_left(ring))
			io_uring_submit(ring);
	}
	io_uring_submit(ring);
	assert_int_equal(io_uring_unregister_buf_ring(ring, bgid), 0);
	munmap(group, 32768 * sizeof(struct io_uring_buf));
	close(zero);
}

static void nop(struct io_uring *ring, uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, user_data);
}

/* Whatever an old head was, and whatever else there is in the queues: it all stays as it was. */
static void number_of_another(void **state)
{
	const unsigned int heads[] = {0, 1, 32767, 32768, 40000};
	struct io_uring_params params = {0};
	struct bs_pool_opts opts = {.buffers = 4, .buf_bytes = 10, .bgid = 64};
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	struct rig rig;

	(void)state;
	rig_open_with(&rig, &opts, &params);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(bs_pool_close(rig.pool), 0);
		rig.opts.bgid = (uint16_t)i;
		use_up(&rig.ring, rig.opts.bgid, heads[i]);
		nop(&rig.ring, 1);
		nop(&rig.ring, 2);
		io_uring_submit(&rig.ring);
		nop(&rig.ring, 3);
		rig.pool = bs_pool_open(&rig.ring, &rig.opts);
		assert_non_null(rig.pool);
		io_uring_submit(&rig.ring);
		for (uint64_t k = 1; k <= 3; k++) {
			rig_next(&rig, &cqe);
			assert_int_equal(cqe.user_data, k);
		}
		for (int k = 0; k < 9; k++) {
			rig_send(&rig, 10);
			rig_recv(&rig, 0);
			assert_int_equal(rig_take_next(&rig, &buf, 1), 1);
			rig_give(&rig, &buf, 1);
		}
		rig_check(&rig);
	}
	rig_close(&rig, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_EACH_RING(head_is_the_kernels),
		RIG_EACH_KIND(takes_one_shot),
		RIG_EACH_KIND(takes_multishot),
		cmocka_unit_test(bundle),
		cmocka_unit_test(bundle_after_disorder),
		cmocka_unit_test(bundle_needs_room),
		cmocka_unit_test(truncated_datagram),
		cmocka_unit_test(number_used_again),
		cmocka_unit_test(number_of_another),
		cmocka_unit_test(failed_operations),
		RIG_EACH_RING(failed_at_once),
		RIG_EACH_KIND(cancelled_operation),
		RIG_EACH_KIND(pipe_read_multishot),
		RIG_EACH_KIND(file_read),
		cmocka_unit_test(inc_pieces),
		cmocka_unit_test(inc_batch_of_pieces),
		cmocka_unit_test(inc_many_pieces),
		cmocka_unit_test(inc_bundle),
		cmocka_unit_test(inc_min_left),
		cmocka_unit_test(inc_lost_flag),
		cmocka_unit_test(inc_displaced),
		cmocka_unit_test(inc_nothing_filled),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Without io_uring: is all that one look at the descriptors finds served before the next one, each
 * operation in its turn, and does nothing wait that was emptied or ended meanwhile?
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "bufscope.h"

#define PIPES 80 /* more than need no allocation */

static unsigned int looks; /* at more than one descriptor, or to wait */

/* Instead of that of the C library, in this program. */
int poll(struct pollfd *fds, nfds_t nr, int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000l};

	looks += nr > 1 || ms != 0;
	return (int)syscall(SYS_ppoll, fds, nr, ms < 0 ? NULL : &ts, NULL, 0);
}

struct pipes {
	struct bs_pool *pool;
	struct bs_op ops[PIPES];
	int in[PIPES], out[PIPES];
};

static void arm(struct pipes *p, unsigned int i, int fd)
{
	p->ops[i] = (struct bs_op){.fd = fd, .offset = UINT64_MAX};
	assert_int_equal(bs_read_managed_at(p->pool, &p->ops[i]), 0);
}

static void open_pipes(struct pipes *p)
{
	struct bs_pool_opts opts = {
		.size = sizeof(opts), .kind = BS_POOL_FALLBACK, .buffers = 2, .buf_bytes = 16};

	p->pool = bs_pool_open(NULL, &opts);
	assert_non_null(p->pool);
	for (unsigned int i = 0; i < PIPES; i++) {
		int fds[2];

		assert_int_equal(pipe(fds), 0);
		p->out[i] = fds[0];
		p->in[i] = fds[1];
		arm(p, i, fds[0]);
	}
	looks = 0;
}

static void close_pipes(struct pipes *p)
{
	assert_int_equal(bs_pool_close(p->pool), 0);
	for (unsigned int i = 0; i < PIPES; i++) {
		close(p->in[i]);
		close(p->out[i]);
	}
}

static void send_to(struct pipes *p, unsigned int i)
{
	assert_int_equal(write(p->in[i], &i, sizeof(i)), sizeof(i));
}

/* The next completion is this one's, with its data. */
static void expect_data(struct pipes *p, unsigned int i)
{
	struct io_uring_cqe cqe;
	struct bs_buf buf;

	assert_int_equal(bs_pool_next(p->pool, &cqe, 1000), 1);
	assert_ptr_equal(io_uring_cqe_get_data(&cqe), &p->ops[i]);
	assert_int_equal(bs_op_done(&p->ops[i], &cqe, &buf, 1), 1);
	assert_int_equal(buf.len, sizeof(i));
	assert_int_equal(*(unsigned int *)buf.addr, i);
	assert_int_equal(bs_pool_give(p->pool, &buf, 1), 0);
}

static void expect_end(struct pipes *p, unsigned int i, int res)
{
	struct io_uring_cqe cqe;

	assert_int_equal(bs_pool_next(p->pool, &cqe, 1000), 1);
	assert_ptr_equal(io_uring_cqe_get_data(&cqe), &p->ops[i]);
	assert_int_equal(bs_op_done(&p->ops[i], &cqe, NULL, 0), 0);
	assert_int_equal(p->ops[i].res, res);
	assert_false(p->ops[i].armed);
}

static void cancel_all(struct pipes *p, int nr)
{
	struct io_uring_cqe cqe;

	assert_int_equal(bs_pool_cancel(p->pool), nr);
	while (nr--) {
		assert_int_equal(bs_pool_next(p->pool, &cqe, 0), 1);
		assert_int_equal(cqe.res, -ECANCELED);
		assert_int_equal(bs_op_done(io_uring_cqe_get_data(&cqe), &cqe, NULL, 0), 0);
	}
}

static void all_of_one_look(void **state)
{
	struct pipes p;
	struct io_uring_cqe cqe;

	(void)state;
	open_pipes(&p);
	for (unsigned int i = 0; i < PIPES; i += 2)
		send_to(&p, i);
	for (unsigned int i = 0; i < PIPES; i += 2)
		expect_data(&p, i);
	assert_int_equal(looks, 1);
	assert_int_equal(bs_pool_next(p.pool, &cqe, 0), 0);
	assert_int_equal(looks, 2);
	cancel_all(&p, PIPES / 2);
	assert_int_equal(looks, 2); /* what ends needs none */
	close_pipes(&p);
}

/* What comes late waits for the next look: none is served twice before another one. */
static void each_in_its_turn(void **state)
{
	struct pipes p;

	(void)state;
	open_pipes(&p);
	for (unsigned int i = 3; i < 6; i++)
		send_to(&p, i);
	expect_data(&p, 3);
	arm(&p, 3, p.out[3]);
	send_to(&p, 3);
	send_to(&p, 0);
	expect_data(&p, 4);
	expect_data(&p, 5);
	expect_data(&p, 0);
	expect_data(&p, 3);
	assert_int_equal(looks, 2);
	cancel_all(&p, PIPES - 4);
	close_pipes(&p);
}

/* Of two that read the same pipe the second finds nothing any more, and must not wait for it. */
static void emptied(void **state)
{
	struct pipes p;
	struct io_uring_cqe cqe;

	(void)state;
	open_pipes(&p);
	cancel_all(&p, PIPES);
	arm(&p, 0, p.out[7]);
	arm(&p, 7, p.out[7]);
	assert_int_equal(write(p.in[7], &(unsigned int){0}, sizeof(int)), sizeof(int));
	expect_data(&p, 0);
	assert_int_equal(bs_pool_next(p.pool, &cqe, 0), 0);
	send_to(&p, 7);
	expect_data(&p, 7);
	close_pipes(&p);
}

/* Found ready, and ended before its turn; one without a descriptor ends before those that wait. */
static void ended(void **state)
{
	struct pipes p;

	(void)state;
	open_pipes(&p);
	for (unsigned int i = 0; i < 3; i++)
		send_to(&p, i);
	expect_data(&p, 0);
	assert_int_equal(bs_op_cancel(&p.ops[2]), 0);
	expect_end(&p, 2, -ECANCELED);
	expect_data(&p, 1);
	arm(&p, 0, -1);
	expect_end(&p, 0, -EBADF);
	arm(&p, 2, p.out[2]);
	expect_data(&p, 2); /* nothing was lost */
	cancel_all(&p, PIPES - 3);
	close_pipes(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_one_look),
		cmocka_unit_test(each_in_its_turn),
		cmocka_unit_test(emptied),
		cmocka_unit_test(ended),
	};

	return cmocka_run_group_tests_name("pool_fallback", tests, NULL, NULL);
}

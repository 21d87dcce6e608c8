// SPDX-License-Identifier: MIT
/*
 * Managed operations of several threads, each with its own ring, on one global pool: does each get
 * its own data, does none lose a buffer, and can one thread end what the others have in flight?
 * Built with -fsanitize=thread it is also the proof that no access races.
 */
#include "pool_rig.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#define THREADS 3
#define OPS     4u
#define BYTES   64u
#define ROUNDS  400u

struct worker {
	pthread_t thread;
	struct bs_pool *pool;
	pthread_barrier_t *armed;
	struct io_uring ring;
	struct bs_op ops[OPS];
	int in, out, file;
	unsigned char sign;
	uint64_t lent;
	uint64_t starved; /* operations that found no buffer */
	uint32_t canceled;
	const char *wrong;
};

static bool is_signed(const struct worker *w, const struct bs_buf *buf)
{
	const unsigned char *data = buf->addr;

	for (uint32_t i = 0; i < buf->len; i++) {
		if (data[i] != w->sign)
			return false;
	}
	return buf->len == BYTES;
}

/* Its completion is the next one of this ring. */
static void finish(struct worker *w)
{
	struct io_uring_cqe *cqe;
	struct bs_op *op;
	struct bs_buf buf;
	int nr;

	if (io_uring_submit_and_wait(&w->ring, 1) < 0 || io_uring_peek_cqe(&w->ring, &cqe)) {
		w->wrong = "no completion";
		return;
	}
	op = io_uring_cqe_get_data(cqe);
	nr = bs_op_done(op, cqe, &buf, 1);
	io_uring_cqe_seen(&w->ring, cqe);
	w->canceled += op->res == -ECANCELED;
	if (nr == 1 && !is_signed(w, &buf))
		w->wrong = "another's data";
	if (nr == 1) {
		w->lent++;
		if (bs_pool_give(w->pool, &buf, 1))
			w->wrong = "a buffer cannot be given";
	} else if (nr < 0 || op->res != -ECANCELED) {
		w->wrong = "no data";
	}
}

static void start(struct worker *w, unsigned int i, bool is_recv)
{
	struct bs_op *op = &w->ops[i];
	int err;

	*op = (struct bs_op){.ring = &w->ring, .fd = is_recv ? w->out : w->file, .len = BYTES};
	if (is_recv)
		op->flags = i % 2 ? BS_OP_MULTISHOT : 0;
	err = is_recv ? bs_recv_managed(w->pool, op) : bs_read_managed_at(w->pool, op);
	w->starved += err == -ENOBUFS;
	if (err && err != -ENOBUFS)
		w->wrong = "an operation is refused";
}

/* Reads of a file and receives, more at once than the pool has buffers for. */
static void do_round(struct worker *w)
{
	unsigned char data[BYTES];

	memset(data, w->sign, sizeof(data));
	for (unsigned int i = 0; i < OPS; i++)
		start(w, i, false);
	for (unsigned int i = 0; i < OPS; i++) {
		while (w->ops[i].armed && !w->wrong)
			finish(w);
	}
	start(w, 0, true);
	if (w->ops[0].armed && write(w->in, data, sizeof(data)) != sizeof(data))
		w->wrong = "not sent";
	while (w->ops[0].armed && !w->wrong)
		finish(w);
}

/* Nothing comes for these. */
static void wait_for_cancel(struct worker *w)
{
	for (unsigned int i = 0; i < OPS; i++) {
		do
			start(w, i, true);
		while (!w->ops[i].armed && !w->wrong);
	}
	if (io_uring_submit(&w->ring) < 0)
		w->wrong = "not submitted";
	pthread_barrier_wait(w->armed);
	for (unsigned int i = 0; i < OPS; i++) {
		while (w->ops[i].armed && !w->wrong)
			finish(w);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int rounds = rig_times(ROUNDS);

	for (unsigned int round = 0; round < rounds && !w->wrong; round++)
		do_round(w);
	wait_for_cancel(w);
	return NULL;
}

static void open_worker(struct worker *w, unsigned char sign)
{
	unsigned char data[BYTES];
	int fds[2];

	w->sign = sign;
	memset(data, sign, sizeof(data));
	assert_int_equal(io_uring_queue_init(16, &w->ring, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	w->in = fds[0];
	w->out = fds[1];
	w->file = (int)syscall(SYS_memfd_create, "threads", 0);
	assert_int_equal(write(w->file, data, sizeof(data)), sizeof(data));
}

static void close_worker(struct worker *w)
{
	io_uring_queue_exit(&w->ring);
	close(w->in);
	close(w->out);
	close(w->file);
}

/* The pool counted what the workers did, and has everything back. */
static void expect_account(const struct bs_pool *pool, const struct worker *workers)
{
	struct bs_pool_stats stats;
	uint64_t lent = 0, starved = 0;

	for (int i = 0; i < THREADS; i++) {
		lent += workers[i].lent;
		starved += workers[i].starved;
	}
	assert_int_equal(bs_pool_read_stats(pool, &stats), 0);
	assert_int_equal(stats.in_flight, 0);
	assert_int_equal(stats.in_use, 0);
	assert_int_equal(stats.selected, lent);
	assert_int_equal(stats.bytes, lent * BYTES);
	assert_int_equal(stats.starved, starved);
	assert_int_equal(stats.taken, lent + THREADS * OPS);
	assert_int_equal(stats.returned, stats.taken + stats.buffers);
	assert_int_equal(stats.refused, 1); /* closing */
}

static void test_threads(void **state)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = BS_POOL_GLOBAL,
				    .buffers = 2,
				    .max_buffers = THREADS * OPS,
				    .buf_bytes = BYTES};
	struct worker workers[THREADS] = {0};
	struct bs_pool *pool = bs_pool_open(NULL, &opts);
	pthread_barrier_t armed;

	(void)state;
	assert_non_null(pool);
	pthread_barrier_init(&armed, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++) {
		workers[i].pool = pool;
		workers[i].armed = &armed;
		open_worker(&workers[i], (unsigned char)('a' + i));
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	pthread_barrier_wait(&armed);
	assert_int_equal(bs_pool_close(pool), -EBUSY);
	assert_int_equal(bs_pool_cancel(pool), THREADS * OPS);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		if (workers[i].wrong)
			fail_msg("thread %d: %s", i, workers[i].wrong);
		assert_int_equal(workers[i].canceled, OPS);
		close_worker(&workers[i]);
	}
	expect_account(pool, workers);
	assert_int_equal(bs_pool_close(pool), 0);
	pthread_barrier_destroy(&armed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};

	if (!caps_can("io_uring")) {
		puts("ok 1 - pool_threads # SKIP no io_uring for this user\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

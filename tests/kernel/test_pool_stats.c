// SPDX-License-Identifier: MIT
/*
 * May any thread read the statistics at any time, while the owner works, closes and opens?
 * Built with -fsanitize=thread it is also the proof that no access races.
 */
#include "pool_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

struct reader {
	pthread_t thread;
	struct bs_pool *pool;
	atomic_bool stop;
	_Atomic uint64_t reads;
	_Atomic uint64_t closed;
	uint64_t last_taken;
	bool wrong; /* a figure that can never be */
};

/*
 * A reader leaves off after each look: where threads run one at a time, and a turn is given up at a
 * call of the kernel only, the worker would wait a whole turn of the reader at each of his.
 */
static bool is_stopped(struct reader *r)
{
	sched_yield();
	return atomic_load(&r->stop);
}

static void look(struct reader *r, const struct bs_pool_stats *stats)
{
	r->wrong |= stats->buffers != 64 || stats->entries != 64;
	r->wrong |= stats->in_use > 64 || stats->peak > 64;
	r->wrong |= stats->partial != 0 || stats->starved != 0;
	r->reads++;
}

static void *read_one_pool(void *arg)
{
	struct reader *r = arg;
	struct bs_pool_stats stats;

	while (!is_stopped(r)) {
		r->wrong |= bs_pool_read_stats(r->pool, &stats) != 0;
		look(r, &stats);
		r->wrong |= stats.taken < r->last_taken;
		r->last_taken = stats.taken;
	}
	return NULL;
}

/* The pool is closed and its header serves others: what is read is refused or of one of them. */
static void *read_changing_pool(void *arg)
{
	struct reader *r = arg;
	struct bs_pool_stats stats;
	int err;

	while (!is_stopped(r)) {
		err = bs_pool_read_stats(r->pool, &stats);
		r->wrong |= err && err != -EBADF;
		r->closed += err == -EBADF;
		if (!err)
			look(r, &stats);
		r->wrong |= bs_pool_give(r->pool, NULL, 0) >= 0;
		r->wrong |= bs_pool_close(r->pool) >= 0;
	}
	return NULL;
}

static void work(struct rig *rig, int selections)
{
	struct bs_buf bufs[16];
	int i;

	while (selections > 0) {
		for (i = 0; i < 16; i++) {
			rig_send(rig, 10);
			rig_recv(rig, 0);
			assert_int_equal(rig_take_next(rig, &bufs[i], 1), 1);
		}
		rig_give(rig, bufs, 16);
		selections -= 16;
	}
}

static void while_working(void **state)
{
	int taken = (int)rig_times(50000 / 16) * 16;
	struct reader r = {0};
	struct bs_pool_stats stats;
	struct rig rig;

	(void)state;
	rig_open(&rig, BS_POOL_RING, 64, 10);
	r.pool = rig.pool;
	assert_int_equal(pthread_create(&r.thread, NULL, read_one_pool, &r), 0);
	work(&rig, taken);
	while (atomic_load(&r.reads) <= 100) /* where threads run one at a time it had no turn */
		sched_yield();
	atomic_store(&r.stop, true);
	assert_int_equal(pthread_join(r.thread, NULL), 0);
	stats = rig_check(&rig);
	assert_false(r.wrong);
	assert_true(r.last_taken > 0 && r.last_taken <= stats.taken);
	assert_int_equal(stats.taken, taken);
	assert_int_equal(stats.peak, 16);
	assert_int_equal(stats.refused, 0);
	rig_close(&rig, 0);
}

static void while_closing(void **state)
{
	struct reader r = {0};
	struct rig rig;
	int i;

	(void)state;
	rig_open(&rig, BS_POOL_RING, 64, 10);
	r.pool = rig.pool;
	assert_int_equal(pthread_create(&r.thread, NULL, read_changing_pool, &r), 0);
	for (i = 0; i < (int)rig_times(3000) || !atomic_load(&r.closed); i++) {
		work(&rig, 16);
		assert_int_equal(bs_pool_close(rig.pool), 0);
		rig.pool = bs_pool_open(&rig.ring, &rig.opts);
		assert_non_null(rig.pool);
	}
	atomic_store(&r.stop, true);
	assert_int_equal(pthread_join(r.thread, NULL), 0);
	assert_false(r.wrong);
	rig_close(&rig, 0);
}

/* Every refusal of every thread is counted: none is lost. */
static void *be_refused(void *arg)
{
	int i;

	for (i = 0; i < 100000; i++)
		bs_pool_give(arg, NULL, 0);
	return NULL;
}

static void refusals(void **state)
{
	pthread_t threads[3];
	struct rig rig;
	int i;

	(void)state;
	rig_open(&rig, BS_POOL_RING, 64, 10);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, be_refused, rig.pool), 0);
	for (i = 0; i < 100000; i++)
		assert_int_equal(bs_pool_give(rig.pool, NULL, 1), -EINVAL);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(rig_check(&rig).refused, 400000);
	rig_close(&rig, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(while_working),
		cmocka_unit_test(while_closing),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests_name("pool_stats", tests, NULL, NULL);
}

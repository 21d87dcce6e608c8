// SPDX-License-Identifier: MIT
/*
 * May threads share a global pool: is no buffer lent to two of them, does none get lost, and is a
 * pool that one of them closes closed for all? Built with -fsanitize=thread it is also the proof
 * that no access races.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bufscope.h"
#include "pool_lock.h"

#define THREADS 4
#define BUFFERS 8
#define ROUNDS  40000

struct worker {
	pthread_t thread;
	struct bs_pool *pool;
	uint64_t lent;
	uint64_t starved;
	unsigned char sign;
	int wrong;
};

static struct bs_pool *open_global(uint32_t buffers, uint32_t max_buffers)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = BS_POOL_GLOBAL,
				    .buffers = buffers,
				    .buf_bytes = 64,
				    .max_buffers = max_buffers};
	struct bs_pool *pool = bs_pool_open(NULL, &opts);

	assert_non_null(pool);
	return pool;
}

/* Signs what it was lent and looks whether the signature lasts. */
static void *work(void *arg)
{
	struct worker *w = arg;
	struct bs_buf bufs[4];
	int round, nr, i;

	for (round = 0; round < ROUNDS; round++) {
		nr = bs_pool_acquire(w->pool, bufs, 1 + (unsigned int)round % 4);
		if (nr < 0) {
			w->wrong = nr;
			return NULL;
		}
		w->lent += (uint64_t)nr;
		w->starved += nr < 1 + round % 4;
		for (i = 0; i < nr; i++)
			memset(bufs[i].addr, w->sign, 64);
		for (i = 0; i < nr; i++) {
			const unsigned char *byte = bufs[i].addr;

			w->wrong |= byte[0] != w->sign || byte[63] != w->sign;
		}
		w->wrong |= bs_pool_give(w->pool, bufs, (unsigned int)nr) != 0;
	}
	return NULL;
}

static void share(uint32_t buffers, uint32_t max_buffers)
{
	struct worker workers[THREADS] = {0};
	struct bs_pool *pool = open_global(buffers, max_buffers);
	struct bs_pool_stats stats;
	uint64_t sum = 0, starved = 0;
	int i;

	for (i = 0; i < THREADS; i++) {
		workers[i].pool = pool;
		workers[i].sign = (unsigned char)('a' + i);
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		assert_int_equal(workers[i].wrong, 0);
		sum += workers[i].lent;
		starved += workers[i].starved;
	}
	assert_int_equal(bs_pool_read_stats(pool, &stats), 0);
	assert_int_equal(stats.taken, sum);
	assert_int_equal(stats.starved, starved);
	assert_int_equal(stats.in_use, 0);
	assert_int_equal(stats.returned, sum + stats.buffers);
	assert_int_equal(stats.refused, 0);
	assert_int_equal(bs_pool_available(pool), stats.buffers);
	assert_int_equal(bs_pool_close(pool), 0);
}

static void bounded(void **state)
{
	(void)state;
	share(BUFFERS, 0);
}

static void growing(void **state)
{
	(void)state;
	share(1, 2 * THREADS * 4);
}

struct closer {
	_Atomic(struct bs_pool *) pool;
	atomic_bool stop;
	atomic_int wrong;
};

/* Whatever it meets, it is a pool that lends, or one that says that it is closed. */
static void *use_what_closes(void *arg)
{
	struct closer *c = arg;
	struct bs_buf buf;

	while (!atomic_load(&c->stop)) {
		struct bs_pool *pool = atomic_load(&c->pool);
		int nr = bs_pool_acquire(pool, &buf, 1);

		if (nr == 1) {
			int err = bs_pool_give(buf.pool, &buf, 1);

			if (err && err != -EBADF)
				atomic_store(&c->wrong, 1);
		} else if (nr && nr != -EBADF) {
			atomic_store(&c->wrong, 1);
		}
	}
	return NULL;
}

static void closing(void **state)
{
	struct closer c = {.pool = open_global(BUFFERS, 0)};
	pthread_t threads[2];
	int i;

	(void)state;
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_what_closes, &c), 0);
	for (i = 0; i < 3000; i++) {
		struct bs_pool *old = atomic_exchange(&c.pool, open_global(BUFFERS, 0));

		assert_true(bs_pool_close(old) >= 0);
	}
	atomic_store(&c.stop, true);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(bs_pool_close(c.pool), 0);
}

struct late {
	struct bs_pool *pool;
	atomic_bool holds;
	atomic_bool may_give;
	int err;
};

/* Nothing but the pool itself orders what this thread does after what the other one did. */
static void *give_late(void *arg)
{
	struct late *late = arg;
	struct bs_buf buf;
	int nr = bs_pool_acquire(late->pool, &buf, 1);

	atomic_store_explicit(&late->holds, true, memory_order_relaxed);
	while (!atomic_load_explicit(&late->may_give, memory_order_relaxed))
		sched_yield();
	late->err = nr == 1 ? bs_pool_give(late->pool, &buf, 1) : nr;
	return NULL;
}

/* Opens and closes others until the header of this one, which is closed, serves again. */
static void open_again(const struct bs_pool *pool)
{
	struct bs_pool *next;
	int tries = 0;

	while ((next = open_global(BUFFERS, 0)) != pool && tries++ < 1000)
		assert_int_equal(bs_pool_close(next), 0);
	assert_ptr_equal(next, pool);
}

static void reopened(void **state)
{
	struct late late = {.pool = open_global(BUFFERS, 0)};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, give_late, &late), 0);
	while (!atomic_load_explicit(&late.holds, memory_order_relaxed))
		sched_yield();
	assert_int_equal(bs_pool_close(late.pool), 1);
	open_again(late.pool);
	atomic_store_explicit(&late.may_give, true, memory_order_relaxed);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(late.err, -EBADF);
	assert_int_equal(bs_pool_close(late.pool), 0);
}

static void forked(void **state)
{
	struct bs_pool *pool = open_global(BUFFERS, 0);
	struct bs_buf buf;
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(bs_pool_acquire(pool, &buf, 1) == -EPERM && bs_pool_close(pool) == -EPERM
			      ? 7
			      : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_int_equal(bs_pool_acquire(pool, &buf, 1), 1);
	assert_int_equal(bs_pool_close(pool), 1);
}

/* ---- the lock alone, held so long that others sleep */

struct sleeper {
	pthread_t thread;
	uint32_t *words; /* the lock, and who sleeps */
	uint64_t *sum;   /* under it */
};

#define TURNS 300

static void *sleep_for_lock(void *arg)
{
	const struct timespec moment = {0, 50000};
	const struct sleeper *s = arg;
	int turn;

	for (turn = 0; turn < TURNS; turn++) {
		pool_lock(&s->words[0], &s->words[1]);
		*s->sum += 1;
		if (turn % 8 == 0)
			nanosleep(&moment, NULL);
		*s->sum += 1;
		pool_unlock(&s->words[0], &s->words[1]);
	}
	return NULL;
}

/* A wake-up that is lost is a thread that sleeps for good. */
static void sleep_and_wake(void)
{
	struct sleeper sleepers[THREADS];
	uint32_t words[2] = {0};
	uint64_t sum = 0;
	int i;

	for (i = 0; i < THREADS; i++) {
		sleepers[i] = (struct sleeper){.words = words, .sum = &sum};
		assert_int_equal(
			pthread_create(&sleepers[i].thread, NULL, sleep_for_lock, &sleepers[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(sleepers[i].thread, NULL);
	assert_int_equal(sum, 2 * TURNS * THREADS);
	assert_int_equal(words[0], POOL_LOCK_FREE);
}

static void sleeping(void **state)
{
	(void)state;
	pool_lock_prepare();
	sleep_and_wake();
}

/* Where the kernel has no such barrier, or a filter refuses it. */
static void sleeping_without_barrier(void **state)
{
	(void)state;
	pool_lock_has_barrier = false;
	sleep_and_wake();
	pool_lock_prepare();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounded),
		cmocka_unit_test(growing),
		cmocka_unit_test(closing),
		cmocka_unit_test(reopened),
		cmocka_unit_test(forked),
		cmocka_unit_test(sleeping),
		cmocka_unit_test(sleeping_without_barrier),
	};

	return cmocka_run_group_tests_name("pool_shared", tests, NULL, NULL);
}

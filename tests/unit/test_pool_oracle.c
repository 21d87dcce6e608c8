// SPDX-License-Identifier: MIT
/*
 * Does a pool of which the program picks behave as the simplest description of one, over millions
 * of random steps? The oracle knows for each buffer only whether it is lent, and to whom.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bufscope.h"

#define MOST 64u
/* Fewer where each is slow, as under valgrind. */
static uint32_t nr_steps(void)
{
	const char *slow = getenv("SLOW");
	uint32_t by = slow ? (uint32_t)strtoul(slow, NULL, 10) : 1;

	return 500000u / (by ? by : 1);
}

struct oracle {
	struct bs_pool *pool;
	struct bs_pool_opts opts;
	uint64_t random;
	struct bs_buf lent[MOST]; /* by bid */
	struct bs_buf past[MOST]; /* by bid: the last lending that is over */
	bool is_lent[MOST];
	uint32_t mark[MOST]; /* what was written into the buffer */
	uint32_t nr;         /* lent */
	struct bs_pool_stats expected;
};

static uint32_t draw(struct oracle *o, uint32_t below)
{
	o->random = o->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(o->random >> 33) % below;
}

static uint32_t most(const struct oracle *o)
{
	return o->opts.max_buffers ? o->opts.max_buffers : o->opts.buffers;
}

static void lent(struct oracle *o, const struct bs_buf *buf)
{
	assert_in_range(buf->bid, 0, most(o) - 1);
	assert_false(o->is_lent[buf->bid]);
	assert_int_equal(buf->len, o->opts.buf_bytes);
	assert_int_equal((uintptr_t)buf->addr % 16, 0);
	o->is_lent[buf->bid] = true;
	o->lent[buf->bid] = *buf;
	o->mark[buf->bid] = draw(o, UINT32_MAX);
	memcpy(buf->addr, &o->mark[buf->bid], 4);
	memcpy((char *)buf->addr + buf->len - 4, &o->mark[buf->bid], 4);
	o->nr++;
	o->expected.taken++;
}

static void grown(struct oracle *o, uint32_t wanted)
{
	uint32_t *buffers = &o->expected.buffers, old = *buffers;

	while (o->opts.max_buffers && *buffers < o->nr + wanted && *buffers < o->opts.max_buffers) {
		*buffers = *buffers * 2 < o->opts.max_buffers ? *buffers * 2 : o->opts.max_buffers;
	}
	o->expected.allocated += *buffers - old;
	o->expected.returned += *buffers - old;
}

static void acquire(struct oracle *o)
{
	struct bs_buf bufs[8];
	uint32_t wanted = draw(o, 9), expected, i;
	int got;

	grown(o, wanted);
	expected = o->expected.buffers - o->nr < wanted ? o->expected.buffers - o->nr : wanted;
	got = bs_pool_acquire(o->pool, bufs, wanted);
	assert_int_equal(got, expected);
	o->expected.starved += expected < wanted;
	for (i = 0; i < expected; i++)
		lent(o, &bufs[i]);
	if (o->opts.kind == BS_POOL_HEAP)
		o->expected.allocated += expected;
}

static void acquire_bid(struct oracle *o)
{
	uint32_t bid = draw(o, MOST);
	struct bs_buf buf;
	int err = bs_pool_acquire_bid(o->pool, (uint16_t)bid, &buf);

	if (bid >= o->expected.buffers) {
		assert_int_equal(err, -ERANGE);
		o->expected.refused++;
	} else if (o->is_lent[bid]) {
		assert_int_equal(err, -EBUSY);
		o->expected.starved++;
	} else {
		assert_int_equal(err, 0);
		assert_int_equal(buf.bid, bid);
		lent(o, &buf);
		o->expected.allocated += o->opts.kind == BS_POOL_HEAP;
	}
}

static void over(struct oracle *o, uint32_t bid)
{
	o->is_lent[bid] = false;
	o->past[bid] = o->lent[bid];
	o->nr--;
	o->expected.returned++;
}

/* Some that are lent, in any order; now and then with one that may not be given. */
static void give(struct oracle *o)
{
	uint32_t first = draw(o, MOST), wanted = draw(o, 9), nr = 0, i;
	bool spoil = draw(o, 16) == 0;
	struct bs_buf bufs[9];
	int err;

	for (i = 0; i < MOST && nr < wanted; i++) {
		uint32_t bid = (first + i * 13) % MOST;

		if (o->is_lent[bid])
			bufs[nr++] = o->lent[bid];
	}
	for (i = 0; i < nr; i++) {
		assert_memory_equal(bufs[i].addr, &o->mark[bufs[i].bid], 4);
		assert_memory_equal((char *)bufs[i].addr + bufs[i].len - 4, &o->mark[bufs[i].bid],
				    4);
	}
	if (spoil && nr) {
		bufs[nr] = bufs[draw(o, nr)]; /* twice */
		err = bs_pool_give(o->pool, bufs, nr + 1);
		assert_int_equal(err, -EALREADY);
		o->expected.refused++;
		return;
	}
	assert_int_equal(bs_pool_give(o->pool, bufs, nr), 0);
	for (i = 0; i < nr; i++)
		over(o, bufs[i].bid);
}

/* A copy from an earlier lending, a forged one, one that is dropped. */
static void misuse(struct oracle *o)
{
	uint32_t bid = draw(o, MOST);
	struct bs_buf buf = o->past[bid];

	if (!buf.pool)
		return;
	switch (draw(o, 4)) {
	case 0:
		assert_int_equal(bs_pool_give(o->pool, &buf, 1), -EALREADY);
		break;
	case 1:
		buf.bid = UINT16_MAX;
		assert_int_equal(bs_pool_give(o->pool, &buf, 1), -ERANGE);
		break;
	case 2:
		buf.serial++;
		assert_int_equal(bs_pool_give(o->pool, &buf, 1), -EBADF);
		break;
	default:
		bs_buf_drop(&buf); /* is ignored */
		return;
	}
	o->expected.refused++;
}

static void drop(struct oracle *o)
{
	uint32_t bid = draw(o, MOST);
	struct bs_buf buf;

	if (!o->is_lent[bid])
		return;
	buf = o->lent[bid];
	bs_buf_drop(&buf);
	assert_null(buf.pool);
	over(o, bid);
}

static void *adopt_and_look(void *arg)
{
	struct oracle *o = arg;

	return bs_pool_adopt(o->pool) || bs_pool_available(o->pool) < 0 ||
			       bs_pool_adopt(o->pool) != -EPERM || bs_pool_hand_over(o->pool)
		       ? arg
		       : NULL;
}

/* To another thread and back; buffers that are out stay out. */
static void hand_over(struct oracle *o)
{
	pthread_t thread;
	void *failed;

	if (o->opts.kind == BS_POOL_GLOBAL) {
		assert_int_equal(bs_pool_hand_over(o->pool), -EOPNOTSUPP);
		assert_int_equal(bs_pool_adopt(o->pool), -EPERM);
		o->expected.refused += 2;
		return;
	}
	assert_int_equal(bs_pool_hand_over(o->pool), 0);
	assert_int_equal(bs_pool_available(o->pool), -EPERM);
	assert_int_equal(pthread_create(&thread, NULL, adopt_and_look, o), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(bs_pool_adopt(o->pool), 0);
	o->expected.refused += 2;
}

static void compare(struct oracle *o)
{
	struct bs_pool_stats stats;

	o->expected.in_use = o->nr;
	assert_int_equal(bs_pool_available(o->pool), o->expected.buffers - o->nr);
	assert_int_equal(bs_pool_read_stats(o->pool, &stats), 0);
	assert_true(stats.peak >= stats.in_use && stats.peak <= stats.buffers);
	o->expected.peak = stats.peak > o->expected.peak ? stats.peak : o->expected.peak;
	assert_memory_equal(&stats, &o->expected, sizeof(stats));
}

static void step(struct oracle *o)
{
	uint32_t dice = draw(o, 1000);

	if (dice < 380)
		acquire(o);
	else if (dice < 780)
		give(o);
	else if (dice < 880)
		acquire_bid(o);
	else if (dice < 940)
		misuse(o);
	else if (dice < 999)
		drop(o);
	else if (draw(o, 50) == 0)
		hand_over(o);
	compare(o);
}

static void walk(enum bs_pool_kind kind, uint32_t buffers, uint32_t max_buffers)
{
	struct oracle o = {.random = buffers + kind};
	uint32_t i, steps = nr_steps();

	o.opts = (struct bs_pool_opts){.size = sizeof(o.opts),
				       .kind = kind,
				       .buffers = buffers,
				       .buf_bytes = 200,
				       .max_buffers = max_buffers};
	o.pool = bs_pool_open(NULL, &o.opts);
	assert_non_null(o.pool);
	o.expected = (struct bs_pool_stats){.buffers = buffers,
					    .returned = buffers,
					    .allocated = kind == BS_POOL_HEAP ? 0 : buffers,
					    .kind = kind};
	for (i = 0; i < steps; i++)
		step(&o);
	assert_true(o.expected.starved && o.expected.refused);
	assert_int_equal(bs_pool_close(o.pool), o.nr);
	printf("# %u steps, %llu buffers lent, %llu starves, %llu refusals\n", steps,
	       (unsigned long long)o.expected.taken, (unsigned long long)o.expected.starved,
	       (unsigned long long)o.expected.refused);
}

static void heap(void **state)
{
	(void)state;
	walk(BS_POOL_HEAP, 40, 0);
}

static void local(void **state)
{
	(void)state;
	walk(BS_POOL_LOCAL, 40, 0);
}

static void global_bounded(void **state)
{
	(void)state;
	walk(BS_POOL_GLOBAL, 40, 0);
}

static void global_growing(void **state)
{
	(void)state;
	walk(BS_POOL_GLOBAL, 3, 41);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap),
		cmocka_unit_test(local),
		cmocka_unit_test(global_bounded),
		cmocka_unit_test(global_growing),
	};

	return cmocka_run_group_tests_name("pool_oracle", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Do kept buffers come back in order, whole, and after the time they were really kept? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "load_keep.h"

static void add(struct load_keep *keep, uint16_t bid, bool more)
{
	struct bs_buf *room = load_keep_reserve(keep, 1);

	assert_non_null(room);
	*room = (struct bs_buf){.bid = bid, .more = more};
	load_keep_add(keep, 1);
}

/* In and out at different paces, so that room is moved and grown: the order stays. */
static void test_order(void **state)
{
	struct load_keep keep = {0};
	uint16_t in = 0, out = 0;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		for (int i = 0; i < round % 37; i++)
			add(&keep, in++, false);
		for (int i = 0; i < round % 31 && out != in; i++) {
			assert_int_equal(load_keep_oldest(&keep)->bid, out++);
			load_keep_drop(&keep, 1, 1);
		}
		assert_int_equal(keep.whole, (uint16_t)(in - out));
	}
	load_keep_done(&keep);
}

static void test_pieces(void **state)
{
	struct load_keep keep = {0};

	(void)state;
	add(&keep, 1, true);
	add(&keep, 1, true);
	assert_int_equal(keep.whole, 0);
	add(&keep, 1, false);
	add(&keep, 2, false);
	add(&keep, 3, true);
	assert_int_equal(keep.whole, 2);
	assert_int_equal(load_keep_pieces(&keep, 0), 0);
	assert_int_equal(load_keep_pieces(&keep, 1), 3);
	assert_int_equal(load_keep_pieces(&keep, 2), 4);
	load_keep_drop(&keep, 3, 1);
	assert_int_equal(load_keep_oldest(&keep)->bid, 2);
	assert_int_equal(keep.whole, 1);
	load_keep_done(&keep);
}

static void test_times(void **state)
{
	struct load_keep keep = {0};
	struct load_hold_times times;
	uint64_t now;

	(void)state;
	assert_int_equal(load_keep_measure(&keep), 0);
	assert_int_equal(load_keep_times(&keep).max, 0);
	for (uint16_t i = 0; i < 100; i++)
		add(&keep, i, false);
	/* Kept for 1 ms, 2 ms, ... 100 ms, and the few microseconds until the drop. */
	now = clock_ns(CLOCK_MONOTONIC);
	for (size_t i = 0; i < 100; i++)
		keep.since_ns[i] = now - (i + 1) * 1000000;
	load_keep_drop(&keep, 100, 100);
	times = load_keep_times(&keep);
	assert_in_range(times.p50, 50000000, 50000000 / 128 * 129 + 1000000);
	assert_in_range(times.p90, 90000000, 90000000 / 128 * 129 + 1000000);
	assert_in_range(times.p99, 99000000, 99000000 / 128 * 129 + 1000000);
	assert_in_range(times.max, 100000000, 101000000);
	load_keep_done(&keep);
}

/* From nothing to the longest span that 64 bits hold. */
static void test_extreme_times(void **state)
{
	static const uint64_t spans[] = {0, 127, 128, 256, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		struct load_keep keep = {0};
		uint64_t before, least;

		assert_int_equal(load_keep_measure(&keep), 0);
		add(&keep, 0, false);
		before = clock_ns(CLOCK_MONOTONIC);
		keep.since_ns[0] = before - spans[i] + (spans[i] == UINT64_MAX ? 1000000000 : 0);
		least = before - keep.since_ns[0];
		load_keep_drop(&keep, 1, 1);
		assert_true(load_keep_times(&keep).max >= least);
		assert_true(load_keep_times(&keep).p50 >= least);
		assert_true(load_keep_times(&keep).p50 <= load_keep_times(&keep).max);
		load_keep_done(&keep);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_extreme_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

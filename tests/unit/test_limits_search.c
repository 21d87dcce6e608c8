// SPDX-License-Identifier: MIT
/* Does the search find the edge of any monotone answer, and the median the middle? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "limits_measure.h"
#include "limits_search.h"

/* A kernel of the test's own: accepts up to `most`, else answers err. */
struct kernel {
	uint64_t most;
	int err;
	int transient; /* so many refusals too many, at the edge itself */
	unsigned int asked;
};

static int ask(void *ctx, uint64_t value)
{
	struct kernel *k = ctx;

	k->asked++;
	if (value <= k->most && value * 2 > k->most && k->transient > 0) {
		k->transient--;
		return k->err;
	}
	return value <= k->most ? 0 : k->err;
}

static struct limits_edge find(struct kernel *k, uint64_t first, uint64_t last, bool top_first)
{
	const struct limits_search search = {
		.try_value = ask,
		.ctx = k,
		.first = first,
		.last = last,
		.top_first = top_first,
	};

	return limits_search(&search);
}

static void test_every_edge(void **state)
{
	(void)state;
	for (uint64_t most = 1; most < 70; most++) {
		for (int top = 0; top < 2; top++) {
			struct kernel k = {.most = most, .err = -EINVAL};
			struct limits_edge edge = find(&k, 1, 64, top);

			assert_true(edge.any);
			assert_int_equal(edge.value, most < 64 ? most : 64);
			assert_int_equal(edge.err, most < 64 ? -EINVAL : 0);
		}
	}
}

/* A guess may cost a trial, never the answer; a right one leaves little to ask. */
static void test_any_guess(void **state)
{
	(void)state;
	for (uint64_t most = 1; most < 70; most++) {
		for (uint64_t guess = 1; guess < 80; guess++) {
			struct kernel k = {.most = most, .err = -EINVAL};
			const struct limits_search search = {
				.try_value = ask,
				.ctx = &k,
				.first = 1,
				.last = 64,
				.guess = guess,
			};
			struct limits_edge edge = limits_search(&search);

			assert_true(edge.any);
			assert_int_equal(edge.value, most < 64 ? most : 64);
			assert_int_equal(edge.err, most < 64 ? -EINVAL : 0);
			if (guess <= 64 && (guess == most || guess + 1 == most))
				assert_true(k.asked <= 3);
		}
	}
}

/* Where nothing can be given back, the first refusal is the last word. */
static void test_steady(void **state)
{
	struct kernel k = {.most = 100, .err = -ENOMEM};
	struct limits_search search = {
		.try_value = ask,
		.ctx = &k,
		.first = 1,
		.last = 1000,
		.guess = 100,
	};
	struct limits_edge edge = limits_search(&search);
	unsigned int asked = k.asked;

	(void)state;
	search.steady = true;
	k.asked = 0;
	assert_int_equal(edge.value, 100);
	edge = limits_search(&search);
	assert_int_equal(edge.value, 100);
	assert_int_equal(edge.err, -ENOMEM);
	assert_int_equal(k.asked, 2);
	assert_true(asked > 2);
}

static void test_nothing_accepted(void **state)
{
	struct kernel k = {.most = 0, .err = -EOPNOTSUPP};
	struct limits_edge edge = find(&k, 1, 1000, false);

	(void)state;
	assert_false(edge.any);
	assert_int_equal(edge.err, -EOPNOTSUPP);
	assert_int_equal(k.asked, 1);
}

static void test_from_zero_to_the_widest(void **state)
{
	struct kernel k = {.most = UINT64_MAX, .err = -EINVAL};
	struct limits_edge edge = find(&k, 0, UINT64_MAX - 1, false);

	(void)state;
	assert_int_equal(edge.value, UINT64_MAX - 1);
	assert_int_equal(edge.err, 0);
	k.most = 0;
	edge = find(&k, 0, UINT64_MAX - 1, false);
	assert_true(edge.any);
	assert_int_equal(edge.value, 0);
	assert_int_equal(edge.err, -EINVAL);
}

static void test_powers_only(void **state)
{
	struct kernel k = {.most = 40000, .err = -EINVAL};
	const struct limits_search search = {
		.try_value = ask,
		.ctx = &k,
		.first = 1,
		.last = 1ULL << 31,
		.powers = true,
	};
	struct limits_edge edge = limits_search(&search);

	(void)state;
	assert_int_equal(edge.value, 32768);
	assert_int_equal(edge.err, -EINVAL);
	assert_int_equal(k.asked, 17);
}

/* Memory that an earlier probe has not given back yet must not lower the answer. */
static void test_waits_for_memory(void **state)
{
	struct kernel k = {.most = 100, .err = -ENOMEM, .transient = 1};
	struct limits_edge edge = find(&k, 1, 1000, false);

	(void)state;
	assert_int_equal(edge.value, 100);
	assert_int_equal(edge.err, -ENOMEM);
}

static void test_blame(void **state)
{
	static const struct {
		int err;
		enum limits_bound bound;
	} cases[] = {
		{0, LIMITS_BY_ABI},          {-EINVAL, LIMITS_BY_KERNEL},
		{-EMFILE, LIMITS_BY_NOFILE}, {-EPERM, LIMITS_BY_PRIVILEGE},
		{-ENOMEM, LIMITS_BY_MEMORY}, /* lowering the memlock limit changes nothing here */
	};
	struct kernel k = {.most = 5, .err = -ENOMEM};
	const struct limits_search search = {
		.try_value = ask,
		.ctx = &k,
		.last_by = LIMITS_BY_ABI,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct limits_edge edge = {.any = true, .value = 5, .err = cases[i].err};

		assert_int_equal(limits_blame(&search, &edge), cases[i].bound);
	}
}

static void test_median(void **state)
{
	uint64_t odd[] = {9, 1, 5}, one[] = {7}, even[] = {4, UINT64_MAX, 1, 2};

	(void)state;
	assert_int_equal(limits_median(odd, 3), 5);
	assert_int_equal(limits_median(one, 1), 7);
	assert_int_equal(limits_median(even, 4), 4);
}

/* A verdict takes all of the middle half on one side; a stray value outside it takes no part. */
static void test_spread(void **state)
{
	uint64_t values[] = {900, 5, 7, 6, 8, 9, 10, 4, 1};
	struct limits_spread spread = limits_spread(values, 9);

	(void)state;
	assert_int_equal(spread.low, 5);
	assert_int_equal(spread.middle, 7);
	assert_int_equal(spread.high, 9);
	assert_int_equal(limits_spread_in(&spread, 5, 9), LIMITS_HOLDS);
	assert_int_equal(limits_spread_in(&spread, 0, 8), LIMITS_CANNOT_TELL);
	assert_int_equal(limits_spread_in(&spread, 6, 100), LIMITS_CANNOT_TELL);
	assert_int_equal(limits_spread_in(&spread, 6, 8), LIMITS_CANNOT_TELL);
	assert_int_equal(limits_spread_in(&spread, 0, 4), LIMITS_HOLDS_NOT);
	assert_int_equal(limits_spread_in(&spread, 10, 11), LIMITS_HOLDS_NOT);
	spread = limits_spread(values, 1);
	assert_int_equal(spread.low, spread.high);
}

static int count_up(void *ctx, uint64_t at)
{
	++*(unsigned int *)ctx;
	return at > 100 ? -ENOBUFS : 0;
}

static int count_down(void *ctx)
{
	--*(unsigned int *)ctx;
	return 0;
}

static void test_curve(void **state)
{
	unsigned int up = 0;
	const struct limits_trial trial = {
		.put_up = count_up,
		.take_down = count_down,
		.ctx = &up,
		.first = 1,
		.last = 1000,
	};
	struct limits_answer answer = {0};

	(void)state;
	limits_measure_curve(&trial, LIMITS_DEFAULT, &answer);
	assert_int_equal(up, 1); /* only the refused one was not taken down */
	assert_int_equal(answer.nr_points, 7);
	assert_int_equal(answer.points[6].at, 64);
	assert_int_equal(answer.errno_past, ENOBUFS);
	assert_int_equal(answer.how, LIMITS_MEASURED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_edge),
		cmocka_unit_test(test_any_guess),
		cmocka_unit_test(test_steady),
		cmocka_unit_test(test_nothing_accepted),
		cmocka_unit_test(test_from_zero_to_the_widest),
		cmocka_unit_test(test_powers_only),
		cmocka_unit_test(test_waits_for_memory),
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_median),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_curve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

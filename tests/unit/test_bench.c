// SPDX-License-Identifier: MIT
/* What does `bench claims` make of the figures it has? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench.h"

/* That something is faster by more than was claimed does not refute it. */
static void factors(void **state)
{
	static const struct {
		struct bench_spread factor;
		enum bench_verdict verdict;
	} cases[] = {
		{{2.1, 3, 4.9}, BENCH_HOLDS},   {{2, 3, 5}, BENCH_HOLDS},
		{{24, 26, 28}, BENCH_MORE},     {{1.1, 1.2, 1.3}, BENCH_HOLDS_NOT},
		{{4, 5, 6}, BENCH_CANNOT_TELL}, {{1.5, 2, 2.5}, BENCH_CANNOT_TELL},
		{{1, 3, 9}, BENCH_CANNOT_TELL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(bench_verdict_between(&cases[i].factor, 2, 5), cases[i].verdict);
}

static void which_is_above(void **state)
{
	const struct bench_spread low = {10, 11, 12}, high = {13, 14, 15}, between = {11, 12, 14};

	(void)state;
	assert_int_equal(bench_verdict_above(&high, &low), BENCH_HOLDS);
	assert_int_equal(bench_verdict_above(&low, &high), BENCH_HOLDS_NOT);
	assert_int_equal(bench_verdict_above(&between, &low), BENCH_CANNOT_TELL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(factors),
		cmocka_unit_test(which_is_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

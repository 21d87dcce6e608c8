// SPDX-License-Identifier: MIT
/* Is a plan read as it was meant, and said again in the same words? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "limits_plan.h"

static void test_good_plans(void **state)
{
	static const struct {
		const char *text, *again;
	} cases[] = {
		{"rings=8,entries=4096,bufs=16384x64K",
		 "rings=8,sq=64,groups=1,entries=4096,kind=ring,bufs=16384x64K"},
		{"", "rings=1,sq=64"},
		{"sq=1", "rings=1,sq=1"},
		{"entries=1,kind=mmap,groups=65536",
		 "rings=1,sq=64,groups=65536,entries=1,kind=mmap"},
		{"kind=inc,entries=2", "rings=1,sq=64,groups=1,entries=2,kind=inc"},
		{"bufs=3x100", "rings=1,sq=64,bufs=3x100"},
		{"bufs=0x4K", "rings=1,sq=64"},
		{"bufs=1x1G,rings=2", "rings=2,sq=64,bufs=1x1048576K"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct limits_plan plan, twice;
		const char *bad;
		char text[160];

		assert_int_equal(limits_plan_parse(cases[i].text, &plan, &bad), 0);
		assert_string_equal(limits_plan_format(&plan, text, sizeof(text)), cases[i].again);
		assert_int_equal(limits_plan_parse(text, &twice, &bad), 0);
		limits_plan_format(&twice, text, sizeof(text));
		assert_string_equal(text, cases[i].again);
	}
}

static void test_bad_plans(void **state)
{
	static const struct {
		const char *text, *bad;
	} cases[] = {
		{"rings", "rings"},
		{"rings=", "rings="},
		{"rings=0", "rings=0"},
		{"rings=-1", "rings=-1"},
		{"rings=1,,sq=2", ",sq=2"},
		{"sq=2,nonsense=3", "nonsense=3"},
		{"entries=4294967296", "entries=4294967296"},
		{"groups=65537", "groups=65537"},
		{"kind=legacy", "kind=legacy"},
		{"bufs=16384", "bufs=16384"},
		{"bufs=16384x", "bufs=16384x"},
		{"bufs=x64K", "bufs=x64K"},
		{"bufs=1x0", "bufs=1x0"},
		{"bufs=1x1Kx2", "bufs=1x1Kx2"},
		{"rings=00000000000000000000000000000000000000000000000000000000000000001",
		 "rings=00000000000000000000000000000000000000000000000000000000000000001"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct limits_plan plan;
		const char *bad = NULL;

		assert_true(limits_plan_parse(cases[i].text, &plan, &bad) < 0);
		assert_string_equal(bad, cases[i].bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_plans),
		cmocka_unit_test(test_bad_plans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

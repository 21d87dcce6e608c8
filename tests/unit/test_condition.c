// SPDX-License-Identifier: MIT
/* From a series of levels: is the state what a person would say, and does it not flicker? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "condition.h"

#define SECOND      UINT64_C(1000000000)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define MOST        12

/* One group of 100 slots over some looks, a second apart. */
struct series {
	const char *name;
	size_t nr;
	uint32_t available[MOST];
	uint32_t held; /* the same at each look */
	enum condition want;
	uint64_t empty_in_s; /* COUNT_UNKNOWN: not draining */
	uint64_t starved[MOST];
	uint64_t stuck;
	uint64_t empty_ms[MOST];
};

#define NOT COUNT_UNKNOWN
#define U   REC_UNKNOWN_U32

static const struct series cases[] = {
	{"at first sight", 1, {90}, 10, CONDITION_IDLE, NOT, {0}, 0},
	{"nothing moves", 8, {90, 90, 90, 90, 90, 90, 90, 90}, 10, CONDITION_IDLE, NOT, {0}, 0},
	{"moves", 3, {90, 80, 85}, U, CONDITION_CALM, NOT, {0}, 0},
	{"moved a moment ago", 6, {90, 80, 80, 80, 80, 80}, U, CONDITION_CALM, NOT, {0}, 0},
	{"moved long ago", 8, {90, 80, 80, 80, 80, 80, 80, 80}, U, CONDITION_IDLE, NOT, {0}, 0},
	{"low", 2, {90, 9}, U, CONDITION_TIGHT, NOT, {0}, 0},
	{"low, but that is all it has", 2, {4, 5}, 0, CONDITION_CALM, NOT, {0}, 0},
	{"little of what it has", 2, {9, 5}, 46, CONDITION_TIGHT, NOT, {0}, 0},
	{"was empty", 5, {90, 0, 90, 91, 92}, U, CONDITION_TIGHT, NOT, {0}, 0},
	{"was empty long ago", 7, {90, 0, 90, 91, 92, 93, 94}, U, CONDITION_CALM, NOT, {0}, 0},
	{"was empty between looks", 3, {90, 90, 90}, U, CONDITION_TIGHT, NOT, {0}, 0, {4, 4, 5}},
	{"was empty before the first look", 2, {90, 80}, U, CONDITION_CALM, NOT, {0}, 0, {4, 4}},
	{"never filled", 2, {0, 0}, 0, CONDITION_IDLE, NOT, {0}, 0},
	{"level unknown", 2, {U, U}, U, CONDITION_IDLE, NOT, {0}, 0},
	{"drains", 5, {90, 80, 70, 60, 50}, U, CONDITION_TIGHT, 5, {0}, 0},
	{"drains slowly", 5, {90, 89, 88, 87, 86}, U, CONDITION_CALM, 86, {0}, 0},
	{"drains in steps", 5, {90, 90, 70, 70, 50}, U, CONDITION_TIGHT, 5, {0}, 0},
	{"swings", 5, {90, 70, 80, 60, 50}, U, CONDITION_CALM, NOT, {0}, 0},
	{"no trend yet", 4, {90, 80, 70, 60}, U, CONDITION_CALM, NOT, {0}, 0},
	{"stuck", 2, {90, 90}, 10, CONDITION_LEAKING, NOT, {0}, 3},
	{"starves", 3, {90, 90, 90}, 10, CONDITION_STARVING, NOT, {0, 0, 1}, 0},
	{"starved lately",
	 6,
	 {90, 91, 90, 91, 90, 91},
	 U,
	 CONDITION_STARVING,
	 NOT,
	 {0, 2, 2, 2, 2, 2},
	 0},
	{"starved long ago",
	 7,
	 {90, 91, 90, 91, 90, 91, 90},
	 U,
	 CONDITION_CALM,
	 NOT,
	 {0, 2, 2, 2, 2, 2, 2},
	 0},
	{"starving is worse than leaking", 2, {90, 90}, 10, CONDITION_STARVING, NOT, {0, 1}, 3},
};

static void check_case(const struct series *c)
{
	struct model *model = model_new();
	const struct model_group *group;
	struct value empty_in;

	for (size_t i = 0; i < c->nr; i++) {
		struct ring_rec ring = {.ring_id = 1, .tgid = 1};
		struct group_rec rec = {.ring_id = 1,
					.entries = 100,
					.tail = 7,
					.head = 7,
					.available = c->available[i],
					.held = c->held};
		struct group_counts counts;
		struct sample sample = {.at_ns = (i + 1) * SECOND,
					.rings = &ring,
					.nr_rings = 1,
					.groups = &rec,
					.nr_groups = 1,
					.counts = &counts};

		memset(&counts, 0xff, sizeof(counts));
		counts.wraps = 0;
		counts.total[COUNT_STARVED] = c->starved[i];
		counts.total[COUNT_EMPTY_NS] = c->empty_ms[i] * 1000000;
		counts.gauge[GAUGE_STUCK] = c->stuck;
		assert_int_equal(model_update(model, &sample), 0);
	}
	group = model_find(model, 1, 0);
	if (group->condition != c->want)
		fail_msg("%s: %s", c->name, condition_name(group->condition));
	empty_in = model_empty_in(group);
	if (c->empty_in_s == NOT)
		assert_int_equal(empty_in.state, VALUE_UNKNOWN);
	else
		assert_int_equal((uint64_t)(empty_in.v / 1e9 + 0.5), c->empty_in_s);
	model_free(model);
}

static void test_series(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		check_case(&cases[i]);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(condition_name(CONDITION_IDLE), "idle");
	assert_string_equal(condition_name(CONDITION_STARVING), "starving");
	for (int c = CONDITION_IDLE; c < CONDITION_STARVING; c++)
		assert_int_not_equal(condition_letter((enum condition)c),
				     condition_letter((enum condition)(c + 1)));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_series),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

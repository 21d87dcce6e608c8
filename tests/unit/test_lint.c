// SPDX-License-Identifier: MIT
/* What lies in a ring, from literal slots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lint.h"

#define SLOT(a, l, b)                                                                              \
	{                                                                                          \
		.addr = (a), .len = (l), .bid = (b)                                                \
	}

struct slots_case {
	const char *name;
	struct ring_slot slots[4];
	uint16_t head, tail;
	int kind; /* of enum lint_kind; -1: nothing */
};

static void slots(void **state)
{
	static const struct lint_range ranges[] = {{0x1000, 0x9000}};
	static const struct slots_case cases[] = {
		{"sane", {SLOT(0x1000, 256, 0), SLOT(0x1100, 256, 1)}, 0, 2, -1},
		{"zero", {SLOT(0x1000, 256, 0), SLOT(0, 0, 0)}, 0, 2, LINT_ZERO_LENGTH},
		{"zero behind", {SLOT(0x1000, 256, 0), SLOT(0, 0, 0)}, 0, 1, -1},
		{"nowhere", {SLOT(0x8f01, 256, 0)}, 0, 1, LINT_BAD_ADDRESS},
		{"wraps", {SLOT(UINT64_MAX, 256, 0)}, 0, 1, LINT_BAD_ADDRESS},
		{"twice", {SLOT(0x1000, 256, 3), SLOT(0x1100, 256, 3)}, 0, 2, LINT_DUPLICATE},
		{"shared", {SLOT(0x1000, 256, 0), SLOT(0x1080, 256, 1)}, 0, 2, LINT_SHARED},
		{"over", {SLOT(0x2010, 256, 0)}, 0, 1, LINT_OVER_RING},
		{"full", {SLOT(0x1000, 256, 0)}, 0, 6, LINT_OVERFILLED},
		{"left behind", {SLOT(0x1000, 256, 0)}, 0, 0, -1},
		{"used up", {SLOT(0x1000, 256, 0)}, 4, 4, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct lint_view view = {.slots = cases[i].slots,
					       .entries = 4,
					       .head = cases[i].head,
					       .tail = cases[i].tail,
					       .ring_addr = 0x2000,
					       .ranges = ranges,
					       .nr_ranges = 1};
		struct lint lint = {0};

		lint_look(&lint, &view);
		lint_look(&lint, &view);
		for (int kind = 0; kind < LINT_KINDS; kind++) {
			if (lint_is_sure(&lint, kind) != (kind == cases[i].kind))
				fail_msg("%s: kind %d", cases[i].name, kind);
		}
		lint_done(&lint);
	}
}

static bool is_unpublished(const struct lint *lint)
{
	return lint_is_sure(lint, LINT_UNPUBLISHED);
}

/* What an earlier ring left in the memory is no entry of this one; what is written since is. */
static void behind_the_tail(void **state)
{
	static const struct lint_range ranges[] = {{0x1000, 0x9000}};
	struct ring_slot at[4] = {SLOT(0x1000, 256, 0), SLOT(0x1100, 256, 1)};
	struct lint_view view = {.slots = at, .entries = 4, .ranges = ranges, .nr_ranges = 1};
	struct lint lint = {0};

	(void)state;
	for (int i = 0; i < 9; i++)
		lint_look(&lint, &view);
	assert_false(is_unpublished(&lint));
	assert_int_equal(lint.lying, 2);
	at[2] = (struct ring_slot)SLOT(0x1200, 256, 2);
	lint_look(&lint, &view);
	assert_false(is_unpublished(&lint));
	lint_look(&lint, &view);
	assert_true(is_unpublished(&lint));
	lint_done(&lint);
	/* filled at last, long after the first looks */
	for (int i = 0; i < 3; i++)
		lint_look(&lint, &view);
	at[0].bid = 3;
	view.tail = 1;
	for (int i = 0; i < 3; i++)
		lint_look(&lint, &view);
	view.head = 1;
	for (int i = 0; i < 3; i++)
		lint_look(&lint, &view);
	assert_false(is_unpublished(&lint));
	lint_done(&lint);
	/* in memory that was blank all of it is the program's */
	view.head = view.tail = 0;
	view.is_blank = true;
	for (int i = 0; i < 2; i++)
		lint_look(&lint, &view);
	assert_true(is_unpublished(&lint));
	lint_done(&lint);
}

static void shrunk(void **state)
{
	struct ring_slot slot[1] = {SLOT(0x1000, 256, 0)};
	struct lint_view view = {.slots = slot, .entries = 1, .tail = 1};
	struct lint lint = {0};

	(void)state;
	lint_look(&lint, &view);
	slot[0].len = 64;
	lint_look(&lint, &view);
	assert_true(lint_is_sure(&lint, LINT_SHRUNK));
	assert_int_equal(lint.found[LINT_SHRUNK].other, 256);
	lint_done(&lint);
}

static void queues(void **state)
{
	const struct lint_range queue[] = {{0x1000, 0x2000}, {0x8000, 0x9000}};
	struct ring_slot at[4] = {{0x7f00, 256, 0, 0}};
	struct lint_view view = {.slots = at, .entries = 4, .tail = 1, .ring_addr = 0x20000};
	struct lint lint = {0};

	(void)state;
	view.queues = queue;
	view.nr_queues = 2;
	for (int i = 0; i < 2; i++)
		lint_look(&lint, &view);
	assert_false(lint_is_sure(&lint, LINT_OVER_QUEUE));
	at[0].addr++;
	lint_look(&lint, &view);
	assert_false(lint_is_sure(&lint, LINT_OVER_QUEUE));
	lint_look(&lint, &view);
	assert_true(lint_is_sure(&lint, LINT_OVER_QUEUE));
	lint_done(&lint);
	view.ring_addr = 0x1fc0;
	at[0].addr = 0x9000;
	for (int i = 0; i < 2; i++)
		lint_look(&lint, &view);
	assert_true(lint_is_sure(&lint, LINT_OVER_QUEUE));
	assert_int_equal(lint.found[LINT_OVER_QUEUE].other, LINT_RING_ITSELF);
	lint_done(&lint);
}

/* It takes a program a moment to map what it has registered. */
static void nowhere(void **state)
{
	struct ring_slot slot[4] = {0};
	struct lint_view view = {.slots = slot, .entries = 4, .is_nowhere = true};
	struct lint lint = {0};

	(void)state;
	for (int i = 0; i < 4; i++)
		lint_look(&lint, &view);
	view.is_nowhere = false;
	lint_look(&lint, &view);
	assert_false(lint_is_sure(&lint, LINT_NOWHERE));
	view.is_nowhere = true;
	for (int i = 0; i < 4; i++)
		lint_look(&lint, &view);
	assert_false(lint_is_sure(&lint, LINT_NOWHERE));
	lint_look(&lint, &view);
	assert_true(lint_is_sure(&lint, LINT_NOWHERE));
	lint_done(&lint);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots),   cmocka_unit_test(behind_the_tail),
		cmocka_unit_test(shrunk),  cmocka_unit_test(queues),
		cmocka_unit_test(nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

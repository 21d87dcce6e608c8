// SPDX-License-Identifier: MIT
/* On a screen of any size: does nothing overlap, nothing stick out, and as much fit as can? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tui_layout.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static void paint(unsigned char *screen, int rows, int cols, struct rect rect)
{
	if (rect.rows == 0 || rect.cols == 0)
		return;
	assert_true(rect.y >= 0 && rect.x >= 0 && rect.rows > 0 && rect.cols > 0);
	assert_true(rect.y + rect.rows <= rows && rect.x + rect.cols <= cols);
	for (int y = rect.y; y < rect.y + rect.rows; y++)
		for (int x = rect.x; x < rect.x + rect.cols; x++)
			assert_int_equal(screen[y * cols + x]++, 0);
}

static void test_every_size(void **state)
{
	static unsigned char screen[100 * 300];

	(void)state;
	for (int rows = 1; rows <= 100; rows++) {
		for (int cols = 1; cols <= 300; cols++) {
			struct layout layout = layout_of(rows, cols, rows * cols % 9);

			memset(screen, 0, sizeof(screen));
			paint(screen, rows, cols, layout.title);
			paint(screen, rows, cols, layout.info);
			paint(screen, rows, cols, layout.header);
			paint(screen, rows, cols, layout.body);
			paint(screen, rows, cols, layout.footer);
			assert_int_equal(layout.title.rows, 1);
			assert_int_equal(layout.is_too_small, rows < 10 || cols < 40);
			if (layout.is_too_small)
				continue;
			assert_null(memchr(screen, 0, (size_t)(rows * cols)));
			assert_true(layout.body.rows >= LAYOUT_BODY);
		}
	}
	assert_true(layout_of(0, 0, 1).is_too_small);
	assert_int_equal(layout_of(0, 0, 1).title.rows, 0);
}

static const struct layout_want columns[] = {
	{1, 1, 0}, {9, 13, 1}, {8, 15, 5}, {5, 5, 0}, {6, 30, 2}, {11, 11, 0}, {7, 7, 4},
};

static void test_columns_at_every_width(void **state)
{
	int before = 0;

	(void)state;
	for (int cols = 1; cols <= 300; cols++) {
		int widths[ROWS(columns)], used = 0, shown = 0, best_dropped = 99, worst_shown = -1;

		layout_share(cols, columns, ROWS(columns), widths);
		for (size_t i = 0; i < ROWS(columns); i++) {
			int priority = columns[i].priority;

			if (widths[i] == 0) {
				best_dropped = priority < best_dropped ? priority : best_dropped;
				continue;
			}
			used += widths[i] + (shown > 0 ? LAYOUT_GAP : 0);
			shown++;
			worst_shown = priority > worst_shown ? priority : worst_shown;
			assert_true(widths[i] >= columns[i].min && widths[i] <= columns[i].max);
		}
		assert_true(used <= cols);
		assert_true(shown >= before);
		assert_true(worst_shown <= best_dropped);
		before = shown;
	}
	assert_int_equal(before, ROWS(columns));
}

static void test_scroll(void **state)
{
	static const struct {
		size_t top, cursor, nr, rows, want;
	} cases[] = {
		{0, 0, 0, 10, 0},   {0, 5, 20, 10, 0},  {0, 10, 20, 10, 1},   {5, 3, 20, 10, 3},
		{5, 14, 20, 10, 5}, {5, 15, 20, 10, 6}, {15, 19, 20, 10, 10}, {15, 4, 5, 10, 0},
		{3, 7, 20, 1, 7},   {3, 7, 20, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		assert_int_equal(layout_scroll(cases[i].top, cases[i].cursor, cases[i].nr,
					       cases[i].rows),
				 cases[i].want);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_columns_at_every_width),
		cmocka_unit_test(test_scroll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

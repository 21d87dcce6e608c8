// SPDX-License-Identifier: MIT
/* Are columns, filters and rows what the user asked for, and is what is unknown never a match? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tui_columns.h"
#include "tui_filter.h"
#include "tui_rows.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct model *model;

/* Two processes, three rings, five groups; the second look makes rates. */
static int setup(void **state)
{
	struct ring_rec rings[] = {{.ring_id = 1, .tgid = 10, .fd = 3, .comm = "alpha"},
				   {.ring_id = 2, .tgid = 10, .fd = 4, .comm = "alpha"},
				   {.ring_id = 3, .tgid = 20, .fd = 3, .comm = "Beta"}};
	struct group_rec groups[] = {
		{.ring_id = 1, .bgid = 0, .entries = 100, .available = 50, .held = 5},
		{.ring_id = 1, .bgid = 7, .entries = 100, .available = 90, .held = REC_UNKNOWN_U32},
		{.ring_id = 2, .bgid = 1, .entries = 100, .available = 5, .held = 95},
		{.ring_id = 3, .bgid = 2, .entries = 10, .available = 10, .held = 0},
		{.ring_id = 3,
		 .bgid = 3,
		 .kind = GROUP_LEGACY,
		 .available = 4,
		 .held = REC_UNKNOWN_U32},
	};
	struct sample sample = {.at_ns = 1000000000,
				.rings = rings,
				.nr_rings = 3,
				.groups = groups,
				.nr_groups = 5};

	(void)state;
	model = model_new();
	if (!model || model_update(model, &sample))
		return -1;
	sample.at_ns += 1000000000;
	groups[0].head = 30;
	return model_update(model, &sample);
}

static int teardown(void **state)
{
	(void)state;
	model_free(model);
	return 0;
}

/* ---- columns */

static void test_columns(void **state)
{
	size_t nr;
	const struct tui_column *columns = tui_columns(&nr);
	char text[TUI_MAX_COLUMNS * 20];
	struct tui_choice choice;
	int widths[TUI_MAX_COLUMNS];

	(void)state;
	assert_true(nr > 30 && nr < TUI_MAX_COLUMNS);
	for (size_t i = 0; i < nr; i++) {
		assert_ptr_equal(tui_column_find(columns[i].key), &columns[i]);
		assert_true((int)strlen(columns[i].title) <= columns[i].layout.max);
		assert_int_equal(columns[i].kind == COLUMN_FIELD, columns[i].field != NULL);
	}
	assert_int_equal(tui_choice_parse(&choice, " held  nonsense bgid held owner "), 1);
	assert_string_equal(tui_choice_print(&choice, text, sizeof(text)), "held bgid owner");
	tui_choice_move(&choice, tui_column_find("owner"), -1);
	tui_choice_move(&choice, tui_column_find("held"), -1); /* is the first already */
	assert_string_equal(tui_choice_print(&choice, text, sizeof(text)), "held owner bgid");
	tui_choice_toggle(&choice, tui_column_find("held"));
	tui_choice_toggle(&choice, tui_column_find("level"));
	assert_string_equal(tui_choice_print(&choice, text, sizeof(text)), "owner bgid level");
	assert_ptr_equal(tui_choice_listed(&choice, 2), tui_column_find("level"));
	assert_null(tui_choice_listed(&choice, nr));
	tui_choice_toggle(&choice, tui_column_find("bgid"));
	tui_choice_toggle(&choice, tui_column_find("level"));
	tui_choice_toggle(&choice, tui_column_find("owner")); /* the last one stays */
	assert_int_equal(choice.nr, 1);
	assert_int_equal(tui_choice_parse(&choice, "nothing known"), 2);
	assert_true(choice.nr > 5);
	tui_choice_widths(&choice, model, 80, widths);
	for (size_t i = 0; i < nr; i++)
		if (tui_choice_index(&choice, &columns[i]) == choice.nr)
			tui_choice_toggle(&choice, &columns[i]); /* all of them at once */
	assert_int_equal(choice.nr, nr);
	tui_choice_widths(&choice, model, 40, widths);
}

/* ---- filters */

static size_t wanted(const char *text)
{
	struct filter filter = {0};
	char why[FILTER_TEXT];
	size_t nr = 0;

	assert_int_equal(filter_parse(&filter, text, why), 0);
	for (size_t i = 0; i < model->nr_rings; i++)
		for (size_t j = 0; j < model->rings[i]->nr_groups; j++)
			nr += filter_wants(&filter,
					   &(struct field_row){model->rings[i],
							       model->rings[i]->groups[j]});
	return nr;
}

static void test_filter(void **state)
{
	static const struct {
		const char *text;
		size_t want;
	} cases[] = {
		{"", 5},
		{"   ", 5},
		{"alpha", 3},
		{"BETA", 2},
		{"20/3", 2},
		{"legacy", 1},
		{"nowhere", 0},
		{"bgid = 7", 1},
		{"bgid=7", 1},
		{"bgid != 7", 4},
		{"held > 0", 2},
		{"held >= 0", 3}, /* not the unknown */
		{"held <= 95", 3},
		{"entries = 100 and available < 60", 2},
		{"kind = legacy", 1},
		{"kind != legacy", 4},
		{"comm = alpha", 3},
		{"taken_per_s > 0", 1},
		{"taken_per_s = 0", 3},
		{"starved_total = 0", 0},
		{"entries < 0.1K", 1},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		if (wanted(cases[i].text) != cases[i].want)
			fail_msg("'%s': %zu", cases[i].text, wanted(cases[i].text));
}

static void test_bad_filter(void **state)
{
	static const char *const texts[] = {
		"held >",
		"held > x",
		"held > -1",
		"nothing = 1",
		"held > 1 and",
		"held > 1 or 2",
		"held > 1 and alpha",
		"held > 5ms",
		"comm > alpha",
		"held > inf",
		"hold_p99_ns > 1K",
		("bgid=1 and bgid=1 and bgid=1 and bgid=1 and bgid=1 and bgid=1 and bgid=1 and "
		 "bgid=1 and bgid=1"),
	};
	struct filter filter = {.text = "as it was"};
	char why[FILTER_TEXT];

	(void)state;
	for (size_t i = 0; i < ROWS(texts); i++) {
		why[0] = '\0';
		if (filter_parse(&filter, texts[i], why) != -EINVAL || !why[0])
			fail_msg("'%s' was taken", texts[i]);
		assert_string_equal(filter.text, "as it was");
	}
}

/* ---- rows */

static void check_order(const struct rows_opts *opts, const char *want)
{
	struct tui_rows rows = {0};
	char got[64] = "";

	assert_int_equal(rows_build(&rows, model, opts), 0);
	for (size_t i = 0; i < rows.nr; i++) {
		struct row_id id = row_id_of(&rows.rows[i]);
		char one[2] = {'0', '\0'};

		assert_int_equal(rows_find(&rows, &id), i);
		if (rows.rows[i].kind == ROW_GROUP)
			one[0] = (char)('0' + id.bgid);
		else
			one[0] = rows.rows[i].kind == ROW_RING ? 'r' : 'p';
		strcat(got, one);
	}
	assert_string_equal(got, want);
	rows_done(&rows);
}

static void test_rows(void **state)
{
	struct filter filter = {0};
	char why[FILTER_TEXT];

	(void)state;
	check_order(&(struct rows_opts){0}, "07123");
	check_order(&(struct rows_opts){.is_tree = true}, "pr07r1pr23");
	check_order(&(struct rows_opts){.tgid = 20}, "23");
	check_order(&(struct rows_opts){.ordinal = 1}, "07");
	check_order(&(struct rows_opts){.sort = tui_column_find("available")}, "70213");
	check_order(&(struct rows_opts){.sort = tui_column_find("available"), .is_inverted = true},
		    "31207");
	/* From the least level up; what has none comes last, however it is sorted. */
	check_order(&(struct rows_opts){.sort = tui_column_find("level")}, "10723");
	check_order(&(struct rows_opts){.sort = tui_column_find("level"), .is_inverted = true},
		    "27013");
	check_order(&(struct rows_opts){.sort = tui_column_find("held")}, "10273");
	check_order(&(struct rows_opts){.sort = tui_column_find("comm")}, "23071");
	/* The nearly empty one is the worst; equals keep their order. */
	check_order(&(struct rows_opts){.sort = tui_column_find("state")}, "10723");
	assert_int_equal(filter_parse(&filter, "held > 0", why), 0);
	check_order(&(struct rows_opts){.filter = &filter}, "01");
	check_order(&(struct rows_opts){.filter = &filter, .is_tree = true}, "pr0r1");
	assert_int_equal(filter_parse(&filter, "nowhere", why), 0);
	check_order(&(struct rows_opts){.filter = &filter, .is_tree = true}, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_bad_filter),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

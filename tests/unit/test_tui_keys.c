// SPDX-License-Identifier: MIT
/* Does every key do one thing, and is there a word for it? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tui_keys.h"

static const enum tui_mode modes[] = {MODE_LIVE, MODE_PAUSED, MODE_HELP};

#define NR_MODES (sizeof(modes) / sizeof(modes[0]))

static void test_one_meaning_per_mode(void **state)
{
	size_t nr;
	const struct tui_binding *bindings = tui_bindings(&nr);

	(void)state;
	for (size_t i = 0; i < nr; i++) {
		assert_int_not_equal(bindings[i].modes & MODE_ANY, 0);
		assert_int_equal(bindings[i].modes & ~(unsigned int)MODE_ANY, 0);
		for (size_t k = 0; k < 4 && bindings[i].keys[k]; k++)
			for (size_t m = 0; m < NR_MODES; m++)
				if (bindings[i].modes & modes[m])
					assert_int_equal(tui_action(bindings[i].keys[k], modes[m]),
							 bindings[i].action);
	}
}

static void test_words(void **state)
{
	size_t nr;
	const struct tui_binding *bindings = tui_bindings(&nr);

	(void)state;
	for (size_t i = 0; i < nr; i++) {
		size_t shown = 0;

		assert_non_null(bindings[i].names);
		assert_true(strlen(bindings[i].names) < 12);
		/* Every action is explained in one of its bindings. */
		for (size_t j = 0; j < nr; j++)
			shown += bindings[j].action == bindings[i].action && bindings[j].help;
		assert_true(shown >= 1);
	}
}

static void test_keys(void **state)
{
	static const struct {
		uint32_t key;
		enum tui_mode mode;
		enum tui_action want;
	} cases[] = {
		{'q', MODE_LIVE, ACT_QUIT},
		{'q', MODE_HELP, ACT_QUIT},
		{TUI_KEY_F10, MODE_PAUSED, ACT_QUIT},
		{'?', MODE_LIVE, ACT_HELP},
		{'h', MODE_LIVE, ACT_HELP},
		{'h', MODE_PAUSED, ACT_OLDER},
		{'?', MODE_HELP, ACT_BACK},
		{'j', MODE_LIVE, ACT_DOWN},
		{TUI_KEY_UP, MODE_HELP, ACT_UP},
		{' ', MODE_LIVE, ACT_PAUSE},
		{' ', MODE_HELP, ACT_NONE},
		{'+', MODE_LIVE, ACT_SLOWER},
		{'+', MODE_HELP, ACT_NONE},
		{TUI_KEY_LEFT, MODE_LIVE, ACT_NONE},
		{TUI_KEY_LEFT, MODE_PAUSED, ACT_OLDER},
		{0, MODE_LIVE, ACT_NONE},
		{0x1f427, MODE_LIVE, ACT_NONE},
		{TUI_KEY_F10 + 1, MODE_LIVE, ACT_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(tui_action(cases[i].key, cases[i].mode), cases[i].want);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_meaning_per_mode),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

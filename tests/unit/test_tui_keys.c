// SPDX-License-Identifier: MIT
/* Does every key do one thing, and is there a word for it? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tui_keys.h"

/* Every page in both times. */
static const unsigned int modes[] = {
	MODE_LIST | MODE_LIVE,     MODE_LIST | MODE_STILL,  MODE_GROUP | MODE_LIVE,
	MODE_GROUP | MODE_STILL,   MODE_TEXT | MODE_LIVE,   MODE_TEXT | MODE_STILL,
	MODE_MENU | MODE_LIVE,     MODE_MENU | MODE_STILL,  MODE_COLUMNS | MODE_LIVE,
	MODE_COLUMNS | MODE_STILL, MODE_PROMPT | MODE_LIVE, MODE_PROMPT | MODE_STILL,
};

#define NR_MODES (sizeof(modes) / sizeof(modes[0]))

static void test_one_meaning_per_mode(void **state)
{
	size_t nr;
	const struct tui_binding *bindings = tui_bindings(&nr);

	(void)state;
	for (size_t i = 0; i < nr; i++) {
		size_t applies = 0;

		for (size_t m = 0; m < NR_MODES; m++) {
			if (!tui_binding_applies(&bindings[i], modes[m]))
				continue;
			applies++;
			for (size_t k = 0; k < 4 && bindings[i].keys[k]; k++)
				assert_int_equal(tui_action(bindings[i].keys[k], modes[m]),
						 bindings[i].action);
		}
		assert_true(applies > 0);
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
		unsigned int mode;
		enum tui_action want;
	} cases[] = {
		{'q', MODE_LIST | MODE_LIVE, ACT_QUIT},
		{'q', MODE_PROMPT | MODE_LIVE, ACT_NONE}, /* a letter of what is typed */
		{TUI_KEY_F10, MODE_GROUP | MODE_STILL, ACT_QUIT},
		{'?', MODE_LIST | MODE_LIVE, ACT_HELP},
		{'?', MODE_TEXT | MODE_LIVE, ACT_BACK},
		{'h', MODE_LIST | MODE_LIVE, ACT_HELP},
		{'h', MODE_LIST | MODE_STILL, ACT_OLDER},
		{'j', MODE_GROUP | MODE_LIVE, ACT_DOWN},
		{TUI_KEY_LEFT, MODE_LIST | MODE_LIVE, ACT_NONE},
		{TUI_KEY_LEFT, MODE_COLUMNS | MODE_STILL, ACT_COLUMN_LEFT},
		{' ', MODE_LIST | MODE_LIVE, ACT_PAUSE},
		{' ', MODE_COLUMNS | MODE_LIVE, ACT_COLUMN_TOGGLE},
		{' ', MODE_TEXT | MODE_LIVE, ACT_NONE},
		{TUI_KEY_ENTER, MODE_LIST | MODE_LIVE, ACT_OPEN},
		{TUI_KEY_ENTER, MODE_MENU | MODE_LIVE, ACT_ACCEPT},
		{TUI_KEY_ESCAPE, MODE_PROMPT | MODE_STILL, ACT_BACK},
		{0, MODE_LIST | MODE_LIVE, ACT_NONE},
		{TUI_KEY_OTHER, MODE_LIST | MODE_LIVE, ACT_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(tui_action(cases[i].key, cases[i].mode), cases[i].want);
}

/* In the manual: dashes and backslashes are escaped. */
static void escape(const char *text, char *out)
{
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			*out++ = '\\';
		*out++ = *text == '\\' ? 'e' : *text;
	}
	*out = '\0';
}

/* The table and the manual say the same, in the same order. */
static void test_manual(void **state)
{
	size_t nr;
	const struct tui_binding *bindings = tui_bindings(&nr);
	FILE *page = fopen("tools/bufscope.8", "r");
	char line[512], want[512], words[256];

	(void)state;
	assert_non_null(page);
	for (size_t i = 0; i < nr; i++) {
		if (!bindings[i].help)
			continue;
		escape(bindings[i].names, words);
		snprintf(want, sizeof(want), ".B %s\n", words);
		while (fgets(line, sizeof(line), page) && strcmp(line, want) != 0)
			;
		assert_string_equal(line, want);
		escape(bindings[i].help, words);
		words[0] = (char)toupper((unsigned char)words[0]);
		snprintf(want, sizeof(want), "%s.\n", words);
		assert_non_null(fgets(line, sizeof(line), page));
		assert_string_equal(line, want);
	}
	fclose(page);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_meaning_per_mode),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Does what the user likes survive, and all else in the file with it? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tui_config.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static char directory[] = "/tmp/bufscope-config-XXXXXX";

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	return setenv("XDG_CONFIG_HOME", directory, 1);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", directory);
	return system(command);
}

static void test_parse(void **state)
{
	struct tui_config config;
	char why[CONFIG_WHY], columns[TUI_MAX_COLUMNS * 20];

	(void)state;
	assert_int_equal(config_parse(&config, "", why), 0);
	assert_string_equal(config.sort->key, "state");
	assert_int_equal(config_parse(&config,
				      "# mine\n\n  columns =  held bgid \r\nsort=none\n"
				      "inverted = yes\ntree = yes\ntheme = light\nlater = 1 = 2",
				      why),
			 0);
	assert_string_equal(tui_choice_print(&config.columns, columns, sizeof(columns)),
			    "held bgid");
	assert_null(config.sort);
	assert_true(config.is_inverted && config.is_tree && config.theme == THEME_LIGHT);
}

static void test_broken(void **state)
{
	static const char *const texts[] = {
		"nonsense",        "columns = held nonsense", "columns =",
		"sort = nonsense", "inverted = true",         "theme = blue",
		"\x01\xff\n",      "tree = yes\ntree",
	};
	struct tui_config config;

	(void)state;
	for (size_t i = 0; i < ROWS(texts); i++) {
		char why[CONFIG_WHY] = "";

		if (config_parse(&config, texts[i], why) != -EINVAL || !why[0])
			fail_msg("'%s' was taken", texts[i]);
		assert_string_equal(config.sort->key, "state");
		assert_false(config.is_tree);
	}
}

static void check_print(const char *old, const char *want)
{
	struct tui_config config;
	char why[CONFIG_WHY];
	char *text;

	config_parse(&config, "columns = bgid\nsort = held\ntheme = mono\n", why);
	text = config_print(&config, old);
	assert_string_equal(text, want);
	free(text);
}

static void test_print(void **state)
{
	(void)state;
	check_print("", "columns = bgid\nsort = held\ninverted = no\ntree = no\ntheme = mono\n");
	check_print("# a note\ntheme=dark\n\nother = thing\ntheme = light\nsort = none",
		    "# a note\ntheme = mono\n\nother = thing\nsort = held\n"
		    "columns = bgid\ninverted = no\ntree = no\n");
}

static void test_file(void **state)
{
	struct tui_config config, again;
	char why[CONFIG_WHY] = "", path[128];
	struct stat info;

	(void)state;
	assert_int_equal(config_load(&config, why), 0);
	config.theme = THEME_LIGHT;
	config.is_tree = true;
	assert_int_equal(config_save(&config, why), 0);
	assert_int_equal(config_load(&again, why), 0);
	assert_memory_equal(&config, &again, sizeof(config));
	snprintf(path, sizeof(path), "%s/bufscope/config.new", directory);
	assert_int_equal(stat(path, &info), -1);
	snprintf(path, sizeof(path), "%s/bufscope/config", directory);
	assert_int_equal(truncate(path, 3), 0);
	assert_int_equal(config_load(&again, why), -EINVAL);
	assert_non_null(strstr(why, "line 1"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(config_load(&again, why) < 0);
	assert_true(config_save(&config, why) < 0);
	/* Who has no home has the defaults, and nothing is kept. */
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("HOME");
	assert_int_equal(config_load(&again, why), 0);
	assert_int_equal(config_save(&config, why), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

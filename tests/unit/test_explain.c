// SPDX-License-Identifier: MIT
/* The table of codes against the manual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose.h"

static void plain(char *line)
{
	char *to = line;

	for (const char *from = line; *from; from++) {
		if (from[0] != '\\' || from[1] != '-')
			*to++ = *from;
	}
	*to = '\0';
	line[strcspn(line, "\n")] = '\0';
}

static void expect_line(FILE *page, const char *lead, const char *text)
{
	char line[1024], wanted[1024];

	snprintf(wanted, sizeof(wanted), "%s%s", lead, text);
	assert_non_null(fgets(line, sizeof(line), page));
	plain(line);
	assert_string_equal(line, wanted);
}

static void manual(void **state)
{
	FILE *page = fopen("tools/bufscope.8", "r");
	char line[1024] = "", tag[128];

	(void)state;
	assert_non_null(page);
	while (strcmp(line, ".SH FINDINGS\n") != 0)
		assert_non_null(fgets(line, sizeof(line), page));
	while (strcmp(line, ".TP\n") != 0)
		assert_non_null(fgets(line, sizeof(line), page));
	for (int i = 0; i < COMPLAINTS; i++) {
		const struct complaint_text *text = &complaint_texts[i];

		snprintf(tag, sizeof(tag), "%s \" (%s)\"", text->code,
			 severity_name(text->severity));
		expect_line(page, ".BR ", tag);
		expect_line(page, "", text->title);
		expect_line(page, "", ".br");
		expect_line(page, "Cause: ", text->cause);
		expect_line(page, "", ".br");
		expect_line(page, "Evidence: ", text->evidence);
		expect_line(page, "", ".br");
		expect_line(page, "Cure: ", text->cure);
		expect_line(page, "", i + 1 < COMPLAINTS ? ".TP" : ".SH EXIT STATUS");
		assert_int_equal(complaint_find(text->code), i);
	}
	fclose(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

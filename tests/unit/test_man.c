// SPDX-License-Identifier: MIT
/* Does the manual explain every field that can be shown, in order, and no other? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fields.h"

#define PAGE "tools/bufscope.8"

struct page {
	FILE *file;
	char line[512];
};

/* Goes to the line after `wanted`; false at the end of the page. */
static bool find_line(struct page *page, const char *wanted)
{
	while (fgets(page->line, sizeof(page->line), page->file))
		if (strcmp(page->line, wanted) == 0)
			return true;
	return false;
}

/* The next tag before the next subsection. */
static bool next_tag(struct page *page)
{
	while (fgets(page->line, sizeof(page->line), page->file)) {
		if (page->line[0] == '.' && page->line[1] == 'S')
			return false;
		if (strcmp(page->line, ".TP\n") == 0)
			return fgets(page->line, sizeof(page->line), page->file);
	}
	return false;
}

static void check_set(enum field_set set, const char *heading)
{
	struct page page = {.file = fopen(PAGE, "r")};
	size_t nr;
	const struct field *fields = fields_of(set, &nr);

	assert_non_null(page.file);
	assert_true(find_line(&page, ".SH FIELDS\n"));
	assert_true(find_line(&page, heading));
	for (size_t i = 0; i < nr; i++) {
		char wanted[256];

		snprintf(wanted, sizeof(wanted), ".BR %s \" (%s)\"\n", fields[i].key,
			 fields[i].title);
		assert_true(next_tag(&page));
		assert_string_equal(page.line, wanted);
	}
	assert_false(next_tag(&page));
	fclose(page.file);
}

static void groups(void **state)
{
	(void)state;
	check_set(FIELDS_GROUP, ".SS Groups\n");
}

static void rings(void **state)
{
	(void)state;
	check_set(FIELDS_RING, ".SS Rings\n");
}

static void table(void **state)
{
	(void)state;
	check_set(FIELDS_TABLE, ".SS Fixed buffers\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups),
		cmocka_unit_test(rings),
		cmocka_unit_test(table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

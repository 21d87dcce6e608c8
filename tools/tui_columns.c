// SPDX-License-Identifier: MIT
/* Which columns does a list have? */
#include "tui_columns.h"

#include <stdio.h>
#include <string.h>

#include "../lib/text.h"

static const struct tui_column drawn[] = {
	{COLUMN_STATE,
	 "state",
	 "S",
	 "starving, leaking, tight, calm, idle: by its letter",
	 NULL,
	 false,
	 {1, 1, 0}},
	{COLUMN_LEVEL,
	 "level",
	 "LEVEL",
	 "how full: a gauge with the lowest level seen",
	 NULL,
	 true,
	 {6, 30, 3}},
	{COLUMN_SPARK,
	 "history",
	 "LAST MINUTE",
	 "the level at each look, starves marked",
	 NULL,
	 true,
	 {12, 60, 9}},
};

/* What is not to be as wide as its kind of number, and what stays longest on a narrow screen. */
static const struct {
	const char *key;
	struct layout_want layout;
} layouts[] = {
	{"owner", {9, 13, 1}},      {"comm", {8, 15, 6}},         {"bgid", {5, 5, 0}},
	{"kind", {6, 8, 9}},        {"filled", {11, 11, 0}},      {"held", {7, 7, 5}},
	{"taken_per_s", {6, 6, 4}}, {"starved_per_s", {8, 8, 6}}, {"returned_per_s", {6, 6, 7}},
	{"low_water", {5, 5, 8}},   {"tgid", {7, 7, 9}},          {"name", {10, 16, 8}},
};

static const char default_keys[] = "state owner comm bgid name kind level filled held taken_per_s "
				   "returned_per_s starved_per_s low_water hold_p99_ns "
				   "oldest_held_ns empty_in_ns history";

static struct layout_want layout_of_field(const struct field *field)
{
	static const int widths[] = {
		[UNIT_NUMBER] = 6, [UNIT_COUNT] = 6, [UNIT_BYTES] = 5,
		[UNIT_NS] = 7,     [UNIT_PER_S] = 6,
	};
	int width = field_is_number(field) ? widths[field->unit] : 8;

	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		if (strcmp(layouts[i].key, field->key) == 0)
			return layouts[i].layout;
	if (width < (int)strlen(field->title))
		width = (int)strlen(field->title);
	return (struct layout_want){width, width, 10};
}

static struct tui_column all[TUI_MAX_COLUMNS];
static size_t nr_all;

static const struct tui_column *find(const char *key)
{
	for (size_t i = 0; i < nr_all; i++)
		if (strcmp(all[i].key, key) == 0)
			return &all[i];
	return NULL;
}

/* The first of a key counts: the letter of the state is enough. */
static void add_field(const struct field *field)
{
	if (nr_all == TUI_MAX_COLUMNS || find(field->key))
		return;
	all[nr_all++] = (struct tui_column){
		.kind = COLUMN_FIELD,
		.key = field->key,
		.title = field->title,
		.help = field->help,
		.field = field,
		.is_ascending = field->type == FIELD_LABEL,
		.layout = layout_of_field(field),
	};
}

const struct tui_column *tui_columns(size_t *nr)
{
	size_t nr_fields;
	const struct field *fields = fields_of(FIELDS_GROUP, &nr_fields);

	if (nr_all == 0) {
		for (; nr_all < sizeof(drawn) / sizeof(drawn[0]); nr_all++)
			all[nr_all] = drawn[nr_all];
		add_field(field_find(FIELDS_EYES, "owner"));
		add_field(field_find(FIELDS_EYES, "filled"));
		for (size_t i = 0; i < nr_fields; i++)
			add_field(&fields[i]);
	}
	*nr = nr_all;
	return all;
}

const struct tui_column *tui_column_find(const char *key)
{
	size_t nr;

	tui_columns(&nr);
	return find(key);
}

/* ---- the chosen ones */

size_t tui_choice_index(const struct tui_choice *choice, const struct tui_column *column)
{
	size_t i = 0;

	while (i < choice->nr && choice->columns[i] != column)
		i++;
	return i;
}

size_t tui_choice_parse(struct tui_choice *choice, const char *keys)
{
	size_t nr_columns, unknown = 0;
	const struct tui_column *columns = tui_columns(&nr_columns);

	choice->nr = 0;
	while (*(keys += strspn(keys, " \t"))) {
		size_t length = strcspn(keys, " \t"), i = 0;

		while (i < nr_columns && (strlen(columns[i].key) != length ||
					  strncmp(columns[i].key, keys, length) != 0))
			i++;
		if (i == nr_columns)
			unknown++;
		else if (tui_choice_index(choice, &columns[i]) == choice->nr)
			choice->columns[choice->nr++] = &columns[i];
		keys += length;
	}
	if (choice->nr == 0)
		tui_choice_default(choice);
	return unknown;
}

void tui_choice_default(struct tui_choice *choice)
{
	tui_choice_parse(choice, default_keys);
}

char *tui_choice_print(const struct tui_choice *choice, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < choice->nr && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? " " : "",
					 choice->columns[i]->key);
	return out;
}

const struct tui_column *tui_choice_listed(const struct tui_choice *choice, size_t i)
{
	size_t nr;
	const struct tui_column *columns = tui_columns(&nr);

	if (i < choice->nr)
		return choice->columns[i];
	i -= choice->nr;
	for (size_t c = 0; c < nr; c++)
		if (tui_choice_index(choice, &columns[c]) == choice->nr && i-- == 0)
			return &columns[c];
	return NULL;
}

void tui_choice_toggle(struct tui_choice *choice, const struct tui_column *column)
{
	size_t i = tui_choice_index(choice, column);

	if (i == choice->nr) {
		choice->columns[choice->nr++] = column;
		return;
	}
	if (choice->nr == 1)
		return;
	choice->nr--;
	memmove(&choice->columns[i], &choice->columns[i + 1],
		(choice->nr - i) * sizeof(const struct tui_column *));
}

void tui_choice_move(struct tui_choice *choice, const struct tui_column *column, int by)
{
	size_t i = tui_choice_index(choice, column);
	size_t to = by < 0 ? i - 1 : i + 1;

	if (i == choice->nr || to >= choice->nr) /* also when 0 - 1 wraps */
		return;
	choice->columns[i] = choice->columns[to];
	choice->columns[to] = column;
}

void tui_choice_widths(const struct tui_choice *choice, const struct model *model, int cols,
		       int *widths)
{
	struct layout_want columns[TUI_MAX_COLUMNS];
	size_t name = tui_choice_index(choice, tui_column_find("name"));

	for (size_t i = 0; i < choice->nr; i++)
		columns[i] = choice->columns[i]->layout;
	if (name < choice->nr && !model->has_names) /* an empty column says nothing */
		columns[name] = (struct layout_want){0};
	layout_share(cols, columns, choice->nr, widths);
}

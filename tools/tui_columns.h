/* SPDX-License-Identifier: MIT */
/* The columns of lists: which there are, which are shown in what order, how wide. Pure. */
#ifndef BUFSCOPE_TUI_COLUMNS_H
#define BUFSCOPE_TUI_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/fields.h"
#include "tui_layout.h"

enum tui_column_kind {
	COLUMN_FIELD, /* a cell of the registry */
	COLUMN_LEVEL, /* a gauge */
	COLUMN_SPARK, /* the last minute of the level */
	COLUMN_STATE, /* the letter of the state */
};

struct tui_column {
	enum tui_column_kind kind;
	const char *key; /* in the configuration file */
	const char *title;
	const char *help;
	const struct field *field; /* NULL: drawn, not printed */
	bool is_ascending;         /* sorted from the least up, unless inverted */
	struct layout_want layout;
};

#define TUI_MAX_COLUMNS 64

/* All there are, the drawn ones first. */
const struct tui_column *tui_columns(size_t *nr);

/* NULL: no such key. */
const struct tui_column *tui_column_find(const char *key);

/* The chosen ones, left to right. */
struct tui_choice {
	const struct tui_column *columns[TUI_MAX_COLUMNS];
	size_t nr;
};

void tui_choice_default(struct tui_choice *choice);

/*
 * Keys separated by blanks; each stands once. Returns how many words are no key; *choice is the
 * default if none is.
 */
size_t tui_choice_parse(struct tui_choice *choice, const char *keys);

/* The same backwards; needs TUI_MAX_COLUMNS * 20 bytes to be whole. Returns out. */
char *tui_choice_print(const struct tui_choice *choice, char *out, size_t size);

/* Position of a column, or choice->nr. */
size_t tui_choice_index(const struct tui_choice *choice, const struct tui_column *column);

/* All columns, the chosen ones first and in their order: number `i` of these. */
const struct tui_column *tui_choice_listed(const struct tui_choice *choice, size_t i);

/* Adds it at the end, or takes it away; the last one stays. */
void tui_choice_toggle(struct tui_choice *choice, const struct tui_column *column);

/* Moves it one place to the left (-1) or right (1), if it is there and there is a place. */
void tui_choice_move(struct tui_choice *choice, const struct tui_column *column, int by);

/* Widths of the chosen ones in `cols` cells; 0 where there was no room. */
void tui_choice_widths(const struct tui_choice *choice, const struct model *model, int cols,
		       int *widths);

#endif

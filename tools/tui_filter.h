/* SPDX-License-Identifier: MIT */
/*
 * Which rows are wanted: by text in what names them, or by comparisons such as
 * "starved_per_s > 0 and held >= 10". Pure.
 */
#ifndef BUFSCOPE_TUI_FILTER_H
#define BUFSCOPE_TUI_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "../lib/fields.h"

#define FILTER_TERMS 8
#define FILTER_TEXT  128

struct filter {
	char text[FILTER_TEXT]; /* as typed; "": everything is wanted */
	size_t nr;              /* 0: the text is looked for */
	struct filter_term {
		const struct field *field;
		enum filter_op { OP_LESS, OP_AT_MOST, OP_MORE, OP_AT_LEAST, OP_IS, OP_IS_NOT } op;
		double number;
		char word[48]; /* for labels */
	} terms[FILTER_TERMS];
};

/*
 * 0; -EINVAL if it looks like a comparison and is none: then `why` (room for FILTER_TEXT bytes)
 * says what is wrong and *filter is unchanged.
 */
int filter_parse(struct filter *filter, const char *text, char *why);

/* What is not known matches no comparison. */
bool filter_wants(const struct filter *filter, const struct field_row *row);

/* Whether `text` is in what names the row: owner, process, group, kind, state. Case is ignored. */
bool filter_finds(const char *text, const struct field_row *row);

#endif

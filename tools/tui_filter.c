// SPDX-License-Identifier: MIT
/* Is this row wanted? */
#include "tui_filter.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

/* ---- comparisons */

static bool take_op(const char **text, enum filter_op *op)
{
	static const struct {
		const char *sign;
		enum filter_op op;
	} ops[] = {
		{"<=", OP_AT_MOST}, {">=", OP_AT_LEAST}, {"!=", OP_IS_NOT}, {"==", OP_IS},
		{"<", OP_LESS},     {">", OP_MORE},      {"=", OP_IS},
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		size_t length = strlen(ops[i].sign);

		if (strncmp(*text, ops[i].sign, length) == 0) {
			*text += length;
			*op = ops[i].op;
			return true;
		}
	}
	return false;
}

/* What a suffix multiplies by, in the unit of its field; 0: none of its suffixes. */
static double factor_of(const char *suffix, enum field_unit unit)
{
	static const struct {
		const char *suffix;
		double time, bytes, count;
	} suffixes[] = {
		{"", 1, 1, 1},
		{"ns", 1, 0, 0},
		{"us", 1e3, 0, 0},
		{"ms", 1e6, 0, 0},
		{"s", 1e9, 0, 0},
		{"m", 60e9, 0, 0},
		{"K", 0, 1024, 1e3},
		{"M", 0, 1024.0 * 1024, 1e6},
		{"G", 0, 1073741824.0, 1e9},
	};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(suffix, suffixes[i].suffix) == 0)
			return unit == UNIT_NS      ? suffixes[i].time
			       : unit == UNIT_BYTES ? suffixes[i].bytes
						    : suffixes[i].count;
	return 0;
}

static int parse_value(struct filter_term *term, const char *word, char *why)
{
	char *end = NULL;
	double factor;

	if (!term->field->number) {
		snprintf(term->word, sizeof(term->word), "%s", word);
		if (term->op == OP_IS || term->op == OP_IS_NOT)
			return 0;
		snprintf(why, FILTER_TEXT, "%s is text: = or !=", term->field->key);
		return -EINVAL;
	}
	/* Only digits and a point: neither signs nor "inf" mean anything here. */
	term->number = isdigit((unsigned char)*word) ? strtod(word, &end) : -1;
	factor = !end ? 0 : factor_of(end, term->field->unit);
	if (factor == 0) {
		snprintf(why, FILTER_TEXT, "'%.40s' is no number for %s", word, term->field->key);
		return -EINVAL;
	}
	term->number *= factor;
	return 0;
}

/* KEY OP VALUE. 1: there was none, the text does not look like it. */
static int parse_term(struct filter_term *term, const char **text, char *why)
{
	const char *next = skip_blanks(*text);
	size_t length = strspn(next, "abcdefghijklmnopqrstuvwxyz_0123456789");
	char word[48];

	snprintf(word, sizeof(word), "%.*s", (int)length, next);
	next = skip_blanks(next + length);
	if (length == 0 || !take_op(&next, &term->op))
		return 1;
	term->field = field_find(FIELDS_GROUP, word);
	if (!term->field) {
		snprintf(why, FILTER_TEXT, "there is no column '%s'", word);
		return -EINVAL;
	}
	next = skip_blanks(next);
	length = strcspn(next, " \t");
	snprintf(word, sizeof(word), "%.*s", (int)length, next);
	*text = skip_blanks(next + length);
	return parse_value(term, word, why);
}

static int parse_terms(struct filter *filter, const char *text, char *why)
{
	while (filter->nr < FILTER_TERMS) {
		int err = parse_term(&filter->terms[filter->nr], &text, why);

		if (err == 1 && filter->nr == 0)
			return 0;
		if (err == 1)
			snprintf(why, FILTER_TEXT, "a comparison is missing after 'and'");
		if (err)
			return -EINVAL;
		filter->nr++;
		if (!*text)
			return 0;
		if (strncmp(text, "and ", 4) != 0) {
			snprintf(why, FILTER_TEXT, "'and' is missing before '%.40s'", text);
			return -EINVAL;
		}
		text += 4;
	}
	snprintf(why, FILTER_TEXT, "more than %d comparisons", FILTER_TERMS);
	return -EINVAL;
}

int filter_parse(struct filter *filter, const char *text, char *why)
{
	struct filter parsed = {0};
	int err;

	snprintf(parsed.text, sizeof(parsed.text), "%s", skip_blanks(text));
	err = parse_terms(&parsed, parsed.text, why);
	if (!err)
		*filter = parsed;
	return err;
}

/* ---- matching */

static bool compares(double v, enum filter_op op, double with)
{
	switch (op) {
	case OP_LESS:
		return v < with;
	case OP_AT_MOST:
		return v <= with;
	case OP_MORE:
		return v > with;
	case OP_AT_LEAST:
		return v >= with;
	case OP_IS:
		return v == with;
	default:
		return v != with;
	}
}

static bool term_holds(const struct filter_term *term, const struct field_row *row)
{
	char text[FIELD_CELL_MAX];
	struct value value;
	const char *label;

	if (term->field->number) {
		value = term->field->number(row);
		return value.state == VALUE_KNOWN && compares(value.v, term->op, term->number);
	}
	label = term->field->text(row, text, sizeof(text));
	return label && (strcmp(label, term->word) == 0) == (term->op == OP_IS);
}

bool filter_finds(const char *text, const struct field_row *row)
{
	static const struct {
		enum field_set set;
		const char *key;
	} names[] = {
		{FIELDS_EYES, "owner"}, {FIELDS_GROUP, "comm"},  {FIELDS_GROUP, "bgid"},
		{FIELDS_GROUP, "kind"}, {FIELDS_GROUP, "state"}, {FIELDS_GROUP, "name"},
	};
	char all[256] = "", cell[FIELD_CELL_MAX];
	size_t used = 0;

	/* The row of a ring or a process has no group: only what names a ring is looked at. */
	for (size_t i = 0; i < (row->group ? 6 : 2) && used < sizeof(all); i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s ",
					 field_cell(field_find(names[i].set, names[i].key), row,
						    cell));
	return strcasestr(all, text) != NULL;
}

bool filter_wants(const struct filter *filter, const struct field_row *row)
{
	for (size_t i = 0; i < filter->nr; i++)
		if (!term_holds(&filter->terms[i], row))
			return false;
	return filter->nr > 0 || !filter->text[0] || filter_finds(filter->text, row);
}

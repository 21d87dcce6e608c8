/* SPDX-License-Identifier: MIT */
/*
 * The one registry of what can be shown: key, title, unit, meaning and getter of each column.
 * Tables, JSON, metrics and screens all read it, so that a name means the same everywhere. A key
 * is never renamed. Pure.
 */
#ifndef BUFSCOPE_FIELDS_H
#define BUFSCOPE_FIELDS_H

#include <stddef.h>

#include "model.h"

/* What a row is about; group is NULL where a ring is. */
struct field_row {
	const struct model_ring *ring;
	const struct model_group *group;
};

enum field_type {
	FIELD_LABEL,   /* text, raw: the reader escapes */
	FIELD_NAMES,   /* several names, separated by blanks */
	FIELD_GAUGE,   /* rises and falls */
	FIELD_COUNTER, /* only rises */
};

enum field_unit {
	UNIT_NUMBER, /* an identity: never scaled */
	UNIT_COUNT,
	UNIT_BYTES,
	UNIT_NS,
	UNIT_PER_S,
};

/* What it is in metrics. */
enum field_metric {
	METRIC_NONE,
	METRIC_VALUE, /* a family of its own */
	METRIC_KEY,   /* a label of all samples of its row */
	METRIC_SPARE, /* the same, where the key before it is not known */
	METRIC_INFO,  /* a label of what is said once of its row */
};

struct field {
	const char *key;   /* in JSON and metrics, the unit in it */
	const char *title; /* over a column, at most as wide as its numbers */
	const char *help;  /* one line, no full stop */
	enum field_type type;
	enum field_unit unit;
	enum field_metric metric;
	const char *label; /* of a metric, where that is not the key; else NULL */
	struct value (*number)(const struct field_row *row);
	/* Of a label or names: writes at most size bytes with the NUL; NULL: unknown. */
	const char *(*text)(const struct field_row *row, char *out, size_t size);
};

enum field_set {
	FIELDS_GROUP, /* group rows */
	FIELDS_RING,  /* ring rows */
	FIELDS_TABLE, /* ring rows: the fixed buffers */
	FIELDS_EYES,  /* composed of the others, for people only; filled: group rows, else ring rows
		       */
};

const struct field *fields_of(enum field_set set, size_t *nr);

/* NULL: no such key in the set. */
const struct field *field_find(enum field_set set, const char *key);

/* Whether a cell is a number, and so stands at the right. */
bool field_is_number(const struct field *field);

#define FIELD_CELL_MAX 512

/*
 * A cell for people: escaped, scaled by its unit, "-" when unknown, "?" behind what is in doubt.
 * `out` has room for FIELD_CELL_MAX bytes. Returns out.
 */
char *field_cell(const struct field *field, const struct field_row *row, char *out);

#endif

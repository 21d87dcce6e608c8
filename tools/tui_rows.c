// SPDX-License-Identifier: MIT
/* Which rows does a list have, and in which order? */
#include "tui_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct row_id row_id_of(const struct tui_row *row)
{
	struct row_id id = {.kind = row->kind};

	if (row->kind == ROW_PROCESS)
		id.tgid = row->ring->rec.tgid;
	else
		id.ordinal = row->ring->ordinal;
	if (row->kind == ROW_GROUP)
		id.bgid = row->group->rec.bgid;
	return id;
}

bool row_id_equal(const struct row_id *a, const struct row_id *b)
{
	return a->kind == b->kind && a->tgid == b->tgid && a->ordinal == b->ordinal &&
	       a->bgid == b->bgid;
}

/* ---- collecting */

static int reserve(struct tui_rows *rows, const struct model *model)
{
	size_t wanted = 2 * model->nr_rings;

	for (size_t i = 0; i < model->nr_rings; i++)
		wanted += model->rings[i]->nr_groups;
	if (wanted <= rows->room)
		return 0;
	free(rows->rows);
	rows->room = wanted + wanted / 4;
	rows->rows = calloc(rows->room, sizeof(*rows->rows));
	if (rows->rows)
		return 0;
	rows->room = rows->nr = 0;
	return -ENOMEM;
}

/*
 * In a tree what is above a group goes before it, and once: rings of a process, and groups of a
 * ring, follow each other.
 */
static void add_above(struct tui_rows *rows, const struct model_ring *ring)
{
	const struct tui_row *last = rows->nr ? &rows->rows[rows->nr - 1] : NULL;

	if (last && last->ring == ring)
		return;
	if (!last || last->ring->rec.tgid != ring->rec.tgid)
		rows->rows[rows->nr++] = (struct tui_row){.kind = ROW_PROCESS, .ring = ring};
	rows->rows[rows->nr++] = (struct tui_row){.kind = ROW_RING, .ring = ring};
}

static void add_ring(struct tui_rows *rows, const struct model_ring *ring,
		     const struct rows_opts *opts)
{
	bool is_all = !opts->filter || !opts->filter->text[0];

	if (opts->is_tree && is_all)
		add_above(rows, ring);
	for (size_t i = 0; i < ring->nr_groups; i++) {
		struct field_row row = {.ring = ring, .group = ring->groups[i]};

		if (!is_all && !filter_wants(opts->filter, &row))
			continue;
		if (opts->is_tree)
			add_above(rows, ring);
		rows->rows[rows->nr++] =
			(struct tui_row){.kind = ROW_GROUP, .ring = ring, .group = row.group};
	}
}

/* ---- sorting */

/* Small, so that sorting moves little: numbers lie in it as integers of the same order. */
struct row_key {
	uint64_t order;
	uint32_t place; /* in the model's order: equals keep it */
	uint32_t text;  /* of a label: where it stands among the texts */
};

#define TEXT_BYTES 24

/* Of a double the bits ascend as it does, once the negative ones are turned round. */
static uint64_t order_of(double number)
{
	const uint64_t sign = UINT64_C(1) << 63;
	uint64_t bits;

	memcpy(&bits, &number, sizeof(bits));
	return bits & sign ? ~bits : bits | sign;
}

static double level_of(const struct model_group *group)
{
	struct value available = model_available(group);

	if (available.state == VALUE_UNKNOWN || group->rec.entries == 0)
		return -1;
	return available.v / group->rec.entries;
}

/* What a column sorts by. */
enum sorting { BY_STATE, BY_LEVEL, BY_NUMBER, BY_PLACE, BY_TEXT };

static enum sorting sorting_of(const struct tui_column *column)
{
	if (column->kind == COLUMN_STATE)
		return BY_STATE;
	if (column->kind != COLUMN_FIELD || strcmp(column->key, "filled") == 0)
		return BY_LEVEL;
	if (column->field->number)
		return BY_NUMBER;
	return strcmp(column->key, "owner") == 0 ? BY_PLACE : BY_TEXT;
}

/* False: it is not known, and stands behind all that is. */
static bool number_of(const struct tui_row *row, enum sorting sorting,
		      const struct tui_column *column, double *number)
{
	struct field_row cells = {.ring = row->ring, .group = row->group};
	struct value value;

	switch (sorting) {
	case BY_STATE:
		*number = row->group->condition;
		return row->group->span.life == LIFE_LIVE;
	case BY_LEVEL:
		*number = level_of(row->group);
		return *number >= 0;
	case BY_NUMBER:
		value = column->field->number(&cells);
		*number = value.v;
		return value.state != VALUE_UNKNOWN;
	default:
		*number = 0;
		return true;
	}
}

/* The first bytes of a text order most of them; the whole is kept for the others. */
static uint64_t order_of_text(const struct tui_row *row, const struct tui_column *column,
			      char *kept)
{
	struct field_row cells = {.ring = row->ring, .group = row->group};
	char text[FIELD_CELL_MAX];
	const char *label = column->field->text(&cells, text, sizeof(text));
	uint64_t order = 0;

	memset(kept, 0, TEXT_BYTES);
	if (!label)
		return UINT64_MAX;
	strncpy(kept, label, TEXT_BYTES - 1);
	for (int i = 0; i < 8; i++)
		order = order << 8 | (unsigned char)kept[i];
	return order;
}

struct order {
	const char *texts; /* NULL: numbers alone */
	bool is_ascending;
};

static int by_key(const void *a, const void *b, void *context)
{
	const struct row_key *x = a, *y = b;
	const struct order *order = context;
	int by_text;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	if (order->texts && x->text != y->text) {
		by_text = strcmp(order->texts + x->text * (size_t)TEXT_BYTES,
				 order->texts + y->text * (size_t)TEXT_BYTES);
		if (by_text)
			return order->is_ascending ? by_text : -by_text;
	}
	return x->place < y->place ? -1 : 1;
}

/* Each key, descending ones turned round; returns whether they are in order as they stand. */
static bool set_keys(struct tui_rows *rows, const struct tui_column *column,
		     const struct order *order, char *texts)
{
	enum sorting sorting = sorting_of(column);
	struct order how = *order;
	bool is_sorted = true;

	for (size_t i = 0; i < rows->nr; i++) {
		struct row_key *key = &rows->keys[i];
		double number;
		bool is_known;

		key->place = key->text = (uint32_t)i;
		if (sorting == BY_TEXT) {
			key->order = order_of_text(&rows->rows[i], column, texts + i * TEXT_BYTES);
			is_known = key->order != UINT64_MAX;
		} else {
			is_known = number_of(&rows->rows[i], sorting, column, &number);
			key->order = order_of(number);
		}
		if (!is_known)
			key->order = UINT64_MAX;
		else if (!order->is_ascending)
			key->order = ~key->order - 1;
		is_sorted = is_sorted && (i == 0 || by_key(key - 1, key, &how) < 0);
	}
	return is_sorted;
}

static int reserve_keys(struct tui_rows *rows)
{
	if (rows->nr <= rows->room_keys)
		return 0;
	free(rows->keys);
	free(rows->sorted);
	rows->room_keys = rows->room;
	rows->keys = calloc(rows->room_keys, sizeof(*rows->keys));
	rows->sorted = calloc(rows->room_keys, sizeof(*rows->sorted));
	if (rows->keys && rows->sorted)
		return 0;
	rows->room_keys = 0;
	return -ENOMEM;
}

static int sort(struct tui_rows *rows, const struct rows_opts *opts)
{
	bool has_texts = sorting_of(opts->sort) == BY_TEXT;
	char *texts = has_texts ? malloc(rows->nr * TEXT_BYTES) : NULL;
	struct order order = {
		.texts = texts,
		.is_ascending = opts->sort->is_ascending != opts->is_inverted,
	};

	if ((has_texts && !texts) || reserve_keys(rows)) {
		free(texts);
		return -ENOMEM;
	}
	if (!set_keys(rows, opts->sort, &order, texts)) {
		struct tui_row *before = rows->rows;

		qsort_r(rows->keys, rows->nr, sizeof(*rows->keys), by_key, &order);
		for (size_t i = 0; i < rows->nr; i++)
			rows->sorted[i] = before[rows->keys[i].place];
		memcpy(rows->rows, rows->sorted, rows->nr * sizeof(*rows->rows));
	}
	free(texts);
	return 0;
}

int rows_build(struct tui_rows *rows, const struct model *model, const struct rows_opts *opts)
{
	int err = reserve(rows, model);

	if (err)
		return err;
	rows->nr = 0;
	for (size_t i = 0; i < model->nr_rings; i++) {
		const struct model_ring *ring = model->rings[i];

		if ((opts->tgid == 0 || ring->rec.tgid == opts->tgid) &&
		    (opts->ordinal == 0 || ring->ordinal == opts->ordinal))
			add_ring(rows, ring, opts);
	}
	if (opts->sort && !opts->is_tree && rows->nr > 1)
		return sort(rows, opts);
	return 0;
}

void rows_done(struct tui_rows *rows)
{
	free(rows->rows);
	free(rows->keys);
	free(rows->sorted);
	memset(rows, 0, sizeof(*rows));
}

size_t rows_find(const struct tui_rows *rows, const struct row_id *id)
{
	size_t found = rows->nr;

	for (size_t i = 0; i < rows->nr; i++) {
		const struct tui_row *row = &rows->rows[i];
		struct row_id here = row_id_of(row);

		if (!row_id_equal(&here, id))
			continue;
		found = i;
		if (row->kind != ROW_GROUP || row->group->span.life == LIFE_LIVE)
			break;
	}
	return found;
}

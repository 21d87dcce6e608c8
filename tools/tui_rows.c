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

struct row_key {
	struct tui_row row;
	size_t place; /* in the model's order: equals keep it */
	bool is_known;
	double number;
	char text[24];
};

static double level_of(const struct model_group *group)
{
	struct value available = model_available(group);

	if (available.state == VALUE_UNKNOWN || group->rec.entries == 0)
		return -1;
	return available.v / group->rec.entries;
}

static void set_key(struct row_key *key, const struct tui_column *column)
{
	struct field_row row = {.ring = key->row.ring, .group = key->row.group};
	const struct model_group *group = key->row.group;
	char text[FIELD_CELL_MAX];
	struct value value;
	const char *label;

	key->number = 0;
	key->text[0] = '\0';
	if (column->kind == COLUMN_STATE) {
		key->is_known = group->span.life == LIFE_LIVE;
		key->number = group->condition;
	} else if (column->kind != COLUMN_FIELD || strcmp(column->key, "filled") == 0) {
		key->number = level_of(group);
		key->is_known = key->number >= 0;
	} else if (column->field->number) {
		value = column->field->number(&row);
		key->is_known = value.state != VALUE_UNKNOWN;
		key->number = value.v;
	} else if (strcmp(column->key, "owner") == 0) {
		key->is_known = true;
	} else {
		label = column->field->text(&row, text, sizeof(text));
		key->is_known = label != NULL;
		strncpy(key->text, label ? label : "", sizeof(key->text) - 1);
		key->text[sizeof(key->text) - 1] = '\0';
	}
}

static int by_key(const void *a, const void *b, void *context)
{
	const struct row_key *x = a, *y = b;
	int sign = *(const bool *)context ? 1 : -1;
	int order;

	if (x->is_known != y->is_known)
		return x->is_known ? -1 : 1;
	order = x->number < y->number ? -1 : x->number > y->number;
	if (order == 0)
		order = strcmp(x->text, y->text);
	if (order != 0)
		return sign * order;
	return x->place < y->place ? -1 : 1;
}

static int sort(struct tui_rows *rows, const struct rows_opts *opts)
{
	bool is_ascending = opts->sort->is_ascending != opts->is_inverted;

	if (rows->nr > rows->room_keys) {
		free(rows->keys);
		rows->room_keys = rows->room;
		rows->keys = calloc(rows->room_keys, sizeof(*rows->keys));
		if (!rows->keys) {
			rows->room_keys = 0;
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < rows->nr; i++) {
		rows->keys[i].row = rows->rows[i];
		rows->keys[i].place = i;
		set_key(&rows->keys[i], opts->sort);
	}
	qsort_r(rows->keys, rows->nr, sizeof(*rows->keys), by_key, &is_ascending);
	for (size_t i = 0; i < rows->nr; i++)
		rows->rows[i] = rows->keys[i].row;
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

/* SPDX-License-Identifier: MIT */
/* The rows of a list: what of a model is wanted, in which order. Pure; the model stays as it is. */
#ifndef BUFSCOPE_TUI_ROWS_H
#define BUFSCOPE_TUI_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/model.h"
#include "tui_columns.h"
#include "tui_filter.h"

enum row_kind { ROW_GROUP, ROW_RING, ROW_PROCESS };

/* A process is shown by the first of its rings. */
struct tui_row {
	enum row_kind kind;
	const struct model_ring *ring;
	const struct model_group *group; /* of ROW_GROUP */
};

/* What a row is about, whatever its place: it survives samples and sorting. */
struct row_id {
	enum row_kind kind;
	uint32_t tgid;    /* of ROW_PROCESS */
	uint32_t ordinal; /* of ROW_RING and ROW_GROUP */
	uint32_t bgid;    /* of ROW_GROUP */
};

struct row_id row_id_of(const struct tui_row *row);
bool row_id_equal(const struct row_id *a, const struct row_id *b);

struct rows_opts {
	const struct filter *filter;   /* NULL: all groups */
	const struct tui_column *sort; /* NULL: the model's order, by process, fd and bgid */
	bool is_inverted;
	bool is_tree;     /* processes and rings have rows, too; then nothing is sorted */
	uint32_t tgid;    /* only of this process; 0: of all */
	uint32_t ordinal; /* only of this ring; 0: of all */
};

/* Rows point into a model: they are valid until it changes. */
struct tui_rows {
	struct tui_row *rows;
	size_t nr, room;
	struct row_key *keys;   /* for sorting, as is the next one */
	struct tui_row *sorted; /* room for the rows in their new order */
	size_t room_keys;
};

/* Anew. 0 or -ENOMEM. */
int rows_build(struct tui_rows *rows, const struct model *model, const struct rows_opts *opts);
void rows_done(struct tui_rows *rows);

/* Where it stands, of two with this identity the living one; rows->nr: nowhere. */
size_t rows_find(const struct tui_rows *rows, const struct row_id *id);

#endif

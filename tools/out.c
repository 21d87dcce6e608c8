// SPDX-License-Identifier: MIT
/* How is a model written, as a table that stays aligned or as JSON that misses nothing? */
#include "out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/text.h"
#include "cmd.h"
#include "json_write.h"

FILE *out_open(const char *path)
{
	FILE *file = path ? fopen(path, "we") : stdout;

	if (!file)
		cmd_error("cannot write '%s': %s", path, strerror(errno));
	return file;
}

int out_close(FILE *file, const char *path)
{
	bool has_failed = ferror(file);

	if (!path)
		return EXIT_OK;
	has_failed = fclose(file) || has_failed;
	if (!has_failed)
		return EXIT_OK;
	cmd_error("cannot write '%s': %s", path, strerror(errno));
	return EXIT_FAILED;
}

/* ---- tables: measured first, then printed */

#define MAX_COLUMNS 16

struct table {
	FILE *file;
	char *cells; /* those measured, each with its NUL, so that none is made twice */
	size_t used, room;
	size_t next; /* to be printed */
	bool lacks;
	size_t owed; /* blanks to write if anything follows on the line */
	size_t nr;
	const struct field *columns[MAX_COLUMNS];
	size_t widths[MAX_COLUMNS];
};

struct column_name {
	enum field_set set;
	const char *key;
};

static void table_begin(struct table *table, const struct column_name *names, size_t nr)
{
	table->nr = nr;
	for (size_t i = 0; i < nr; i++) {
		table->columns[i] = field_find(names[i].set, names[i].key);
		table->widths[i] = text_width(table->columns[i]->title);
	}
}

/* False: no memory. Then cells are made again when they are printed. */
static bool keep(struct table *table, const char *cell)
{
	size_t length = strlen(cell) + 1;

	if (table->used + length > table->room) {
		size_t room = table->room * 2 + FIELD_CELL_MAX;
		char *cells = realloc(table->cells, room);

		if (!cells)
			return false;
		table->cells = cells;
		table->room = room;
	}
	memcpy(table->cells + table->used, cell, length);
	table->used += length;
	return true;
}

static void table_end(struct table *table)
{
	free(table->cells);
}

static void table_measure(struct table *table, const struct field_row *row)
{
	char cell[FIELD_CELL_MAX];

	for (size_t i = 0; i < table->nr; i++) {
		size_t width = text_width(field_cell(table->columns[i], row, cell));

		table->lacks |= !keep(table, cell);
		if (width > table->widths[i])
			table->widths[i] = width;
	}
}

static void put_text(struct table *table, const char *text)
{
	for (; table->owed > 0; table->owed--)
		putc_unlocked(' ', table->file);
	fputs_unlocked(text, table->file);
}

/* The last column, if there is anything to show in it. */
static void drop_last(struct table *table, bool is_wanted)
{
	table->nr -= !is_wanted;
}

static void end_line(struct table *table)
{
	putc_unlocked('\n', table->file);
	table->owed = 0;
}

/* Numbers stand at the right, text at the left. */
static void put_cell(struct table *table, size_t i, const char *text)
{
	size_t width = text_width(text);
	size_t gap = width < table->widths[i] ? table->widths[i] - width : 0;
	bool is_number = field_is_number(table->columns[i]);

	table->owed += is_number ? gap : 0;
	put_text(table, text);
	table->owed = (is_number ? 0 : gap) + 2;
}

static void put_titles(struct table *table, size_t indent)
{
	table->owed = indent;
	for (size_t i = 0; i < table->nr; i++)
		put_cell(table, i, table->columns[i]->title);
}

/* Rows are printed in the order in which they were measured. */
static const char *next_cell(struct table *table, size_t i, const struct field_row *row,
			     char *scratch)
{
	const char *cell = table->cells + table->next;

	if (table->lacks)
		return field_cell(table->columns[i], row, scratch);
	table->next += strlen(cell) + 1;
	return cell;
}

static void put_cells(struct table *table, size_t indent, const struct field_row *row)
{
	char cell[FIELD_CELL_MAX];

	table->owed = indent;
	for (size_t i = 0; i < table->nr; i++)
		put_cell(table, i, next_cell(table, i, row, cell));
}

/* ---- walking what lives */

typedef void visit_fn(void *context, const struct field_row *row);

static void each_ring(const struct model *model, visit_fn *visit_ring, visit_fn *visit_group,
		      void *context)
{
	for (size_t i = 0; i < model->nr_rings; i++) {
		struct field_row row = {.ring = model->rings[i]};

		if (row.ring->span.life != LIFE_LIVE)
			continue;
		if (visit_ring)
			visit_ring(context, &row);
		for (size_t j = 0; visit_group && j < row.ring->nr_groups; j++) {
			row.group = row.ring->groups[j];
			if (row.group->span.life == LIFE_LIVE)
				visit_group(context, &row);
		}
	}
}

/* ---- the list */

struct list {
	struct table rings, groups;
	size_t indent; /* of group lines */
};

static void measure_ring(void *context, const struct field_row *row)
{
	table_measure(&((struct list *)context)->rings, row);
}

static void measure_group(void *context, const struct field_row *row)
{
	table_measure(&((struct list *)context)->groups, row);
}

/* The flags end the line if they fit on it, else they have the next one. */
static void print_ring(void *context, const struct field_row *row)
{
	struct table *table = &((struct list *)context)->rings;
	const struct field *flags = field_find(FIELDS_RING, "setup_flags");
	char cell[FIELD_CELL_MAX];
	size_t used = 0;

	for (size_t i = 0; i < table->nr; i++)
		used += table->widths[i] + 2;
	put_cells(table, 0, row);
	field_cell(flags, row, cell);
	if (used + text_width(cell) > OUT_COLUMNS) {
		end_line(table);
		table->owed = 2;
	}
	if (*cell)
		put_text(table, cell);
	end_line(table);
}

static void print_group(void *context, const struct field_row *row)
{
	struct list *list = context;

	put_cells(&list->groups, list->indent, row);
	end_line(&list->groups);
}

void out_list(FILE *file, const struct model *model)
{
	static const struct column_name rings[] = {
		{FIELDS_EYES, "owner"},      {FIELDS_RING, "comm"},  {FIELDS_RING, "sq_entries"},
		{FIELDS_RING, "cq_entries"}, {FIELDS_EYES, "fixed"},
	};
	static const struct column_name groups[] = {
		{FIELDS_GROUP, "bgid"}, {FIELDS_GROUP, "kind"},      {FIELDS_GROUP, "entries"},
		{FIELDS_GROUP, "head"}, {FIELDS_GROUP, "tail"},      {FIELDS_GROUP, "available"},
		{FIELDS_GROUP, "held"}, {FIELDS_GROUP, "buf_bytes"}, {FIELDS_GROUP, "mem_bytes"},
		{FIELDS_GROUP, "name"},
	};
	struct list list = {.rings.file = file, .groups.file = file, .indent = 2};

	table_begin(&list.rings, rings, sizeof(rings) / sizeof(rings[0]));
	table_begin(&list.groups, groups, sizeof(groups) / sizeof(groups[0]));
	drop_last(&list.groups, model->has_names);
	each_ring(model, measure_ring, measure_group, &list);
	put_titles(&list.rings, 0);
	put_text(&list.rings, "FLAGS");
	end_line(&list.rings);
	put_titles(&list.groups, list.indent);
	end_line(&list.groups);
	each_ring(model, print_ring, print_group, &list);
	table_end(&list.rings);
	table_end(&list.groups);
}

void out_groups(FILE *file, const struct model *model)
{
	static const struct column_name names[] = {
		{FIELDS_EYES, "owner"},           {FIELDS_GROUP, "comm"},
		{FIELDS_GROUP, "bgid"},           {FIELDS_GROUP, "kind"},
		{FIELDS_GROUP, "available"},      {FIELDS_GROUP, "entries"},
		{FIELDS_GROUP, "held"},           {FIELDS_GROUP, "taken_per_s"},
		{FIELDS_GROUP, "returned_per_s"}, {FIELDS_GROUP, "low_water"},
		{FIELDS_GROUP, "name"},
	};
	struct list list = {.groups.file = file};

	table_begin(&list.groups, names, sizeof(names) / sizeof(names[0]));
	drop_last(&list.groups, model->has_names);
	each_ring(model, NULL, measure_group, &list);
	put_titles(&list.groups, 0);
	end_line(&list.groups);
	each_ring(model, NULL, print_group, &list);
	table_end(&list.groups);
}

/* ---- what the numbers rest on */

static size_t add(char *out, size_t size, size_t used, const char *text)
{
	if (used < size)
		snprintf(out + used, size - used, "%s", text);
	return used + strlen(text);
}

static size_t add_count(char *out, size_t size, size_t used, uint64_t nr, const char *noun)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu %s%s", (unsigned long long)nr, noun, nr == 1 ? "" : "s");
	return add(out, size, used, text);
}

char *out_summary(const struct model *model, char *out, size_t size)
{
	static const char *const nouns[LOSS_MAX] = {
		[LOSS_RINGS] = "ring",
		[LOSS_GROUPS] = "group",
		[LOSS_WALK] = "walk",
		[LOSS_UNATTRIBUTED] = "unattributed completion",
		[LOSS_GUESSED] = "guessed completion",
		[LOSS_ACCOUNTS] = "account",
		[LOSS_LEDGERS] = "ledger",
		[LOSS_REQUESTS] = "request",
		[LOSS_HIDDEN] = "hidden completion",
		[LOSS_BIDS] = "bid",
		[LOSS_EVENTS] = "event",
		[LOSS_CALLS] = "function call",
		[LOSS_PROCESSES] = "descendant",
	};
	size_t used = add_count(out, size, 0, model->live_rings, "ring");
	const char *lead = "; lost: ";

	used = add(out, size, used, ", ");
	used = add_count(out, size, used, model->live_groups, "group");
	used = add(out, size, used, " (");
	used = add(out, size, used, sample_backend_name(model->backend));
	used = add(out, size, used, ")");
	for (int i = 0; i < LOSS_MAX; i++) {
		if (model->losses[i] == 0)
			continue;
		used = add(out, size, used, lead);
		used = add_count(out, size, used, model->losses[i], nouns[i]);
		lead = ", ";
	}
	if (model->wraps > 0) {
		used = add(out, size, used, "; in doubt: ");
		add_count(out, size, used, model->wraps, "wrap");
	}
	return out;
}

/* ---- JSON */

static void json_names(struct json *json, const char *key, const char *names)
{
	char name[FIELD_CELL_MAX];

	json_open(json, key, '[');
	while (*names) {
		size_t length = strcspn(names, " ");

		snprintf(name, sizeof(name), "%.*s", (int)length, names);
		json_text(json, NULL, name);
		names += length + (names[length] == ' ');
	}
	json_close(json, ']');
}

static void json_field(struct json *json, const struct field *field, const struct field_row *row)
{
	char raw[FIELD_CELL_MAX];

	if (field->number) {
		struct value value = field->number(row);

		if (value.state != VALUE_KNOWN)
			json_null(json, field->key);
		else if (field->unit == UNIT_PER_S)
			json_double(json, field->key, value.v);
		else
			json_u64(json, field->key, (uint64_t)value.v);
		return;
	}
	if (!field->text(row, raw, sizeof(raw)))
		json_null(json, field->key);
	else if (field->type == FIELD_NAMES)
		json_names(json, field->key, raw);
	else
		json_text(json, field->key, raw);
}

static void json_fields(struct json *json, enum field_set set, const struct field_row *row)
{
	size_t nr;
	const struct field *fields = fields_of(set, &nr);

	for (size_t i = 0; i < nr; i++)
		json_field(json, &fields[i], row);
}

static void json_ring(struct json *json, const struct model_ring *ring)
{
	struct field_row row = {.ring = ring};

	json_open(json, NULL, '{');
	json_fields(json, FIELDS_RING, &row);
	json_open(json, "table", '{');
	json_fields(json, FIELDS_TABLE, &row);
	json_close(json, '}');
	json_open(json, "groups", '[');
	for (size_t i = 0; i < ring->nr_groups; i++) {
		row.group = ring->groups[i];
		if (row.group->span.life != LIFE_LIVE)
			continue;
		json_open(json, NULL, '{');
		json_fields(json, FIELDS_GROUP, &row);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

void out_losses(struct json *json, const uint64_t losses[LOSS_MAX], enum sample_backend backend)
{
	for (enum sample_loss loss = 0; loss < LOSS_MAX; loss++) {
		if (sample_can_lose(loss, backend))
			json_u64(json, sample_loss_name(loss), losses[loss]);
		else
			json_null(json, sample_loss_name(loss));
	}
}

void out_json(FILE *file, const struct model *model, const struct out_head *head)
{
	struct json json = {.file = file};

	json_open(&json, NULL, '{');
	json_text(&json, "schema", head->schema);
	json_text(&json, "kernel", head->kernel);
	json_u64(&json, "at_ns", model->at_ns);
	json_u64(&json, "wall_ns", model->wall_ns);
	json_text(&json, "backend", sample_backend_name(model->backend));
	json_open(&json, "losses", '{');
	out_losses(&json, model->losses, model->backend);
	json_u64(&json, "wraps", model->wraps);
	json_close(&json, '}');
	json_open(&json, "rings", '[');
	for (size_t i = 0; i < model->nr_rings; i++)
		if (model->rings[i]->span.life == LIFE_LIVE)
			json_ring(&json, model->rings[i]);
	json_close(&json, ']');
	json_close(&json, '}');
	putc_unlocked('\n', file);
}

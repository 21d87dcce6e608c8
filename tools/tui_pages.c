// SPDX-License-Identifier: MIT
/* What is on each page? */
#include "tui_pages.h"

#include <stdio.h>
#include <string.h>

#include "../lib/text.h"
#include "out.h"
#include "tui_about.h"
#include "tui_cells.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* ---- lists */

static void draw_titles(const struct tui_state *state, struct rect at, const int *widths)
{
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};

	draw_text(span, C_HEADER, ALIGN_LEFT, "");
	for (size_t i = 0; i < state->likes.columns.nr; i++) {
		const struct tui_column *column = state->likes.columns.columns[i];
		bool is_number = column->field && field_is_number(column->field);
		bool is_sort = column == state->likes.sort && !state->likes.is_tree;

		if (widths[i] == 0)
			continue;
		span.cols = widths[i];
		draw_text(span, is_sort ? C_SELECT : C_HEADER, is_number ? ALIGN_RIGHT : ALIGN_LEFT,
			  column->title);
		span.x += widths[i] + LAYOUT_GAP;
	}
}

const struct tui_column *page_column_at(const struct tui_frame *frame, int x)
{
	const struct tui_choice *choice = &frame->state->likes.columns;
	int widths[TUI_MAX_COLUMNS], left = 0;

	tui_choice_widths(choice, frame->model, frame->cols, widths);
	for (size_t i = 0; i < choice->nr; i++) {
		if (widths[i] > 0 && x >= left && x < left + widths[i])
			return choice->columns[i];
		left += widths[i] > 0 ? widths[i] + LAYOUT_GAP : 0;
	}
	return NULL;
}

/* A process or a ring in a tree: one line of words. */
static void draw_branch(struct span line, const struct tui_row *row)
{
	struct field_row cells = {.ring = row->ring};
	const struct model_span *span = &row->ring->span;
	enum tui_color color = span->life == LIFE_LIVE ? C_ACCENT : cell_fade(span);
	char comm[FIELD_CELL_MAX], flags[FIELD_CELL_MAX], text[2 * FIELD_CELL_MAX + 64];
	char owner[FIELD_CELL_MAX];

	field_cell(field_find(FIELDS_RING, "comm"), &cells, comm);
	field_cell(field_find(FIELDS_EYES, "owner"), &cells, owner);
	field_cell(field_find(FIELDS_RING, "setup_flags"), &cells, flags);
	if (row->kind == ROW_PROCESS)
		snprintf(text, sizeof(text), "%u %s", row->ring->rec.tgid, comm);
	else
		snprintf(text, sizeof(text), "  ring %s  sq %u  cq %u  %s", owner,
			 row->ring->rec.sq_entries, row->ring->rec.cq_entries, flags);
	draw_text(line, color, ALIGN_LEFT, text);
}

static void draw_row(const struct tui_frame *frame, struct span line, const struct tui_row *row,
		     const int *widths)
{
	const struct tui_choice *choice = &frame->state->likes.columns;
	struct span span = line;

	draw_text(line, C_NORMAL, ALIGN_LEFT, "");
	if (row->kind != ROW_GROUP) {
		draw_branch(line, row);
		return;
	}
	for (size_t i = 0; i < choice->nr; i++) {
		if (widths[i] == 0)
			continue;
		span.cols = widths[i];
		cell_draw(span, choice->columns[i], row->group, frame->model);
		span.x += widths[i] + LAYOUT_GAP;
	}
}

static void draw_nothing(const struct tui_frame *frame, struct rect at)
{
	bool is_filtered = frame->state->filter.text[0] && frame->model->live_groups > 0;

	draw_text(cell_line(at, at.rows / 2), C_DIM, ALIGN_LEFT,
		  is_filtered ? "no row is left by the filter"
			      : "no buffer group; one will show up here as it is registered");
}

void page_draw_list(const struct tui_frame *frame, struct rect header, struct rect body)
{
	const struct tui_state *state = frame->state;
	const struct tui_place *place = tui_state_here(state);
	int widths[TUI_MAX_COLUMNS];

	tui_choice_widths(&state->likes.columns, frame->model, body.cols, widths);
	draw_titles(state, header, widths);
	if (state->rows.nr == 0)
		draw_nothing(frame, body);
	for (int i = 0; i < body.rows && place->top + (size_t)i < state->rows.nr; i++) {
		size_t row = place->top + (size_t)i;
		struct span line = {.y = body.y + i, .x = body.x, .cols = body.cols};

		draw_selected(row == place->cursor);
		draw_row(frame, line, &state->rows.rows[row], widths);
		draw_selected(false);
	}
}

/* ---- what a page is about */

int page_info_lines(const struct tui_frame *frame)
{
	enum tui_page page = tui_state_here(frame->state)->page;

	return page == PAGE_RING      ? about_ring_lines(frame)
	       : page == PAGE_PROCESS ? 1 + ABOUT_PROCESS_LINES
				      : 1;
}

static const char *say_sum(const struct tui_sum *sum, char *out, size_t size)
{
	char count[16];

	if (!sum->is_known)
		return "-";
	snprintf(out, size, "%s%s", sum->is_partial ? ">=" : "",
		 text_count(count, sizeof(count), sum->v));
	return out;
}

static void draw_totals(struct span line, const struct tui_totals *totals)
{
	char text[256], alerts[32], held[24], taken[24], returned[24], starved[24];
	struct span right = line;

	snprintf(text, sizeof(text),
		 "%zu ring%s  %zu group%s  held %s  take %s/s  return %s/s  starve %s/s",
		 totals->rings, totals->rings == 1 ? "" : "s", totals->groups,
		 totals->groups == 1 ? "" : "s", say_sum(&totals->held, held, sizeof(held)),
		 say_sum(&totals->taken, taken, sizeof(taken)),
		 say_sum(&totals->returned, returned, sizeof(returned)),
		 say_sum(&totals->starved, starved, sizeof(starved)));
	snprintf(alerts, sizeof(alerts), totals->alerts == 1 ? "%zu alert " : "%zu alerts ",
		 totals->alerts);
	right.cols = (int)strlen(alerts);
	right.x = line.x + line.cols - right.cols;
	line.cols -= right.cols + 1;
	draw_text(line, C_NORMAL, ALIGN_LEFT, text);
	draw_text(right, totals->alerts > 0 ? C_BAD : C_DIM, ALIGN_LEFT, alerts);
}

void page_draw_info(const struct tui_frame *frame, struct rect at)
{
	enum tui_page page = tui_state_here(frame->state)->page;
	struct rect below = {.y = at.y + 1, .x = at.x, .rows = at.rows - 1, .cols = at.cols};

	if (page == PAGE_RING) {
		about_ring(frame, at);
		return;
	}
	draw_totals(cell_line(at, 0), &frame->state->totals);
	if (page == PAGE_PROCESS)
		about_process(frame, below);
}

/* ---- menus */

static void draw_menu_line(struct span line, bool is_chosen, const char *text)
{
	draw_selected(is_chosen);
	draw_text(line, C_NORMAL, ALIGN_LEFT, text);
	draw_selected(false);
}

void page_draw_sort(const struct tui_frame *frame, struct rect at)
{
	const struct tui_place *place = tui_state_here(frame->state);
	size_t nr;
	const struct tui_column *columns = tui_columns(&nr);

	for (int i = 0; i < at.rows && place->top + (size_t)i < place->nr; i++) {
		size_t n = place->top + (size_t)i;
		char text[256];

		if (n == 0)
			snprintf(text, sizeof(text), "%-18s by process, ring and group",
				 "(nothing)");
		else
			snprintf(text, sizeof(text), "%-18s %s", columns[n - 1].key,
				 columns[n - 1].help);
		draw_menu_line(cell_line(at, i), n == place->cursor, text);
	}
}

void page_draw_columns(const struct tui_frame *frame, struct rect at)
{
	const struct tui_place *place = tui_state_here(frame->state);
	const struct tui_choice *choice = &frame->state->likes.columns;

	for (int i = 0; i < at.rows && place->top + (size_t)i < place->nr; i++) {
		size_t n = place->top + (size_t)i;
		const struct tui_column *column = tui_choice_listed(choice, n);
		char text[256];

		if (!column)
			break;
		snprintf(text, sizeof(text), "[%c] %-18s %s", n < choice->nr ? 'x' : ' ',
			 column->key, column->help);
		draw_menu_line(cell_line(at, i), n == place->cursor, text);
	}
}

/* ---- text */

static const char *const help_words[] = {
	"LEVEL is how full a ring is: the bar is what the kernel can still pick, the | the lowest "
	"level seen so far.",
	"S is the state: S starving, L leaking, T tight, c calm, i idle. A row marked + is new, "
	"one "
	"with x is gone, one with ? was not in the last look.",
	"A number that cannot be known here is -. Held as <=N is what is missing from the ring, "
	"some of which may never have been filled.",
	"A number with ? may be short: a 16-bit counter may have wrapped between two looks; look "
	"more often.",
	"A filter is text, or comparisons: starved_per_s > 0 and held >= 10. The names are those "
	"of "
	"the list of columns; state = starving, kind != legacy; sizes take K, M, G, times us, ms, "
	"s.",
};

#define HELP_KEYS 13 /* columns of the key names */

/* Where the next line of a text goes, and which one that is. */
struct pen {
	struct rect at;
	size_t top, line;
};

static bool pen_line(struct pen *pen, struct span *line)
{
	size_t n = pen->line++;

	if (n < pen->top || n - pen->top >= (size_t)pen->at.rows)
		return false;
	*line = cell_line(pen->at, (int)(n - pen->top));
	return true;
}

static void lay_paragraph(struct pen *pen, const char *text)
{
	size_t columns = pen->at.cols > 2 ? (size_t)pen->at.cols - 2 : 1;

	do {
		const char *start = text;
		size_t length = text_wrap(&text, columns);
		struct span line;
		char words[512];

		snprintf(words, sizeof(words), "%.*s", (int)length, start);
		if (pen_line(pen, &line))
			draw_text(line, C_NORMAL, ALIGN_LEFT, words);
	} while (*text);
}

static void lay_help(struct pen *pen, const struct model *model)
{
	char summary[512];
	size_t nr;
	const struct tui_binding *bindings = tui_bindings(&nr);
	struct span line;

	for (size_t i = 0; i < nr; i++) {
		if (!bindings[i].help || !pen_line(pen, &line))
			continue;
		draw_text((struct span){line.y, line.x, HELP_KEYS - 1}, C_ACCENT, ALIGN_LEFT,
			  bindings[i].names);
		draw_text((struct span){line.y, line.x + HELP_KEYS, line.cols - HELP_KEYS},
			  C_NORMAL, ALIGN_LEFT, bindings[i].help);
	}
	for (size_t i = 0; i < ROWS(help_words); i++) {
		pen->line++;
		lay_paragraph(pen, help_words[i]);
	}
	pen->line++;
	lay_paragraph(pen, out_summary(model, summary, sizeof(summary)));
}

/* What another command printed: its lines as they are, clipped. */
static void lay_lines(struct pen *pen, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		char raw[512], words[FIELD_CELL_MAX];
		struct span line;

		snprintf(raw, sizeof(raw), "%.*s", (int)length, text);
		if (pen_line(pen, &line))
			draw_text(line, C_NORMAL, ALIGN_LEFT,
				  text_escape(words, sizeof(words), raw));
		text += length + (text[length] == '\n');
	}
}

size_t page_lay_text(const struct tui_frame *frame, struct rect at)
{
	const struct tui_place *place = tui_state_here(frame->state);
	struct pen pen = {.at = at, .top = place->top};

	if (place->page == PAGE_HELP)
		lay_help(&pen, frame->model);
	else if (frame->limits && *frame->limits)
		lay_lines(&pen, frame->limits);
	else
		lay_paragraph(&pen, "asking the kernel what it lets you register ...");
	return pen.line;
}

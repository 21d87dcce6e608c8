// SPDX-License-Identifier: MIT
/* What does each page look like? */
#include "tui_view.h"

#include <ncurses.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../lib/fields.h"
#include "../lib/text.h"
#include "tui_draw.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* ---- columns of the overview */

struct column {
	enum { COLUMN_MARK, COLUMN_LEVEL, COLUMN_FIELD } what;
	enum field_set set;
	const char *key;
	struct layout_column layout;
};

static const struct column columns[] = {
	{COLUMN_MARK, 0, NULL, {1, 1, 0}},
	{COLUMN_FIELD, FIELDS_EYES, "owner", {9, 13, 1}},
	{COLUMN_FIELD, FIELDS_GROUP, "comm", {8, 15, 5}},
	{COLUMN_FIELD, FIELDS_GROUP, "bgid", {5, 5, 0}},
	{COLUMN_FIELD, FIELDS_GROUP, "kind", {6, 8, 8}},
	{COLUMN_LEVEL, 0, NULL, {6, 30, 2}},
	{COLUMN_FIELD, FIELDS_EYES, "filled", {11, 11, 0}},
	{COLUMN_FIELD, FIELDS_GROUP, "held", {7, 7, 4}},
	{COLUMN_FIELD, FIELDS_GROUP, "taken_per_s", {6, 6, 3}},
	{COLUMN_FIELD, FIELDS_GROUP, "returned_per_s", {6, 6, 6}},
	{COLUMN_FIELD, FIELDS_GROUP, "low_water", {5, 5, 7}},
};

static void column_widths(int cols, int *widths)
{
	struct layout_column layouts[ROWS(columns)];

	for (size_t i = 0; i < ROWS(columns); i++)
		layouts[i] = columns[i].layout;
	layout_columns(cols, layouts, ROWS(columns), widths);
}

static enum draw_align align_of(const struct field *field)
{
	return field_is_number(field) ? ALIGN_RIGHT : ALIGN_LEFT;
}

static void draw_header(struct rect at)
{
	int widths[ROWS(columns)];
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};

	column_widths(at.cols, widths);
	draw_text(span, C_HEADER, ALIGN_LEFT, "");
	for (size_t i = 0; i < ROWS(columns); i++) {
		const struct field *field = NULL;

		if (widths[i] == 0)
			continue;
		span.cols = widths[i];
		if (columns[i].what == COLUMN_FIELD)
			field = field_find(columns[i].set, columns[i].key);
		if (field)
			draw_text(span, C_HEADER, align_of(field), field->title);
		else if (columns[i].what == COLUMN_LEVEL)
			draw_text(span, C_HEADER, ALIGN_LEFT, "LEVEL");
		span.x += widths[i] + LAYOUT_GAP;
	}
}

/* How urgent a level is: a tenth is little, a quarter is worth a look. */
static enum tui_color color_of_level(double level)
{
	return level < 0.1 ? C_BAD : level < 0.25 ? C_WARN : C_GOOD;
}

/* How it ended, in as many words as there is room for. */
static void draw_ending(struct span span, const struct model_group *group,
			const struct model *model)
{
	bool is_closed = group->ring->span.life == LIFE_GONE;
	const char *what = group->span.life == LIFE_UNSEEN ? "unseen"
			   : is_closed                     ? "closed"
							   : "gone";
	const char *whole = group->span.life == LIFE_UNSEEN ? "not seen for"
			    : is_closed                     ? "ring closed for"
							    : "unregistered for";
	char ago[16], texts[3][64];
	size_t i = 0;

	text_span(ago, sizeof(ago), model->at_ns - group->span.seen_ns);
	snprintf(texts[0], sizeof(texts[0]), "%s %s", whole, ago);
	snprintf(texts[1], sizeof(texts[1]), "%s %s", what, ago);
	snprintf(texts[2], sizeof(texts[2]), "%s", what);
	while (i < 2 && (int)text_width(texts[i]) > span.cols)
		i++;
	draw_text(span, C_DIM, ALIGN_LEFT, texts[i]);
}

static void draw_level(struct span span, const struct model_group *group, const struct model *model)
{
	struct value available = model_available(group);
	struct value low = model_gauge(group, GAUGE_LOW_WATER);
	double entries = group->rec.entries;
	struct draw_bar bar = {.mark = -1};

	if (group->span.life != LIFE_LIVE) {
		draw_ending(span, group, model);
		return;
	}
	if (available.state == VALUE_UNKNOWN || entries == 0) {
		draw_text(span, C_DIM, ALIGN_LEFT, "");
		return;
	}
	bar.filled = available.v > entries ? 1 : available.v / entries;
	bar.color = available.v > entries ? C_BAD : color_of_level(bar.filled);
	if (low.state != VALUE_UNKNOWN && low.v < available.v)
		bar.mark = low.v / entries;
	draw_bar(span, &bar);
}

static void draw_mark(struct span span, const struct model_group *group)
{
	switch (group->span.life) {
	case LIFE_GONE:
		draw_text(span, C_DIM, ALIGN_LEFT, "x");
		break;
	case LIFE_UNSEEN:
		draw_text(span, C_WARN, ALIGN_LEFT, "?");
		break;
	default:
		draw_text(span, C_GOOD, ALIGN_LEFT, group->span.is_new ? "+" : " ");
		break;
	}
}

static void draw_group(struct span line, const int *widths, const struct model_group *group,
		       const struct model *model)
{
	enum tui_color color = group->span.life == LIFE_LIVE ? C_NORMAL : C_DIM;
	struct field_row row = {.ring = group->ring, .group = group};
	struct span span = line;
	char cell[FIELD_CELL_MAX];

	draw_text(line, color, ALIGN_LEFT, "");
	for (size_t i = 0; i < ROWS(columns); i++) {
		const struct field *field;

		if (widths[i] == 0)
			continue;
		span.cols = widths[i];
		switch (columns[i].what) {
		case COLUMN_MARK:
			draw_mark(span, group);
			break;
		case COLUMN_LEVEL:
			draw_level(span, group, model);
			break;
		case COLUMN_FIELD:
			field = field_find(columns[i].set, columns[i].key);
			draw_text(span, color, align_of(field), field_cell(field, &row, cell));
			break;
		}
		span.x += widths[i] + LAYOUT_GAP;
	}
}

static void draw_nothing(struct rect at)
{
	struct span span = {.y = at.y + at.rows / 2, .x = at.x + 2, .cols = at.cols - 2};

	draw_text(span, C_DIM, ALIGN_LEFT,
		  "no buffer group; one will show up here as it is registered");
}

static void draw_groups(const struct tui_frame *frame, const struct layout *layout)
{
	const struct tui_list *list = &frame->state->groups;
	struct rect at = layout->body;
	int widths[ROWS(columns)];

	draw_header(layout->header);
	column_widths(at.cols, widths);
	if (list->nr == 0)
		draw_nothing(at);
	for (int i = 0; i < at.rows && list->top + (size_t)i < list->nr; i++) {
		size_t row = list->top + (size_t)i;
		struct span line = {.y = at.y + i, .x = at.x, .cols = at.cols};

		draw_selected(row == list->cursor);
		draw_group(line, widths, frame->state->rows[row], frame->model);
		draw_selected(false);
	}
}

/* ---- help */

static const char *const help_words[] = {
	"LEVEL is how full a ring is: the bar is what the kernel can still pick, the | the lowest "
	"level seen so far.",
	"A row marked + is new, one with x is gone, one with ? was not in the last look.",
	"A number that cannot be known here is -. Held as <=N is what is missing from the ring, "
	"some of which may never have been filled.",
	"A number with ? may be short: a 16-bit counter may have wrapped between two looks; look "
	"more often.",
};

#define HELP_KEYS 12 /* columns of the key names */

/* Draws the help lines from `top` on, or draws nothing if there is no room, and counts them. */
static size_t lay_help(struct rect at, size_t top)
{
	size_t nr, n = 0;
	const struct tui_binding *bindings = tui_bindings(&nr);
	struct span line = {.x = at.x + 1, .cols = at.cols - 2};

	for (size_t i = 0; i < nr; i++) {
		struct span keys = {.x = line.x, .cols = HELP_KEYS - 1};
		struct span words = {.x = line.x + HELP_KEYS, .cols = line.cols - HELP_KEYS};

		if (!bindings[i].help)
			continue;
		keys.y = words.y = at.y + (int)(n - top);
		if (n >= top && n - top < (size_t)at.rows) {
			draw_text(keys, C_ACCENT, ALIGN_LEFT, bindings[i].names);
			draw_text(words, C_NORMAL, ALIGN_LEFT, bindings[i].help);
		}
		n++;
	}
	for (size_t i = 0; i < ROWS(help_words); i++) {
		const char *rest = help_words[i];

		for (n++; *rest; n++) {
			const char *start = rest;
			size_t length = text_wrap(&rest, (size_t)line.cols);
			char words[256];

			snprintf(words, sizeof(words), "%.*s", (int)length, start);
			line.y = at.y + (int)(n - top);
			if (n >= top && n - top < (size_t)at.rows)
				draw_text(line, C_NORMAL, ALIGN_LEFT, words);
		}
	}
	return n;
}

size_t view_help_lines(int cols)
{
	return lay_help((struct rect){.cols = cols}, 0);
}

static void draw_help(const struct tui_frame *frame, const struct layout *layout)
{
	struct span header = {.y = layout->header.y, .cols = layout->header.cols};

	draw_text(header, C_HEADER, ALIGN_LEFT, " Keys");
	lay_help(layout->body, frame->state->help.top);
}

/* ---- the frame around every page */

static void draw_too_small(const struct tui_frame *frame)
{
	char text[64];
	struct span span = {.cols = frame->cols};

	snprintf(text, sizeof(text), "bufscope needs %dx%d, this is %dx%d", TUI_MIN_COLS,
		 TUI_MIN_ROWS, frame->cols, frame->rows);
	draw_text(span, C_NORMAL, ALIGN_LEFT, text);
}

/* What was lost and what is in doubt is always in sight. */
static void say_losses(const struct model *model, char *out, size_t size)
{
	uint64_t lost = 0;

	for (int i = 0; i < LOSS_MAX; i++)
		lost += model->losses[i];
	out[0] = '\0';
	if (lost > 0)
		snprintf(out, size, "  LOST %llu", (unsigned long long)lost);
	if (model->wraps > 0)
		snprintf(out + strlen(out), size - strlen(out), "  WRAPS %llu",
			 (unsigned long long)model->wraps);
}

/* How fresh, how often, and of when; the last of it first to go where there is little room. */
static void say_freshness(const struct tui_frame *frame, char *out, size_t room)
{
	const struct tui_state *state = frame->state;
	time_t wall = (time_t)(frame->model->wall_ns / 1000000000);
	char parts[3][32] = {"", "", ""};
	struct tm tm = {0};

	localtime_r(&wall, &tm);
	if (state->is_paused) {
		strftime(parts[0], sizeof(parts[0]), "  PAUSED at %H:%M:%S", &tm);
	} else {
		snprintf(parts[0], sizeof(parts[0]), "  age %.1fs", (double)frame->age_ns / 1e9);
		snprintf(parts[1], sizeof(parts[1]), "  every %.4gs",
			 (double)state->interval_ns / 1e9);
		strftime(parts[2], sizeof(parts[2]), "  %H:%M:%S", &tm);
	}
	out[0] = '\0';
	for (size_t i = 0; i < 3 && strlen(out) + strlen(parts[i]) < room; i++)
		strcat(out, parts[i]);
}

/* The right part stays whole, the left one gives way. */
static void draw_title(const struct tui_frame *frame, struct rect at)
{
	char left[256], right[160], losses[64], freshness[96];
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};
	size_t used;

	say_losses(frame->model, losses, sizeof(losses));
	used = (size_t)snprintf(right, sizeof(right), " %s%s",
				sample_backend_name(frame->model->backend), losses);
	say_freshness(frame, freshness, (size_t)at.cols > used ? (size_t)at.cols - used : 0);
	snprintf(right + used, sizeof(right) - used, "%s ", freshness);
	snprintf(left, sizeof(left), " bufscope  %s  %s", frame->host, frame->kernel);
	draw_text(span, C_TITLE, ALIGN_LEFT, "");
	span.cols = at.cols - (int)strlen(right);
	draw_text(span, C_TITLE, ALIGN_LEFT, left);
	span.x = span.cols > 0 ? span.cols : 0;
	span.cols = at.cols - span.x;
	draw_text(span, C_TITLE, ALIGN_LEFT, right);
}

/* A sum over what lives; unknown if nothing in it is known, a least value if not all is. */
struct sum {
	double v;
	bool is_known;
	bool is_partial;
};

static void add(struct sum *sum, struct value value)
{
	sum->v += value.state == VALUE_KNOWN ? value.v : 0;
	sum->is_known = sum->is_known || value.state == VALUE_KNOWN;
	sum->is_partial = sum->is_partial || value.state == VALUE_UNKNOWN;
}

static const char *say_sum(const struct sum *sum, char *out, size_t size)
{
	char count[16];

	if (!sum->is_known)
		return "-";
	snprintf(out, size, "%s%s", sum->is_partial ? ">=" : "",
		 text_count(count, sizeof(count), sum->v));
	return out;
}

static void draw_totals(const struct tui_frame *frame, struct rect at)
{
	const struct model *model = frame->model;
	struct sum held = {0}, taken = {0}, returned = {0};
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};
	char text[256], a[16], b[16], c[16];

	for (size_t i = 0; i < frame->state->groups.nr; i++) {
		const struct model_group *group = frame->state->rows[i];

		add(&held, model_held(group));
		add(&taken, model_rate(group, COUNT_TAKEN));
		add(&returned, model_rate(group, COUNT_RETURNED));
	}
	snprintf(text, sizeof(text), " %zu ring%s  %zu group%s  held %s  take %s/s  return %s/s",
		 model->live_rings, model->live_rings == 1 ? "" : "s", model->live_groups,
		 model->live_groups == 1 ? "" : "s", say_sum(&held, a, sizeof(a)),
		 say_sum(&taken, b, sizeof(b)), say_sum(&returned, c, sizeof(c)));
	draw_text(span, C_NORMAL, ALIGN_LEFT, text);
}

/* Keys that fit, each whole or not at all; the position at the right. */
static void draw_footer(const struct tui_frame *frame, struct rect at)
{
	enum tui_mode mode = tui_state_mode(frame->state);
	const struct tui_list *list = &frame->state->groups;
	size_t nr;
	const struct tui_binding *bindings = tui_bindings(&nr);
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};
	char position[64] = "";
	int end;

	draw_text(span, C_NORMAL, ALIGN_LEFT, "");
	if (frame->state->page == PAGE_GROUPS && list->nr > 0)
		snprintf(position, sizeof(position), " %zu/%zu", list->cursor + 1, list->nr);
	end = at.cols - (int)strlen(position);
	draw_text((struct span){at.y, end, (int)strlen(position)}, C_DIM, ALIGN_LEFT, position);
	for (size_t i = 0; i < nr; i++) {
		char key[16];
		int key_cols, label_cols;

		if (!bindings[i].label || !(bindings[i].modes & mode))
			continue;
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(bindings[i].names, " "),
			 bindings[i].names);
		key_cols = (int)strlen(key);
		label_cols = (int)strlen(bindings[i].label);
		if (span.x + key_cols + label_cols + 3 > end)
			break;
		draw_text((struct span){at.y, span.x + 1, key_cols}, C_SELECT, ALIGN_LEFT, key);
		draw_text((struct span){at.y, span.x + key_cols + 2, label_cols}, C_NORMAL,
			  ALIGN_LEFT, bindings[i].label);
		span.x += key_cols + label_cols + 3;
	}
}

size_t view_list_height(const struct tui_state *state, int rows, int cols)
{
	struct layout layout = layout_of(rows, cols);

	(void)state;
	return layout.body.rows > 0 ? (size_t)layout.body.rows : 0;
}

void view_draw(const struct tui_frame *frame)
{
	struct layout layout = layout_of(frame->rows, frame->cols);

	erase();
	if (layout.is_too_small) {
		draw_too_small(frame);
	} else {
		draw_title(frame, layout.title);
		draw_totals(frame, layout.totals);
		if (frame->state->page == PAGE_HELP)
			draw_help(frame, &layout);
		else
			draw_groups(frame, &layout);
		draw_footer(frame, layout.footer);
	}
	move(frame->rows - 1, frame->cols - 1);
	wnoutrefresh(stdscr);
	doupdate();
}

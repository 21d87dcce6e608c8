// SPDX-License-Identifier: MIT
/* What is on each page? */
#include "tui_pages.h"

#include <stdio.h>
#include <string.h>

#include "../lib/condition.h"
#include "../lib/text.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct span line_of(struct rect at, int row)
{
	return (struct span){.y = at.y + row, .x = at.x + 1, .cols = at.cols - 1};
}

static enum draw_align align_of(const struct field *field)
{
	return field_is_number(field) ? ALIGN_RIGHT : ALIGN_LEFT;
}

static enum tui_color color_of_condition(enum condition condition)
{
	static const enum tui_color colors[] = {
		[CONDITION_IDLE] = C_DIM,     [CONDITION_CALM] = C_GOOD,
		[CONDITION_TIGHT] = C_WARN,   [CONDITION_LEAKING] = C_BAD,
		[CONDITION_STARVING] = C_BAD,
	};

	return colors[condition];
}

/* ---- cells that are drawn */

/* How it ended, in as many words as there is room for. */
static void draw_ending(struct span span, const struct model_group *group,
			const struct model *model)
{
	static const char *const words[3][2] = {{"not seen for", "unseen"},
						{"ring closed for", "closed"},
						{"unregistered for", "gone"}};
	int how = group->span.life == LIFE_UNSEEN ? 0 : group->ring->span.life == LIFE_GONE ? 1 : 2;
	char ago[16], texts[3][64];
	size_t i = 0;

	text_span(ago, sizeof(ago), model->at_ns - group->span.seen_ns);
	snprintf(texts[0], sizeof(texts[0]), "%s %s", words[how][0], ago);
	snprintf(texts[1], sizeof(texts[1]), "%s %s", words[how][1], ago);
	snprintf(texts[2], sizeof(texts[2]), "%s", words[how][1]);
	while (i < 2 && (int)text_width(texts[i]) > span.cols)
		i++;
	draw_text(span, C_DIM, ALIGN_LEFT, texts[i]);
}

/* How urgent a level is: a tenth is little, a quarter is worth a look. */
static enum tui_color color_of_level(double level)
{
	return level < 0.1 ? C_BAD : level < 0.25 ? C_WARN : C_GOOD;
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
	if (available.state == VALUE_UNKNOWN || entries == 0)
		return;
	bar.filled = available.v > entries ? 1 : available.v / entries;
	bar.color = available.v > entries ? C_BAD : color_of_level(bar.filled);
	if (low.state != VALUE_UNKNOWN && low.v < available.v)
		bar.mark = low.v / entries;
	draw_bar(span, &bar);
}

/* The last looks, newest last. Levels beyond the ring's size show as full. */
static void take_history(const struct model *model, const struct model_group *group,
			 struct draw_point points[MODEL_HISTORY])
{
	double size = group->rec.entries;

	for (unsigned int i = 0; i < MODEL_HISTORY; i++) {
		unsigned int back = MODEL_HISTORY - 1 - i;
		uint32_t available = model_past_available(model, group, back);
		double level = size > 0 ? available / size : -1;

		if (available == REC_UNKNOWN_U32)
			level = -1;
		points[i].level = level > 1 ? 1 : level;
		points[i].is_bad = model_past_starved(model, group, back);
	}
}

static void draw_history(struct span span, int rows, const struct model_group *group,
			 const struct model *model)
{
	struct draw_point points[MODEL_HISTORY];

	take_history(model, group, points);
	draw_columns(span, rows, points, MODEL_HISTORY);
}

/* A letter for the state, or a mark for what came or went. */
static void draw_state(struct span span, const struct model_group *group)
{
	char letter[2] = {condition_letter(group->condition), '\0'};

	if (group->span.life == LIFE_GONE)
		draw_text(span, C_DIM, ALIGN_LEFT, "x");
	else if (group->span.life == LIFE_UNSEEN)
		draw_text(span, C_WARN, ALIGN_LEFT, "?");
	else if (group->span.is_new)
		draw_text(span, C_GOOD, ALIGN_LEFT, "+");
	else
		draw_text(span, color_of_condition(group->condition), ALIGN_LEFT, letter);
}

static void draw_cell(struct span span, const struct tui_column *column,
		      const struct model_group *group, const struct model *model)
{
	enum tui_color color = group->span.life == LIFE_LIVE ? C_NORMAL : C_DIM;
	struct field_row row = {.ring = group->ring, .group = group};
	char cell[FIELD_CELL_MAX];

	switch (column->kind) {
	case COLUMN_STATE:
		draw_state(span, group);
		break;
	case COLUMN_LEVEL:
		draw_level(span, group, model);
		break;
	case COLUMN_SPARK:
		draw_history(span, 1, group, model);
		break;
	case COLUMN_FIELD:
		draw_text(span, color, align_of(column->field),
			  field_cell(column->field, &row, cell));
		break;
	}
}

/* ---- lists */

static void draw_titles(const struct tui_state *state, struct rect at, const int *widths)
{
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};

	draw_text(span, C_HEADER, ALIGN_LEFT, "");
	for (size_t i = 0; i < state->columns.nr; i++) {
		const struct tui_column *column = state->columns.columns[i];
		bool is_number = column->field && field_is_number(column->field);
		bool is_sort = column == state->sort && !state->is_tree;

		if (widths[i] == 0)
			continue;
		span.cols = widths[i];
		draw_text(span, is_sort ? C_SELECT : C_HEADER, is_number ? ALIGN_RIGHT : ALIGN_LEFT,
			  column->title);
		span.x += widths[i] + LAYOUT_GAP;
	}
}

/* A process or a ring in a tree: one line of words. */
static void draw_branch(struct span line, const struct tui_row *row)
{
	struct field_row cells = {.ring = row->ring};
	enum tui_color color = row->ring->span.life == LIFE_LIVE ? C_ACCENT : C_DIM;
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
	const struct tui_choice *choice = &frame->state->columns;
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
		draw_cell(span, choice->columns[i], row->group, frame->model);
		span.x += widths[i] + LAYOUT_GAP;
	}
}

static void draw_nothing(const struct tui_frame *frame, struct rect at)
{
	bool is_filtered = frame->state->filter.text[0] && frame->model->live_groups > 0;

	draw_text(line_of(at, at.rows / 2), C_DIM, ALIGN_LEFT,
		  is_filtered ? "no row is left by the filter"
			      : "no buffer group; one will show up here as it is registered");
}

void page_draw_list(const struct tui_frame *frame, struct rect header, struct rect body)
{
	const struct tui_state *state = frame->state;
	const struct tui_place *place = tui_state_here(state);
	int widths[TUI_MAX_COLUMNS];

	tui_choice_widths(&state->columns, body.cols, widths);
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

int page_info_lines(enum tui_page page)
{
	return page == PAGE_RING ? 4 : page == PAGE_PROCESS ? 2 : 1;
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

struct totals {
	size_t rings, groups, alerts;
	struct sum held, taken, returned, starved;
	uint64_t fixed_bytes, ring_bytes;
};

/* Of one process, or of all with tgid 0. */
static void add_up(const struct model *model, uint32_t tgid, struct totals *totals)
{
	memset(totals, 0, sizeof(*totals));
	for (size_t i = 0; i < model->nr_rings; i++) {
		const struct model_ring *ring = model->rings[i];

		if ((tgid && ring->rec.tgid != tgid) || ring->span.life != LIFE_LIVE)
			continue;
		totals->rings++;
		totals->fixed_bytes += ring->rec.table_bytes;
		for (size_t j = 0; j < ring->nr_groups; j++) {
			const struct model_group *group = ring->groups[j];

			if (group->span.life != LIFE_LIVE)
				continue;
			totals->groups++;
			totals->alerts += group->condition > CONDITION_TIGHT;
			totals->ring_bytes += group->rec.mem_bytes;
			add(&totals->held, model_held(group));
			add(&totals->taken, model_rate(group, COUNT_TAKEN));
			add(&totals->returned, model_rate(group, COUNT_RETURNED));
			add(&totals->starved, model_rate(group, COUNT_STARVED));
		}
	}
}

static void draw_totals(struct span line, const struct totals *totals)
{
	char text[256], held[24], taken[24], returned[24], starved[24];
	bool is_bad = totals->alerts > 0;

	snprintf(
		text, sizeof(text),
		"%zu ring%s  %zu group%s  held %s  take %s/s  return %s/s  starve %s/s  alerts %zu",
		totals->rings, totals->rings == 1 ? "" : "s", totals->groups,
		totals->groups == 1 ? "" : "s", say_sum(&totals->held, held, sizeof(held)),
		say_sum(&totals->taken, taken, sizeof(taken)),
		say_sum(&totals->returned, returned, sizeof(returned)),
		say_sum(&totals->starved, starved, sizeof(starved)), totals->alerts);
	draw_text(line, is_bad ? C_BAD : C_NORMAL, ALIGN_LEFT, text);
}

static const struct model_ring *find_ring(const struct model *model, uint32_t ordinal)
{
	for (size_t i = 0; i < model->nr_rings; i++)
		if (model->rings[i]->ordinal == ordinal)
			return model->rings[i];
	return NULL;
}

/* "sq 3/128": head and tail run free, what lies between is queued. */
static void draw_ring_info(struct rect at, const struct model_ring *ring)
{
	struct field_row row = {.ring = ring};
	char text[FIELD_CELL_MAX + 64], a[FIELD_CELL_MAX], b[FIELD_CELL_MAX], bytes[16];
	const struct ring_rec *rec = &ring->rec;

	field_cell(field_find(FIELDS_EYES, "owner"), &row, a);
	field_cell(field_find(FIELDS_RING, "comm"), &row, b);
	snprintf(text, sizeof(text), "ring %.20s of %.40s  thread %u  user %u", a, b, rec->tid,
		 rec->uid);
	draw_text(line_of(at, 0), C_ACCENT, ALIGN_LEFT, text);
	snprintf(text, sizeof(text), "submission queue %u/%u  completion queue %u/%u  overflow %s",
		 rec->sq_tail - rec->sq_head, rec->sq_entries, rec->cq_tail - rec->cq_head,
		 rec->cq_entries, field_cell(field_find(FIELDS_RING, "cq_overflow"), &row, a));
	if (at.rows > 1)
		draw_text(line_of(at, 1), C_NORMAL, ALIGN_LEFT, text);
	snprintf(text, sizeof(text), "fixed buffers %s  in flight %s  pinned %s",
		 field_cell(field_find(FIELDS_EYES, "fixed"), &row, a),
		 field_cell(field_find(FIELDS_TABLE, "in_flight"), &row, b),
		 text_bytes(bytes, sizeof(bytes), rec->table_bytes));
	if (at.rows > 2)
		draw_text(line_of(at, 2), C_NORMAL, ALIGN_LEFT, text);
	snprintf(text, sizeof(text), "flags %s",
		 field_cell(field_find(FIELDS_RING, "setup_flags"), &row, a));
	if (at.rows > 3)
		draw_text(line_of(at, 3), C_NORMAL, ALIGN_LEFT, text);
}

static void draw_process_info(const struct tui_frame *frame, struct rect at, uint32_t tgid)
{
	char text[128], fixed[16], rings[16];
	struct totals totals;

	add_up(frame->model, tgid, &totals);
	draw_totals(line_of(at, 0), &totals);
	snprintf(text, sizeof(text), "process %u  fixed buffers pin %s  buffer rings take %s", tgid,
		 text_bytes(fixed, sizeof(fixed), totals.fixed_bytes),
		 text_bytes(rings, sizeof(rings), totals.ring_bytes));
	if (at.rows > 1)
		draw_text(line_of(at, 1), C_ACCENT, ALIGN_LEFT, text);
}

void page_draw_info(const struct tui_frame *frame, struct rect at)
{
	const struct tui_place *place = tui_state_here(frame->state);
	const struct model_ring *ring;
	struct totals totals;

	if (place->page == PAGE_PROCESS) {
		draw_process_info(frame, at, place->subject.tgid);
		return;
	}
	if (place->page == PAGE_RING) {
		ring = find_ring(frame->model, place->subject.ordinal);
		if (ring)
			draw_ring_info(at, ring);
		else
			draw_text(line_of(at, 0), C_DIM, ALIGN_LEFT, "this ring is gone");
		return;
	}
	add_up(frame->model, 0, &totals);
	draw_totals(line_of(at, 0), &totals);
}

/* ---- one group */

static const struct {
	const char *words;
	const char *keys[6]; /* of the group's registry */
} facts[] = {
	{"level", {"available", "entries", "held", "low_water", "empty_in_ns"}},
	{"per second", {"taken_per_s", "returned_per_s", "selected_per_s", "starved_per_s"}},
	{"in all", {"taken_total", "returned_total", "selected_total", "starved_total"}},
	{"hold times", {"hold_p50_ns", "hold_p90_ns", "hold_p99_ns", "hold_max_ns"}},
	{"trouble", {"stuck", "oldest_held_ns", "empty_ns_total", "mshot_ended_total", "wraps"}},
	{"memory", {"buf_bytes", "mem_bytes", "head", "tail"}},
};

static void draw_fact(struct span line, size_t n, const struct model_group *group)
{
	struct field_row row = {.ring = group->ring, .group = group};
	char text[512], cell[FIELD_CELL_MAX];
	size_t used = (size_t)snprintf(text, sizeof(text), "%-11s", facts[n].words);

	for (size_t i = 0; i < 6 && facts[n].keys[i] && used < sizeof(text); i++) {
		const struct field *field = field_find(FIELDS_GROUP, facts[n].keys[i]);

		used += (size_t)snprintf(text + used, sizeof(text) - used, " %s %.20s ",
					 field->title, field_cell(field, &row, cell));
	}
	draw_text(line, C_NORMAL, ALIGN_LEFT, text);
}

static void draw_identity(struct span line, const struct model_group *group)
{
	struct field_row row = {.ring = group->ring, .group = group};
	bool is_live = group->span.life == LIFE_LIVE;
	char text[FIELD_CELL_MAX], owner[FIELD_CELL_MAX], comm[FIELD_CELL_MAX],
		kind[FIELD_CELL_MAX];

	field_cell(field_find(FIELDS_EYES, "owner"), &row, owner);
	field_cell(field_find(FIELDS_GROUP, "comm"), &row, comm);
	field_cell(field_find(FIELDS_GROUP, "kind"), &row, kind);
	snprintf(text, sizeof(text), "group %u (%.16s) of ring %.20s, %.60s: %s", group->rec.bgid,
		 kind, owner, comm, is_live ? condition_name(group->condition) : "gone");
	draw_text(line, is_live ? color_of_condition(group->condition) : C_DIM, ALIGN_LEFT, text);
}

/* The level over the last looks, as high as there is room. */
static void draw_chart(const struct tui_frame *frame, struct rect at,
		       const struct model_group *group)
{
	struct span title = line_of(at, 0);
	struct span chart = {.y = at.y + 1, .x = at.x + 7, .cols = at.cols - 8};
	struct span label = {.y = at.y + 1, .x = at.x, .cols = 6};
	char text[80];

	if (at.rows < 2)
		return;
	snprintf(text, sizeof(text), "available at the last %d looks; starves are marked",
		 MODEL_HISTORY);
	draw_text(title, C_DIM, ALIGN_LEFT, text);
	if (group->rec.entries == 0) {
		draw_text(label, C_DIM, ALIGN_RIGHT, "-");
		return;
	}
	snprintf(text, sizeof(text), "%u", group->rec.entries);
	draw_text(label, C_DIM, ALIGN_RIGHT, text);
	label.y = at.y + at.rows - 1;
	if (at.rows > 2)
		draw_text(label, C_DIM, ALIGN_RIGHT, "0");
	draw_history(chart, at.rows - 1, group, frame->model);
}

void page_draw_group(const struct tui_frame *frame, struct rect at)
{
	const struct row_id *id = &tui_state_here(frame->state)->subject;
	const struct model_group *group = model_find(frame->model, id->ordinal, id->bgid);
	struct rect chart = at;
	int row = 0;

	if (!group) {
		draw_text(line_of(at, 0), C_DIM, ALIGN_LEFT, "this group is gone");
		return;
	}
	draw_identity(line_of(at, row++), group);
	/* The chart keeps four rows. */
	for (size_t n = 0; n < ROWS(facts) && row < at.rows - 4; n++)
		draw_fact(line_of(at, row++), n, group);
	chart.y += row;
	chart.rows -= row;
	draw_chart(frame, chart, group);
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
		draw_menu_line(line_of(at, i), n == place->cursor, text);
	}
}

void page_draw_columns(const struct tui_frame *frame, struct rect at)
{
	const struct tui_place *place = tui_state_here(frame->state);
	const struct tui_choice *choice = &frame->state->columns;

	for (int i = 0; i < at.rows && place->top + (size_t)i < place->nr; i++) {
		size_t n = place->top + (size_t)i;
		const struct tui_column *column = tui_choice_listed(choice, n);
		char text[256];

		if (!column)
			break;
		snprintf(text, sizeof(text), "[%c] %-18s %s", n < choice->nr ? 'x' : ' ',
			 column->key, column->help);
		draw_menu_line(line_of(at, i), n == place->cursor, text);
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
	*line = line_of(pen->at, (int)(n - pen->top));
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

static void lay_help(struct pen *pen)
{
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
		lay_help(&pen);
	else if (frame->limits && *frame->limits)
		lay_lines(&pen, frame->limits);
	else
		lay_paragraph(&pen, "asking the kernel what it lets you register ...");
	return pen.line;
}

// SPDX-License-Identifier: MIT
/* What does one cell of a list look like? */
#include "tui_cells.h"

#include <stdio.h>
#include <string.h>

#include "../lib/condition.h"
#include "../lib/text.h"

struct span cell_line(struct rect at, int row)
{
	return (struct span){.y = at.y + row, .x = at.x + 1, .cols = at.cols - 1};
}

static enum draw_align align_of(const struct field *field)
{
	return field_is_number(field) ? ALIGN_RIGHT : ALIGN_LEFT;
}

enum tui_color cell_color(enum condition condition)
{
	static const enum tui_color colors[] = {
		[CONDITION_IDLE] = C_DIM,     [CONDITION_CALM] = C_GOOD,
		[CONDITION_TIGHT] = C_WARN,   [CONDITION_LEAKING] = C_BAD,
		[CONDITION_STARVING] = C_BAD,
	};

	return colors[condition];
}

/* What is gone fades, look by look, until it is left out. */
enum tui_color cell_fade(const struct model_span *span)
{
	unsigned int steps = span->absences > 1 ? span->absences - 1 : 0;
	enum tui_color last = C_FADE_LAST;

	if (span->life == LIFE_LIVE)
		return C_NORMAL;
	return span->life == LIFE_UNSEEN ? C_DIM
	       : C_FADE + steps < last   ? (enum tui_color)(C_FADE + steps)
					 : last;
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
	draw_text(span, cell_fade(&group->span), ALIGN_LEFT, texts[i]);
}

/* How urgent a level is: a tenth is little, a quarter is worth a look. */
static enum tui_color color_of_level(double level)
{
	return level < 0.1 ? C_BAD : level < 0.25 ? C_WARN : C_GOOD;
}

void cell_level(struct span span, const struct model_group *group, const struct model *model)
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

void cell_history(struct span span, int rows, const struct model_group *group,
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
		draw_text(span, cell_fade(&group->span), ALIGN_LEFT, "x");
	else if (group->span.life == LIFE_UNSEEN)
		draw_text(span, C_WARN, ALIGN_LEFT, "?");
	else if (group->span.is_new)
		draw_text(span, C_GOOD, ALIGN_LEFT, "+");
	else
		draw_text(span, cell_color(group->condition), ALIGN_LEFT, letter);
}

void cell_draw(struct span span, const struct tui_column *column, const struct model_group *group,
	       const struct model *model)
{
	enum tui_color color = cell_fade(&group->span);
	struct field_row row = {.ring = group->ring, .group = group};
	char cell[FIELD_CELL_MAX];

	switch (column->kind) {
	case COLUMN_STATE:
		draw_state(span, group);
		break;
	case COLUMN_LEVEL:
		cell_level(span, group, model);
		break;
	case COLUMN_SPARK:
		cell_history(span, 1, group, model);
		break;
	case COLUMN_FIELD:
		draw_text(span, color, align_of(column->field),
			  field_cell(column->field, &row, cell));
		break;
	}
}

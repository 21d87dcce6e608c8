// SPDX-License-Identifier: MIT
/* What is around every page: the title, the information, the keys? */
#include "tui_view.h"

#include <ncurses.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../lib/text.h"
#include "tui_group.h"
#include "tui_pages.h"

/* ---- the title */

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
	char parts[3][48] = {"", "", ""};
	struct tm tm = {0};

	localtime_r(&wall, &tm);
	if (state->is_held)
		strftime(parts[0], sizeof(parts[0]), "  PAUSED at %H:%M:%S", &tm);
	else if (state->is_replay)
		snprintf(parts[0], sizeof(parts[0]), "  speed %.4g", state->speed);
	else
		snprintf(parts[0], sizeof(parts[0]), "  age %.1fs", (double)frame->age_ns / 1e9);
	if (state->is_replay || state->is_held)
		snprintf(parts[1], sizeof(parts[1]), "  look %zu/%zu", state->moment + 1,
			 state->nr_moments);
	else if (state->slowed_ns)
		snprintf(parts[1], sizeof(parts[1]), "  every %.1fs",
			 (double)state->slowed_ns / 1e9);
	else
		snprintf(parts[1], sizeof(parts[1]), "  every %.4gs",
			 (double)state->interval_ns / 1e9);
	if (!state->is_held)
		strftime(parts[2], sizeof(parts[2]), "  %H:%M:%S", &tm);
	out[0] = '\0';
	for (size_t i = 0; i < 3 && strlen(out) + strlen(parts[i]) < room; i++)
		strcat(out, parts[i]);
}

/* What is watched in full beside all else. */
static const char *say_exam(const struct tui_state *state, char *out, size_t size)
{
	if (!state->is_exam)
		return "";
	if (state->exam_bgid < 0)
		snprintf(out, size, "FULL %u  ", state->exam_tgid);
	else
		snprintf(out, size, "FULL %u:%d  ", state->exam_tgid, state->exam_bgid);
	return out;
}

/* The right part stays whole, the left one gives way. */
static void draw_title(const struct tui_frame *frame, struct rect at)
{
	char left[256], right[256], losses[64], freshness[160], exam[32];
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};
	size_t used;

	say_losses(frame->model, losses, sizeof(losses));
	used = (size_t)snprintf(right, sizeof(right), " %s%s%s%s",
				frame->state->is_recording ? "REC  " : "",
				say_exam(frame->state, exam, sizeof(exam)),
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

/* ---- the last line */

/* What is being typed, and a message if there is one. */
static void draw_prompt(const struct tui_state *state, struct rect at)
{
	static const char *const words[] = {
		[PROMPT_NONE] = "",
		[PROMPT_SEARCH] = "search",
		[PROMPT_FILTER] = "filter",
		[PROMPT_RECORD] = "write a recording to",
	};
	char typed[2 * FILTER_TEXT], text[3 * FILTER_TEXT + 128];
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};

	text_escape(typed, sizeof(typed), state->typed);
	snprintf(text, sizeof(text), " %s: %s_  %s", words[state->prompt], typed, state->message);
	draw_text(span, C_ACCENT, ALIGN_LEFT, text);
}

/*
 * Keys that fit, each whole or not at all; what the one does that covers cell `hit`. A place
 * without rows draws nothing.
 */
static enum tui_action lay_keys(const struct tui_state *state, struct rect at, int hit)
{
	unsigned int mode = tui_state_mode(state);
	size_t nr;
	const struct tui_binding *bindings = tui_bindings(&nr);
	int x = at.x;

	for (size_t i = 0; i < nr; i++) {
		char key[16];
		int key_cols, label_cols;

		if (!bindings[i].label || !tui_binding_applies(&bindings[i], mode))
			continue;
		if (bindings[i].action == ACT_BACK && state->depth == 0)
			continue;
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(bindings[i].names, " "),
			 bindings[i].names);
		key_cols = (int)strlen(key);
		label_cols = (int)strlen(bindings[i].label);
		if (x + key_cols + label_cols + 3 > at.cols)
			break;
		if (hit > x && hit < x + key_cols + label_cols + 2)
			return bindings[i].action;
		if (at.rows > 0) {
			draw_text((struct span){at.y, x + 1, key_cols}, C_SELECT, ALIGN_LEFT, key);
			draw_text((struct span){at.y, x + key_cols + 2, label_cols}, C_NORMAL,
				  ALIGN_LEFT, bindings[i].label);
		}
		x += key_cols + label_cols + 3;
	}
	return ACT_NONE;
}

static void draw_footer(const struct tui_state *state, struct rect at)
{
	const struct tui_place *place = tui_state_here(state);
	struct span span = {.y = at.y, .x = at.x, .cols = at.cols};
	char right[FILTER_TEXT + 64] = "";
	int cols;

	if (state->prompt) {
		draw_prompt(state, at);
		return;
	}
	if (state->message[0]) {
		char text[sizeof(state->message) + 2];

		snprintf(text, sizeof(text), " %s", state->message);
		draw_text(span, C_WARN, ALIGN_LEFT, text);
		return;
	}
	if (tui_state_is_list(state) && place->nr > 0)
		snprintf(right, sizeof(right), "%s%.20s %zu/%zu",
			 state->filter.text[0] ? " filter: " : "", state->filter.text,
			 place->cursor + 1, place->nr);
	cols = (int)text_width(right);
	if (cols > at.cols)
		return;
	draw_text((struct span){at.y, at.cols - cols, cols}, C_DIM, ALIGN_LEFT, right);
	at.cols -= cols;
	lay_keys(state, at, -1);
}

/* ---- all of it */

static struct layout layout_for(const struct tui_frame *frame)
{
	return layout_of(frame->rows, frame->cols, page_info_lines(frame));
}

static bool is_text(const struct tui_frame *frame)
{
	enum tui_page page = tui_state_here(frame->state)->page;

	return page == PAGE_HELP || page == PAGE_LIMITS;
}

/* Pages without a list have the room of its titles, too. */
static struct rect inside_of(const struct layout *layout)
{
	struct rect at = layout->header;

	at.y += 1;
	at.rows = layout->body.rows;
	return at;
}

size_t view_list_height(const struct tui_frame *frame)
{
	struct layout layout = layout_for(frame);

	return layout.is_too_small ? 0 : (size_t)layout.body.rows;
}

size_t view_text_lines(const struct tui_frame *frame)
{
	struct rect at = {.cols = frame->cols};

	if (tui_state_here(frame->state)->page == PAGE_GROUP)
		return group_blocks(frame, at);
	return is_text(frame) ? page_lay_text(frame, at) : 0;
}

static void draw_heading(const struct layout *layout, const char *text)
{
	struct span span = {.y = layout->header.y, .cols = layout->header.cols};

	draw_text(span, C_HEADER, ALIGN_LEFT, text);
}

static void draw_page(const struct tui_frame *frame, const struct layout *layout)
{
	struct rect inside = inside_of(layout);
	char title[128];

	switch (tui_state_here(frame->state)->page) {
	case PAGE_GROUP:
		draw_heading(layout, group_title(frame, title, sizeof(title)));
		group_draw(frame, inside);
		break;
	case PAGE_LIMITS:
		draw_heading(layout, " Limits of this kernel, for this user");
		page_lay_text(frame, inside);
		break;
	case PAGE_HELP:
		draw_heading(layout, " Keys");
		page_lay_text(frame, inside);
		break;
	case PAGE_SORT:
		draw_heading(layout, " Sort by");
		page_draw_sort(frame, inside);
		break;
	case PAGE_COLUMNS:
		draw_heading(layout, " Columns, from left to right");
		page_draw_columns(frame, inside);
		break;
	default:
		page_draw_list(frame, layout->header, layout->body);
		break;
	}
}

struct view_hit view_at(const struct tui_frame *frame, int y, int x)
{
	const struct tui_state *state = frame->state;
	const struct tui_place *place = tui_state_here(state);
	struct layout layout = layout_for(frame);
	struct view_hit hit = {HIT_NOTHING};
	int first = tui_state_is_list(state) ? layout.body.y : layout.header.y + 1;

	if (layout.is_too_small || state->prompt)
		return hit;
	if (y == layout.footer.y) {
		hit.action = lay_keys(state, (struct rect){.cols = frame->cols}, x);
		hit.what = hit.action ? HIT_KEY : HIT_NOTHING;
	} else if (y == layout.header.y && tui_state_is_list(state)) {
		hit.column = page_column_at(frame, x);
		hit.what = hit.column ? HIT_COLUMN : HIT_NOTHING;
	} else if (y >= first && y < first + layout.body.rows) {
		hit.row = place->top + (size_t)(y - first);
		hit.what = is_text(frame) || place->page == PAGE_GROUP ? HIT_NOTHING : HIT_ROW;
	}
	return hit;
}

static void draw_too_small(const struct tui_frame *frame)
{
	char text[64];
	struct span span = {.cols = frame->cols};

	snprintf(text, sizeof(text), "bufscope needs %dx%d, this is %dx%d", TUI_MIN_COLS,
		 TUI_MIN_ROWS, frame->cols, frame->rows);
	draw_text(span, C_NORMAL, ALIGN_LEFT, text);
}

void view_draw(const struct tui_frame *frame)
{
	struct layout layout = layout_for(frame);

	erase();
	if (layout.is_too_small) {
		draw_too_small(frame);
	} else {
		draw_title(frame, layout.title);
		page_draw_info(frame, layout.info);
		draw_page(frame, &layout);
		draw_footer(frame->state, layout.footer);
	}
	move(frame->rows - 1, frame->cols - 1);
	wnoutrefresh(stdscr);
	doupdate();
}

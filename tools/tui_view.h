/* SPDX-License-Identifier: MIT */
/* Draws what there is to see. Changes nothing, asks no one: all it needs is in its arguments. */
#ifndef BUFSCOPE_TUI_VIEW_H
#define BUFSCOPE_TUI_VIEW_H

#include "../lib/model.h"
#include "closeup.h"
#include "detail.h"
#include "tui_draw.h"
#include "tui_layout.h"
#include "tui_state.h"

struct tui_frame {
	const struct tui_state *state;
	const struct model *model; /* of the moment to show */
	const char *host;
	const char *kernel;
	const struct detail *detail;   /* of a group of the present; NULL: of none */
	const struct closeup *closeup; /* of a ring or process of the present; NULL: of none */
	uint64_t age_ns;               /* since the last look */
	const char *limits;            /* what `limits` says; "": it has not said anything yet */
	int rows, cols;
};

/* The list of the page, or the lines of its text: how many rows it has on the screen. */
size_t view_list_height(const struct tui_frame *frame);

/* Lines of a page of text, or blocks of a group's page; 0 for other pages. */
size_t view_text_lines(const struct tui_frame *frame);

/* What stands at a place on the screen. */
struct view_hit {
	enum { HIT_NOTHING, HIT_ROW, HIT_COLUMN, HIT_KEY } what;
	size_t row;                      /* of a list or a menu */
	const struct tui_column *column; /* its title */
	enum tui_action action;          /* of a key in the last line */
};

struct view_hit view_at(const struct tui_frame *frame, int y, int x);

/* Draws a whole frame and hands it to curses; the terminal sees one update. */
void view_draw(const struct tui_frame *frame);

#endif

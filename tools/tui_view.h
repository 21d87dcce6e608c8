/* SPDX-License-Identifier: MIT */
/* Draws what there is to see. Changes nothing, asks no one: all it needs is in its arguments. */
#ifndef BUFSCOPE_TUI_VIEW_H
#define BUFSCOPE_TUI_VIEW_H

#include "../lib/model.h"
#include "tui_layout.h"
#include "tui_state.h"

struct tui_frame {
	const struct tui_state *state;
	const struct model *model; /* of the moment to show */
	const char *host;
	const char *kernel;
	uint64_t age_ns; /* since the last look */
	int rows, cols;
};

/* The height of the current page's list on such a screen. */
size_t view_list_height(const struct tui_state *state, int rows, int cols);

/* Lines of the help page at such a width. */
size_t view_help_lines(int cols);

/* Draws a whole frame and hands it to curses; the terminal sees one update. */
void view_draw(const struct tui_frame *frame);

#endif

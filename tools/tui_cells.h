/* SPDX-License-Identifier: MIT */
/* The cells that lists and the page of a group share: gauge, history, state. */
#ifndef BUFSCOPE_TUI_CELLS_H
#define BUFSCOPE_TUI_CELLS_H

#include "../lib/model.h"
#include "tui_columns.h"
#include "tui_draw.h"

/* Line `row` of a rectangle, a blank at its left. */
struct span cell_line(struct rect at, int row);

enum tui_color cell_color(enum condition condition);
enum tui_color cell_fade(const struct model_span *span);

/* How full, with the lowest level as a mark; how it ended, if it is gone. */
void cell_level(struct span span, const struct model_group *group, const struct model *model);

/* The level at the last looks, newest at the right, `rows` high. */
void cell_history(struct span span, int rows, const struct model_group *group,
		  const struct model *model);

/* Whatever that column shows of the group. */
void cell_draw(struct span span, const struct tui_column *column, const struct model_group *group,
	       const struct model *model);

#endif

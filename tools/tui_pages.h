/* SPDX-License-Identifier: MIT */
/* The inside of each page, in the place that tui_view.c gives it. */
#ifndef BUFSCOPE_TUI_PAGES_H
#define BUFSCOPE_TUI_PAGES_H

#include "tui_view.h"

/* Lines of information that the page has above its list. */
int page_info_lines(const struct tui_frame *frame);
void page_draw_info(const struct tui_frame *frame, struct rect at);

void page_draw_list(const struct tui_frame *frame, struct rect header, struct rect body);
/* The column whose title covers cell `x` of a list; NULL: none. */
const struct tui_column *page_column_at(const struct tui_frame *frame, int x);

void page_draw_sort(const struct tui_frame *frame, struct rect at);
void page_draw_columns(const struct tui_frame *frame, struct rect at);

/* Draws the lines from the list's top on and counts all of them. No room: only counts. */
size_t page_lay_text(const struct tui_frame *frame, struct rect at);

#endif

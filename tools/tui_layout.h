/* SPDX-License-Identifier: MIT */
/* Where everything stands on a screen of a given size. Pure: knows no terminal and no content. */
#ifndef BUFSCOPE_TUI_LAYOUT_H
#define BUFSCOPE_TUI_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#define TUI_MIN_ROWS 10
#define TUI_MIN_COLS 40

struct rect {
	int y, x, rows, cols;
};

/* The frame that all pages share. Too small a screen has a title only. */
struct layout {
	bool is_too_small;
	struct rect title;  /* what is watched, how fresh it is */
	struct rect info;   /* sums, or what a page is about */
	struct rect header; /* column titles */
	struct rect body;
	struct rect footer; /* keys */
};

/* With `info` lines of information, or fewer: the body keeps LAYOUT_BODY rows, one line is left. */
struct layout layout_of(int rows, int cols, int info);

#define LAYOUT_BODY 4

/* What a column, or a block of rows, asks for. */
struct layout_want {
	int min, max; /* size in cells */
	int priority; /* the highest number goes first when there is too little room */
};

#define LAYOUT_GAP 1 /* cells between two columns or blocks */

/*
 * Shares `room` cells, one after another with a gap between: drops the least important until the
 * rest fits with its least sizes, then enlarges from the first on. sizes[i] is 0 for what was
 * dropped.
 */
void layout_share(int room, const struct layout_want *wants, size_t nr, int *sizes);

/*
 * First row to show of a list of `nr` so that `cursor` is among the `rows` shown, with as little
 * scrolling from `top` as possible and no empty rows at the end.
 */
size_t layout_scroll(size_t top, size_t cursor, size_t nr, size_t rows);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The brush: text and bars onto the curses screen, clipped to where they belong, in colours that
 * are named by meaning. Colour never tells anything alone.
 */
#ifndef BUFSCOPE_TUI_DRAW_H
#define BUFSCOPE_TUI_DRAW_H

#include <stdbool.h>
#include <stddef.h>

enum tui_color {
	C_NORMAL,
	C_TITLE,
	C_HEADER,
	C_SELECT,
	C_GOOD,
	C_WARN,
	C_BAD,
	C_DIM,
	C_ACCENT,
	C_FADE, /* what is gone, for one look; it fades further in four more */
	C_FADE_LAST = C_FADE + 4,
	C_MAX,
};

enum draw_theme { DRAW_DARK, DRAW_LIGHT, DRAW_MONO };

/* Once after curses has started. Without colour, or where the terminal has none: monochrome. */
void draw_init(bool has_color, bool is_utf8);

/* From here on; monochrome stays so where there is no colour. */
void draw_use_theme(enum draw_theme theme);

struct span {
	int y, x, cols;
};

enum draw_align { ALIGN_LEFT, ALIGN_RIGHT };

/*
 * Escaped text, clipped to the span and padded to all of it. What stands at the right is a
 * number: one that does not fit becomes '#', never another number.
 */
void draw_text(struct span span, enum tui_color color, enum draw_align align, const char *text);

/* From here on everything drawn in the row has the selection's background; until `false`. */
void draw_selected(bool is_selected);

/* A gauge: `filled` and `mark` of 0 ... 1; a negative mark is none. */
struct draw_bar {
	double filled;
	double mark;
	enum tui_color color;
};

void draw_bar(struct span span, const struct draw_bar *bar);

/* One look: a level of 0 ... 1, negative when it is not known, and whether it was a bad one. */
struct draw_point {
	double level;
	bool is_bad;
};

/* `nr` points, the newest at the right, as columns of `rows` cells; of one row: a sparkline. */
void draw_columns(struct span span, int rows, const struct draw_point *points, int nr);

#endif

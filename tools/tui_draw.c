// SPDX-License-Identifier: MIT
/* How does a piece of text or a bar get onto the screen, whatever the terminal can? */
#include "tui_draw.h"

#include <ncurses.h>
#include <stdio.h>
#include <string.h>

#include "../lib/text.h"

/* A colour of -1 is the terminal's own. */
static const struct look {
	short foreground, background;
	attr_t attributes;
} themes[][C_MAX] = {
	[DRAW_DARK] =
		{
			[C_NORMAL] = {-1, -1, A_NORMAL},
			[C_TITLE] = {COLOR_WHITE, COLOR_BLUE, A_BOLD},
			[C_HEADER] = {COLOR_BLACK, COLOR_CYAN, A_NORMAL},
			[C_SELECT] = {COLOR_BLACK, COLOR_WHITE, A_NORMAL},
			[C_GOOD] = {COLOR_GREEN, -1, A_NORMAL},
			[C_WARN] = {COLOR_YELLOW, -1, A_NORMAL},
			[C_BAD] = {COLOR_RED, -1, A_BOLD},
			[C_DIM] = {-1, -1, A_DIM},
			[C_ACCENT] = {COLOR_CYAN, -1, A_NORMAL},
			[C_FADE] = {-1, -1, A_NORMAL},
			[C_FADE + 1 ... C_FADE_LAST] = {-1, -1, A_DIM},
		},
	[DRAW_LIGHT] =
		{
			[C_NORMAL] = {-1, -1, A_NORMAL},
			[C_TITLE] = {COLOR_WHITE, COLOR_BLUE, A_BOLD},
			[C_HEADER] = {COLOR_WHITE, COLOR_BLACK, A_NORMAL},
			[C_SELECT] = {COLOR_WHITE, COLOR_BLUE, A_NORMAL},
			[C_GOOD] = {COLOR_GREEN, -1, A_NORMAL},
			[C_WARN] = {COLOR_MAGENTA, -1,
				    A_NORMAL}, /* yellow cannot be read on white */
			[C_BAD] = {COLOR_RED, -1, A_BOLD},
			[C_DIM] = {-1, -1, A_DIM},
			[C_ACCENT] = {COLOR_BLUE, -1, A_NORMAL},
			[C_FADE] = {-1, -1, A_NORMAL},
			[C_FADE + 1 ... C_FADE_LAST] = {-1, -1, A_DIM},
		},
	[DRAW_MONO] =
		{
			[C_NORMAL] = {-1, -1, A_NORMAL},
			[C_TITLE] = {-1, -1, A_REVERSE},
			[C_HEADER] = {-1, -1, A_UNDERLINE},
			[C_SELECT] = {-1, -1, A_REVERSE},
			[C_GOOD] = {-1, -1, A_NORMAL},
			[C_WARN] = {-1, -1, A_BOLD},
			[C_BAD] = {-1, -1, A_BOLD},
			[C_DIM] = {-1, -1, A_DIM},
			[C_ACCENT] = {-1, -1, A_NORMAL},
			[C_FADE] = {-1, -1, A_NORMAL},
			[C_FADE + 1 ... C_FADE_LAST] = {-1, -1, A_DIM},
		},
};

/* The same where the terminal has 256 colours: softer, and greys to fade through. */
static const struct look rich[][C_MAX] =
	{
		[DRAW_DARK] =
			{
				[C_NORMAL] = {-1, -1, A_NORMAL},
				[C_TITLE] = {255, 24, A_BOLD},
				[C_HEADER] = {16, 73, A_NORMAL},
				[C_SELECT] = {16, 252, A_NORMAL},
				[C_GOOD] = {114, -1, A_NORMAL},
				[C_WARN] = {221, -1, A_NORMAL},
				[C_BAD] = {203, -1, A_BOLD},
				[C_DIM] = {245, -1, A_NORMAL},
				[C_ACCENT] = {80, -1, A_NORMAL},
				[C_FADE] = {250, -1, A_NORMAL},
				[C_FADE + 1] = {247, -1, A_NORMAL},
				[C_FADE + 2] = {244, -1, A_NORMAL},
				[C_FADE + 3] = {241, -1, A_NORMAL},
				[C_FADE_LAST] = {238, -1, A_NORMAL},
			},
		[DRAW_LIGHT] =
			{
				[C_NORMAL] = {-1, -1, A_NORMAL},
				[C_TITLE] = {255, 25, A_BOLD},
				[C_HEADER] = {255, 240, A_NORMAL},
				[C_SELECT] = {255, 25, A_NORMAL},
				[C_GOOD] = {28, -1, A_NORMAL},
				[C_WARN] = {130, -1, A_NORMAL},
				[C_BAD] = {160, -1, A_BOLD},
				[C_DIM] = {244, -1, A_NORMAL},
				[C_ACCENT] = {25, -1, A_NORMAL},
				[C_FADE] = {239, -1, A_NORMAL},
				[C_FADE + 1] = {242, -1, A_NORMAL},
				[C_FADE + 2] = {245, -1, A_NORMAL},
				[C_FADE + 3] = {248, -1, A_NORMAL},
				[C_FADE_LAST] = {251, -1, A_NORMAL},
			},
};

static struct {
	bool has_color; /* the terminal and the user */
	bool has_many;  /* 256 of them */
	bool is_utf8;
	bool is_selected;
	enum draw_theme theme;
} brush;

static const struct look *look_of(enum tui_color color)
{
	return brush.has_many && brush.theme != DRAW_MONO ? &rich[brush.theme][color]
							  : &themes[brush.theme][color];
}

void draw_use_theme(enum draw_theme theme)
{
	brush.theme = brush.has_color ? theme : DRAW_MONO;
	for (int c = 0; brush.theme != DRAW_MONO && c < C_MAX; c++) {
		const struct look *look = look_of((enum tui_color)c);

		init_pair((short)(c + 1), look->foreground, look->background);
	}
}

void draw_init(bool has_color, bool is_utf8)
{
	brush.is_utf8 = is_utf8;
	brush.has_color = has_color && has_colors() && start_color() == OK;
	if (brush.has_color)
		use_default_colors();
	brush.has_many = brush.has_color && COLORS >= 256;
	draw_use_theme(DRAW_DARK);
}

static attr_t attribute(enum tui_color color)
{
	if (brush.is_selected)
		color = C_SELECT;
	if (brush.theme == DRAW_MONO)
		return themes[DRAW_MONO][color].attributes;
	return look_of(color)->attributes | (attr_t)COLOR_PAIR(color + 1);
}

void draw_selected(bool is_selected)
{
	brush.is_selected = is_selected;
}

static void put_blanks(int nr)
{
	for (; nr > 0; nr--)
		addch(' ');
}

/* A terminal that does not speak UTF-8 gets a '?' for what it cannot show. */
static void put_bytes(const char *text, size_t length)
{
	const char *end = text + length;

	if (brush.is_utf8) {
		addnstr(text, (int)length);
		return;
	}
	while (text < end) {
		uint32_t point = text_next(&text);

		addch(point < 0x80 ? point : '?');
	}
}

void draw_text(struct span span, enum tui_color color, enum draw_align align, const char *text)
{
	size_t columns = span.cols > 0 ? (size_t)span.cols : 0;
	size_t length = text_clip(text, columns);
	bool fits = text[length] == '\0';
	char clipped[512];
	int gap;

	if (columns == 0 || move(span.y, span.x) == ERR)
		return;
	attrset((int)attribute(color));
	if (!fits && align == ALIGN_RIGHT) {
		for (size_t i = 0; i < columns; i++)
			addch('#');
		return;
	}
	snprintf(clipped, sizeof(clipped), "%.*s", (int)length, text);
	gap = span.cols - (int)text_width(clipped);
	if (align == ALIGN_RIGHT)
		put_blanks(gap);
	put_bytes(clipped, strlen(clipped));
	if (align == ALIGN_LEFT)
		put_blanks(gap);
}

/* Eighths of a cell, from the left. */
static const char *block(int eighths)
{
	static const char *const blocks[] = {"\u00b7", "\u258f", "\u258e", "\u258d", "\u258c",
					     "\u258b", "\u258a", "\u2589", "\u2588"};

	if (brush.is_utf8)
		return blocks[eighths];
	return eighths >= 4 ? "#" : ".";
}

void draw_bar(struct span span, const struct draw_bar *bar)
{
	int eighths = (int)(bar->filled * span.cols * 8 + 0.5);
	int mark = bar->mark < 0 ? -1 : (int)(bar->mark * span.cols);

	if (mark >= span.cols)
		mark = span.cols - 1;
	/* Whatever is there shows, however little it is. */
	if (eighths == 0 && bar->filled > 0)
		eighths = 1;
	for (int i = 0; i < span.cols; i++) {
		int part = eighths - 8 * i;

		part = part < 0 ? 0 : part > 8 ? 8 : part;
		if (move(span.y, span.x + i) == ERR)
			return;
		attrset((int)attribute(part ? bar->color : C_DIM));
		if (i == mark) {
			attron(A_REVERSE);
			addch('|');
			continue;
		}
		addstr(block(part));
	}
}

/* Eighths of a cell, from below. */
static const char *column_block(int eighths)
{
	static const char *const blocks[] = {" ",      "\u2581", "\u2582", "\u2583", "\u2584",
					     "\u2585", "\u2586", "\u2587", "\u2588"};

	if (brush.is_utf8)
		return blocks[eighths];
	return eighths == 0 ? " " : eighths <= 2 ? "_" : eighths <= 5 ? "-" : "#";
}

static void draw_column(struct span span, int rows, const struct draw_point *point)
{
	int eighths = (int)(point->level * rows * 8 + 0.5);

	/* Nothing left is a level, too: only what is not known leaves the place empty. */
	if (point->level >= 0 && eighths == 0)
		eighths = 1;
	attrset((int)attribute(point->is_bad ? C_BAD : C_ACCENT));
	for (int row = 0; row < rows; row++) {
		int part = eighths - 8 * (rows - 1 - row);

		part = part < 0 ? 0 : part > 8 ? 8 : part;
		if (move(span.y + row, span.x) == ERR)
			continue;
		if (point->is_bad && row == 0)
			addch('!'); /* colour alone tells nothing */
		else
			addstr(point->level < 0 ? " " : column_block(part));
	}
}

void draw_columns(struct span span, int rows, const struct draw_point *points, int nr)
{
	int shown = nr < span.cols ? nr : span.cols;

	for (int i = 0; i < shown; i++) {
		struct span at = {.y = span.y, .x = span.x + span.cols - shown + i, .cols = 1};

		draw_column(at, rows, &points[nr - shown + i]);
	}
}

// SPDX-License-Identifier: MIT
/* Where does what stand on the screen? */
#include "tui_layout.h"

static struct rect rows_of(int y, int rows, int cols)
{
	return (struct rect){.y = y, .x = 0, .rows = rows, .cols = cols};
}

struct layout layout_of(int rows, int cols, int info)
{
	struct layout layout = {.is_too_small = rows < TUI_MIN_ROWS || cols < TUI_MIN_COLS};
	int most = rows - 3 - LAYOUT_BODY;

	layout.title = rows_of(0, rows > 0 && cols > 0, cols);
	if (layout.is_too_small)
		return layout;
	info = info < most ? info : most;
	layout.info = rows_of(1, info, cols);
	layout.header = rows_of(1 + info, 1, cols);
	layout.body = rows_of(2 + info, rows - 3 - info, cols);
	layout.footer = rows_of(rows - 1, 1, cols);
	return layout;
}

/* Cells that whatever has a size takes, gaps included. */
static int used_by(const int *sizes, size_t nr)
{
	int used = 0;

	for (size_t i = 0; i < nr; i++)
		if (sizes[i] > 0)
			used += sizes[i] + (used > 0 ? LAYOUT_GAP : 0);
	return used;
}

static void drop_least(const struct layout_want *wants, size_t nr, int *sizes)
{
	size_t least = nr;

	for (size_t i = 0; i < nr; i++)
		if (sizes[i] > 0 && (least == nr || wants[i].priority >= wants[least].priority))
			least = i;
	if (least < nr)
		sizes[least] = 0;
}

void layout_share(int room, const struct layout_want *wants, size_t nr, int *sizes)
{
	int spare;

	for (size_t i = 0; i < nr; i++)
		sizes[i] = wants[i].min;
	while (used_by(sizes, nr) > room)
		drop_least(wants, nr, sizes);
	spare = room - used_by(sizes, nr);
	for (size_t i = 0; i < nr; i++) {
		int more = sizes[i] > 0 ? wants[i].max - sizes[i] : 0;

		if (more > spare)
			more = spare;
		sizes[i] += more;
		spare -= more;
	}
}

size_t layout_scroll(size_t top, size_t cursor, size_t nr, size_t rows)
{
	size_t last = nr > rows ? nr - rows : 0;

	if (rows == 0)
		return 0;
	if (cursor < top)
		top = cursor;
	if (cursor >= top + rows)
		top = cursor - rows + 1;
	return top < last ? top : last;
}

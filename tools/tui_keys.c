// SPDX-License-Identifier: MIT
/* Which key does what? */
#include "tui_keys.h"

#define CTRL(letter) ((letter)&0x1f)
#define F(n)         (TUI_KEY_F1 + (n)-1)

static const struct tui_binding bindings[] = {
	{ACT_HELP, MODE_PAGES & ~MODE_TEXT, {'?', F(1)}, "? F1", "help", "this page"},
	{ACT_HELP, MODE_VIEWS | MODE_LIVE, {'h'}, "h", NULL, NULL},
	{ACT_OPEN,
	 MODE_LIST,
	 {TUI_KEY_ENTER},
	 "Enter",
	 "open",
	 "open the group, ring or process of this row"},
	{ACT_BACK,
	 MODE_PAGES,
	 {TUI_KEY_ESCAPE, TUI_KEY_BACKSPACE},
	 "Esc",
	 "back",
	 "go back; on the first page: end filter and search"},
	{ACT_BACK, MODE_TEXT, {'?', F(1), TUI_KEY_ENTER}, "?", NULL, NULL},
	{ACT_RING, MODE_VIEWS, {'r'}, "r", "ring", "page of its ring"},
	{ACT_PROCESS, MODE_VIEWS, {'p'}, "p", "process", "page of its process"},
	{ACT_LIMITS, MODE_VIEWS, {'L', F(7)}, "L F7", NULL, "what this kernel lets you register"},
	{ACT_UP, MODE_PAGES, {TUI_KEY_UP, 'k'}, "Up k", NULL, "one row up"},
	{ACT_DOWN, MODE_PAGES, {TUI_KEY_DOWN, 'j'}, "Down j", NULL, "one row down"},
	{ACT_PAGE_UP, MODE_PAGES, {TUI_KEY_PAGE_UP, CTRL('b')}, "PgUp", NULL, "one screen up"},
	{ACT_PAGE_DOWN,
	 MODE_PAGES,
	 {TUI_KEY_PAGE_DOWN, CTRL('f')},
	 "PgDn",
	 NULL,
	 "one screen down"},
	{ACT_HOME, MODE_PAGES, {TUI_KEY_HOME, 'g'}, "Home g", NULL, "first row"},
	{ACT_END, MODE_PAGES, {TUI_KEY_END, 'G'}, "End G", NULL, "last row"},
	{ACT_SEARCH,
	 MODE_LIST,
	 {'/', F(3)},
	 "/ F3",
	 "search",
	 "go to a row by text as you type it"},
	{ACT_SEARCH_NEXT, MODE_LIST, {'n'}, "n", NULL, "the next row with that text"},
	{ACT_FILTER,
	 MODE_LIST,
	 {'f', '\\', F(4)},
	 "f \\ F4",
	 "filter",
	 "show only rows with a text, or for which a comparison holds"},
	{ACT_SORT, MODE_LIST, {'s', F(6)}, "s F6", "sort", "choose the column to sort by"},
	{ACT_INVERT, MODE_LIST, {'I'}, "I", NULL, "sort the other way round"},
	{ACT_TREE, MODE_LIST, {'t', F(5)}, "t F5", "tree", "a tree of processes, rings, groups"},
	{ACT_COLUMNS, MODE_LIST, {'C', F(2)}, "C F2", NULL, "choose and order the columns"},
	{ACT_PAUSE,
	 MODE_VIEWS | MODE_LIVE,
	 {' '},
	 "Space",
	 "pause",
	 "stand still; the kernel is watched all the same"},
	{ACT_PAUSE, MODE_VIEWS | MODE_STILL, {' '}, "Space", "go on", NULL},
	{ACT_OLDER,
	 MODE_VIEWS | MODE_STILL,
	 {TUI_KEY_LEFT, 'h', ','},
	 "Left h",
	 "older",
	 "while paused: one look back, of the last 60 or of a recording"},
	{ACT_NEWER,
	 MODE_VIEWS | MODE_STILL,
	 {TUI_KEY_RIGHT, 'l', '.'},
	 "Right l",
	 "newer",
	 "while paused: one look forward"},
	{ACT_OLDER_10, MODE_VIEWS | MODE_STILL, {'['}, "[", NULL, "while paused: ten looks back"},
	{ACT_NEWER_10,
	 MODE_VIEWS | MODE_STILL,
	 {']'},
	 "]",
	 NULL,
	 "while paused: ten looks forward"},
	{ACT_OLDEST, MODE_VIEWS | MODE_STILL, {'{'}, "{", NULL, "while paused: to the first look"},
	{ACT_NEWEST, MODE_VIEWS | MODE_STILL, {'}'}, "}", NULL, "while paused: to the last look"},
	{ACT_SLOWER,
	 MODE_VIEWS,
	 {'+', '='},
	 "+",
	 NULL,
	 "look half as often; play a recording at half the speed"},
	{ACT_FASTER,
	 MODE_VIEWS,
	 {'-'},
	 "-",
	 NULL,
	 "look twice as often; play a recording at twice the speed"},
	{ACT_EXAM,
	 MODE_VIEWS | MODE_LIVE,
	 {'e'},
	 "e",
	 "full",
	 "watch this group, or process, in full: every event; again: no more"},
	{ACT_RECORD, MODE_VIEWS, {'w'}, "w", NULL, "write a recording; again: end it"},
	{ACT_THEME, MODE_PAGES, {'T'}, "T", NULL, "dark, light or no colours"},
	{ACT_REDRAW, MODE_PAGES, {CTRL('l')}, "Ctrl-L", NULL, "draw everything anew"},
	{ACT_QUIT, MODE_PAGES, {'q', F(10)}, "q F10", "quit", "leave"},
	{ACT_ACCEPT,
	 MODE_MENU,
	 {TUI_KEY_ENTER, ' '},
	 "Enter",
	 "choose",
	 "take what is chosen or typed"},
	{ACT_COLUMN_TOGGLE,
	 MODE_COLUMNS,
	 {' ', TUI_KEY_ENTER},
	 "Space",
	 "show or hide",
	 "in the list of columns: show or hide it"},
	{ACT_COLUMN_LEFT,
	 MODE_COLUMNS,
	 {TUI_KEY_LEFT, 'h'},
	 "Left h",
	 "to the left",
	 "in the list of columns: move it to the left"},
	{ACT_COLUMN_RIGHT,
	 MODE_COLUMNS,
	 {TUI_KEY_RIGHT, 'l'},
	 "Right l",
	 "to the right",
	 "in the list of columns: move it to the right"},
	{ACT_ACCEPT, MODE_PROMPT, {TUI_KEY_ENTER}, "Enter", "done", NULL},
	{ACT_BACK, MODE_PROMPT, {TUI_KEY_ESCAPE}, "Esc", "cancel", NULL},
	{ACT_ERASE, MODE_PROMPT, {TUI_KEY_BACKSPACE}, "Backspace", NULL, "while typing: erase one"},
	{ACT_ERASE_ALL, MODE_PROMPT, {CTRL('u')}, "Ctrl-U", NULL, "while typing: erase all"},
};

#define NR_BINDINGS (sizeof(bindings) / sizeof(bindings[0]))

const struct tui_binding *tui_bindings(size_t *nr)
{
	*nr = NR_BINDINGS;
	return bindings;
}

bool tui_binding_applies(const struct tui_binding *binding, unsigned int mode)
{
	unsigned int times = binding->modes & MODE_TIMES;

	return binding->modes & mode & ~(unsigned int)MODE_TIMES && (!times || times & mode);
}

enum tui_action tui_action(uint32_t key, unsigned int mode)
{
	for (size_t i = 0; i < NR_BINDINGS; i++) {
		if (!tui_binding_applies(&bindings[i], mode))
			continue;
		for (size_t k = 0; k < 4 && bindings[i].keys[k]; k++)
			if (bindings[i].keys[k] == key)
				return bindings[i].action;
	}
	return ACT_NONE;
}

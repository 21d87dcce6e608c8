/* SPDX-License-Identifier: MIT */
/*
 * One table of keys: what a key does, its words in the footer, in the help page and in the manual
 * all come from here. Pure: knows no terminal; tui_term.c translates what curses reads.
 */
#ifndef BUFSCOPE_TUI_KEYS_H
#define BUFSCOPE_TUI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key is a character or one of these. */
enum tui_key {
	TUI_KEY_UP = 0x110000,
	TUI_KEY_DOWN,
	TUI_KEY_LEFT,
	TUI_KEY_RIGHT,
	TUI_KEY_PAGE_UP,
	TUI_KEY_PAGE_DOWN,
	TUI_KEY_HOME,
	TUI_KEY_END,
	TUI_KEY_ENTER,
	TUI_KEY_ESCAPE,
	TUI_KEY_BACKSPACE,
	TUI_KEY_F1, /* F2 ... F10 follow */
	TUI_KEY_F10 = TUI_KEY_F1 + 9,
	TUI_KEY_MOUSE, /* term_read_mouse() tells where */
	TUI_KEY_OTHER, /* bound to nothing */
};

enum tui_action {
	ACT_NONE,
	ACT_QUIT,
	ACT_HELP,
	ACT_BACK,
	ACT_OPEN,
	ACT_RING,
	ACT_PROCESS,
	ACT_LIMITS,
	ACT_UP,
	ACT_DOWN,
	ACT_PAGE_UP,
	ACT_PAGE_DOWN,
	ACT_HOME,
	ACT_END,
	ACT_SEARCH,
	ACT_SEARCH_NEXT,
	ACT_FILTER,
	ACT_SORT,
	ACT_INVERT,
	ACT_TREE,
	ACT_COLUMNS,
	ACT_COLUMN_TOGGLE,
	ACT_COLUMN_LEFT,
	ACT_COLUMN_RIGHT,
	ACT_PAUSE,
	ACT_OLDER,
	ACT_NEWER,
	ACT_OLDER_10,
	ACT_NEWER_10,
	ACT_OLDEST,
	ACT_NEWEST,
	ACT_SLOWER,
	ACT_FASTER,
	ACT_RECORD,
	ACT_EXAM,
	ACT_THEME,
	ACT_REDRAW,
	ACT_ACCEPT,
	ACT_ERASE,
	ACT_ERASE_ALL,
};

/* Where a key means something, or-ed. */
enum tui_mode {
	MODE_LIST = 1,  /* groups, alone or in a tree */
	MODE_GROUP = 2, /* the page of one group */
	MODE_TEXT = 4,  /* help, limits */
	MODE_MENU = 8,  /* the columns to sort by */
	MODE_COLUMNS = 16,
	MODE_PROMPT = 32, /* a line is being typed: all else is text */
	MODE_LIVE = 64,   /* one of these is always added */
	MODE_STILL = 128,
};

#define MODE_VIEWS (MODE_LIST | MODE_GROUP)
#define MODE_PAGES (MODE_VIEWS | MODE_TEXT | MODE_MENU | MODE_COLUMNS)
#define MODE_TIMES (MODE_LIVE | MODE_STILL)

struct tui_binding {
	enum tui_action action;
	unsigned int modes; /* pages, and times if not both */
	uint32_t keys[4];   /* 0 ends */
	const char *names;  /* the same for people: "q F10" */
	const char *label;  /* in the footer; NULL: not there */
	const char *help;   /* NULL: explained at another binding of the action */
};

const struct tui_binding *tui_bindings(size_t *nr);

/* Whether it means something in this mode: a page and a time. */
bool tui_binding_applies(const struct tui_binding *binding, unsigned int mode);

/* ACT_NONE: the key means nothing there. */
enum tui_action tui_action(uint32_t key, unsigned int mode);

#endif

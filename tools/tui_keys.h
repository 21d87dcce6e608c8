/* SPDX-License-Identifier: MIT */
/*
 * One table of keys: what a key does, its words in the footer, in the help page and in the manual
 * all come from here. Pure: knows no terminal; tui.c translates what curses reads.
 */
#ifndef BUFSCOPE_TUI_KEYS_H
#define BUFSCOPE_TUI_KEYS_H

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
	TUI_KEY_F1, /* F2 ... F10 follow */
	TUI_KEY_F10 = TUI_KEY_F1 + 9,
};

enum tui_action {
	ACT_NONE,
	ACT_QUIT,
	ACT_HELP,
	ACT_BACK,
	ACT_UP,
	ACT_DOWN,
	ACT_PAGE_UP,
	ACT_PAGE_DOWN,
	ACT_HOME,
	ACT_END,
	ACT_PAUSE,
	ACT_OLDER,
	ACT_NEWER,
	ACT_SLOWER,
	ACT_FASTER,
	ACT_REDRAW,
};

/* Where a key means something, or-ed. */
enum tui_mode {
	MODE_LIVE = 1,   /* a list that follows the samples */
	MODE_PAUSED = 2, /* the same list, standing still */
	MODE_HELP = 4,
	MODE_LISTS = MODE_LIVE | MODE_PAUSED,
	MODE_ANY = MODE_LISTS | MODE_HELP,
};

struct tui_binding {
	enum tui_action action;
	unsigned int modes;
	uint32_t keys[4];  /* 0 ends */
	const char *names; /* the same for people: "q F10" */
	const char *label; /* in the footer; NULL: not there */
	const char *help;
};

const struct tui_binding *tui_bindings(size_t *nr);

/* ACT_NONE: the key means nothing there. */
enum tui_action tui_action(uint32_t key, enum tui_mode mode);

#endif

// SPDX-License-Identifier: MIT
/* Which key does what? */
#include "tui_keys.h"

#define CTRL(letter) ((letter)&0x1f)

static const struct tui_binding bindings[] = {
	{ACT_QUIT, MODE_ANY, {'q', TUI_KEY_F10}, "q F10", "quit", "leave"},
	{ACT_HELP, MODE_LIVE, {'?', 'h', TUI_KEY_F1}, "? h F1", "help", "this page"},
	{ACT_HELP, MODE_PAUSED, {'?', TUI_KEY_F1}, "? F1", "help", NULL},
	{ACT_BACK,
	 MODE_HELP,
	 {TUI_KEY_ESCAPE, '?', TUI_KEY_F1, TUI_KEY_ENTER},
	 "Esc",
	 "back",
	 "go back"},
	{ACT_UP, MODE_ANY, {TUI_KEY_UP, 'k'}, "Up k", NULL, "one row up"},
	{ACT_DOWN, MODE_ANY, {TUI_KEY_DOWN, 'j'}, "Down j", NULL, "one row down"},
	{ACT_PAGE_UP, MODE_ANY, {TUI_KEY_PAGE_UP, CTRL('b')}, "PgUp", NULL, "one screen up"},
	{ACT_PAGE_DOWN, MODE_ANY, {TUI_KEY_PAGE_DOWN, CTRL('f')}, "PgDn", NULL, "one screen down"},
	{ACT_HOME, MODE_ANY, {TUI_KEY_HOME, 'g'}, "Home g", NULL, "first row"},
	{ACT_END, MODE_ANY, {TUI_KEY_END, 'G'}, "End G", NULL, "last row"},
	{ACT_PAUSE, MODE_LIVE, {' '}, "Space", "pause", "stand still; watching goes on behind it"},
	{ACT_PAUSE, MODE_PAUSED, {' ', TUI_KEY_ESCAPE}, "Space", "go on", NULL},
	{ACT_OLDER,
	 MODE_PAUSED,
	 {TUI_KEY_LEFT, 'h', ','},
	 "Left h",
	 "older",
	 "while paused: one look back, up to 60"},
	{ACT_NEWER,
	 MODE_PAUSED,
	 {TUI_KEY_RIGHT, 'l', '.'},
	 "Right l",
	 "newer",
	 "while paused: one look forward"},
	{ACT_SLOWER, MODE_LIVE, {'+', '='}, "+", "slower", "look half as often"},
	{ACT_FASTER, MODE_LIVE, {'-'}, "-", "faster", "look twice as often"},
	{ACT_REDRAW, MODE_ANY, {CTRL('l')}, "Ctrl-L", NULL, "draw everything anew"},
};

const struct tui_binding *tui_bindings(size_t *nr)
{
	*nr = sizeof(bindings) / sizeof(bindings[0]);
	return bindings;
}

enum tui_action tui_action(uint32_t key, enum tui_mode mode)
{
	for (size_t i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++) {
		if (!(bindings[i].modes & mode))
			continue;
		for (size_t k = 0; k < 4 && bindings[i].keys[k]; k++)
			if (bindings[i].keys[k] == key)
				return bindings[i].action;
	}
	return ACT_NONE;
}

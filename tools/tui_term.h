/* SPDX-License-Identifier: MIT */
/* The terminal: owned from term_begin() to term_end(), and put back also by a fatal signal. */
#ifndef BUFSCOPE_TUI_TERM_H
#define BUFSCOPE_TUI_TERM_H

#include <stdbool.h>
#include <stdint.h>

/* 0 or an exit code, after saying what is wrong. */
int term_begin(bool has_color);
void term_end(void);

/* A character or an enum tui_key; 0: none waits. */
uint32_t term_read_key(void);

/* After TUI_KEY_MOUSE: what was done where. */
struct term_mouse {
	enum { MOUSE_NOTHING, MOUSE_CLICK, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN } what;
	int y, x;
};

struct term_mouse term_read_mouse(void);

/* After SIGWINCH. */
void term_resize(void);

#endif

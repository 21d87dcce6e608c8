/* SPDX-License-Identifier: MIT */
/* The page of one group: blocks, side by side where there is room, else one under another. */
#ifndef BUFSCOPE_TUI_GROUP_H
#define BUFSCOPE_TUI_GROUP_H

#include "tui_view.h"

void group_draw(const struct tui_frame *frame, struct rect at);

/* Which group it is. Returns out. */
char *group_title(const struct tui_frame *frame, char *out, size_t size);

/* How many blocks one can scroll over; 1: all that there are stand side by side. */
size_t group_blocks(const struct tui_frame *frame, struct rect at);

#endif

/* SPDX-License-Identifier: MIT */
/* What stands above the groups of one ring, or of one process. */
#ifndef BUFSCOPE_TUI_ABOUT_H
#define BUFSCOPE_TUI_ABOUT_H

#include "tui_view.h"

#define ABOUT_PROCESS_LINES 4

int about_ring_lines(const struct tui_frame *frame);
void about_ring(const struct tui_frame *frame, struct rect at);
void about_process(const struct tui_frame *frame, struct rect at);

#endif

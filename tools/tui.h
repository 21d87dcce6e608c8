/* SPDX-License-Identifier: MIT */
/* The dashboard: owns the terminal from start to end, whatever the end is. */
#ifndef BUFSCOPE_TUI_H
#define BUFSCOPE_TUI_H

#include <stdbool.h>
#include <stdint.h>

#include "watch.h"

struct tui_opts {
	struct watch_opts watch;
	uint64_t count;       /* looks to take; UINT64_MAX: no end */
	uint64_t duration_ns; /* UINT64_MAX: no end */
	bool has_color;
};

/* Runs until the user leaves; returns an exit code. Standard input and output are a terminal. */
int tui_run(const struct tui_opts *opts);

#endif

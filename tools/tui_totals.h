/* SPDX-License-Identifier: MIT */
/* What all that lives comes to: added up once a look, not once a frame. Pure. */
#ifndef BUFSCOPE_TUI_TOTALS_H
#define BUFSCOPE_TUI_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/model.h"

/* Unknown if nothing in it is known, a least value if not all is. */
struct tui_sum {
	double v;
	bool is_known;
	bool is_partial;
};

struct tui_totals {
	uint64_t at_ns; /* of which look, and of which process: 0 of all */
	uint32_t tgid;
	size_t rings, groups;
	size_t alerts; /* groups that starve or leak */
	struct tui_sum held, taken, returned, starved;
	uint64_t fixed_bytes, ring_bytes;
};

/* Of one process, or of all with tgid 0. */
void totals_add_up(struct tui_totals *totals, const struct model *model, uint32_t tgid);

#endif

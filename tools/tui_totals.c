// SPDX-License-Identifier: MIT
/* How many, how fast, how bad, taken together? */
#include "tui_totals.h"

#include <string.h>

static void add(struct tui_sum *sum, struct value value)
{
	sum->v += value.state == VALUE_KNOWN ? value.v : 0;
	sum->is_known = sum->is_known || value.state == VALUE_KNOWN;
	sum->is_partial = sum->is_partial || value.state == VALUE_UNKNOWN;
}

void totals_add_up(struct tui_totals *totals, const struct model *model, uint32_t tgid)
{
	memset(totals, 0, sizeof(*totals));
	totals->at_ns = model->at_ns;
	totals->tgid = tgid;
	for (size_t i = 0; i < model->nr_rings; i++) {
		const struct model_ring *ring = model->rings[i];

		if ((tgid && ring->rec.tgid != tgid) || ring->span.life != LIFE_LIVE)
			continue;
		totals->rings++;
		totals->fixed_bytes += ring->rec.table_bytes;
		for (size_t j = 0; j < ring->nr_groups; j++) {
			const struct model_group *group = ring->groups[j];

			if (group->span.life != LIFE_LIVE)
				continue;
			totals->groups++;
			totals->alerts += group->condition > CONDITION_TIGHT;
			totals->ring_bytes += group->rec.mem_bytes;
			add(&totals->held, model_held(group));
			add(&totals->taken, model_rate(group, COUNT_TAKEN));
			add(&totals->returned, model_rate(group, COUNT_RETURNED));
			add(&totals->starved, model_rate(group, COUNT_STARVED));
		}
	}
}

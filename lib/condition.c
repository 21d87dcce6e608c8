// SPDX-License-Identifier: MIT
/* Does this group need attention? */
#include "condition.h"

#define LATELY  5 /* looks that count as now: a state does not flicker with every sample */
#define TREND   4 /* intervals without a rise that make a trend */
#define IDLE_NS UINT64_C(5000000000)
#define SOON_NS UINT64_C(10000000000)
#define LITTLE  10 /* less than a tenth of what there is */

/* Nearly no group starved within the last minute, and that takes but one look. */
static bool has_starved_lately(const struct model *model, const struct model_group *group)
{
	for (unsigned int back = 0; group->starved_mask && back < LATELY; back++)
		if (model_past_starved(model, group, back))
			return true;
	return false;
}

static bool was_empty_lately(const struct model *model, const struct model_group *group)
{
	for (unsigned int back = 0; group->empty_mask && back < LATELY; back++)
		if (model_past_empty(model, group, back))
			return true;
	return false;
}

/* A ring may be registered larger than it is ever filled: what it owns counts, where known. */
static bool has_little(const struct model_group *group)
{
	const struct group_rec *rec = &group->rec;
	uint64_t all = rec->entries;

	if (rec->available == REC_UNKNOWN_U32)
		return false;
	if (rec->held != REC_UNKNOWN_U32)
		all = (uint64_t)rec->available + rec->held;
	return (uint64_t)rec->available * LITTLE < all;
}

/* Nothing was ever put in: it is not in use yet. */
static bool is_unused(const struct model_group *group)
{
	const struct group_rec *rec = &group->rec;

	return rec->available == 0 &&
	       (rec->held == 0 || (rec->tail == 0 && rec->kind != GROUP_LEGACY));
}

uint64_t condition_empty_in_ns(const struct model *model, const struct model_group *group)
{
	uint32_t now = model_past_available(model, group, 0), newer = now, older = now;

	for (unsigned int back = 1; back <= TREND; back++) {
		older = model_past_available(model, group, back);
		if (older == REC_UNKNOWN_U32 || newer == REC_UNKNOWN_U32 || older < newer)
			return COUNT_UNKNOWN;
		newer = older;
	}
	if (older == now || now == 0)
		return COUNT_UNKNOWN;
	return (uint64_t)((double)(model->at_ns - model_past_ns(model, TREND)) * now /
			  (older - now));
}

enum condition condition_of(const struct model *model, const struct model_group *group)
{
	uint64_t stuck = group->gauge[GAUGE_STUCK];

	if (has_starved_lately(model, group))
		return CONDITION_STARVING;
	if (stuck != COUNT_UNKNOWN && stuck > 0)
		return CONDITION_LEAKING;
	if (is_unused(group))
		return CONDITION_IDLE;
	if (has_little(group) || was_empty_lately(model, group) || group->empty_in_ns < SOON_NS)
		return CONDITION_TIGHT;
	if (group->moved_ns == 0 || model->at_ns - group->moved_ns > IDLE_NS)
		return CONDITION_IDLE;
	return CONDITION_CALM;
}

const char *condition_name(enum condition condition)
{
	static const char *const names[] = {
		[CONDITION_IDLE] = "idle",         [CONDITION_CALM] = "calm",
		[CONDITION_TIGHT] = "tight",       [CONDITION_LEAKING] = "leaking",
		[CONDITION_STARVING] = "starving",
	};

	return names[condition];
}

char condition_letter(enum condition condition)
{
	return "icTLS"[condition];
}

// SPDX-License-Identifier: MIT
/* What does the screen show next, after a key or a sample? */
#include "tui_state.h"

#include <errno.h>
#include <stdlib.h>

#include "tui_layout.h"
#include "watch.h"

/* ---- rows */

static int list_groups(struct tui_state *state, const struct model *model)
{
	size_t wanted = 0;

	for (size_t i = 0; i < model->nr_rings; i++)
		wanted += model->rings[i]->nr_groups;
	if (wanted > state->room) {
		free(state->rows);
		state->room = wanted + wanted / 4;
		state->rows = calloc(state->room, sizeof(void *));
		if (!state->rows) {
			state->room = 0;
			return -ENOMEM;
		}
	}
	state->groups.nr = 0;
	for (size_t i = 0; i < model->nr_rings; i++)
		for (size_t j = 0; j < model->rings[i]->nr_groups; j++)
			state->rows[state->groups.nr++] = model->rings[i]->groups[j];
	return 0;
}

static bool is_chosen(const struct tui_state *state, const struct model_group *group)
{
	return group->ring->ordinal == state->ordinal && group->rec.bgid == state->bgid;
}

/* Of a group that was registered anew both stand there: the choice goes to the later one. */
static void find_choice(struct tui_state *state)
{
	for (size_t i = 0; state->has_choice && i < state->groups.nr; i++) {
		if (is_chosen(state, state->rows[i])) {
			state->groups.cursor = i;
			if (state->rows[i]->span.life == LIFE_LIVE)
				break;
		}
	}
}

static void scroll(struct tui_list *list)
{
	if (list->cursor >= list->nr)
		list->cursor = list->nr ? list->nr - 1 : 0;
	list->top = layout_scroll(list->top, list->cursor, list->nr, list->height);
}

static void choose_at_cursor(struct tui_state *state)
{
	const struct tui_list *list = &state->groups;

	state->has_choice = list->cursor < list->nr;
	if (!state->has_choice)
		return;
	state->ordinal = state->rows[list->cursor]->ring->ordinal;
	state->bgid = state->rows[list->cursor]->rec.bgid;
}

int tui_state_follow(struct tui_state *state, const struct model *model)
{
	int err = list_groups(state, model);

	if (err)
		return err;
	find_choice(state);
	scroll(&state->groups);
	choose_at_cursor(state);
	return 0;
}

void tui_state_done(struct tui_state *state)
{
	free(state->rows);
	state->rows = NULL;
	state->room = 0;
}

/* ---- actions */

static struct tui_list *list_of_page(struct tui_state *state)
{
	return state->page == PAGE_HELP ? &state->help : &state->groups;
}

void tui_state_fit(struct tui_state *state, size_t height)
{
	struct tui_list *list = list_of_page(state);

	list->height = height;
	scroll(list);
}

enum tui_mode tui_state_mode(const struct tui_state *state)
{
	if (state->page == PAGE_HELP)
		return MODE_HELP;
	return state->is_paused ? MODE_PAUSED : MODE_LIVE;
}

static size_t moved(size_t position, size_t last, size_t step, enum tui_action action)
{
	switch (action) {
	case ACT_UP:
	case ACT_PAGE_UP:
		return position > step ? position - step : 0;
	case ACT_DOWN:
	case ACT_PAGE_DOWN:
		return last - position > step ? position + step : last;
	case ACT_HOME:
		return 0;
	default:
		return last;
	}
}

static void move(struct tui_state *state, enum tui_action action)
{
	struct tui_list *list = list_of_page(state);
	size_t step = action == ACT_UP || action == ACT_DOWN ? 1 : list->height;

	/* Nothing is chosen in the help: what moves is its top. */
	if (state->page == PAGE_HELP) {
		size_t last = list->nr > list->height ? list->nr - list->height : 0;

		list->top = list->cursor = moved(list->top, last, step, action);
		return;
	}
	list->cursor = moved(list->cursor, list->nr ? list->nr - 1 : 0, step, action);
	scroll(list);
	choose_at_cursor(state);
}

static enum tui_effect change_interval(struct tui_state *state, enum tui_action action)
{
	uint64_t ns = action == ACT_SLOWER ? state->interval_ns * 2 : state->interval_ns / 2;

	if (ns < WATCH_MIN_NS || ns > WATCH_MAX_NS)
		return EFFECT_NONE;
	state->interval_ns = ns;
	return EFFECT_INTERVAL;
}

static enum tui_effect change_moment(struct tui_state *state, enum tui_action action)
{
	if (action == ACT_PAUSE) {
		state->is_paused = !state->is_paused;
		state->back = 0;
		return EFFECT_MOMENT;
	}
	if (action == ACT_OLDER && state->back < state->most_back)
		state->back++;
	else if (action == ACT_NEWER && state->back > 0)
		state->back--;
	else
		return EFFECT_NONE;
	return EFFECT_MOMENT;
}

enum tui_effect tui_state_act(struct tui_state *state, enum tui_action action)
{
	switch (action) {
	case ACT_NONE:
		return EFFECT_NONE;
	case ACT_QUIT:
		return EFFECT_QUIT;
	case ACT_REDRAW:
		return EFFECT_REDRAW;
	case ACT_HELP:
		state->page = PAGE_HELP;
		state->help.cursor = state->help.top = 0;
		return EFFECT_NONE;
	case ACT_BACK:
		state->page = PAGE_GROUPS;
		return EFFECT_NONE;
	case ACT_PAUSE:
	case ACT_OLDER:
	case ACT_NEWER:
		return change_moment(state, action);
	case ACT_SLOWER:
	case ACT_FASTER:
		return change_interval(state, action);
	default:
		move(state, action);
		return EFFECT_NONE;
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * What the screen is about to show: page, rows, selection, pause. Changed by actions and by new
 * samples only; knows no terminal and no clock, never changes a model.
 */
#ifndef BUFSCOPE_TUI_STATE_H
#define BUFSCOPE_TUI_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/model.h"
#include "tui_keys.h"

enum tui_page {
	PAGE_GROUPS,
	PAGE_HELP,
};

/* A list on a screen: what is first, what is chosen. */
struct tui_list {
	size_t nr;
	size_t cursor;
	size_t top;
	size_t height; /* rows on the screen, as last laid out */
};

struct tui_state {
	enum tui_page page;
	bool is_paused;
	size_t back; /* while paused: looks back from the last one */
	size_t most_back;
	uint64_t interval_ns;

	/* Groups in the order shown; valid until the model changes. */
	const struct model_group **rows;
	size_t room;
	struct tui_list groups;
	struct tui_list help;

	/* The group chosen, by identity: rows may move under it. */
	bool has_choice;
	uint32_t ordinal, bgid;
};

/* What the caller has to do after an action. */
enum tui_effect {
	EFFECT_NONE,
	EFFECT_QUIT,
	EFFECT_REDRAW,   /* everything, a terminal may have been disturbed */
	EFFECT_INTERVAL, /* interval_ns has changed */
	EFFECT_MOMENT,   /* is_paused or back has changed: another model is to be shown */
};

void tui_state_done(struct tui_state *state);

/* After the model changed: rows anew, the choice stays on its group. 0 or -ENOMEM. */
int tui_state_follow(struct tui_state *state, const struct model *model);

/* After a change of size: how many rows the page's list has. */
void tui_state_fit(struct tui_state *state, size_t height);

enum tui_mode tui_state_mode(const struct tui_state *state);

enum tui_effect tui_state_act(struct tui_state *state, enum tui_action action);

#endif

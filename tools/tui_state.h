/* SPDX-License-Identifier: MIT */
/*
 * What the screen is about to show: pages, rows, the choice, pause, what is being typed. Changed
 * by keys and by new looks only; knows no terminal and no clock, never changes a model.
 */
#ifndef BUFSCOPE_TUI_STATE_H
#define BUFSCOPE_TUI_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/model.h"
#include "tui_config.h"
#include "tui_filter.h"
#include "tui_keys.h"
#include "tui_rows.h"
#include "tui_totals.h"

enum tui_page {
	PAGE_OVERVIEW, /* all groups */
	PAGE_GROUP,
	PAGE_RING,
	PAGE_PROCESS,
	PAGE_LIMITS,
	PAGE_HELP,
	PAGE_SORT,
	PAGE_COLUMNS,
};

/* A page, and where one is on it. */
struct tui_place {
	enum tui_page page;
	struct row_id subject; /* of the pages of one group, ring or process */
	size_t nr;             /* rows or lines */
	size_t cursor;
	size_t top;
	size_t height; /* of the list on the screen, as last laid out */
	bool has_choice;
	struct row_id choice; /* rows may move under it */
};

#define TUI_DEPTH 8

enum tui_prompt { PROMPT_NONE, PROMPT_SEARCH, PROMPT_FILTER, PROMPT_RECORD };

struct tui_state {
	struct tui_place places[TUI_DEPTH]; /* the last one is shown */
	size_t depth;                       /* its index */
	struct tui_rows rows;               /* of a list; valid until the model changes */
	struct tui_totals totals;           /* of all, or of the process that the page is about */

	struct tui_config likes; /* of the user */
	bool is_changed;         /* likes, by a key: they are worth keeping */

	struct filter filter;
	char search[FILTER_TEXT];
	enum tui_prompt prompt;
	char typed[FILTER_TEXT];
	char message[FILTER_TEXT + 64]; /* shown until the next key */

	/* Time; the caller knows the moments. */
	bool is_replay;
	bool is_held;
	size_t moment, nr_moments;
	uint64_t interval_ns;
	uint64_t slowed_ns; /* between two looks, as they take long; 0: they keep to interval_ns */
	double speed;
	uint64_t wall_ns; /* of the model shown */

	/* What is watched in full while the rest is watched lightly. */
	bool is_exam;
	uint32_t exam_tgid;
	int exam_bgid; /* -1: the whole process */

	bool is_recording;
	char record[FILTER_TEXT]; /* file to write to */
};

/* What the caller has to do after an action, or-ed. */
enum tui_effect {
	EFFECT_QUIT = 1,
	EFFECT_REDRAW = 2,   /* everything: the terminal may have been disturbed */
	EFFECT_ROWS = 4,     /* tui_state_follow() */
	EFFECT_PACE = 8,     /* interval_ns or speed has changed */
	EFFECT_HOLD = 16,    /* is_held has changed */
	EFFECT_MOMENT = 32,  /* moment has changed */
	EFFECT_EXAM = 64,    /* is_exam, exam_tgid, exam_bgid have changed */
	EFFECT_RECORD = 128, /* is_recording has changed */
	EFFECT_THEME = 256,
	EFFECT_LIMITS = 512, /* their page was opened */
};

void tui_state_init(struct tui_state *state);
void tui_state_done(struct tui_state *state);

struct tui_place *tui_state_place(struct tui_state *state);
const struct tui_place *tui_state_here(const struct tui_state *state);

/* Whether the page shown is a list of rows. */
bool tui_state_is_list(const struct tui_state *state);

/* After the model changed: rows anew, the choice stays on what was chosen. 0 or -ENOMEM. */
int tui_state_follow(struct tui_state *state, const struct model *model);

/* After a change of size: how many rows the list has; `nr` lines if it is text. */
void tui_state_fit(struct tui_state *state, size_t height, size_t nr);

/* The page and the time, for the table of keys. */
unsigned int tui_state_mode(const struct tui_state *state);

/* A key: an action, or a character to type. Returns effects. */
unsigned int tui_state_key(struct tui_state *state, uint32_t key);
unsigned int tui_state_act(struct tui_state *state, enum tui_action action);

/* A click on a row of the list: chooses it, and opens it if it was chosen. Returns effects. */
unsigned int tui_state_click_row(struct tui_state *state, size_t row);

/* A click on a column's title: sorts by it, or the other way round. Returns effects. */
unsigned int tui_state_click_column(struct tui_state *state, const struct tui_column *column);

/* Shown until the next key. */
void tui_state_say(struct tui_state *state, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif

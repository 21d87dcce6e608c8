// SPDX-License-Identifier: MIT
/* What does the screen show next, after a key or a look? */
#include "tui_state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tui_layout.h"
#include "watch.h"

#define MOST_SPEED  1024
#define LEAST_SPEED (1.0 / 64)

void tui_state_init(struct tui_state *state)
{
	memset(state, 0, sizeof(*state));
	config_default(&state->likes);
	state->speed = 1;
}

void tui_state_done(struct tui_state *state)
{
	rows_done(&state->rows);
}

struct tui_place *tui_state_place(struct tui_state *state)
{
	return &state->places[state->depth];
}

const struct tui_place *tui_state_here(const struct tui_state *state)
{
	return &state->places[state->depth];
}

bool tui_state_is_list(const struct tui_state *state)
{
	enum tui_page page = tui_state_here(state)->page;

	return page == PAGE_OVERVIEW || page == PAGE_RING || page == PAGE_PROCESS;
}

void tui_state_say(struct tui_state *state, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(state->message, sizeof(state->message), format, args);
	va_end(args);
}

unsigned int tui_state_mode(const struct tui_state *state)
{
	static const unsigned int modes[] = {
		[PAGE_OVERVIEW] = MODE_LIST, [PAGE_GROUP] = MODE_GROUP,     [PAGE_RING] = MODE_LIST,
		[PAGE_PROCESS] = MODE_LIST,  [PAGE_LIMITS] = MODE_TEXT,     [PAGE_HELP] = MODE_TEXT,
		[PAGE_SORT] = MODE_MENU,     [PAGE_COLUMNS] = MODE_COLUMNS,
	};
	unsigned int time = state->is_held ? MODE_STILL : MODE_LIVE;

	return time | (state->prompt ? MODE_PROMPT : modes[tui_state_here(state)->page]);
}

/* ---- rows and the choice */

static void scroll(struct tui_place *place)
{
	if (place->cursor >= place->nr)
		place->cursor = place->nr ? place->nr - 1 : 0;
	place->top = layout_scroll(place->top, place->cursor, place->nr, place->height);
}

static void choose_at_cursor(struct tui_state *state)
{
	struct tui_place *place = tui_state_place(state);

	if (!tui_state_is_list(state))
		return;
	place->has_choice = place->cursor < state->rows.nr;
	if (place->has_choice)
		place->choice = row_id_of(&state->rows.rows[place->cursor]);
}

static struct rows_opts rows_wanted(const struct tui_state *state)
{
	const struct tui_place *place = tui_state_here(state);
	struct rows_opts opts = {
		.filter = &state->filter,
		.sort = state->likes.sort,
		.is_inverted = state->likes.is_inverted,
		.is_tree = state->likes.is_tree,
	};

	if (place->page == PAGE_PROCESS) {
		opts.tgid = place->subject.tgid;
		opts.is_tree = true;
	} else if (place->page == PAGE_RING) {
		opts.ordinal = place->subject.ordinal;
		opts.is_tree = false;
	}
	return opts;
}

int tui_state_follow(struct tui_state *state, const struct model *model)
{
	struct tui_place *place = tui_state_place(state);
	struct rows_opts opts = rows_wanted(state);
	size_t found;
	int err;

	state->wall_ns = model->wall_ns;
	if (state->totals.at_ns != model->at_ns || state->totals.tgid != opts.tgid)
		totals_add_up(&state->totals, model, opts.tgid);
	if (!tui_state_is_list(state))
		return 0;
	err = rows_build(&state->rows, model, &opts);
	if (err)
		return err;
	place->nr = state->rows.nr;
	found = place->has_choice ? rows_find(&state->rows, &place->choice) : place->nr;
	if (found < place->nr)
		place->cursor = found;
	scroll(place);
	/* Until the user chooses, the first row is what counts: sorted by state, the worst. */
	if (place->has_choice)
		choose_at_cursor(state);
	return 0;
}

void tui_state_fit(struct tui_state *state, size_t height, size_t nr)
{
	struct tui_place *place = tui_state_place(state);
	size_t last = nr > height ? nr - height : 0;

	place->height = height;
	if (place->page == PAGE_GROUP)
		place->nr = nr;
	if (place->page == PAGE_HELP || place->page == PAGE_LIMITS) {
		place->nr = nr;
		place->top = place->top < last ? place->top : last;
		return;
	}
	scroll(place);
}

/* ---- moving about */

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

static unsigned int move(struct tui_state *state, enum tui_action action)
{
	struct tui_place *place = tui_state_place(state);
	size_t step = action == ACT_UP || action == ACT_DOWN ? 1 : place->height;

	/* Nothing is chosen in a text: what moves is its top. */
	if (place->page == PAGE_HELP || place->page == PAGE_LIMITS) {
		size_t last = place->nr > place->height ? place->nr - place->height : 0;

		place->top = moved(place->top, last, step, action);
		return 0;
	}
	place->cursor = moved(place->cursor, place->nr ? place->nr - 1 : 0, step, action);
	scroll(place);
	choose_at_cursor(state);
	return 0;
}

/* A place that is open already is gone back to, so that pages never pile up. */
static unsigned int open_page(struct tui_state *state, enum tui_page page, struct row_id subject)
{
	struct tui_place *place;

	for (size_t i = 0; i <= state->depth; i++) {
		place = &state->places[i];
		if (place->page == page && row_id_equal(&place->subject, &subject)) {
			state->depth = i;
			return EFFECT_ROWS;
		}
	}
	if (state->depth + 1 == TUI_DEPTH)
		return 0;
	place = &state->places[++state->depth];
	*place = (struct tui_place){.page = page, .subject = subject};
	return EFFECT_ROWS | (page == PAGE_LIMITS ? EFFECT_LIMITS : 0);
}

/* What a key is about: the row under the cursor, or the page's own subject. NULL: nothing. */
static const struct model_ring *ring_at_hand(const struct tui_state *state)
{
	const struct tui_place *place = tui_state_here(state);

	if (tui_state_is_list(state) && place->cursor < state->rows.nr)
		return state->rows.rows[place->cursor].ring;
	return NULL;
}

/* On a group's page its row is still under the cursor of the list below. */
static unsigned int open_ring(struct tui_state *state)
{
	const struct tui_place *place = tui_state_here(state);
	const struct model_ring *ring = ring_at_hand(state);
	struct row_id id = {.kind = ROW_RING};

	if (place->page == PAGE_GROUP)
		id.ordinal = place->subject.ordinal;
	else if (ring)
		id.ordinal = ring->ordinal;
	return id.ordinal ? open_page(state, PAGE_RING, id) : 0;
}

static uint32_t tgid_at_hand(const struct tui_state *state)
{
	const struct tui_place *place = tui_state_here(state);
	const struct model_ring *ring = ring_at_hand(state);

	return place->page == PAGE_GROUP ? place->subject.tgid : ring ? ring->rec.tgid : 0;
}

static unsigned int open_process(struct tui_state *state)
{
	struct row_id id = {.kind = ROW_PROCESS, .tgid = tgid_at_hand(state)};

	return id.tgid ? open_page(state, PAGE_PROCESS, id) : 0;
}

static unsigned int open_row(struct tui_state *state)
{
	const struct tui_place *place = tui_state_here(state);
	const struct tui_row *row;
	struct row_id id;

	if (place->cursor >= state->rows.nr)
		return 0;
	choose_at_cursor(state);
	row = &state->rows.rows[place->cursor];
	if (row->kind == ROW_PROCESS)
		return open_process(state);
	if (row->kind == ROW_RING)
		return open_ring(state);
	id = row_id_of(row);
	id.tgid = row->ring->rec.tgid; /* so that its page knows its process */
	return open_page(state, PAGE_GROUP, id);
}

static unsigned int go_back(struct tui_state *state)
{
	if (state->depth > 0) {
		state->depth--;
		return EFFECT_ROWS;
	}
	state->search[0] = '\0';
	if (!state->filter.text[0])
		return 0;
	memset(&state->filter, 0, sizeof(state->filter));
	return EFFECT_ROWS;
}

unsigned int tui_state_click_row(struct tui_state *state, size_t row)
{
	struct tui_place *place = tui_state_place(state);

	if (row >= place->nr)
		return 0;
	if (place->cursor == row)
		return tui_state_act(state, tui_action(TUI_KEY_ENTER, tui_state_mode(state)));
	place->cursor = row;
	scroll(place);
	choose_at_cursor(state);
	return 0;
}

/* ---- sorting, columns */

static unsigned int sort_by(struct tui_state *state, const struct tui_column *column)
{
	state->likes.is_inverted =
		column && column == state->likes.sort && !state->likes.is_inverted;
	state->likes.sort = column;
	state->likes.is_tree = false;
	state->is_changed = true;
	return EFFECT_ROWS;
}

unsigned int tui_state_click_column(struct tui_state *state, const struct tui_column *column)
{
	return sort_by(state, column);
}

/* The first line of the menu is no column. */
static unsigned int open_sort(struct tui_state *state)
{
	unsigned int effects = open_page(state, PAGE_SORT, (struct row_id){0});
	struct tui_place *place = tui_state_place(state);
	size_t nr;
	const struct tui_column *columns = tui_columns(&nr);

	place->nr = nr + 1;
	place->cursor = state->likes.sort ? (size_t)(state->likes.sort - columns) + 1 : 0;
	return effects;
}

static unsigned int accept_sort(struct tui_state *state)
{
	size_t cursor = tui_state_here(state)->cursor, nr;
	const struct tui_column *columns = tui_columns(&nr);

	return go_back(state) | sort_by(state, cursor ? &columns[cursor - 1] : NULL);
}

static unsigned int open_columns(struct tui_state *state)
{
	unsigned int effects = open_page(state, PAGE_COLUMNS, (struct row_id){0});

	tui_columns(&tui_state_place(state)->nr);
	return effects;
}

/* The cursor stays on the column, wherever it goes. */
static unsigned int change_column(struct tui_state *state, enum tui_action action)
{
	struct tui_place *place = tui_state_place(state);
	const struct tui_column *column = tui_choice_listed(&state->likes.columns, place->cursor);

	if (!column)
		return 0;
	if (action == ACT_COLUMN_TOGGLE)
		tui_choice_toggle(&state->likes.columns, column);
	else
		tui_choice_move(&state->likes.columns, column, action == ACT_COLUMN_LEFT ? -1 : 1);
	for (size_t i = 0; i < place->nr; i++)
		if (tui_choice_listed(&state->likes.columns, i) == column)
			place->cursor = i;
	scroll(place);
	return 0;
}

/* ---- time */

static unsigned int change_pace(struct tui_state *state, enum tui_action action)
{
	double speed = action == ACT_SLOWER ? state->speed / 2 : state->speed * 2;
	uint64_t ns = action == ACT_SLOWER ? state->interval_ns * 2 : state->interval_ns / 2;

	if (state->is_replay) {
		if (speed < LEAST_SPEED || speed > MOST_SPEED)
			return 0;
		state->speed = speed;
		return EFFECT_PACE;
	}
	if (ns < WATCH_MIN_NS || ns > WATCH_MAX_NS)
		return 0;
	state->interval_ns = ns;
	return EFFECT_PACE;
}

static unsigned int change_moment(struct tui_state *state, enum tui_action action)
{
	size_t last = state->nr_moments ? state->nr_moments - 1 : 0, moment = state->moment;

	switch (action) {
	case ACT_OLDER:
		moment -= moment > 0;
		break;
	case ACT_NEWER:
		moment += moment < last;
		break;
	case ACT_OLDER_10:
		moment = moment > 10 ? moment - 10 : 0;
		break;
	case ACT_NEWER_10:
		moment = last - moment > 10 ? moment + 10 : last;
		break;
	case ACT_OLDEST:
		moment = 0;
		break;
	default:
		moment = last;
		break;
	}
	if (moment == state->moment)
		return 0;
	state->moment = moment;
	return EFFECT_MOMENT;
}

/* ---- typing */

static unsigned int open_prompt(struct tui_state *state, enum tui_prompt prompt)
{
	state->prompt = prompt;
	snprintf(state->typed, sizeof(state->typed), "%s",
		 prompt == PROMPT_FILTER ? state->filter.text : "");
	return 0;
}

static unsigned int toggle_record(struct tui_state *state)
{
	time_t wall = (time_t)(state->wall_ns / 1000000000);
	struct tm tm = {0};

	if (state->is_recording) {
		state->is_recording = false;
		return EFFECT_RECORD;
	}
	if (state->is_replay) {
		tui_state_say(state, "this is a recording already");
		return 0;
	}
	open_prompt(state, PROMPT_RECORD);
	localtime_r(&wall, &tm);
	strftime(state->typed, sizeof(state->typed), "bufscope-%Y%m%d-%H%M%S.jsonl", &tm);
	return 0;
}

/* The group at hand, or its whole process where a row or a page is of more than one. */
static unsigned int toggle_exam(struct tui_state *state)
{
	const struct tui_place *place = tui_state_here(state);
	bool is_row = tui_state_is_list(state) && place->cursor < state->rows.nr;
	const struct tui_row *row = is_row ? &state->rows.rows[place->cursor] : NULL;
	uint32_t tgid = tgid_at_hand(state);
	int bgid = -1;

	if (place->page == PAGE_GROUP)
		bgid = (int)place->subject.bgid;
	else if (row && row->kind == ROW_GROUP)
		bgid = (int)row->group->rec.bgid;
	if (state->is_replay) {
		tui_state_say(state, "what was not recorded cannot be followed in full");
		return 0;
	}
	if (tgid == 0)
		return 0;
	state->is_exam = !state->is_exam || state->exam_tgid != tgid || state->exam_bgid != bgid;
	state->exam_tgid = tgid;
	state->exam_bgid = bgid;
	return EFFECT_EXAM;
}

/* From the cursor on (or behind it), and over the end to the beginning. */
static void search(struct tui_state *state, bool is_next)
{
	struct tui_place *place = tui_state_place(state);

	for (size_t i = 0; i < state->rows.nr && state->search[0]; i++) {
		size_t at = (place->cursor + i + is_next) % state->rows.nr;
		const struct tui_row *row = &state->rows.rows[at];
		struct field_row cells = {.ring = row->ring, .group = row->group};

		if (!filter_finds(state->search, &cells))
			continue;
		place->cursor = at;
		scroll(place);
		choose_at_cursor(state);
		return;
	}
	if (state->search[0])
		tui_state_say(state, "'%s' is in no row", state->search);
}

static unsigned int accept_filter(struct tui_state *state)
{
	char why[FILTER_TEXT];

	if (filter_parse(&state->filter, state->typed, why)) {
		tui_state_say(state, "%s", why);
		return 0;
	}
	state->prompt = PROMPT_NONE;
	return EFFECT_ROWS;
}

static unsigned int accept(struct tui_state *state)
{
	switch (state->prompt) {
	case PROMPT_NONE:
		return accept_sort(state);
	case PROMPT_FILTER:
		return accept_filter(state);
	case PROMPT_RECORD:
		state->prompt = PROMPT_NONE;
		memcpy(state->record, state->typed, sizeof(state->record));
		state->is_recording = state->record[0] != '\0';
		return state->is_recording ? EFFECT_RECORD : 0;
	default:
		state->prompt = PROMPT_NONE;
		return 0;
	}
}

static size_t put_utf8(uint32_t point, char *out)
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (char)(0xc0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (char)(0xe0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 0x3f));
		out[2] = (char)(0x80 | (point & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | point >> 18);
	out[1] = (char)(0x80 | (point >> 12 & 0x3f));
	out[2] = (char)(0x80 | (point >> 6 & 0x3f));
	out[3] = (char)(0x80 | (point & 0x3f));
	return 4;
}

static void type_character(struct tui_state *state, uint32_t point)
{
	size_t used = strlen(state->typed);

	if (point < 0x20 || point == 0x7f || point >= TUI_KEY_UP || used + 5 > sizeof(state->typed))
		return;
	state->typed[used + put_utf8(point, state->typed + used)] = '\0';
}

static void erase_character(struct tui_state *state)
{
	size_t used = strlen(state->typed);

	/* What continues a character goes with it. */
	while (used > 0 && ((unsigned char)state->typed[--used] & 0xc0) == 0x80)
		;
	state->typed[used] = '\0';
}

/* A search is followed while it is typed. */
static unsigned int edit(struct tui_state *state, enum tui_action action, uint32_t key)
{
	if (action == ACT_ERASE)
		erase_character(state);
	else if (action == ACT_ERASE_ALL)
		state->typed[0] = '\0';
	else
		type_character(state, key);
	if (state->prompt == PROMPT_SEARCH) {
		memcpy(state->search, state->typed, sizeof(state->search));
		search(state, false);
	}
	return 0;
}

/* ---- all of it */

static unsigned int act_on_pages(struct tui_state *state, enum tui_action action)
{
	switch (action) {
	case ACT_HELP:
		return open_page(state, PAGE_HELP, (struct row_id){0});
	case ACT_LIMITS:
		return open_page(state, PAGE_LIMITS, (struct row_id){0});
	case ACT_OPEN:
		return open_row(state);
	case ACT_RING:
		return open_ring(state);
	case ACT_PROCESS:
		return open_process(state);
	case ACT_SORT:
		return open_sort(state);
	case ACT_COLUMNS:
		return open_columns(state);
	case ACT_SEARCH:
		return open_prompt(state, PROMPT_SEARCH);
	case ACT_FILTER:
		return open_prompt(state, PROMPT_FILTER);
	case ACT_RECORD:
		return toggle_record(state);
	case ACT_EXAM:
		return toggle_exam(state);
	case ACT_BACK:
		if (!state->prompt)
			return go_back(state);
		state->prompt = PROMPT_NONE;
		return 0;
	default:
		return move(state, action);
	}
}

/* What changes what the user likes. */
static unsigned int act_on_likes(struct tui_state *state, enum tui_action action)
{
	state->is_changed = true;
	switch (action) {
	case ACT_INVERT:
		state->likes.is_inverted = !state->likes.is_inverted;
		return EFFECT_ROWS;
	case ACT_TREE:
		state->likes.is_tree = !state->likes.is_tree;
		return EFFECT_ROWS;
	case ACT_THEME:
		state->likes.theme = (state->likes.theme + 1) % THEME_MAX;
		return EFFECT_THEME;
	default:
		return change_column(state, action);
	}
}

static unsigned int act_on_view(struct tui_state *state, enum tui_action action)
{
	switch (action) {
	case ACT_INVERT:
	case ACT_TREE:
	case ACT_THEME:
	case ACT_COLUMN_TOGGLE:
	case ACT_COLUMN_LEFT:
	case ACT_COLUMN_RIGHT:
		return act_on_likes(state, action);
	case ACT_PAUSE:
		state->is_held = !state->is_held;
		return EFFECT_HOLD;
	case ACT_SEARCH_NEXT:
		search(state, true);
		return 0;
	case ACT_SLOWER:
	case ACT_FASTER:
		return change_pace(state, action);
	default:
		return change_moment(state, action);
	}
}

unsigned int tui_state_act(struct tui_state *state, enum tui_action action)
{
	state->message[0] = '\0';
	switch (action) {
	case ACT_NONE:
		return 0;
	case ACT_QUIT:
		return EFFECT_QUIT;
	case ACT_REDRAW:
		return EFFECT_REDRAW;
	case ACT_ACCEPT:
		return accept(state);
	case ACT_ERASE:
	case ACT_ERASE_ALL:
		return edit(state, action, 0);
	case ACT_INVERT:
	case ACT_TREE:
	case ACT_THEME:
	case ACT_PAUSE:
	case ACT_SEARCH_NEXT:
	case ACT_SLOWER:
	case ACT_FASTER:
	case ACT_COLUMN_TOGGLE:
	case ACT_COLUMN_LEFT:
	case ACT_COLUMN_RIGHT:
	case ACT_OLDER:
	case ACT_NEWER:
	case ACT_OLDER_10:
	case ACT_NEWER_10:
	case ACT_OLDEST:
	case ACT_NEWEST:
		return act_on_view(state, action);
	default:
		return act_on_pages(state, action);
	}
}

unsigned int tui_state_key(struct tui_state *state, uint32_t key)
{
	enum tui_action action = tui_action(key, tui_state_mode(state));

	if (action == ACT_NONE && state->prompt) {
		state->message[0] = '\0';
		return edit(state, ACT_NONE, key);
	}
	return tui_state_act(state, action);
}

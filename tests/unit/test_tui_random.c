// SPDX-License-Identifier: MIT
/*
 * Does the dashboard bear 10,000 random keys, clicks, sizes and looks, with hostile content? What
 * it must not do shows under the sanitizers; what it must always be is asserted after each step.
 */
#include <locale.h>
#include <ncurses.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef timeout /* of ncurses */
#include <cmocka.h>

#include "replay.h"
#include "tui_draw.h"
#include "tui_state.h"
#include "tui_view.h"

#define STEPS 10000
#define BIDS  40000

struct world {
	struct replay *replay;
	struct model *model;
	struct tui_state state;
	struct detail detail;
	int rows, cols;
	size_t frame;
	uint64_t at_ns;
};

static uint32_t next_random(void)
{
	static uint32_t x = 2463534242U;

	x ^= x << 13;
	x ^= x >> 17;
	return x ^= x << 5;
}

static uint32_t below(uint32_t n)
{
	return next_random() % n;
}

/* The looks of the recording over and over; time goes on. */
static void look(struct world *w)
{
	struct sample sample = *replay_frame(w->replay, w->frame++ % replay_nr(w->replay));

	sample.at_ns = w->at_ns += 1000000000;
	assert_int_equal(model_update(w->model, &sample), 0);
	assert_int_equal(tui_state_follow(&w->state, w->model), 0);
}

static void shuffle_detail(struct world *w)
{
	const struct row_id *subject = &tui_state_here(&w->state)->subject;
	struct detail *d = &w->detail;

	d->ordinal = subject->ordinal;
	d->bgid = subject->bgid;
	d->at_ns = 1000 + next_random();
	d->has_counts = below(4) > 0;
	d->is_full = below(2);
	d->alignment = below(2) ? 64 : 0;
	d->counts.nr = below(8) ? below(300) : below(BIDS);
	for (uint32_t i = 0; i < d->counts.nr; i++)
		d->counts.bids[i] = (struct bid_state){
			.since_ns = next_random(), .fd = (int)below(9) - 1, .flags = below(1024)};
	for (int i = 0; i < 5; i++)
		d->counts.hold[below(HOLD_BUCKETS)] = below(3) ? next_random() : 0;
	d->nr_holders = below(DETAIL_HOLDERS + 1);
	d->nr_events = below(DETAIL_EVENTS + 1);
	d->nr_findings = below(DETAIL_FINDINGS + 1);
	for (size_t i = 0; i < DETAIL_HOLDERS; i++)
		d->holders[i] =
			(struct holder){.fd = (int)below(5) - 1,
					.opcode = (uint8_t)next_random(),
					.held = below(1000000),
					.selected = below(3) ? next_random() : COUNT_UNKNOWN,
					.user_data = UINT64_MAX};
	for (size_t i = 0; i < DETAIL_EVENTS; i++)
		d->events[i] = (struct trace_rec){.at_ns = next_random(),
						  .kind = (__u8)below(TRACE_CREATE),
						  .cause = (__u8)below(STARVE_CAUSES),
						  .res = -(int)below(200),
						  .nr = below(70000),
						  .bid = below(2) ? REC_UNKNOWN_U32 : below(70000),
						  .opcode = (__u8)next_random()};
	for (size_t i = 0; i < DETAIL_FINDINGS; i++) {
		d->findings[i].complaint = (enum complaint)below(COMPLAINTS);
		strcpy(d->findings[i].evidence,
		       "\x1b[2J \xff\xe2\x80\xae \xe6\xbc\xa2\xe5\xad\x97");
	}
}

static uint32_t random_key(void)
{
	static const char usual[] = "hjklgG/fsItC +-eT?rpLnwq,.[]{}x0=> and";

	switch (below(4)) {
	case 0:
		return TUI_KEY_UP + below(TUI_KEY_OTHER - TUI_KEY_UP);
	case 1:
		return 1 + below(0x10ffff);
	default:
		return (uint32_t)usual[below(sizeof(usual) - 1)];
	}
}

static struct tui_frame frame_of(struct world *w)
{
	return (struct tui_frame){
		.state = &w->state,
		.model = w->model,
		.host = "host",
		.kernel = "6.1",
		.detail = below(4) ? &w->detail : NULL,
		.age_ns = next_random(),
		.limits = below(2) ? "a limit\nanother \x1b[31m" : "",
		.rows = w->rows,
		.cols = w->cols,
	};
}

static void click(struct world *w)
{
	struct tui_frame frame = frame_of(w);
	struct view_hit hit = view_at(&frame, (int)below(110) - 2, (int)below(310) - 2);

	if (hit.what == HIT_ROW)
		tui_state_click_row(&w->state, hit.row);
	else if (hit.what == HIT_COLUMN)
		tui_state_click_column(&w->state, hit.column);
	else if (hit.what == HIT_KEY)
		tui_state_act(&w->state, hit.action);
}

static void resize(struct world *w)
{
	w->rows = 1 + (int)below(below(2) ? 12 : 100);
	w->cols = 1 + (int)below(below(2) ? 60 : 300);
	resizeterm(w->rows, w->cols);
}

static void draw(struct world *w)
{
	struct tui_frame frame = frame_of(w);
	struct tui_place *place = tui_state_place(&w->state);

	tui_state_fit(&w->state, view_list_height(&frame), view_text_lines(&frame));
	view_draw(&frame);
	assert_true(place->nr == 0 || place->cursor < place->nr);
	assert_true(place->height == 0 || place->top == 0 || place->top < place->nr);
	if (tui_state_is_list(&w->state) && place->height > 0 && place->nr > 0)
		assert_true(place->cursor >= place->top &&
			    place->cursor < place->top + place->height);
}

static void step(struct world *w)
{
	uint32_t what = below(100);

	if (what < 4)
		resize(w);
	else if (what < 14)
		look(w);
	else if (what < 18)
		click(w);
	else if (what < 20)
		draw_use_theme((enum draw_theme)below(3));
	else
		tui_state_key(&w->state, random_key());
	w->state.nr_moments = 60;
	if (w->state.moment >= 60)
		w->state.moment = 0;
	/* The caller obeys with rows for whatever page is shown now. */
	assert_int_equal(tui_state_follow(&w->state, w->model), 0);
	if (tui_state_here(&w->state)->page == PAGE_GROUP)
		shuffle_detail(w);
	draw(w);
}

static void play(bool is_utf8)
{
	struct world w = {.rows = 24, .cols = 80, .at_ns = UINT64_C(1) << 60};

	w.replay = replay_open("tests/data/starving.jsonl");
	w.model = model_new();
	w.detail.counts.bids = calloc(BIDS, sizeof(*w.detail.counts.bids));
	w.detail.counts.max = BIDS;
	w.detail.stuck_ns = 1000000;
	assert_true(w.replay && w.model && w.detail.counts.bids);
	tui_state_init(&w.state);
	w.state.interval_ns = 1000000000;
	draw_init(true, is_utf8);
	look(&w);
	for (int i = 0; i < STEPS / 2; i++)
		step(&w);
	tui_state_done(&w.state);
	detail_done(&w.detail);
	model_free(w.model);
	replay_close(w.replay);
}

static void test_random(void **state)
{
	FILE *out = fopen("/dev/null", "w"), *in = fopen("/dev/null", "r");
	SCREEN *screen;

	(void)state;
	setlocale(LC_CTYPE, "C.UTF-8");
	assert_true(out && in);
	screen = newterm("xterm-256color", out, in);
	assert_non_null(screen);
	play(true);
	play(false);
	endwin();
	delscreen(screen);
	fclose(out);
	fclose(in);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Does the choice stay on its group whatever happens around it, and does each key do its part? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tui_state.h"
#include "watch.h"

#define SECOND UINT64_C(1000000000)

struct fixture {
	struct model *model;
	struct tui_state state;
	uint64_t at_ns;
};

static int setup(void **context)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->model = model_new();
	tui_state_init(&f->state);
	f->state.likes.sort = NULL;
	f->state.interval_ns = SECOND;
	tui_state_fit(&f->state, 5, 0);
	*context = f;
	return f->model ? 0 : -1;
}

static int teardown(void **context)
{
	struct fixture *f = *context;

	tui_state_done(&f->state);
	model_free(f->model);
	free(f);
	return 0;
}

/* One ring per process, groups 0 ... nr-1 on each. */
static void give(struct fixture *f, const uint32_t *tgids, size_t nr_rings, uint32_t nr)
{
	struct ring_rec rings[16] = {0};
	struct group_rec groups[16 * 32] = {0};
	struct sample sample = {.at_ns = f->at_ns += SECOND,
				.rings = rings,
				.nr_rings = nr_rings,
				.groups = groups,
				.nr_groups = nr_rings * nr};

	for (size_t i = 0; i < nr_rings * nr; i++) {
		rings[i / nr] = (struct ring_rec){.ring_id = tgids[i / nr], .tgid = tgids[i / nr]};
		groups[i] = (struct group_rec){.ring_id = tgids[i / nr], .bgid = (__u32)(i % nr)};
	}
	assert_int_equal(model_update(f->model, &sample), 0);
	assert_int_equal(tui_state_follow(&f->state, f->model), 0);
}

static void press(struct fixture *f, enum tui_action action, int times)
{
	for (int i = 0; i < times; i++)
		if (tui_state_act(&f->state, action) & EFFECT_ROWS)
			assert_int_equal(tui_state_follow(&f->state, f->model), 0);
}

static void assert_chosen(const struct fixture *f, uint32_t tgid, uint32_t bgid)
{
	size_t cursor = tui_state_here(&f->state)->cursor;
	const struct model_group *group = f->state.rows.rows[cursor].group;

	assert_int_equal(group->ring->rec.tgid, tgid);
	assert_int_equal(group->rec.bgid, bgid);
}

static void assert_in_sight(const struct fixture *f)
{
	const struct tui_place *list = tui_state_here(&f->state);

	assert_true(list->cursor >= list->top && list->cursor < list->top + list->height);
	assert_true(list->nr <= list->height ? list->top == 0
					     : list->top + list->height <= list->nr);
}

static void test_moves(void **context)
{
	static const uint32_t tgids[] = {10, 20};
	struct fixture *f = *context;

	give(f, tgids, 2, 10);
	assert_int_equal(f->state.rows.nr, 20);
	assert_chosen(f, 10, 0);
	press(f, ACT_UP, 1);
	assert_chosen(f, 10, 0);
	press(f, ACT_DOWN, 3);
	assert_chosen(f, 10, 3);
	press(f, ACT_PAGE_DOWN, 1);
	assert_chosen(f, 10, 8);
	assert_in_sight(f);
	press(f, ACT_END, 1);
	assert_chosen(f, 20, 9);
	press(f, ACT_DOWN, 1);
	assert_chosen(f, 20, 9);
	press(f, ACT_PAGE_UP, 2);
	assert_chosen(f, 10, 9);
	assert_in_sight(f);
	press(f, ACT_PAGE_UP, 9);
	assert_chosen(f, 10, 0);
	press(f, ACT_END, 1);
	press(f, ACT_HOME, 1);
	assert_chosen(f, 10, 0);
	assert_in_sight(f);
}

static void test_choice_follows_its_group(void **context)
{
	static const uint32_t tgids[] = {5, 10, 20};
	struct fixture *f = *context;

	give(f, tgids + 1, 2, 10);
	press(f, ACT_DOWN, 13);
	assert_chosen(f, 20, 3);
	give(f, tgids, 3, 10); /* ten rows above it */
	assert_chosen(f, 20, 3);
	assert_int_equal(tui_state_here(&f->state)->cursor, 23);
	assert_in_sight(f);
	for (int i = 0; i <= MODEL_LINGER; i++)
		give(f, tgids + 1, 2, 10); /* and away again */
	assert_int_equal(f->state.rows.nr, 20);
	assert_chosen(f, 20, 3);
	for (int i = 0; i <= MODEL_LINGER; i++)
		give(f, tgids + 1, 1, 10); /* now it goes itself: what stands there is next */
	assert_int_equal(f->state.rows.nr, 10);
	assert_chosen(f, 10, 9);
	assert_in_sight(f);
}

static void test_nothing_there(void **context)
{
	static const uint32_t tgids[] = {10};
	struct fixture *f = *context;

	give(f, NULL, 0, 1);
	press(f, ACT_DOWN, 2);
	press(f, ACT_END, 1);
	press(f, ACT_PAGE_UP, 1);
	assert_false(tui_state_here(&f->state)->has_choice);
	tui_state_fit(&f->state, 0, 0);
	press(f, ACT_DOWN, 1);
	give(f, tgids, 1, 3);
	tui_state_fit(&f->state, 2, 0);
	assert_chosen(f, 10, 0);
}

static void test_time(void **context)
{
	struct tui_state *state = &((struct fixture *)*context)->state;

	assert_true(tui_state_mode(state) & MODE_LIVE);
	assert_int_equal(tui_state_act(state, ACT_PAUSE), EFFECT_HOLD);
	assert_true(tui_state_mode(state) & MODE_STILL);
	state->nr_moments = 30;
	state->moment = 29;
	assert_int_equal(tui_state_act(state, ACT_NEWER), 0);
	assert_int_equal(tui_state_act(state, ACT_OLDER), EFFECT_MOMENT);
	assert_int_equal(state->moment, 28);
	assert_int_equal(tui_state_act(state, ACT_OLDER_10), EFFECT_MOMENT);
	assert_int_equal(state->moment, 18);
	assert_int_equal(tui_state_act(state, ACT_OLDEST), EFFECT_MOMENT);
	assert_int_equal(state->moment, 0);
	assert_int_equal(tui_state_act(state, ACT_OLDER_10), 0);
	assert_int_equal(tui_state_act(state, ACT_NEWER_10), EFFECT_MOMENT);
	assert_int_equal(state->moment, 10);
	assert_int_equal(tui_state_act(state, ACT_NEWEST), EFFECT_MOMENT);
	assert_int_equal(state->moment, 29);
	assert_int_equal(tui_state_act(state, ACT_PAUSE), EFFECT_HOLD);
	assert_false(state->is_held);
}

static void test_pace(void **context)
{
	struct tui_state *state = &((struct fixture *)*context)->state;

	assert_int_equal(tui_state_act(state, ACT_SLOWER), EFFECT_PACE);
	assert_int_equal(state->interval_ns, 2 * SECOND);
	for (int i = 0; i < 100; i++)
		tui_state_act(state, ACT_FASTER);
	assert_true(state->interval_ns >= WATCH_MIN_NS);
	for (int i = 0; i < 100; i++)
		tui_state_act(state, ACT_SLOWER);
	assert_true(state->interval_ns <= WATCH_MAX_NS);
	state->is_replay = true;
	assert_int_equal(tui_state_act(state, ACT_FASTER), EFFECT_PACE);
	assert_true(state->speed == 2);
}

static void test_text_page(void **context)
{
	static const uint32_t tgids[] = {10};
	struct fixture *f = *context;
	const struct tui_place *place;

	give(f, tgids, 1, 9);
	press(f, ACT_DOWN, 2);
	press(f, ACT_HELP, 1);
	place = tui_state_here(&f->state);
	assert_int_equal(place->page, PAGE_HELP);
	tui_state_fit(&f->state, 12, 30);
	press(f, ACT_DOWN, 3);
	assert_int_equal(place->top, 3);
	press(f, ACT_PAGE_DOWN, 1);
	assert_int_equal(place->top, 15);
	press(f, ACT_END, 1);
	assert_int_equal(place->top, 18);
	press(f, ACT_DOWN, 1);
	assert_int_equal(place->top, 18);
	tui_state_fit(&f->state, 40, 30); /* all of it fits now */
	assert_int_equal(place->top, 0);
	press(f, ACT_BACK, 1);
	assert_chosen(f, 10, 2);
}

static void test_pages(void **context)
{
	static const uint32_t tgids[] = {10, 20};
	struct fixture *f = *context;

	give(f, tgids, 2, 4);
	press(f, ACT_DOWN, 5);
	press(f, ACT_OPEN, 1);
	assert_int_equal(tui_state_here(&f->state)->page, PAGE_GROUP);
	assert_int_equal(tui_state_here(&f->state)->subject.bgid, 1);
	press(f, ACT_RING, 1);
	assert_int_equal(tui_state_here(&f->state)->page, PAGE_RING);
	assert_int_equal(f->state.rows.nr, 4);
	press(f, ACT_PROCESS, 1);
	assert_int_equal(tui_state_here(&f->state)->page, PAGE_PROCESS);
	assert_int_equal(f->state.rows.nr, 6); /* the process, its ring, four groups */
	press(f, ACT_RING, 1);                 /* is open already: gone back to, not piled up */
	assert_int_equal(f->state.depth, 2);
	press(f, ACT_BACK, 2);
	assert_int_equal(f->state.depth, 0);
	assert_chosen(f, 20, 1);
}

static void type(struct fixture *f, const char *text)
{
	for (; *text; text++)
		tui_state_key(&f->state, (unsigned char)*text);
}

static void test_search(void **context)
{
	static const uint32_t tgids[] = {10, 20, 30};
	struct fixture *f = *context;

	give(f, tgids, 3, 4);
	type(f, "/30/");
	assert_chosen(f, 30, 0);
	assert_int_equal(f->state.prompt, PROMPT_SEARCH);
	tui_state_key(&f->state, TUI_KEY_ENTER);
	type(f, "n");
	assert_chosen(f, 30, 1);
	type(f, "nnn");
	assert_chosen(f, 30, 0); /* round the end */
	type(f, "/q?");
	assert_string_equal(f->state.typed, "q?");
	assert_true(f->state.message[0]);
	tui_state_key(&f->state, TUI_KEY_BACKSPACE);
	tui_state_key(&f->state, 0x6f22);
	assert_string_equal(f->state.typed, "q\xe6\xbc\xa2");
	tui_state_key(&f->state, TUI_KEY_BACKSPACE);
	assert_string_equal(f->state.typed, "q");
	for (int i = 0; i < 500; i++)
		tui_state_key(&f->state, 0x1f427);
	assert_true(strlen(f->state.typed) < sizeof(f->state.typed));
	tui_state_key(&f->state, TUI_KEY_ESCAPE);
	assert_int_equal(f->state.prompt, PROMPT_NONE);
}

static void test_filter(void **context)
{
	static const uint32_t tgids[] = {10, 20};
	struct fixture *f = *context;

	give(f, tgids, 2, 4);
	type(f, "fbgid > x");
	assert_int_equal(tui_state_key(&f->state, TUI_KEY_ENTER), 0);
	assert_int_equal(f->state.prompt, PROMPT_FILTER); /* to be mended */
	assert_true(f->state.message[0]);
	tui_state_key(&f->state, TUI_KEY_BACKSPACE);
	type(f, "1");
	assert_int_equal(tui_state_key(&f->state, TUI_KEY_ENTER), EFFECT_ROWS);
	assert_int_equal(tui_state_follow(&f->state, f->model), 0);
	assert_int_equal(f->state.rows.nr, 4);
	press(f, ACT_BACK, 1);
	assert_int_equal(f->state.rows.nr, 8);
}

static void test_sort_menu(void **context)
{
	static const uint32_t tgids[] = {10, 20};
	struct fixture *f = *context;

	give(f, tgids, 2, 4);
	press(f, ACT_DOWN, 1);
	press(f, ACT_SORT, 1);
	assert_int_equal(tui_state_here(&f->state)->page, PAGE_SORT);
	while (tui_state_here(&f->state)->cursor == 0 ||
	       strcmp(tui_columns(&(size_t){0})[tui_state_here(&f->state)->cursor - 1].key,
		      "bgid") != 0)
		press(f, ACT_DOWN, 1);
	press(f, ACT_ACCEPT, 1);
	assert_string_equal(f->state.likes.sort->key, "bgid");
	assert_int_equal(f->state.rows.rows[0].group->rec.bgid, 3);
	assert_chosen(f, 10, 1); /* wherever it stands now */
	assert_in_sight(f);
	assert_int_equal(tui_state_click_column(&f->state, f->state.likes.sort), EFFECT_ROWS);
	assert_true(f->state.likes.is_inverted);
}

static void test_record_prompt(void **context)
{
	struct tui_state *state = &((struct fixture *)*context)->state;

	tui_state_act(state, ACT_RECORD);
	assert_int_equal(state->prompt, PROMPT_RECORD);
	assert_non_null(strstr(state->typed, ".jsonl"));
	tui_state_act(state, ACT_ERASE_ALL);
	assert_int_equal(tui_state_act(state, ACT_ACCEPT), 0); /* no name, no recording */
	assert_false(state->is_recording);
	tui_state_act(state, ACT_RECORD);
	assert_int_equal(tui_state_act(state, ACT_ACCEPT), EFFECT_RECORD);
	assert_true(state->is_recording);
	assert_int_equal(tui_state_act(state, ACT_RECORD), EFFECT_RECORD);
	assert_false(state->is_recording);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_choice_follows_its_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_search, setup, teardown),
		cmocka_unit_test_setup_teardown(test_filter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sort_menu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_record_prompt, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

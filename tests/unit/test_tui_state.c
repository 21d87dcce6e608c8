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
	f->state.interval_ns = SECOND;
	f->state.groups.height = 5;
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
		assert_int_equal(tui_state_act(&f->state, action), EFFECT_NONE);
}

static void assert_chosen(const struct fixture *f, uint32_t tgid, uint32_t bgid)
{
	const struct model_group *group = f->state.rows[f->state.groups.cursor];

	assert_int_equal(group->ring->rec.tgid, tgid);
	assert_int_equal(group->rec.bgid, bgid);
}

static void assert_in_sight(const struct fixture *f)
{
	const struct tui_list *list = &f->state.groups;

	assert_true(list->cursor >= list->top && list->cursor < list->top + list->height);
	assert_true(list->nr <= list->height ? list->top == 0
					     : list->top + list->height <= list->nr);
}

static void test_moves(void **context)
{
	static const uint32_t tgids[] = {10, 20};
	struct fixture *f = *context;

	give(f, tgids, 2, 10);
	assert_int_equal(f->state.groups.nr, 20);
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
	assert_int_equal(f->state.groups.cursor, 23);
	assert_in_sight(f);
	for (int i = 0; i <= MODEL_LINGER; i++)
		give(f, tgids + 1, 2, 10); /* and away again */
	assert_int_equal(f->state.groups.nr, 20);
	assert_chosen(f, 20, 3);
	for (int i = 0; i <= MODEL_LINGER; i++)
		give(f, tgids + 1, 1, 10); /* now it goes itself: what stands there is next */
	assert_int_equal(f->state.groups.nr, 10);
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
	assert_false(f->state.has_choice);
	tui_state_fit(&f->state, 0);
	press(f, ACT_DOWN, 1);
	give(f, tgids, 1, 3);
	tui_state_fit(&f->state, 2);
	assert_chosen(f, 10, 0);
}

static void test_pause(void **context)
{
	struct tui_state *state = &((struct fixture *)*context)->state;

	assert_int_equal(tui_state_mode(state), MODE_LIVE);
	assert_int_equal(tui_state_act(state, ACT_PAUSE), EFFECT_MOMENT);
	assert_int_equal(tui_state_mode(state), MODE_PAUSED);
	state->most_back = 2;
	assert_int_equal(tui_state_act(state, ACT_NEWER), EFFECT_NONE);
	assert_int_equal(tui_state_act(state, ACT_OLDER), EFFECT_MOMENT);
	assert_int_equal(tui_state_act(state, ACT_OLDER), EFFECT_MOMENT);
	assert_int_equal(state->back, 2);
	assert_int_equal(tui_state_act(state, ACT_OLDER), EFFECT_NONE);
	assert_int_equal(tui_state_act(state, ACT_NEWER), EFFECT_MOMENT);
	assert_int_equal(state->back, 1);
	assert_int_equal(tui_state_act(state, ACT_PAUSE), EFFECT_MOMENT);
	assert_false(state->is_paused);
	assert_int_equal(state->back, 0);
}

static void test_interval(void **context)
{
	struct tui_state *state = &((struct fixture *)*context)->state;

	assert_int_equal(tui_state_act(state, ACT_SLOWER), EFFECT_INTERVAL);
	assert_int_equal(state->interval_ns, 2 * SECOND);
	for (int i = 0; i < 100; i++)
		tui_state_act(state, ACT_FASTER);
	assert_true(state->interval_ns >= WATCH_MIN_NS);
	for (int i = 0; i < 100; i++)
		tui_state_act(state, ACT_SLOWER);
	assert_true(state->interval_ns <= WATCH_MAX_NS);
}

static void test_help(void **context)
{
	static const uint32_t tgids[] = {10};
	struct fixture *f = *context;

	give(f, tgids, 1, 9);
	press(f, ACT_DOWN, 2);
	press(f, ACT_HELP, 1);
	assert_int_equal(tui_state_mode(&f->state), MODE_HELP);
	f->state.help.nr = 30;
	tui_state_fit(&f->state, 12);
	press(f, ACT_DOWN, 3);
	assert_int_equal(f->state.help.top, 3);
	press(f, ACT_PAGE_DOWN, 1);
	assert_int_equal(f->state.help.top, 15);
	press(f, ACT_END, 1);
	assert_int_equal(f->state.help.top, 18);
	press(f, ACT_DOWN, 1);
	assert_int_equal(f->state.help.top, 18);
	press(f, ACT_UP, 1);
	assert_int_equal(f->state.help.top, 17);
	tui_state_fit(&f->state, 40); /* all of it fits now */
	assert_int_equal(f->state.help.top, 0);
	press(f, ACT_BACK, 1);
	assert_chosen(f, 10, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_choice_follows_its_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pause, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interval, setup, teardown),
		cmocka_unit_test_setup_teardown(test_help, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Does the ledger name the right buffers, and for how long they were held? */
#include "clock.h"
#include "ledger_rig.h"

static void names_what_leaked(void **state)
{
	struct bid_state bids[64];
	struct scene s;
	struct group *g;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	for (int i = 0; i < 40; i++) {
		uint16_t bid = take_one(&s, g);

		if (i != 3 && i != 7 && i != 25)
			add_buffer(g, bid);
	}
	assert_int_equal(held_bids(&s, g, bids), 3);
	/* the first sixteen come in order; what follows is what came back, in that order */
	assert_true(bids[3].flags & BID_HELD);
	assert_true(bids[7].flags & BID_HELD);
	assert_int_equal(bids[3].fd, g->out);
	assert_int_equal(sample.groups[find(&s, g)].held, 3);
	add_buffer(g, 3);
	add_buffer(g, 7);
	assert_int_equal(held_bids(&s, g, bids), 1);
	assert_false(bids[3].flags & BID_HELD);
	assert_false(bids[7].flags & BID_HELD);
	expect_all(&s, "leaking");
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

/* The ring has turned since and forgotten them: they are out for as long as it is watched. */
static void leaked_before_the_watch(void **state)
{
	uint64_t began, oldest;
	struct scene s;
	struct group *g;

	teardown(state);
	open_scene(&s, 1);
	g = &s.groups[0];
	for (int i = 0; i < 60; i++) {
		uint16_t bid = take_one(&s, g);

		if (i != 3 && i != 7)
			add_buffer(g, bid);
	}
	began = clock_ns(CLOCK_MONOTONIC);
	assert_int_equal(setup(state), 0);
	look();
	usleep(20000);
	add_buffer(g, take_one(&s, g));
	look();
	oldest = sample.counts[find(&s, g)].gauge[GAUGE_OLDEST_HELD_NS];
	assert_int_equal(sample.groups[find(&s, g)].held, 2);
	assert_in_range(oldest, 20000000, clock_ns(CLOCK_MONOTONIC) - began);
	close_scene(&s);
}

static void sees_double_returns(void **state)
{
	struct scene s;
	struct group *g;
	uint16_t bid;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	for (int i = 0; i < 4; i++)
		bid = take_one(&s, g);
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	add_buffer(g, bid);
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	add_buffer(g, bid); /* it is back */
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 1);
	add_buffer(g, 9); /* it was never taken */
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 2);
	expect_all(&s, "returning twice");
	close_scene(&s);
}

/* ---- more buffers than the ring has slots */

#define MANY_BIDS 65536u

/* Whose bids may be any number; it is empty. */
static struct group *add_group_of_many(struct scene *s)
{
	struct group *g = add_empty_group(s, (uint16_t)(100 + s->nr_groups), 16);

	munmap(g->data, (size_t)g->entries * BUF_BYTES);
	g->data = anonymous((size_t)MANY_BIDS * BUF_BYTES);
	return g;
}

static void expect_held(const struct scene *s, const struct group *g, const uint8_t *is_held)
{
	static struct bid_state bids[MANY_BIDS];
	struct observe_detail detail = {.bids = bids, .max = MANY_BIDS};
	uint32_t held = 0;

	look();
	assert_int_equal(observe_detail(observer, &sample.groups[find(s, g)], &detail), 0);
	for (uint32_t bid = 0; bid < MANY_BIDS; bid++) {
		held += is_held[bid];
		if (is_held[bid] != (bid < detail.nr && !!(bids[bid].flags & BID_HELD)))
			fail_msg("bid %u is%s held", bid, is_held[bid] ? "" : " not");
	}
	assert_int_equal(sample.groups[find(s, g)].held, held);
}

/* 40 buffers take turns in 16 slots, some stay out for long. */
static void lend_many(struct scene *s, struct group *g, uint8_t *is_held)
{
	uint16_t out[64];
	size_t nr_out = 0;

	for (uint16_t bid = 0; bid < 10; bid++)
		add_buffer(g, bid);
	for (unsigned int i = 0; i < 3000; i++) {
		uint16_t taken = take_one(s, g);

		is_held[taken] = 1;
		out[nr_out++] = taken;
		if (nr_out > 30) {
			size_t k = (i * 7 + i / 5) % nr_out;

			is_held[out[k]] = 0;
			add_buffer(g, out[k]);
			out[k] = out[--nr_out];
		} else {
			add_buffer(g, (uint16_t)(1000 + i * 1600));
		}
		if (i % 300 == 299)
			expect_held(s, g, is_held);
	}
}

static void more_buffers_than_slots(void **state)
{
	static uint8_t is_held[MANY_BIDS];
	struct scene s;
	struct group *g;

	memset(is_held, 0, sizeof(is_held));
	open_scene(&s, 0);
	g = add_group_of_many(&s);
	lend_many(&s, g, is_held);
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	expect_all(&s, "more buffers than slots");
	expect_losses(LOSS_MAX, 0);
	/* as a new observer finds it: what only its owner remembers is not known to be out */
	teardown(state);
	assert_int_equal(setup(state), 0);
	look();
	add_buffer(g, take_one(&s, g));
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

/* Each of these takes a sixteenth of all that can be tracked, and a little. */
static void more_bids_than_room(void **state)
{
	struct scene scenes[5];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		open_scene(&scenes[i], 0);
		for (size_t k = 0; k < MAX_GROUPS; k++)
			add_buffer(add_group_of_many(&scenes[i]), 65000);
		expect_all(&scenes[i], "more bids than room");
	}
	expect_losses(LOSS_BIDS, 5);
	for (size_t i = 0; i < 5; i++)
		close_scene(&scenes[i]);
}

/* What is told lies between what was surely a hold and what surely holds it. */
static void bounds_hold_times(void **state)
{
	struct timespec nap = {.tv_nsec = 20000000};
	uint64_t before, taken, given, after, most;
	struct scene s;
	struct group *g;
	uint16_t bid;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	before = clock_ns(CLOCK_MONOTONIC);
	look();
	bid = take_one(&s, g);
	taken = clock_ns(CLOCK_MONOTONIC);
	nanosleep(&nap, NULL);
	given = clock_ns(CLOCK_MONOTONIC);
	add_buffer(g, bid);
	look();
	after = clock_ns(CLOCK_MONOTONIC);
	most = sample.counts[find(&s, g)].gauge[GAUGE_HOLD_MAX_NS];
	printf("# held for %" PRIu64 " ... %" PRIu64 " us, told %" PRIu64 "\n",
	       (given - taken) / 1000, (after - before) / 1000, most / 1000);
	assert_true(most >= given - taken);
	assert_true(most <= after - before);
	close_scene(&s);
}

#define TIMED   8 /* holds */
#define TICK_NS UINT64_C(5000000)

/*
 * Takes and returns buffers. How many of the returns have the time of a tick that came before the
 * look that tells of them? One that only this look found has its time.
 */
static int found_by_tick(struct scene *s)
{
	struct group *g = &s->groups[0];
	struct bid_state bids[64];
	int by_tick = 0;

	for (int i = 0; i < TIMED; i++) {
		uint64_t before = clock_ns(CLOCK_MONOTONIC), after, given;
		uint16_t bid = take_one(s, g);

		after = clock_ns(CLOCK_MONOTONIC);
		assert_int_equal(held_bids(s, g, bids), 1);
		assert_in_range(bids[bid].since_ns, before, after);
		usleep(i < 4 ? 120000 : 7000);
		given = clock_ns(CLOCK_MONOTONIC);
		add_buffer(g, bid);
		usleep(10 * (unsigned int)TICK_NS / 1000);
		after = clock_ns(CLOCK_MONOTONIC);
		assert_int_equal(held_bids(s, g, bids), 0);
		assert_true(bids[bid].since_ns >= given);
		by_tick += bids[bid].since_ns < after && bids[bid].since_ns <= given + 5 * TICK_NS;
	}
	return by_tick;
}

/*
 * A take has the time of its completion, a return that of the look that found it: that of a tick,
 * here, also where the group stood still for long before. A processor that is shared out ticks
 * late.
 */
static void times_takes_and_returns(void **state)
{
	int by_tick = 0;
	struct scene s;

	teardown(state);
	assert_int_equal(open_observer((uint32_t)getpid(), TICK_NS), 0);
	open_scene(&s, 1);
	for (int i = 0; i < 10 && by_tick < TIMED - 1; i++) {
		by_tick = found_by_tick(&s);
		printf("# %d of %d returns found by a tick\n", by_tick, TIMED);
	}
	assert_true(by_tick >= TIMED - 1);
	close_scene(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_what_leaked),       TEST(sees_double_returns),
		TEST(more_buffers_than_slots), TEST(more_bids_than_room),
		TEST(bounds_hold_times),       TEST(times_takes_and_returns),
		TEST(leaked_before_the_watch),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}

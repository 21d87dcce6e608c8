// SPDX-License-Identifier: MIT
/* Does the model tell from literal samples exactly what happened, and never more than they show? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define SECOND      UINT64_C(1000000000)
#define RING(id, process, number)                                                                  \
	{                                                                                          \
		.ring_id = (id), .tgid = (process), .fd = (number), .sightings = 1                 \
	}
#define GROUP(id, group, h, t)                                                                     \
	{                                                                                          \
		.ring_id = (id), .bgid = (group), .entries = 256, .head = (uint16_t)(h),           \
		.tail = (uint16_t)(t), .available = (uint16_t)((t) - (h)), .held = REC_UNKNOWN_U32 \
	}

/* A model fed by literal arrays, one second apart. */
struct feed {
	struct model *model;
	struct sample sample;
};

static void feed_begin(struct feed *feed)
{
	memset(feed, 0, sizeof(*feed));
	feed->model = model_new();
	assert_non_null(feed->model);
	feed->sample.at_ns = 100 * SECOND;
}

static void feed_end(struct feed *feed)
{
	model_free(feed->model);
}

static void feed_give(struct feed *feed, struct ring_rec *rings, size_t nr_rings,
		      struct group_rec *groups, size_t nr_groups)
{
	feed->sample.at_ns += SECOND;
	feed->sample.rings = rings;
	feed->sample.nr_rings = nr_rings;
	feed->sample.groups = groups;
	feed->sample.nr_groups = nr_groups;
	assert_int_equal(model_update(feed->model, &feed->sample), 0);
}

#define GIVE(feed, rings, groups) feed_give(feed, rings, ROWS(rings), groups, ROWS(groups))

static const struct model_group *only_group(const struct feed *feed)
{
	assert_int_equal(feed->model->nr_rings, 1);
	assert_int_equal(feed->model->rings[0]->nr_groups, 1);
	return feed->model->rings[0]->groups[0];
}

static void assert_value(struct value value, double want)
{
	assert_int_equal(value.state, VALUE_KNOWN);
	if (value.v != want)
		fail_msg("got %g, want %g", value.v, want);
}

static void assert_unknown(struct value value)
{
	assert_int_equal(value.state, VALUE_UNKNOWN);
}

static void test_first_sample(void **state)
{
	struct ring_rec rings[] = {RING(0xa, 10, 3)};
	struct group_rec groups[] = {GROUP(0xa, 7, 100, 340)};
	const struct model_group *group;
	struct feed feed;

	(void)state;
	feed_begin(&feed);
	GIVE(&feed, rings, groups);
	group = only_group(&feed);
	assert_int_equal(group->ring->ordinal, 1);
	assert_value(model_available(group), 240);
	assert_unknown(model_held(group));
	assert_value(model_gauge(group, GAUGE_LOW_WATER), 240);
	for (int c = 0; c < COUNT_MAX; c++) {
		assert_unknown(model_total(group, (enum group_counter)c));
		assert_unknown(model_rate(group, (enum group_counter)c));
	}
	assert_unknown(model_gauge(group, GAUGE_HOLD_P99_NS));
	assert_false(group->span.is_new);
	assert_int_equal(feed.model->interval_ns, 0);
	feed_end(&feed);
}

/* One interval of one group: what head and tail did, and what must be known of it. */
static void test_deltas(void **state)
{
	static const struct {
		uint32_t head, tail, next_head, next_tail;
		double taken, returned;
		bool in_doubt;
	} cases[] = {
		{0, 256, 0, 256, 0, 0, false},
		{0, 256, 10, 261, 10, 5, false},
		{65530, 65530, 4, 20, 10, 26, false}, /* over the edge of 16 bits */
		{0, 0, 32767, 32767, 32767, 32767, false},
		{0, 0, 32768, 32768, 32768, 32768, true},
		{100, 356, 99, 355, 65535, 65535, true},
		{0, 100, 65530, 110, 65530, 65546, true}, /* tail must have wrapped */
		{0, 100, 10, 94, 65546, 65530, true},     /* head must have wrapped */
		{0, 256, 256, 256, 256, 0, false},        /* emptied */
		{0, 256, 0, 600, 0, 344, false},          /* overfilled */
	};

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++) {
		struct ring_rec rings[] = {RING(0xa, 10, 3)};
		struct group_rec groups[] = {GROUP(0xa, 0, cases[i].head, cases[i].tail)};
		const struct model_group *group;
		struct feed feed;

		feed_begin(&feed);
		GIVE(&feed, rings, groups);
		groups[0] = (struct group_rec)GROUP(0xa, 0, cases[i].next_head, cases[i].next_tail);
		GIVE(&feed, rings, groups);
		group = only_group(&feed);
		assert_value(model_total(group, COUNT_TAKEN), cases[i].taken);
		assert_value(model_total(group, COUNT_RETURNED), cases[i].returned);
		assert_value(model_rate(group, COUNT_TAKEN), cases[i].taken);
		assert_value(model_rate(group, COUNT_RETURNED), cases[i].returned);
		assert_int_equal(model_rate(group, COUNT_TAKEN).in_doubt, cases[i].in_doubt);
		assert_int_equal(model_total(group, COUNT_RETURNED).in_doubt, cases[i].in_doubt);
		assert_int_equal(feed.model->wraps, cases[i].in_doubt);
		assert_unknown(model_total(group, COUNT_STARVED));
		feed_end(&feed);
	}
}

/* A doubt about a total stays, that about a rate goes with its interval. */
static void test_doubt_lasts(void **state)
{
	struct ring_rec rings[] = {RING(0xa, 10, 3)};
	struct group_rec groups[] = {GROUP(0xa, 0, 0, 100)};
	struct feed feed;

	(void)state;
	feed_begin(&feed);
	GIVE(&feed, rings, groups);
	groups[0] = (struct group_rec)GROUP(0xa, 0, 40000, 40100);
	GIVE(&feed, rings, groups);
	groups[0] = (struct group_rec)GROUP(0xa, 0, 40001, 40100);
	GIVE(&feed, rings, groups);
	assert_value(model_total(only_group(&feed), COUNT_TAKEN), 40001);
	assert_true(model_total(only_group(&feed), COUNT_TAKEN).in_doubt);
	assert_false(model_rate(only_group(&feed), COUNT_TAKEN).in_doubt);
	assert_int_equal(feed.model->wraps, 1);
	feed_end(&feed);
}

static void test_rate_uses_the_stamps(void **state)
{
	struct ring_rec rings[] = {RING(0xa, 10, 3)};
	struct group_rec groups[] = {GROUP(0xa, 0, 0, 100)};
	struct feed feed;

	(void)state;
	feed_begin(&feed);
	GIVE(&feed, rings, groups);
	feed.sample.at_ns -= SECOND * 3 / 4; /* the next one comes after 250 ms */
	groups[0] = (struct group_rec)GROUP(0xa, 0, 50, 100);
	GIVE(&feed, rings, groups);
	assert_int_equal(feed.model->interval_ns, SECOND / 4);
	assert_value(model_rate(only_group(&feed), COUNT_TAKEN), 200);
	feed.sample.at_ns -= SECOND; /* no time passes */
	groups[0] = (struct group_rec)GROUP(0xa, 0, 60, 100);
	GIVE(&feed, rings, groups);
	assert_value(model_total(only_group(&feed), COUNT_TAKEN), 60);
	assert_unknown(model_rate(only_group(&feed), COUNT_TAKEN));
	feed.sample.at_ns -= 1; /* back in time */
	assert_int_equal(model_update(feed.model, &feed.sample), -EINVAL);
	assert_value(model_total(only_group(&feed), COUNT_TAKEN), 60);
	feed_end(&feed);
}

static void test_low_water_and_history(void **state)
{
	static const uint32_t levels[] = {200, 150, 3, 90, 256};
	struct ring_rec rings[] = {RING(0xa, 10, 3)};
	const struct model_group *group;
	struct feed feed;

	(void)state;
	feed_begin(&feed);
	for (size_t i = 0; i < ROWS(levels); i++) {
		struct group_rec groups[] = {GROUP(0xa, 0, 0, levels[i])};

		GIVE(&feed, rings, groups);
	}
	group = only_group(&feed);
	assert_value(model_gauge(group, GAUGE_LOW_WATER), 3);
	for (unsigned int back = 0; back < ROWS(levels); back++)
		assert_int_equal(model_past_available(feed.model, group, back),
				 levels[ROWS(levels) - 1 - back]);
	assert_int_equal(model_past_available(feed.model, group, ROWS(levels)), REC_UNKNOWN_U32);
	for (uint32_t i = 0; i < 2 * MODEL_HISTORY; i++) {
		struct group_rec groups[] = {GROUP(0xa, 0, 0, i)};

		GIVE(&feed, rings, groups);
	}
	for (unsigned int back = 0; back < MODEL_HISTORY; back++)
		assert_int_equal(model_past_available(feed.model, group, back),
				 2 * MODEL_HISTORY - 1 - back);
	assert_int_equal(model_past_available(feed.model, group, MODEL_HISTORY), REC_UNKNOWN_U32);
	feed_end(&feed);
}

static void test_legacy_has_no_counters(void **state)
{
	struct ring_rec rings[] = {RING(0xa, 10, 3)};
	struct group_rec groups[] = {GROUP(0xa, 0, 12, 65309)};
	struct feed feed;

	(void)state;
	groups[0].kind = GROUP_LEGACY;
	groups[0].available = 17;
	feed_begin(&feed);
	GIVE(&feed, rings, groups);
	groups[0].available = 12;
	GIVE(&feed, rings, groups);
	assert_value(model_available(only_group(&feed)), 12);
	assert_value(model_gauge(only_group(&feed), GAUGE_LOW_WATER), 12);
	assert_unknown(model_total(only_group(&feed), COUNT_TAKEN));
	assert_unknown(model_rate(only_group(&feed), COUNT_RETURNED));
	assert_int_equal(feed.model->wraps, 0);
	feed_end(&feed);
}

static void test_births(void **state)
{
	struct ring_rec one[] = {RING(0xa, 10, 3)};
	struct ring_rec two[] = {RING(0xb, 9, 3), RING(0xa, 10, 3)};
	struct group_rec before[] = {GROUP(0xa, 5, 0, 8)};
	struct group_rec after[] = {GROUP(0xb, 1, 2, 64), GROUP(0xa, 4, 0, 16),
				    GROUP(0xa, 5, 0, 8)};
	const struct model_group *group;
	struct feed feed;

	(void)state;
	feed_begin(&feed);
	GIVE(&feed, one, before);
	GIVE(&feed, two, after);
	assert_int_equal(feed.model->nr_rings, 2);
	assert_int_equal(feed.model->rings[0]->ordinal, 2);
	assert_true(feed.model->rings[0]->span.is_new);
	assert_false(feed.model->rings[1]->span.is_new);
	group = model_find(feed.model, 2, 1);
	assert_true(group->span.is_new);
	assert_value(model_total(group, COUNT_TAKEN), 2);
	assert_value(model_total(group, COUNT_RETURNED), 64);
	assert_unknown(model_rate(group, COUNT_TAKEN));
	assert_value(model_total(model_find(feed.model, 1, 4), COUNT_RETURNED), 16);
	assert_value(model_total(model_find(feed.model, 1, 5), COUNT_RETURNED), 0);
	assert_int_equal(feed.model->live_groups, 3);
	GIVE(&feed, two, after);
	assert_false(model_find(feed.model, 2, 1)->span.is_new);
	assert_true(model_find(feed.model, 2, 1)->span.came);
	assert_null(model_find(feed.model, 2, 2));
	assert_null(model_find(feed.model, 3, 1));
	feed_end(&feed);
}

static void test_deaths(void **state)
{
	struct ring_rec two[] = {RING(0xb, 9, 3), RING(0xa, 10, 3)};
	struct group_rec all[] = {GROUP(0xb, 1, 2, 64), GROUP(0xa, 4, 0, 16), GROUP(0xa, 5, 0, 8)};
	struct ring_rec one[] = {RING(0xa, 10, 3)};
	struct group_rec rest[] = {GROUP(0xa, 5, 1, 8)};
	struct feed feed;

	(void)state;
	feed_begin(&feed);
	GIVE(&feed, two, all);
	for (int i = 0; i < MODEL_LINGER; i++) {
		GIVE(&feed, one, rest);
		assert_int_equal(feed.model->nr_rings, 2);
		assert_int_equal(feed.model->live_rings, 1);
		assert_int_equal(feed.model->live_groups, 1);
		assert_int_equal(feed.model->rings[0]->span.life, LIFE_GONE);
		assert_int_equal(model_find(feed.model, 1, 1)->span.life, LIFE_GONE);
		assert_int_equal(model_find(feed.model, 2, 4)->span.life, LIFE_GONE);
		assert_int_equal(model_available(model_find(feed.model, 1, 1)).state, VALUE_STALE);
		assert_int_equal(model_find(feed.model, 2, 5)->span.life, LIFE_LIVE);
	}
	GIVE(&feed, one, rest);
	assert_int_equal(feed.model->nr_rings, 1);
	assert_int_equal(feed.model->rings[0]->nr_groups, 1);
	feed_give(&feed, NULL, 0, NULL, 0);
	assert_int_equal(feed.model->live_rings, 0);
	feed_end(&feed);
}

/* The same address, another ring: by flags, by a completion counter that fell, by its owner. */
static void test_ring_id_reused(void **state)
{
	const struct ring_rec was = {.ring_id = 0xa,
				     .tgid = 10,
				     .fd = 3,
				     .sightings = 1,
				     .cq_tail = 50,
				     .setup_flags = 1U << 6};
	struct {
		struct ring_rec now;
		bool same;
	} cases[] = {{was, true},  {was, true},  {was, true}, {was, true},
		     {was, false}, {was, false}, {was, false}};
	struct group_rec groups[] = {GROUP(0xa, 0, 10, 20)};

	(void)state;
	cases[1].now.cq_tail = 60;
	cases[2].now.setup_flags = 0; /* enabled since */
	cases[3].now.fd = 4;          /* dup, then close */
	cases[4].now.cq_tail = 49;
	cases[5].now.setup_flags = 1U << 12;
	cases[6].now.tgid = 11;
	for (size_t i = 0; i < ROWS(cases); i++) {
		struct ring_rec before[] = {was};
		struct feed feed;

		feed_begin(&feed);
		GIVE(&feed, before, groups);
		feed_give(&feed, &cases[i].now, 1, groups, 1);
		assert_int_equal(feed.model->live_rings, 1);
		assert_int_equal(feed.model->nr_rings, cases[i].same ? 1 : 2);
		if (!cases[i].same) {
			const struct model_group *group = model_find(feed.model, 2, 0);

			assert_value(model_total(group, COUNT_TAKEN), 10);
			assert_int_equal(model_find(feed.model, 1, 0)->span.life, LIFE_GONE);
		}
		feed_give(&feed, &cases[i].now, 1, groups, 1);
		assert_int_equal(feed.model->live_rings, 1);
		assert_int_equal(feed.model->nr_rings, cases[i].same ? 1 : 2);
		feed_end(&feed);
	}
}

/* A ring inherited over fork() stays itself when the parent goes. */
static void test_inherited_ring(void **state)
{
	struct ring_rec shared[] = {RING(0xa, 10, 3)};
	struct ring_rec childs[] = {RING(0xa, 11, 3)};
	struct group_rec groups[] = {GROUP(0xa, 0, 10, 20)};
	struct feed feed;

	(void)state;
	shared[0].sightings = 2;
	feed_begin(&feed);
	GIVE(&feed, shared, groups);
	GIVE(&feed, childs, groups);
	assert_int_equal(feed.model->nr_rings, 1);
	assert_int_equal(feed.model->rings[0]->ordinal, 1);
	assert_int_equal(feed.model->rings[0]->rec.tgid, 11);
	feed_end(&feed);
}

static void test_group_registered_anew(void **state)
{
	struct ring_rec rings[] = {RING(0xa, 10, 3)};
	struct group_rec before[] = {GROUP(0xa, 0, 10, 20)};
	struct group_rec after[] = {GROUP(0xa, 0, 0, 512)};
	const struct model_ring *ring;
	struct feed feed;

	(void)state;
	after[0].entries = 512;
	feed_begin(&feed);
	GIVE(&feed, rings, before);
	GIVE(&feed, rings, after);
	ring = feed.model->rings[0];
	assert_int_equal(ring->nr_groups, 2);
	assert_int_equal(ring->groups[0]->span.life, LIFE_GONE);
	assert_int_equal(ring->groups[1]->span.life, LIFE_LIVE);
	assert_ptr_equal(model_find(feed.model, 1, 0), ring->groups[1]);
	assert_value(model_total(ring->groups[1], COUNT_RETURNED), 512);
	assert_int_equal(feed.model->wraps, 0);
	feed_end(&feed);
}

/* A sample that lost something proves no death, and what appears after it may not be new. */
static void test_gaps(void **state)
{
	struct ring_rec rings[] = {RING(0xa, 10, 3)};
	struct group_rec both[] = {GROUP(0xa, 0, 0, 20), GROUP(0xa, 1, 0, 20)};
	struct group_rec some[] = {GROUP(0xa, 0, 5, 20)};
	struct group_rec more[] = {GROUP(0xa, 0, 5, 20), GROUP(0xa, 1, 6, 20),
				   GROUP(0xa, 2, 9, 20)};
	struct feed feed;

	(void)state;
	feed_begin(&feed);
	GIVE(&feed, rings, both);
	feed.sample.losses[LOSS_WALK] = 1;
	GIVE(&feed, rings, some);
	assert_int_equal(model_find(feed.model, 1, 1)->span.life, LIFE_UNSEEN);
	assert_int_equal(model_available(model_find(feed.model, 1, 1)).state, VALUE_STALE);
	assert_int_equal(model_past_available(feed.model, model_find(feed.model, 1, 1), 0),
			 REC_UNKNOWN_U32);
	GIVE(&feed, rings, more);
	assert_int_equal(model_find(feed.model, 1, 1)->span.life, LIFE_LIVE);
	assert_value(model_total(model_find(feed.model, 1, 1), COUNT_TAKEN), 6);
	assert_value(model_rate(model_find(feed.model, 1, 1), COUNT_TAKEN), 3);
	assert_false(model_find(feed.model, 1, 2)->span.is_new);
	assert_unknown(model_total(model_find(feed.model, 1, 2), COUNT_TAKEN));
	feed.sample.losses[LOSS_UNATTRIBUTED] = 9; /* hides no group */
	GIVE(&feed, rings, some);
	assert_int_equal(model_find(feed.model, 1, 1)->span.life, LIFE_GONE);
	feed_end(&feed);
}

/* Where a source keeps exact totals they count, whatever head and tail may suggest. */
static void test_totals_of_the_source(void **state)
{
	struct ring_rec rings[] = {RING(0xa, 10, 3)};
	struct group_rec groups[] = {GROUP(0xa, 0, 0, 100)};
	struct group_counts counts[1];
	const struct model_group *group;
	struct feed feed;

	(void)state;
	memset(counts, 0xff, sizeof(counts));
	counts[0].wraps = 0;
	counts[0].total[COUNT_TAKEN] = 1000;
	counts[0].total[COUNT_STARVED] = 7;
	counts[0].gauge[GAUGE_LOW_WATER] = 2;
	feed_begin(&feed);
	feed.sample.backend = BACKEND_ITER_TP;
	feed.sample.counts = counts;
	GIVE(&feed, rings, groups);
	group = only_group(&feed);
	assert_value(model_total(group, COUNT_TAKEN), 1000);
	assert_unknown(model_rate(group, COUNT_TAKEN));
	assert_unknown(model_total(group, COUNT_RETURNED));
	assert_value(model_gauge(group, GAUGE_LOW_WATER), 2);
	groups[0] = (struct group_rec)GROUP(0xa, 0, 60000, 60100);
	counts[0].total[COUNT_TAKEN] = 1000 + 60000 + 65536;
	counts[0].total[COUNT_STARVED] = 9;
	GIVE(&feed, rings, groups);
	assert_value(model_total(group, COUNT_TAKEN), 126536);
	assert_value(model_rate(group, COUNT_TAKEN), 125536);
	assert_false(model_rate(group, COUNT_TAKEN).in_doubt);
	assert_value(model_rate(group, COUNT_STARVED), 2);
	assert_true(model_past_starved(feed.model, group, 0));
	assert_false(model_past_starved(feed.model, group, 1));
	assert_int_equal(feed.model->wraps, 0);
	counts[0].total[COUNT_STARVED] = 0; /* the source began anew */
	GIVE(&feed, rings, groups);
	assert_value(model_total(group, COUNT_STARVED), 0);
	assert_unknown(model_rate(group, COUNT_STARVED));
	assert_false(model_past_starved(feed.model, group, 0));
	feed_end(&feed);
}

static void test_replayed_ordinals(void **state)
{
	struct ring_rec rings[] = {RING(17, 10, 3)};
	struct group_rec groups[] = {GROUP(17, 0, 0, 100)};
	struct feed feed;

	(void)state;
	feed_begin(&feed);
	feed.sample.has_ordinals = true;
	GIVE(&feed, rings, groups);
	assert_int_equal(feed.model->rings[0]->ordinal, 17);
	feed_end(&feed);
}

/* As many as there can be. What grew with the square would take minutes here. */
static void test_scales(void **state)
{
	static const struct {
		size_t rings, groups; /* groups per ring */
	} cases[] = {{1, 65536}, {10000, 1}, {10000, 0}, {256, 256}};

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++) {
		size_t nr_rings = cases[i].rings, nr = nr_rings * cases[i].groups;
		struct ring_rec *rings = calloc(nr_rings, sizeof(*rings));
		struct group_rec *groups = calloc(nr + 1, sizeof(*groups));
		struct feed feed;

		assert_non_null(rings);
		assert_non_null(groups);
		for (size_t r = 0; r < nr_rings; r++)
			rings[r] = (struct ring_rec)RING(0x1000 + 64 * r, (uint32_t)r + 1, 3);
		for (size_t g = 0; g < nr; g++)
			groups[g] = (struct group_rec)GROUP(rings[g / cases[i].groups].ring_id,
							    g % cases[i].groups, g, g + 8);
		feed_begin(&feed);
		for (int n = 0; n < 3; n++)
			feed_give(&feed, rings, nr_rings, groups, nr);
		assert_int_equal(feed.model->live_groups, nr);
		feed_give(&feed, NULL, 0, NULL, 0);
		assert_int_equal(feed.model->live_rings, 0);
		feed_end(&feed);
		free(groups);
		free(rings);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_sample),
		cmocka_unit_test(test_deltas),
		cmocka_unit_test(test_doubt_lasts),
		cmocka_unit_test(test_rate_uses_the_stamps),
		cmocka_unit_test(test_low_water_and_history),
		cmocka_unit_test(test_legacy_has_no_counters),
		cmocka_unit_test(test_births),
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_ring_id_reused),
		cmocka_unit_test(test_inherited_ring),
		cmocka_unit_test(test_group_registered_anew),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_totals_of_the_source),
		cmocka_unit_test(test_replayed_ordinals),
		cmocka_unit_test(test_scales),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Is a sample in the promised order whatever order it came in, and does everything have a name? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sample.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static void fill(struct sample *sample, const struct ring_rec *rings, size_t nr_rings,
		 const struct group_rec *groups, size_t nr_groups)
{
	memset(sample, 0, sizeof(*sample));
	sample->rings = calloc(nr_rings + 1, sizeof(*rings));
	sample->groups = calloc(nr_groups + 1, sizeof(*groups));
	assert_non_null(sample->rings);
	assert_non_null(sample->groups);
	for (size_t i = 0; i < nr_rings; i++)
		sample->rings[i] = rings[i];
	for (size_t i = 0; i < nr_groups; i++)
		sample->groups[i] = groups[i];
	sample->nr_rings = nr_rings;
	sample->nr_groups = nr_groups;
}

static const struct ring_rec mixed_rings[] = {
	{.ring_id = 0xc, .tgid = 20, .fd = 4, .sightings = 1, .seen = SEEN_FD},
	{.ring_id = 0xa, .tgid = 10, .fd = -1, .sightings = 0, .seen = SEEN_TASK},
	{.ring_id = 0xb, .tgid = 10, .fd = 7, .sightings = 1, .seen = SEEN_FD},
	{.ring_id = 0xc, .tgid = 10, .fd = 3, .sightings = 1, .seen = SEEN_FD},
	{.ring_id = 0xc, .tgid = 10, .fd = -1, .sightings = 0, .seen = SEEN_TASK},
};

static const struct group_rec mixed_groups[] = {
	{.ring_id = 0xb, .bgid = 65535, .head = 1}, {.ring_id = 0xb, .bgid = 0, .head = 2},
	{.ring_id = 0xdead, .bgid = 5, .head = 3},  {.ring_id = 0xc, .bgid = 64, .head = 4},
	{.ring_id = 0xa, .bgid = 1, .head = 5},     {.ring_id = 0xb, .bgid = 0, .head = 6},
	{.ring_id = 0xc, .bgid = 63, .head = 7},
};

static void test_sort(void **state)
{
	static const uint64_t want_rings[] = {0xc, 0xb, 0xa};
	static const unsigned int want_heads[] = {7, 4, 6, 1, 5};
	struct sample sample;

	(void)state;
	fill(&sample, mixed_rings, ROWS(mixed_rings), mixed_groups, ROWS(mixed_groups));
	sample.counts = calloc(ROWS(mixed_groups), sizeof(*sample.counts));
	assert_non_null(sample.counts);
	for (size_t i = 0; i < ROWS(mixed_groups); i++)
		sample.counts[i].wraps = mixed_groups[i].head;
	assert_int_equal(sample_sort(&sample), 0);
	assert_int_equal(sample.nr_rings, ROWS(want_rings));
	for (size_t i = 0; i < ROWS(want_rings); i++)
		assert_int_equal(sample.rings[i].ring_id, want_rings[i]);
	assert_int_equal(sample.rings[0].fd, 3);
	assert_int_equal(sample.rings[0].sightings, 2);
	assert_int_equal(sample.rings[0].seen, SEEN_FD | SEEN_TASK);
	assert_int_equal(sample.nr_groups, ROWS(want_heads));
	for (size_t i = 0; i < ROWS(want_heads); i++) {
		assert_int_equal(sample.groups[i].head, want_heads[i]);
		assert_int_equal(sample.counts[i].wraps, want_heads[i]);
	}
	assert_int_equal(sample_sort(&sample), 0);
	for (size_t i = 0; i < ROWS(want_heads); i++)
		assert_int_equal(sample.groups[i].head, want_heads[i]);
	sample_done(&sample);
	assert_null(sample.rings);
	assert_int_equal(sample.nr_groups, 0);
}

static void test_sort_nothing(void **state)
{
	struct sample empty = {0};
	struct sample orphans;

	(void)state;
	assert_int_equal(sample_sort(&empty), 0);
	sample_done(&empty);
	fill(&orphans, NULL, 0, mixed_groups, ROWS(mixed_groups));
	assert_int_equal(sample_sort(&orphans), 0);
	assert_int_equal(orphans.nr_groups, 0);
	sample_done(&orphans);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(sample_backend_name(BACKEND_ITER), "iter");
	assert_string_equal(sample_backend_name(BACKEND_ITER_TP_KBUF), "iter+tp+kbuf");
	for (int i = 0; i < LOSS_MAX; i++)
		assert_non_null(sample_loss_name((enum sample_loss)i));
	for (int i = 0; i <= GROUP_LEGACY; i++)
		assert_non_null(sample_kind_name((enum group_kind)i));
	assert_string_equal(sample_kind_name(GROUP_INC_MMAP), "inc-mmap");
	assert_null(sample_kind_name((enum group_kind)77));
	assert_string_equal(sample_setup_flag_name(0), "IOPOLL");
	assert_string_equal(sample_setup_flag_name(13), "DEFER_TASKRUN");
	assert_string_equal(sample_setup_flag_name(20), "SQ_REWIND");
	assert_null(sample_setup_flag_name(21));
	assert_null(sample_setup_flag_name(31));
}

/* Each backend sees what those before it see, and the last one all. */
static void test_losses(void **state)
{
	const size_t seen[] = {[BACKEND_ITER] = 3,
			       [BACKEND_ITER_TICK] = 4,
			       [BACKEND_ITER_TP] = LOSS_MAX - 1,
			       [BACKEND_ITER_TP_KBUF] = LOSS_MAX};

	(void)state;
	for (enum sample_backend b = BACKEND_ITER; b <= BACKEND_ITER_TP_KBUF; b++) {
		size_t nr = 0;

		for (enum sample_loss loss = 0; loss < LOSS_MAX; loss++)
			nr += sample_can_lose(loss, b);
		assert_int_equal(nr, seen[b]);
	}
	assert_true(sample_can_lose(LOSS_WALK, BACKEND_ITER));
	assert_false(sample_can_lose(LOSS_EVENTS, BACKEND_ITER_TICK));
	assert_true(sample_can_lose(LOSS_EVENTS, BACKEND_ITER_TP));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_sort_nothing),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_losses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Does a moment from the tape look exactly as it did, and does the tape stay small? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tape.h"

#define SECOND UINT64_C(1000000000)

static void give(struct model *model, uint64_t second, uint32_t head, uint32_t tail)
{
	struct ring_rec rings[] = {{.ring_id = 0xa, .tgid = 1}, {.ring_id = 0xb, .tgid = 2}};
	struct group_rec groups[] = {
		{.ring_id = 0xa,
		 .bgid = 3,
		 .entries = 64,
		 .head = (__u16)head,
		 .tail = (__u16)tail,
		 .available = (__u16)(tail - head)},
		{.ring_id = 0xb, .bgid = 4, .entries = 64, .available = 9},
	};
	struct sample sample = {.at_ns = second * SECOND,
				.wall_ns = second,
				.rings = rings,
				.nr_rings = second == 2 ? 1 : 2,
				.groups = groups,
				.nr_groups = second == 2 ? 1 : 2};

	assert_int_equal(model_update(model, &sample), 0);
}

static void assert_same(const struct model *was, const struct model *is)
{
	assert_int_equal(was->at_ns, is->at_ns);
	assert_int_equal(was->wall_ns, is->wall_ns);
	assert_int_equal(was->live_groups, is->live_groups);
	assert_int_equal(was->wraps, is->wraps);
	for (size_t i = 0; i < was->nr_rings; i++) {
		const struct model_group *a, *b;

		if (was->rings[i]->span.life != LIFE_LIVE)
			continue;
		a = was->rings[i]->groups[0];
		b = model_find(is, was->rings[i]->ordinal, a->rec.bgid);
		assert_non_null(b);
		assert_memory_equal(a->total, b->total, sizeof(a->total));
		assert_memory_equal(a->rate, b->rate, sizeof(a->rate));
		assert_memory_equal(a->gauge, b->gauge, sizeof(a->gauge));
		assert_int_equal(a->has_wrapped, b->has_wrapped);
		assert_int_equal(model_past_available(was, a, 0), model_past_available(is, b, 0));
	}
}

static void test_moments(void **state)
{
	static const uint32_t heads[] = {0, 10, 10, 50, 40050, 40051};
	struct model *moments[6], *shown;
	struct tape tape = {0};
	struct model *model = model_new();

	(void)state;
	for (uint32_t n = 0; n < 6; n++) {
		give(model, n, heads[n], heads[n] + 20 + n);
		assert_int_equal(tape_add(&tape, model), 0);
		/* The same life up to here, kept to compare with. */
		moments[n] = model_new();
		for (uint32_t k = 0; k <= n; k++)
			give(moments[n], k, heads[k], heads[k] + 20 + k);
	}
	for (size_t back = 0; back < 6; back++) {
		shown = tape_model(&tape, back);
		assert_non_null(shown);
		assert_same(moments[5 - back], shown);
		model_free(shown);
	}
	assert_null(tape_model(&tape, 6));
	assert_int_equal(errno, ENOENT);
	for (size_t n = 0; n < 6; n++)
		model_free(moments[n]);
	model_free(model);
	tape_done(&tape);
}

static void test_forgets(void **state)
{
	struct model *model = model_new(), *shown;
	struct tape tape = {0};
	size_t bytes = 0;

	(void)state;
	for (uint32_t n = 3; n < 3 + 2 * TAPE_FRAMES; n++) {
		give(model, n, n, n + 10);
		assert_int_equal(tape_add(&tape, model), 0);
		if (n == 3)
			bytes = tape.bytes;
	}
	assert_int_equal(tape.nr, TAPE_FRAMES);
	assert_int_equal(tape.bytes, TAPE_FRAMES * bytes);
	shown = tape_model(&tape, TAPE_FRAMES - 1);
	assert_int_equal(shown->at_ns, (3 + TAPE_FRAMES) * SECOND);
	model_free(shown);
	tape_done(&tape);
	assert_int_equal(tape.bytes, 0);
	assert_null(tape_model(&tape, 0));
	model_free(model);
}

/* Too much for the limit: fewer moments, but always the last one. */
static void test_bounded(void **state)
{
	const size_t nr = 65536;
	struct group_rec *groups = calloc(nr, sizeof(*groups));
	struct ring_rec ring = {.ring_id = 1};
	struct sample sample = {.rings = &ring, .nr_rings = 1, .groups = groups, .nr_groups = nr};
	struct model *model = model_new();
	struct tape tape = {0};

	(void)state;
	assert_non_null(groups);
	for (size_t i = 0; i < nr; i++)
		groups[i] = (struct group_rec){.ring_id = 1, .bgid = (__u32)i};
	for (int n = 0; n < 20; n++) {
		sample.at_ns++;
		assert_int_equal(model_update(model, &sample), 0);
		assert_int_equal(tape_add(&tape, model), 0);
		assert_true(tape.bytes <= TAPE_BYTES);
	}
	assert_true(tape.nr >= 1 && tape.nr < 20);
	tape_done(&tape);
	model_free(model);
	free(groups);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moments),
		cmocka_unit_test(test_forgets),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

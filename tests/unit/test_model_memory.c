// SPDX-License-Identifier: MIT
/* Whichever allocation fails: does the model say so, leak nothing, and work again afterwards? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static long allocations_left = -1; /* negative: as many as asked for */

static void *scarce_calloc(size_t nr, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return calloc(nr, size);
}

#define calloc scarce_calloc
#include "model.c" /* NOLINT(bugprone-suspicious-include): with its allocator replaced */
#undef calloc

#define NR_RINGS  40
#define NR_GROUPS 5 /* of each ring */

static int feed(struct model *model, unsigned int round)
{
	static struct ring_rec rings[NR_RINGS];
	static struct group_rec groups[NR_RINGS * NR_GROUPS];
	struct sample sample = {.at_ns = round + 1, .rings = rings, .groups = groups};

	for (unsigned int r = 0; r < NR_RINGS / 2 + round * 7; r++) {
		rings[sample.nr_rings++] =
			(struct ring_rec){.ring_id = r + round, .tgid = r + round};
		for (unsigned int g = 0; g < NR_GROUPS; g++)
			groups[sample.nr_groups++] =
				(struct group_rec){.ring_id = r + round, .bgid = g * round};
	}
	return model_update(model, &sample);
}

static void test_every_allocation_fails_once(void **state)
{
	struct model *model;
	int err = -1;

	(void)state;
	for (long n = 0; err; n++) {
		model = model_new();
		assert_non_null(model);
		allocations_left = n;
		err = 0;
		for (unsigned int round = 0; round < 3 && !err; round++)
			err = feed(model, round);
		allocations_left = -1;
		assert_true(err == 0 || err == -ENOMEM);
		if (err)
			assert_int_equal(model->nr_rings, 0);
		assert_int_equal(feed(model, 2), 0);
		assert_int_equal(model->live_rings, NR_RINGS / 2 + 14);
		model_free(model);
		assert_true(n < 10000);
	}
	allocations_left = 0;
	assert_null(model_new());
	allocations_left = -1;
	model_free(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_fails_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

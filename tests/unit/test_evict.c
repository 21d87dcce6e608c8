// SPDX-License-Identifier: MIT
/*
 * Does each policy choose the slot that its plainest description names, whatever is pinned; and is
 * nothing chosen that must not be?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "evict.h"

#define NR    7u
#define STEPS 200000u

/* By slot: when it was filled, when last used; 0: empty. */
struct book {
	uint64_t filled[NR], used[NR];
	bool pinned[NR], marked[NR];
	uint32_t hand;
	uint64_t now;
};

static uint64_t random_state = 7;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

static int oldest(const struct book *b, const uint64_t *when)
{
	int best = -1;

	for (int i = 0; i < (int)NR; i++) {
		if (!b->pinned[i] && (best < 0 || when[i] < when[best]))
			best = i;
	}
	return best;
}

static int by_clock(struct book *b)
{
	for (uint32_t i = 0; i < 2 * NR; i++) {
		uint32_t at = b->hand;

		b->hand = (at + 1) % NR;
		if (b->pinned[at])
			continue;
		if (!b->marked[at])
			return (int)at;
		b->marked[at] = false;
	}
	return -1;
}

static bool has_empty(const struct book *b)
{
	for (uint32_t i = 0; i < NR; i++) {
		if (!b->filled[i])
			return true;
	}
	return false;
}

static bool all_pinned(const struct book *b)
{
	for (uint32_t i = 0; i < NR; i++) {
		if (!b->pinned[i])
			return false;
	}
	return true;
}

static void expect(struct book *b, enum bs_evict policy, int chosen)
{
	if (has_empty(b)) {
		assert_in_range(chosen, 0, NR - 1);
		assert_int_equal(b->filled[chosen], 0);
		return;
	}
	switch (policy) {
	case BS_EVICT_NONE:
		assert_int_equal(chosen, -1);
		break;
	case BS_EVICT_FIFO:
		assert_int_equal(chosen, oldest(b, b->filled));
		break;
	case BS_EVICT_LRU:
		assert_int_equal(chosen, oldest(b, b->used));
		break;
	case BS_EVICT_CLOCK:
		assert_int_equal(chosen, by_clock(b));
		break;
	case BS_EVICT_RANDOM:
		assert_int_equal(chosen < 0, all_pinned(b));
		assert_true(chosen < 0 || !b->pinned[chosen]);
		break;
	}
}

static void fill(struct evict *evict, struct book *b, enum bs_evict policy)
{
	int chosen = evict_choose(evict);

	expect(b, policy, chosen);
	if (chosen < 0)
		return;
	assert_int_equal(evict_is_filled(evict, (uint32_t)chosen), b->filled[chosen] != 0);
	b->marked[chosen] = false;
	if (draw(10) == 0) { /* the kernel would not have it */
		evict_empty(evict, (uint32_t)chosen);
		b->filled[chosen] = b->used[chosen] = 0;
		return;
	}
	evict_fill(evict, (uint32_t)chosen);
	b->filled[chosen] = b->used[chosen] = b->now;
}

static void use(struct evict *evict, struct book *b)
{
	uint32_t slot = draw(NR);

	if (!b->filled[slot])
		return;
	if (draw(2)) {
		evict_touch(evict, slot);
		b->used[slot] = b->now;
		b->marked[slot] = true;
	} else if (b->pinned[slot] || draw(2)) {
		b->pinned[slot] = false;
		evict_unpin(evict, slot);
	} else {
		b->pinned[slot] = true;
		evict_pin(evict, slot);
	}
}

static void walk(enum bs_evict policy)
{
	struct evict *evict = evict_new(policy, NR);
	struct book b = {0};

	assert_non_null(evict);
	for (b.now = 1; b.now <= STEPS; b.now++) {
		if (draw(3))
			use(evict, &b);
		else
			fill(evict, &b, policy);
	}
	evict_free(evict);
}

static void none(void **state)
{
	(void)state;
	walk(BS_EVICT_NONE);
}

static void fifo(void **state)
{
	(void)state;
	walk(BS_EVICT_FIFO);
}

static void random_slot(void **state)
{
	(void)state;
	walk(BS_EVICT_RANDOM);
}

static void lru(void **state)
{
	(void)state;
	walk(BS_EVICT_LRU);
}

static void by_hand_of_clock(void **state)
{
	(void)state;
	walk(BS_EVICT_CLOCK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none),
		cmocka_unit_test(fifo),
		cmocka_unit_test(random_slot),
		cmocka_unit_test(lru),
		cmocka_unit_test(by_hand_of_clock),
	};

	return cmocka_run_group_tests_name("evict", tests, NULL, NULL);
}

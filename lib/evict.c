// SPDX-License-Identifier: MIT
/*
 * none, fifo, random, lru, clock: who gives way?
 *
 * Filled slots stand in a list in the order in which they were filled (fifo) or last used (lru);
 * clock and random go by the slot's number instead.
 */
#include "evict.h"

#include <stdbool.h>
#include <stdlib.h>

#define END UINT32_MAX

struct slot {
	uint32_t next, prev;
	bool is_filled;
	bool is_pinned;
	bool was_used; /* clock: since the hand last passed */
};

struct evict {
	enum bs_evict policy;
	uint32_t nr;
	uint32_t first, last; /* of the list */
	uint32_t nr_fresh;    /* slots from here on were never chosen */
	uint32_t nr_emptied;  /* of those before, left empty */
	uint32_t hand;
	uint64_t random;
	struct slot slots[];
};

struct evict *evict_new(enum bs_evict policy, uint32_t nr)
{
	struct evict *evict = calloc(1, sizeof(*evict) + nr * sizeof(evict->slots[0]));

	if (!evict)
		return NULL;
	evict->policy = policy;
	evict->nr = nr;
	evict->first = evict->last = END;
	evict->random = 88172645463325252u;
	return evict;
}

void evict_free(struct evict *evict)
{
	free(evict);
}

/* ---- the list */

static void unlink_slot(struct evict *e, uint32_t i)
{
	struct slot *s = &e->slots[i];

	if (s->prev == END)
		e->first = s->next;
	else
		e->slots[s->prev].next = s->next;
	if (s->next == END)
		e->last = s->prev;
	else
		e->slots[s->next].prev = s->prev;
}

static void append_slot(struct evict *e, uint32_t i)
{
	e->slots[i].prev = e->last;
	e->slots[i].next = END;
	if (e->last == END)
		e->first = i;
	else
		e->slots[e->last].next = i;
	e->last = i;
}

/* ---- who gives way */

static int choose_listed(const struct evict *e)
{
	uint32_t i = e->first;

	while (i != END && e->slots[i].is_pinned)
		i = e->slots[i].next;
	return i == END ? -1 : (int)i;
}

static uint32_t step_hand(struct evict *e)
{
	uint32_t i = e->hand;

	e->hand = i + 1 == e->nr ? 0 : i + 1;
	return i;
}

/* Once round clears all marks, so twice round finds what there is. */
static int choose_clock(struct evict *e)
{
	for (uint32_t steps = 0; steps < 2 * e->nr; steps++) {
		struct slot *s = &e->slots[e->hand];
		uint32_t i = step_hand(e);

		if (s->is_pinned)
			continue;
		if (!s->was_used)
			return (int)i;
		s->was_used = false;
	}
	return -1;
}

static int choose_random(struct evict *e)
{
	uint32_t i;

	e->random ^= e->random << 13;
	e->random ^= e->random >> 7;
	e->random ^= e->random << 17;
	i = (uint32_t)(e->random >> 32) % e->nr;
	for (uint32_t steps = 0; steps < e->nr; steps++) {
		if (!e->slots[i].is_pinned)
			return (int)i;
		i = i + 1 == e->nr ? 0 : i + 1;
	}
	return -1;
}

static int choose_emptied(const struct evict *e)
{
	for (uint32_t i = 0; i < e->nr_fresh; i++) {
		if (!e->slots[i].is_filled)
			return (int)i;
	}
	return -1;
}

int evict_choose(struct evict *evict)
{
	if (evict->nr_emptied)
		return choose_emptied(evict);
	if (evict->nr_fresh < evict->nr)
		return (int)evict->nr_fresh;
	switch (evict->policy) {
	case BS_EVICT_FIFO:
	case BS_EVICT_LRU:
		return choose_listed(evict);
	case BS_EVICT_RANDOM:
		return choose_random(evict);
	case BS_EVICT_CLOCK:
		return choose_clock(evict);
	case BS_EVICT_NONE:
		break;
	}
	return -1;
}

/* ---- what happened */

static void leave_free(struct evict *e, uint32_t i)
{
	if (i == e->nr_fresh)
		e->nr_fresh++;
	else if (!e->slots[i].is_filled)
		e->nr_emptied--;
}

void evict_fill(struct evict *evict, uint32_t slot)
{
	struct slot *s = &evict->slots[slot];

	leave_free(evict, slot);
	if (s->is_filled)
		unlink_slot(evict, slot);
	append_slot(evict, slot);
	s->is_filled = true;
	s->was_used = false;
}

void evict_empty(struct evict *evict, uint32_t slot)
{
	struct slot *s = &evict->slots[slot];

	leave_free(evict, slot);
	if (s->is_filled)
		unlink_slot(evict, slot);
	s->is_filled = false;
	evict->nr_emptied++;
}

void evict_touch(struct evict *evict, uint32_t slot)
{
	evict->slots[slot].was_used = true;
	if (evict->policy == BS_EVICT_LRU) {
		unlink_slot(evict, slot);
		append_slot(evict, slot);
	}
}

void evict_pin(struct evict *evict, uint32_t slot)
{
	evict->slots[slot].is_pinned = true;
}

void evict_unpin(struct evict *evict, uint32_t slot)
{
	evict->slots[slot].is_pinned = false;
}

int evict_is_filled(const struct evict *evict, uint32_t slot)
{
	return evict->slots[slot].is_filled;
}

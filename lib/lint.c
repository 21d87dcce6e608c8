// SPDX-License-Identifier: MIT
/* Is what a program wrote into a buffer ring sane? */
#include "lint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BYTES 16

struct entry {
	uint64_t addr;
	uint32_t len;
	uint32_t bid;
};

void lint_done(struct lint *lint)
{
	free(lint->memory);
	memset(lint, 0, sizeof(*lint));
}

/* What one look found; entered into the books at its end. */
struct look {
	struct lint *lint;
	const struct lint_view *view;
	struct lint_finding found[LINT_KINDS];
};

static void note(struct look *look, enum lint_kind kind, const struct ring_slot *slot,
		 uint32_t other)
{
	struct lint_finding *found = &look->found[kind];

	if (found->count++)
		return;
	found->bid = slot->bid;
	found->addr = slot->addr;
	found->len = slot->len;
	found->other = other;
}

/* The first that does not end before. */
static size_t first_behind(const struct lint_range *ranges, size_t nr, uint64_t start)
{
	size_t low = 0, high = nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ranges[mid].end <= start)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Whether all of it can be written; ranges that touch count as one. */
static bool is_writable(const struct lint_view *view, uint64_t start, uint64_t end)
{
	size_t low = first_behind(view->ranges, view->nr_ranges, start);

	if (!view->nr_ranges)
		return true;
	for (; low < view->nr_ranges && view->ranges[low].start <= start; low++) {
		if (view->ranges[low].end >= end)
			return true;
		start = view->ranges[low].end;
	}
	return false;
}

static bool touches_queue(const struct lint_view *view, uint64_t start, uint64_t end)
{
	size_t at = first_behind(view->queues, view->nr_queues, start);

	return at < view->nr_queues && view->queues[at].start < end;
}

#define SEARCHES 64 /* for whose memory a bid came with: where all move, nothing is to be found */

/* A bid with other memory than before: whose was it? */
static void note_move(struct lint *lint, const struct ring_slot *slot)
{
	lint->nr_moved += !lint->memory[slot->bid].has_moved;
	lint->memory[slot->bid].has_moved = true;
	if (lint->nr_moved > SEARCHES)
		return;
	for (uint32_t bid = 0; bid < lint->nr_memory; bid++) {
		if (bid == slot->bid || !lint->memory[bid].len ||
		    lint->memory[bid].addr != slot->addr)
			continue;
		lint->has_swapped = true;
		lint->moved_bid = slot->bid;
		lint->moved_from = bid;
	}
}

static int remember(struct lint *lint, const struct ring_slot *slot, uint32_t entries)
{
	struct lint_memory *memory;
	uint32_t nr = slot->bid + 1U;

	if (nr > lint->nr_memory) {
		nr = (nr + 255) & ~255U;
		memory = realloc(lint->memory, nr * sizeof(*memory));
		if (!memory)
			return -ENOMEM;
		memset(memory + lint->nr_memory, 0, (nr - lint->nr_memory) * sizeof(*memory));
		lint->memory = memory;
		lint->nr_memory = nr;
	}
	memory = &lint->memory[slot->bid];
	if (memory->len && memory->addr == slot->addr && memory->len >= slot->len)
		return 0;
	if (!memory->len) {
		lint->has_alien |= lint->nr_known >= entries;
		lint->alien_bid = slot->bid;
		lint->nr_known++;
	} else if (memory->addr != slot->addr)
		note_move(lint, slot);
	memory->addr = slot->addr;
	memory->len = slot->len;
	return 0;
}

/* One that the kernel may hand out. */
static int check_slot(struct look *look, const struct ring_slot *slot, bool is_first)
{
	const struct lint_view *view = look->view;
	struct lint *lint = look->lint;
	uint64_t end = slot->addr + slot->len;
	uint64_t ring_end = view->ring_addr + (uint64_t)view->entries * SLOT_BYTES;

	if (!slot->len) {
		if (!view->is_incremental || !is_first)
			note(look, LINT_ZERO_LENGTH, slot, 0);
		return 0;
	}
	if (end < slot->addr || !is_writable(view, slot->addr, end))
		note(look, LINT_BAD_ADDRESS, slot, 0);
	if (view->ring_addr && slot->addr < ring_end && end > view->ring_addr)
		note(look, LINT_OVER_RING, slot, 0);
	if (touches_queue(view, slot->addr, end))
		note(look, LINT_OVER_QUEUE, slot, 0);
	/* the kernel itself shortens the entry that it fills piece by piece */
	if (!view->is_incremental && slot->bid < lint->nr_memory &&
	    lint->memory[slot->bid].addr == slot->addr && lint->memory[slot->bid].len > slot->len)
		note(look, LINT_SHRUNK, slot, lint->memory[slot->bid].len);
	if (slot->len > lint->buf_bytes)
		lint->buf_bytes = slot->len;
	return view->is_incremental && is_first ? 0 : remember(lint, slot, view->entries);
}

static int by_bid(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->bid > y->bid) - (x->bid < y->bid);
}

static int by_addr(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static void check_pairs(struct look *look, struct entry *entries, uint32_t nr)
{
	struct ring_slot slot = {0};

	qsort(entries, nr, sizeof(*entries), by_bid);
	for (uint32_t i = 1; i < nr; i++) {
		slot.bid = (uint16_t)entries[i].bid;
		slot.addr = entries[i].addr;
		slot.len = entries[i].len;
		if (entries[i].bid == entries[i - 1].bid)
			note(look, LINT_DUPLICATE, &slot, entries[i - 1].bid);
	}
	qsort(entries, nr, sizeof(*entries), by_addr);
	for (uint32_t i = 1; i < nr; i++) {
		slot.bid = (uint16_t)entries[i].bid;
		slot.addr = entries[i].addr;
		slot.len = entries[i].len;
		if (entries[i].bid != entries[i - 1].bid &&
		    entries[i - 1].addr + entries[i - 1].len > entries[i].addr)
			note(look, LINT_SHARED, &slot, entries[i - 1].bid);
	}
}

static int check_window(struct look *look)
{
	const struct lint_view *view = look->view;
	uint16_t available = (uint16_t)(view->tail - view->head);
	struct entry *entries;
	uint32_t nr = 0;
	int err = 0;

	if (available > view->entries) {
		struct ring_slot none = {0};

		note(look, LINT_OVERFILLED, &none, available);
		return 0;
	}
	entries = calloc(available + 1U, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (uint16_t i = 0; i < available && !err; i++) {
		const struct ring_slot *slot =
			&view->slots[(uint16_t)(view->head + i) & (view->entries - 1)];

		err = check_slot(look, slot, i == 0);
		if (slot->len)
			entries[nr++] = (struct entry){slot->addr, slot->len, slot->bid};
	}
	check_pairs(look, entries, nr);
	free(entries);
	return err;
}

static bool looks_written(const struct lint_view *view, const struct ring_slot *slot)
{
	return slot->len && slot->addr && view->nr_ranges &&
	       is_writable(view, slot->addr, slot->addr + slot->len);
}

static uint32_t nr_behind(const struct lint_view *view)
{
	return view->entries < LINT_BEHIND ? view->entries : LINT_BEHIND;
}

static const struct ring_slot *slot_behind(const struct lint_view *view, uint32_t at)
{
	return &view->slots[(uint16_t)(view->tail + at) & (view->entries - 1)];
}

static void remember_behind(struct lint *lint, const struct lint_view *view)
{
	for (uint32_t i = 0; i < nr_behind(view); i++)
		lint->behind[i] = *slot_behind(view, i);
	lint->has_behind = true;
	lint->tail = view->tail;
}

/*
 * Written, but the tail was not moved over it: that a slot makes sense is not enough, the memory
 * may have been an earlier ring's. It is one that changes while the tail stands still, or any in
 * memory that was blank.
 */
static void check_behind(struct look *look)
{
	const struct lint_view *view = look->view;
	struct lint *lint = look->lint;
	bool is_empty = view->tail == view->head;
	bool stands = is_empty && lint->has_behind && lint->tail == view->tail;

	lint->lying = 0;
	for (uint32_t i = 0; is_empty && view->tail == 0 && i < view->entries; i++) {
		if (!looks_written(view, &view->slots[i]))
			continue;
		lint->lying++;
		if (view->is_blank)
			note(look, LINT_UNPUBLISHED, &view->slots[i], 0);
	}
	for (uint32_t i = 0; stands && !view->is_blank && i < nr_behind(view); i++) {
		const struct ring_slot *now = slot_behind(view, i), *then = &lint->behind[i];

		if (looks_written(view, now) && (now->bid != then->bid || now->addr != then->addr))
			note(look, LINT_UNPUBLISHED, now, 0);
	}
	if (stands && !look->found[LINT_UNPUBLISHED].count && lint->found[LINT_UNPUBLISHED].looks)
		look->found[LINT_UNPUBLISHED] = lint->found[LINT_UNPUBLISHED];
	remember_behind(lint, view);
}

static void enter(struct lint_finding *book, const struct lint_finding *found)
{
	if (!found->count || book->addr != found->addr)
		book->looks = 0;
	if (!found->count)
		return;
	if (found->count > book->count || !book->most || (book->most < 2 && !book->looks)) {
		book->count = found->count;
		book->bid = found->bid;
		book->other = found->other;
		book->addr = found->addr;
		book->len = found->len;
	}
	book->looks++;
	if (book->looks > book->most)
		book->most = book->looks;
}

int lint_look(struct lint *lint, const struct lint_view *view)
{
	struct look look = {.lint = lint, .view = view};
	uint64_t bytes = (uint64_t)view->entries * SLOT_BYTES;
	int err;

	if (view->ring_addr && view->nr_ranges &&
	    !is_writable(view, view->ring_addr, view->ring_addr + bytes)) {
		struct ring_slot ring = {.addr = view->ring_addr};

		note(&look, LINT_UNMAPPED, &ring, 0);
	}
	if (view->is_nowhere) {
		struct ring_slot none = {0};

		note(&look, LINT_NOWHERE, &none, 0);
	}
	if (view->ring_addr && touches_queue(view, view->ring_addr, view->ring_addr + bytes)) {
		struct ring_slot ring = {.addr = view->ring_addr, .len = (uint32_t)bytes};

		note(&look, LINT_OVER_QUEUE, &ring, LINT_RING_ITSELF);
	}
	err = check_window(&look);
	check_behind(&look);
	for (int kind = 0; kind < LINT_KINDS; kind++)
		enter(&lint->found[kind], &look.found[kind]);
	lint->available = (uint16_t)(view->tail - view->head);
	lint->has_first = view->tail != view->head;
	lint->first = view->slots[view->head & (view->entries - 1)];
	lint->looks++;
	return err;
}

/* A program that has registered a ring has yet to map it, and may be held up before it does. */
#define SURELY_NOWHERE 5

bool lint_is_sure(const struct lint *lint, enum lint_kind kind)
{
	bool may_race = kind == LINT_BAD_ADDRESS || kind == LINT_UNMAPPED ||
			kind == LINT_UNPUBLISHED || kind == LINT_OVER_RING ||
			kind == LINT_OVER_QUEUE;

	if (kind == LINT_NOWHERE)
		return lint->found[kind].most >= SURELY_NOWHERE;
	return lint->found[kind].most >= (may_race ? 2 : 1);
}

// SPDX-License-Identifier: MIT
/* What is wrong with what lies in a ring? */
#include "diagnose_bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static void say_entries(char *text, const struct case_group *group, enum lint_kind kind)
{
	const struct lint_finding *found = &group->lint.found[kind];

	if (kind == LINT_UNMAPPED) {
		bench_say(text, "the ring of %u entries at 0x%" PRIx64 " is gone",
			  group->sums.entries, found->addr);
		return;
	}
	if (kind == LINT_NOWHERE) {
		bench_say(text,
			  "the ring of %u entries lies in the kernel, %u of them filled; no "
			  "mapping of group %u at %u looks in a row",
			  group->sums.entries, group->lint.available, group->bgid, found->most);
		return;
	}
	if (kind == LINT_OVER_QUEUE && found->other == LINT_RING_ITSELF) {
		bench_say(text, "the ring itself, at 0x%" PRIx64, found->addr);
		return;
	}
	bench_say(text, "%u entr%s, such as bid %u: address 0x%" PRIx64 ", length %u", found->count,
		  found->count == 1 ? "y" : "ies", found->bid, found->addr, found->len);
	if (kind == LINT_SHRUNK)
		bench_say(text, ", before %u", found->other);
	if (kind == LINT_ZERO_LENGTH && group->sums.phantom_ends)
		bench_say(text, "; %" PRIu64 " requests ended with 0 though data waited",
			  group->sums.phantom_ends);
}

/* Whether it is told by where the ring was registered, or by what was there in the same life. */
static bool rests_on_life(const struct case_group *group, enum lint_kind kind)
{
	return kind == LINT_SHRUNK || kind == LINT_UNMAPPED || kind == LINT_OVER_RING ||
	       (kind == LINT_OVER_QUEUE &&
		group->lint.found[LINT_OVER_QUEUE].other == LINT_RING_ITSELF);
}

static void judge_entries(struct bench *bench)
{
	static const struct {
		enum lint_kind kind;
		enum complaint complaint;
	} pairs[] = {
		{LINT_ZERO_LENGTH, ZERO_LENGTH}, {LINT_OVER_RING, OVER_RING},
		{LINT_UNMAPPED, RING_UNMAPPED},  {LINT_SHRUNK, LENGTH_SHRUNK},
		{LINT_UNPUBLISHED, UNPUBLISHED}, {LINT_OVER_QUEUE, OVER_QUEUE},
		{LINT_NOWHERE, RING_NOWHERE},
	};
	const struct case_group *group = bench->group;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct finding *finding;

		if (!bench_is_sure(bench, pairs[i].kind) ||
		    (pairs[i].kind == LINT_UNPUBLISHED && !bench_is_unpublished(bench)) ||
		    (rests_on_life(group, pairs[i].kind) && bench->what->book->lost_lives))
			continue;
		finding = bench_add(bench, pairs[i].complaint, CONFIDENCE_CERTAIN);
		if (!finding)
			return;
		say_entries(finding->evidence, group, pairs[i].kind);
	}
}

static void judge_overfull(struct bench *bench)
{
	const struct lint_finding *found = &bench->group->lint.found[LINT_OVERFILLED];
	struct finding *finding = bench_add(bench, OVERFILLED, CONFIDENCE_CERTAIN);

	if (finding)
		bench_say(finding->evidence, "%u buffers between head and tail of %u entries",
			  found->other, bench->group->sums.entries);
}

/* One may be an accident of the order in which processors tell what they did. */
#define SURELY_TWICE 3

static void judge_double(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct lint_finding *found = &group->lint.found[LINT_DUPLICATE];
	bool is_seen = bench_is_sure(bench, LINT_DUPLICATE);
	uint64_t doubles = casebook_doubles(group);
	struct finding *finding =
		bench_add(bench, RETURNED_TWICE, is_seen ? CONFIDENCE_CERTAIN : CONFIDENCE_LIKELY);

	if (!finding)
		return;
	if (doubles)
		bench_say(finding->evidence,
			  "%" PRIu64 " returns of buffers that were in the ring, the "
			  "last of bid %u",
			  doubles, group->sums.double_bid);
	if (is_seen)
		bench_say(finding->evidence, "%sbid %u seen twice between head and tail",
			  doubles ? "; " : "", found->bid);
}

/* Whose memory, if not this group's, is it? NULL: nobody's that is known. */
static const struct case_group *owner_of(const struct bench *bench, uint64_t addr)
{
	const struct casebook *book = bench->what->book;

	/* it may have been another's since, untold */
	for (size_t i = 0; i < book->nr_groups && !book->lost_lives; i++) {
		const struct case_group *other = book->groups[i];

		if (other == bench->group || other->tgid != bench->group->tgid)
			continue;
		for (uint32_t bid = 0; bid < other->lint.nr_memory; bid++) {
			if (other->lint.memory[bid].len && other->lint.memory[bid].addr == addr)
				return other;
		}
	}
	return NULL;
}

/*
 * As the books tell it, or, where they do not have all buffers, what was seen of the ring's memory.
 * False: none is known.
 */
static bool find_alien(const struct case_group *group, uint32_t *bid)
{
	*bid = group->sums.alien_returns ? group->sums.alien_bid : group->lint.alien_bid;
	return (group->sums.alien_returns || group->lint.has_alien) &&
	       *bid < group->lint.nr_memory && group->lint.memory[*bid].len;
}

struct alien {
	const struct case_group *owner;
	uint32_t bid;
};

static bool is_foreign(const struct bench *bench, struct alien *alien)
{
	const struct lint *lint = &bench->group->lint;

	if (!find_alien(bench->group, &alien->bid))
		return false;
	alien->owner = owner_of(bench, lint->memory[alien->bid].addr);
	return alien->owner ||
	       (bench_is_sure(bench, LINT_SHARED) &&
		(lint->found[LINT_SHARED].bid == alien->bid ||
		 lint->found[LINT_SHARED].other == alien->bid)) ||
	       (bench_is_sure(bench, LINT_BAD_ADDRESS) &&
		lint->found[LINT_BAD_ADDRESS].bid == alien->bid);
}

static void judge_foreign(struct bench *bench, const struct alien *alien)
{
	const struct case_group *group = bench->group;
	struct finding *finding = bench_add(bench, FOREIGN_BID, CONFIDENCE_CERTAIN);

	if (!finding)
		return;
	bench_say(finding->evidence, "bid %u came into a ring that had its %u buffers; its memory ",
		  alien->bid, group->sums.entries);
	if (alien->owner)
		bench_say(finding->evidence, "is a buffer of group %u", alien->owner->bgid);
	else if (bench_is_sure(bench, LINT_SHARED))
		bench_say(finding->evidence, "is also bid %u's or %u's",
			  group->lint.found[LINT_SHARED].other, group->lint.found[LINT_SHARED].bid);
	else
		bench_say(finding->evidence, "is not mapped");
}

/* Some programs put new memory under each bid: then most move, and nothing is wrong. */
static void judge_moved(struct bench *bench)
{
	const struct lint *lint = &bench->group->lint;
	struct finding *finding;

	/* of a group that was registered anew, untold, all may have */
	if (bench->what->book->lost_lives)
		return;
	if (!lint->has_swapped || lint->nr_moved * 4 > lint->nr_known ||
	    bench_is_sure(bench, LINT_SHARED))
		return;
	finding = bench_add(bench, ADDRESS_CHANGED, CONFIDENCE_LIKELY);
	if (finding)
		bench_say(finding->evidence,
			  "bid %u came with the memory that bid %u had; %u of %u bids have other "
			  "memory than at first",
			  lint->moved_bid, lint->moved_from, lint->nr_moved, lint->nr_known);
}

static void judge_pairs(struct bench *bench)
{
	const struct case_group *group = bench->group;
	const struct lint_finding *shared = &group->lint.found[LINT_SHARED];
	const struct lint_finding *bad = &group->lint.found[LINT_BAD_ADDRESS];
	struct finding *finding;
	struct alien alien;

	/* one mistake that looks like several */
	if (bench_is_sure(bench, LINT_OVERFILLED)) {
		judge_overfull(bench);
		return;
	}
	if (is_foreign(bench, &alien)) {
		judge_foreign(bench, &alien);
		return;
	}
	/* slots that were not written all say bid 0 */
	if (bench_is_sure(bench, LINT_DUPLICATE) ||
	    (casebook_doubles(group) >= SURELY_TWICE && !bench_may_miss(bench) &&
	     !bench_is_sure(bench, LINT_ZERO_LENGTH)))
		judge_double(bench);
	if (bench_is_sure(bench, LINT_SHARED)) {
		finding = bench_add(bench, SHARED_MEMORY, CONFIDENCE_CERTAIN);
		if (finding)
			bench_say(finding->evidence,
				  "%u pairs, such as bids %u and %u at 0x%" PRIx64, shared->count,
				  shared->other, shared->bid, shared->addr);
	}
	judge_moved(bench);
	if (bench_is_sure(bench, LINT_BAD_ADDRESS)) {
		finding = bench_add(bench, BAD_ADDRESS, CONFIDENCE_CERTAIN);
		if (finding)
			bench_say(finding->evidence,
				  "%u entries, such as bid %u: 0x%" PRIx64 "; %" PRIu64
				  " requests ended with -EFAULT",
				  bad->count, bad->bid, bad->addr, group->sums.efaults);
	}
}

static int by_address(const void *a, const void *b)
{
	const struct case_group *x = *(const struct case_group *const *)a;
	const struct case_group *y = *(const struct case_group *const *)b;

	if (x->tgid != y->tgid)
		return x->tgid < y->tgid ? -1 : 1;
	if (x->ring_addr != y->ring_addr)
		return x->ring_addr < y->ring_addr ? -1 : 1;
	return (x->bgid > y->bgid) - (x->bgid < y->bgid);
}

static void judge_neighbours(struct bench *bench, const struct case_group *low,
			     const struct case_group *high)
{
	struct finding *finding;

	if (low->tgid != high->tgid || low->seen_ns != high->seen_ns ||
	    low->ring_addr + low->sums.entries * 16ULL <= high->ring_addr)
		return;
	bench->group = high;
	finding = bench_add(bench, SHARED_RING, CONFIDENCE_CERTAIN);
	if (finding)
		bench_say(finding->evidence, "groups %u and %u both at 0x%" PRIx64, low->bgid,
			  high->bgid, high->ring_addr);
}

void diagnose_shared(struct bench *bench)
{
	const struct casebook *book = bench->what->book;
	const struct case_group **sorted;
	size_t nr = 0;

	/* one of two may have gone, or have moved, untold */
	if (book->lost_lives)
		return;
	sorted = calloc(book->nr_groups + 1, sizeof(void *));
	if (!sorted) {
		bench->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < book->nr_groups; i++) {
		if (book->groups[i]->ring_addr && book->groups[i]->seen_ns)
			sorted[nr++] = book->groups[i];
	}
	qsort(sorted, nr, sizeof(void *), by_address);
	for (size_t i = 1; i < nr; i++)
		judge_neighbours(bench, sorted[i - 1], sorted[i]);
	free(sorted);
}

void diagnose_entries(struct bench *bench)
{
	judge_entries(bench);
	judge_pairs(bench);
}

// SPDX-License-Identifier: MIT
/* Findings from literal events: why there was no buffer, which do not come back, which ring. */
#include "casebook_rig.h"
#include "shortage.h"

static void sound(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		now += MS;
		take(i % 8, 5);
		now += MS;
		put(i % 8, 1);
	}
	seen(8);
	assert_string_equal(codes(), "");
}

static void each_cause(void **state)
{
	(void)state;
	starve(STARVE_NO_GROUP, 5);
	assert_string_equal(codes(), "no-group");
	starve(STARVE_NEVER_FILLED, 5);
	assert_string_equal(codes(), "no-group never-filled");
	starve(STARVE_UNREGISTERED, 5);
	assert_string_equal(codes(), "no-group never-filled unregistered");
}

static void too_small(void **state)
{
	(void)state;
	rounds(8, 4, 1);
	assert_string_equal(codes(), "pool-too-small");
}

static void slow(void **state)
{
	(void)state;
	rounds(8, 4, 40);
	assert_string_equal(codes(), "consumer-slow");
}

static void lazy(void **state)
{
	(void)state;
	rounds(64, 4, 1);
	assert_string_equal(codes(), "lazy-fill");
}

static void one_of_many(void **state)
{
	(void)state;
	submit(20);
	rounds(8, 1, 1);
	assert_string_equal(codes(), "one-stream");
}

static void replayed(void **state)
{
	(void)state;
	rounds(8, 4, 1);
	assert_int_equal(shortage_replay(book.groups[0], 8), 10);
	assert_int_equal(shortage_replay(book.groups[0], 16), 0);
}

static void forgotten(void **state)
{
	(void)state;
	take(7, 5);
	for (uint32_t i = 0; i < 700; i++) {
		now += 2 * MS;
		take(i % 7, 5);
		put(i % 7, 1);
	}
	seen(8);
	assert_string_equal(codes(), "leak");
}

static void take_steadily(void)
{
	reg(64);
	put(0, 64);
	for (uint32_t bid = 0; bid < 20; bid++) {
		now += 100 * MS;
		take(bid, 5);
	}
}

/* Nobody wants for a buffer yet, and none comes back. */
static void drains(void **state)
{
	(void)state;
	take_steadily();
	now += 50 * MS;
	seen_with(64, 44);
	assert_string_equal(codes(), "");
	now += 100 * MS;
	take(20, 5);
	now += 50 * MS;
	seen_with(64, 43);
	assert_string_equal(codes(), "draining");
	seen_with(64, 0);
	assert_string_equal(codes(), "");
	seen_with(64, 43);
	put(0, 1);
	assert_string_equal(codes(), "");
}

/* It took what it needed, and keeps it. */
static void takes_and_keeps(void **state)
{
	(void)state;
	take_steadily();
	now += 600 * MS;
	seen_with(64, 44);
	assert_string_equal(codes(), "");
}

static void ended_with_it(void **state)
{
	struct trace_rec rec;

	(void)state;
	take(7, 6);
	rec = rec_of(TRACE_DONE);
	rec.fd = 6;
	casebook_take(&book, &rec);
	take(0, 5);
	put(0, 1);
	now += 1500 * MS;
	seen(8);
	assert_string_equal(codes(), "leak-on-close");
}

/* A second is not long where the others take as much. */
static void slow_is_no_leak(void **state)
{
	(void)state;
	take(7, 5);
	for (uint32_t i = 0; i < 50; i++) {
		take(i % 7, 5);
		now += 400 * MS;
		put(i % 7, 1);
		if (i % 3 == 0) {
			put(7, 1);
			take(7, 5);
		}
	}
	seen(8);
	assert_string_equal(codes(), "");
}

static void twice(void **state)
{
	(void)state;
	for (uint32_t bid = 3; bid < 5; bid++)
		put(bid, 1);
	seen(8);
	assert_string_equal(codes(), ""); /* may be told in the wrong order */
	put(6, 1);
	seen(8);
	assert_string_equal(codes(), "returned-twice");
}

static void put_thrice_more(void)
{
	for (int i = 0; i < 3; i++)
		put(3, 1);
}

/* Its takings may not have been told while the group was being met. */
static void twice_at_first(void **state)
{
	(void)state;
	put(0, 8);
	seen(8);
	put_thrice_more();
	now += 100 * MS;
	seen(8);
	assert_string_equal(codes(), "");
	now += 1000 * MS;
	seen(8);
	assert_string_equal(codes(), "");
	put_thrice_more();
	seen(8);
	assert_string_equal(codes(), "");
	seen(8);
	assert_string_equal(codes(), "returned-twice");
}

static void seen_with_losses(uint64_t unread, uint64_t taken)
{
	struct group_counts counts = {.unread = unread, .total[COUNT_TAKEN] = taken};

	see_group(8, &counts);
}

static void seen_unread(uint64_t unread)
{
	seen_with_losses(unread, 0);
}

/* The head tells of takings that no completion told. */
static void twice_for_want_of_takings(void **state)
{
	(void)state;
	put(0, 8);
	for (int look = 1; look < 50; look++) {
		put(0, 8);
		now += 100 * MS;
		seen_with_losses(0, 16ULL * (uint64_t)look);
	}
	assert_string_equal(codes(), "");
}

/* Nor what came back while nobody looked. */
static void twice_after_a_gap(void **state)
{
	(void)state;
	seen_unread(0);
	put_thrice_more();
	seen_unread(4);
	assert_string_equal(codes(), "");
	/* all have gone round twice */
	put(0, 8);
	put(0, 8);
	seen_unread(4);
	assert_string_equal(codes(), "");
	put_thrice_more();
	seen_unread(4);
	assert_string_equal(codes(), "returned-twice");
}

/* Held since before the books began, while the others go round. */
static void lent_before(void **state)
{
	struct diagnose_case what = {.book = &book};
	struct diagnosis diagnosis;

	(void)state;
	seen(16);
	for (uint32_t bid = 10; bid < 13; bid++)
		casebook_lend(&book, book.groups[0], bid);
	assert_int_equal(book.groups[0]->sums.held, 3);
	for (uint32_t i = 0; i < 400; i++) {
		now += 4 * MS;
		take(i % 10, 5);
		put(i % 10, 1);
	}
	seen(16);
	assert_int_equal(diagnose(&what, &diagnosis), 0);
	assert_int_equal(diagnosis.nr, 1);
	assert_int_equal(diagnosis.findings[0].complaint, LEAK);
	assert_int_equal(diagnosis.findings[0].confidence, CONFIDENCE_LIKELY);
	assert_non_null(strstr(diagnosis.findings[0].evidence, "bid 10 (since before the watch"));
	diagnosis_done(&diagnosis);
	/* one comes back: its time is not known */
	put(10, 1);
	assert_int_equal(book.groups[0]->sums.early, 2);
	assert_true(book.groups[0]->sums.hold_ns_max < 100 * MS);
	/* what was told since the beginning is newer than what the memory said */
	casebook_lend(&book, book.groups[0], 3);
	assert_int_equal(book.groups[0]->sums.held, 2);
}

/* Requests had them when the books began, and complete with them later. */
static void under_way_before(void **state)
{
	(void)state;
	seen(16);
	for (uint32_t bid = 0; bid < 16; bid++)
		casebook_lend(&book, book.groups[0], bid);
	assert_int_equal(book.groups[0]->sums.early, 16);
	for (uint32_t bid = 0; bid < 16; bid++) {
		now += MS;
		take(bid, 5);
	}
	assert_int_equal(book.groups[0]->sums.held, 16);
	assert_int_equal(book.groups[0]->sums.early, 0);
	assert_int_equal(book.groups[0]->sums.owed, 0);
	put(0, 16);
	now += 5000 * MS;
	seen(16);
	assert_int_equal(book.groups[0]->sums.held, 0);
	assert_string_equal(codes(), "");
}

static void fail_with(uint32_t bid)
{
	struct trace_rec rec = rec_of(TRACE_SELECT);

	submit(5);
	rec.bid = bid;
	rec.nr = 1;
	rec.fd = 5;
	rec.res = -21;
	rec.cqe_flags = BUFFER;
	casebook_take(&book, &rec);
}

/* A ring that ends at once: nobody can have seen its buffers out for a second. */
static void ends_with_errors(void **state)
{
	(void)state;
	reg(16);
	put(0, 16);
	seen(16);
	for (uint32_t bid = 0; bid < 6; bid++)
		fail_with(bid);
	assert_string_equal(codes(), "");
	book.groups[0]->is_gone = true;
	assert_string_equal(codes(), "leak-on-error");
	/* all at once, and then the end: there was no time to return them */
	book.groups[0]->sums.failed_then = 0;
	assert_string_equal(codes(), "");
	book.groups[0]->sums.failed_then = 5;
	put(2, 1);
	assert_string_equal(codes(), "");
}

/* Nor are lost records taken for anything that rests on their absence. */
static void missing(void **state)
{
	(void)state;
	for (uint32_t bid = 0; bid < 8; bid++)
		put(bid, 1);
	take(7, 5);
	for (uint32_t i = 0; i < 700; i++) {
		now += 2 * MS;
		take(i % 7, 5);
		put(i % 7, 1);
	}
	seen(8);
	assert_string_equal(codes(), "leak returned-twice");
	book.may_miss = true;
	assert_string_equal(codes(), "");
}

/* Returns were overwritten before they were read: what was out by then may be back. */
static void overwritten_unread(void **state)
{
	struct group_counts counts = {.unread = 3};

	(void)state;
	take(7, 5);
	for (uint32_t i = 0; i < 700; i++) {
		now += 2 * MS;
		take(i % 6, 5);
		put(i % 6, 1);
	}
	seen(8);
	assert_string_equal(codes(), "leak");
	see_group(7, &counts);
	assert_string_equal(codes(), "");
	take(6, 5);
	for (uint32_t i = 0; i < 700; i++) {
		now += 2 * MS;
		take(i % 6, 5);
		put(i % 6, 1);
	}
	see_group(6, &counts);
	assert_string_equal(codes(), "leak");
}

/* A group from before the watch, of which four buffers from `first` on go round. */
static const char *few_of(uint32_t first, uint32_t entries)
{
	static void *none;

	end(&none);
	begin(&none);
	for (uint32_t i = 0; i < 700; i++) {
		now += 2 * MS;
		take(first + i % 4, 5);
		put(first + i % 4, 1);
	}
	seen_with(entries, 4);
	now += MS;
	take(first, 5);
	put(first, 1);
	return codes();
}

/* What was lost before has been overwritten in the ring's memory: all that is left are bids. */
static void lost_before(void **state)
{
	(void)state;
	assert_string_equal(few_of(60, 64), "leak-before");
	assert_string_equal(few_of(0, 64), "");
	assert_string_equal(few_of(40, 64), "");
	assert_string_equal(few_of(100, 64), "");
	assert_string_equal(few_of(1, 8), "leak");
}

static void went_back(void **state)
{
	struct trace_rec rec;

	(void)state;
	take(0, 5);
	rec = rec_of(TRACE_RETURN);
	rec.flags = TRACE_BACK;
	rec.nr = 2;
	rec.available = 5;
	casebook_take(&book, &rec);
	seen(8);
	assert_string_equal(codes(), "tail-back");
}

/* What a ring did says nothing of the next one at its address. */
static void next_ring(void **state)
{
	struct trace_rec rec;

	(void)state;
	for (int life = 0; life < 3; life++) {
		rec = rec_of(TRACE_CREATE);
		rec.fd = 3;
		casebook_take(&book, &rec);
		reg(8);
		put(0, 8);
		submit(5);
		take(0, 5);
		seen(8);
		now += MS;
	}
	assert_string_equal(codes(), "");
	assert_int_equal(book.nr_groups, 3);
	assert_int_equal(book.nr_rings, 3);
	assert_ptr_not_equal(casebook_find(&book, RING, 0), book.groups[0]);
}

/* A sample from before it was created is of the ring that was there. */
static void late_sample(void **state)
{
	struct trace_rec rec = rec_of(TRACE_CREATE);

	(void)state;
	rec.at_ns += MS;
	casebook_take(&book, &rec);
	seen(8);
	assert_int_equal(book.nr_groups, 0);
	now += 2 * MS;
	seen(8);
	assert_int_equal(book.nr_groups, 1);
}

/* Each starve has one cause, and each that found the group empty one context. */
static void adds_up(void **state)
{
	struct shortage shortage;
	uint64_t causes = 0, contexts = 0;

	(void)state;
	rounds(8, 4, 1);
	starve(STARVE_NOT_EMPTY, 5);
	starve(STARVE_UNREGISTERED, 5);
	shortage_of(book.groups[0], &shortage);
	for (int i = 0; i < STARVE_CAUSES; i++)
		causes += shortage.causes[i];
	for (int i = 0; i < SHORT_CONTEXTS; i++)
		contexts += shortage.contexts[i];
	assert_int_equal(shortage.starves, 12);
	assert_int_equal(causes, 12);
	assert_int_equal(contexts, 10);
	assert_int_equal(shortage.contexts[SHORT_BY_SIZE], 10);
}

static void sized(void **state)
{
	struct sizing sizing;

	(void)state;
	rounds(8, 4, 1);
	assert_int_equal(sizing_of(book.groups[0], &sizing), 0);
	assert_int_equal(sizing.now, 8);
	assert_int_equal(sizing.seen, 10);
	assert_int_equal(sizing.again, 10);
	assert_int_equal(sizing.nr_tries, 1);
	assert_int_equal(sizing.tries[0].buffers, 16);
	assert_int_equal(sizing.tries[0].starves, 0);
	assert_int_equal(sizing.wanted, 9);
	assert_int_equal(sizing.entries, 16);
	assert_int_equal(sizing.fit_bytes, 128);
}

static void lost_records(void **state)
{
	const struct diagnose_case what = {.book = &book};
	struct diagnosis diagnosis;

	(void)state;
	starve(STARVE_NO_GROUP, 5);
	book.may_miss = true;
	assert_int_equal(diagnose(&what, &diagnosis), 0);
	assert_int_equal(diagnosis.nr, 1);
	assert_int_equal(diagnosis.findings[0].confidence, CONFIDENCE_POSSIBLE);
	diagnosis_done(&diagnosis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OF_EIGHT(sound),
		OF_NOTHING(each_cause),
		OF_NOTHING(too_small),
		OF_NOTHING(slow),
		OF_NOTHING(lazy),
		OF_NOTHING(one_of_many),
		OF_NOTHING(replayed),
		OF_EIGHT(forgotten),
		OF_NOTHING(drains),
		OF_NOTHING(takes_and_keeps),
		OF_EIGHT(ended_with_it),
		OF_EIGHT(slow_is_no_leak),
		OF_EIGHT(twice),
		OF_NOTHING(twice_at_first),
		OF_EIGHT(twice_after_a_gap),
		OF_NOTHING(twice_for_want_of_takings),
		OF_NOTHING(lent_before),
		OF_NOTHING(under_way_before),
		OF_NOTHING(ends_with_errors),
		OF_EIGHT(missing),
		OF_NOTHING(lost_before),
		OF_EIGHT(overwritten_unread),
		OF_EIGHT(went_back),
		OF_NOTHING(next_ring),
		OF_NOTHING(late_sample),
		OF_NOTHING(adds_up),
		OF_NOTHING(sized),
		OF_NOTHING(lost_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

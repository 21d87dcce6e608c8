// SPDX-License-Identifier: MIT
/*
 * Do the books stay apart where a ring gets the address that another had? The kernel's books, the
 * records and the samples each tell of it at their own time.
 */
#include "casebook_rig.h"

#define BOOKS 8

static struct book_sums sums[BOOKS];
static struct book_stream streams[BOOKS];

/* What a process does is told by its own number of starves. */
enum { FIRST = 7, SECOND = 8 };

static int begin_books(void **state)
{
	memset(sums, 0, sizeof(sums));
	memset(streams, 0, sizeof(streams));
	return begin(state);
}

/* All that is booked by now, where the records of some time were not taken yet. */
static void read_until(uint64_t told_ns)
{
	struct book_view view = {
		.sums = sums, .streams = streams, .max_sums = BOOKS, .nr_streams = BOOKS};

	while (view.nr_sums < BOOKS && sums[view.nr_sums].state != BOOK_FREE)
		view.nr_sums++;
	book.told_ns = told_ns;
	casebook_read(&book, &view, false);
}

static void create(uint32_t tgid)
{
	struct trace_rec rec = rec_of(TRACE_CREATE);

	rec.tgid = tgid;
	rec.fd = 3;
	casebook_take(&book, &rec);
}

/* Of group 0, at that place. */
static void open_books(uint32_t at, uint32_t tgid)
{
	sums[at] = (struct book_sums){.state = BOOK_OPEN,
				      .ring_id = RING,
				      .tgid = tgid,
				      .first_ns = now,
				      .last_ns = now,
				      .causes[STARVE_UNREGISTERED] = tgid};
}

static void see(uint64_t at_ns, uint32_t tgid)
{
	struct group_rec group = {.ring_id = RING, .entries = 8};
	struct ring_rec ring = {.ring_id = RING, .tgid = tgid, .fd = 3};
	struct sample sample = {
		.at_ns = at_ns, .rings = &ring, .nr_rings = 1, .groups = &group, .nr_groups = 1};

	casebook_sample(&book, &sample);
}

/* Each process has what it did, in one group. */
static void expect(uint32_t tgid, uint32_t groups)
{
	uint32_t nr = 0;

	for (size_t i = 0; i < book.nr_groups; i++) {
		const struct case_group *group = book.groups[i];

		if (group->tgid != tgid)
			continue;
		nr++;
		assert_int_equal(group->sums.causes[STARVE_UNREGISTERED], tgid);
	}
	assert_int_equal(nr, groups);
}

/* The kernel books of the new ring before the record of its making is taken. */
static void booked_before_told(void **state)
{
	uint64_t told_ns;

	(void)state;
	create(FIRST);
	now += MS;
	open_books(0, FIRST);
	now += MS;
	read_until(now);
	expect(FIRST, 1);
	told_ns = now;
	now += MS;
	sums[0].state = BOOK_SHUT;
	now += MS;
	open_books(1, SECOND);
	read_until(told_ns);
	expect(FIRST, 1);
	expect(SECOND, 0);
	now -= MS;
	create(SECOND);
	now += 2 * MS;
	read_until(now);
	expect(FIRST, 1);
	expect(SECOND, 1);
	assert_int_equal(sums[0].state, BOOK_FREE);
}

/* Of the first ring only a record told: what the second one's books tell is not its. */
static void known_by_record(void **state)
{
	struct trace_rec rec;
	uint64_t told_ns;

	(void)state;
	create(FIRST);
	rec = rec_of(TRACE_REGISTER);
	rec.res = -22;
	rec.tgid = FIRST;
	casebook_take(&book, &rec);
	told_ns = now;
	now += 2 * MS;
	open_books(0, SECOND);
	read_until(told_ns);
	now -= MS;
	create(SECOND);
	now += 2 * MS;
	read_until(now);
	assert_int_equal(book.groups[0]->tgid, FIRST);
	assert_int_equal(book.groups[0]->refusal.count, 1);
	assert_int_equal(book.groups[0]->sums.causes[STARVE_UNREGISTERED], 0);
	expect(SECOND, 1);
	assert_int_equal(casebook_find(&book, RING, 0)->refusal.count, 0);
}

/* A ring comes and goes between two readings: its books are met when the next one is told. */
static void met_when_told(void **state)
{
	(void)state;
	read_until(now);
	create(FIRST);
	open_books(1, FIRST);
	sums[0].state = BOOK_OPEN; /* of whatever else */
	sums[1].state = BOOK_SHUT;
	now += MS;
	create(SECOND);
	now += MS;
	open_books(0, SECOND);
	read_until(now);
	expect(FIRST, 1);
	expect(SECOND, 1);
}

/* The account was given up while the ring was there, and is met again: one more group. */
static void met_again(void **state)
{
	(void)state;
	create(FIRST);
	open_books(1, FIRST);
	sums[0].state = BOOK_OPEN;
	read_until(now);
	see(now, FIRST);
	sums[1].state = BOOK_SHUT;
	now += MS;
	open_books(0, FIRST);
	read_until(now);
	expect(FIRST, 2);
	assert_true(casebook_find(&book, RING, 0)->book);
	assert_int_equal(sums[1].state, BOOK_FREE);
	assert_int_equal(casebook_ring(&book, book.groups[0]->ring_id)->fd, 3);
	/* and once more, before anybody has read it */
	sums[0].state = BOOK_SHUT;
	now += MS;
	open_books(1, FIRST);
	now += MS;
	create(SECOND);
	now += MS;
	open_books(2, SECOND);
	read_until(now);
	expect(FIRST, 3);
	expect(SECOND, 1);
}

/* Many rings are made before a sample comes that is older than all of them. */
static void late_sample(void **state)
{
	uint64_t at_ns;

	(void)state;
	create(FIRST);
	at_ns = now;
	now += MS;
	for (uint64_t i = 0; i < 1000; i++) {
		struct trace_rec rec = rec_of(TRACE_CREATE);

		rec.tgid = SECOND;
		rec.ring_id = RING + i * 0x1000;
		casebook_take(&book, &rec);
	}
	see(at_ns, FIRST);
	assert_int_equal(book.nr_groups, 0);
	assert_int_equal(casebook_ring(&book, RING)->tgid, SECOND);
	now += MS;
	see(now, SECOND);
	assert_int_equal(book.nr_groups, 1);
	assert_int_equal(book.nr_births, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_books, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(booked_before_told), TEST(known_by_record), TEST(met_when_told),
		TEST(met_again),          TEST(late_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

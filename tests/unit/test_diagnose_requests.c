// SPDX-License-Identifier: MIT
/* Findings from literal events: requests, and whether what is told of them agrees. */
#include "casebook_rig.h"

/* Each return is told after the next taking: late, but not twice. */
static void told_late(void **state)
{
	(void)state;
	for (uint32_t bid = 0; bid < 8; bid++)
		take(bid, 5);
	for (uint32_t i = 0; i < 80; i++) {
		take(i % 8, 5);
		put(i % 8, 1);
	}
	put(0, 8);
	seen(8);
	assert_string_equal(codes(), "");
	assert_int_equal(book.groups[0]->sums.held, 0);
}

static void given_twice(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		take(i % 4, 5);
	seen(8);
	assert_string_equal(codes(), "");
	assert_int_equal(book.groups[0]->sums.owed, 4);
	tell_taken(5, 8);
	assert_string_equal(codes(), "delivered-twice");
	/* told late, after all */
	put(0, 1);
	assert_string_equal(codes(), "");
}

/* What was named twice and taken once is no delivery. */
static void said_twice(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		take(i % 4, 5);
	tell_taken(5, 4);
	assert_string_equal(codes(), "");
	tell_taken(9, 4);
	assert_string_equal(codes(), "named-not-taken");
}

/* Requests that say nothing when they succeed are not under way for ever. */
static void silent_ones(void **state)
{
	struct trace_rec rec;

	(void)state;
	rec = rec_of(TRACE_SUBMIT);
	rec.fd = 5;
	rec.flags = TRACE_SILENT;
	casebook_take(&book, &rec);
	assert_int_equal(book.groups[0]->sums.open, 0);
	rec = rec_of(TRACE_DONE);
	rec.fd = 5;
	rec.res = -32;
	casebook_take(&book, &rec);
	submit(6);
	assert_int_equal(book.groups[0]->sums.open, 1);
}

/* A request of one buffer of 256 bytes. */
static void one_of(const struct trace_rec *asked, int32_t res, uint8_t cqe_flags)
{
	struct trace_rec rec = *asked;

	rec.kind = TRACE_SUBMIT;
	rec.at_ns = now += MS;
	casebook_take(&book, &rec);
	rec = rec_of(TRACE_SELECT);
	rec.fd = asked->fd;
	rec.opcode = asked->opcode;
	rec.bid = 0;
	rec.nr = 1;
	rec.res = res;
	rec.extra = 256;
	rec.available = 7;
	rec.cqe_flags = BUFFER | cqe_flags;
	casebook_take(&book, &rec);
	put(0, 1);
}

static void one_by_one(void **state)
{
	struct trace_rec bundle = rec_of(TRACE_SUBMIT), cut = rec_of(TRACE_SUBMIT);

	(void)state;
	bundle.fd = cut.fd = 5;
	bundle.opcode = 27;
	bundle.cqe_flags = 16;
	cut.opcode = 26;
	cut.nr = 64;
	/* short ones, and full ones behind which nothing waits */
	for (int i = 0; i < 20; i++) {
		one_of(&bundle, 100, 4);
		one_of(&bundle, 256, 0);
	}
	assert_string_equal(codes(), "");
	for (int i = 0; i < 10; i++)
		one_of(&bundle, 256, 4);
	assert_string_equal(codes(), "bundle-single");
	one_of(&cut, 63, 0);
	one_of(&cut, 63, 0);
	assert_string_equal(codes(), "bundle-single");
	one_of(&cut, 64, 0);
	one_of(&cut, 64, 0);
	assert_string_equal(codes(), "send-cut bundle-single");
}

static void not_armed_again(void **state)
{
	(void)state;
	rounds(8, 4, 1);
	starve(STARVE_EMPTY_AT_DATA, 10);
	now += 500 * MS;
	seen(8);
	book.groups[0]->lint.available = 8;
	assert_string_equal(codes(), "pool-too-small not-rearmed");
	submit(10);
	assert_string_equal(codes(), "pool-too-small");
}

/* A completion with a buffer when nothing was asked for. */
static void after_the_last(void **state)
{
	struct trace_rec rec;

	(void)state;
	take(0, 5);
	rec = rec_of(TRACE_DONE);
	rec.fd = 5;
	rec.res = -125;
	casebook_take(&book, &rec);
	rec = rec_of(TRACE_SELECT);
	rec.bid = 1;
	rec.nr = 1;
	rec.cqe_flags = BUFFER | MORE;
	casebook_take(&book, &rec);
	seen(8);
	assert_string_equal(codes(), "after-last");
}

/* Three buffers, of which a bundle tells two. */
static void disagreement_of_bundles(void **state)
{
	struct trace_rec rec = rec_of(TRACE_BUNDLE);

	(void)state;
	submit(5);
	rec.fd = 5;
	rec.bid = 0;
	rec.nr = 2;
	rec.res = 300;
	rec.cqe_flags = BUFFER | MORE;
	casebook_take(&book, &rec);
	tell_taken(11, 2);
	assert_string_equal(codes(), "");
	tell_taken(11, 3);
	assert_string_equal(codes(), "taken-untold");
}

/* A busy machine: few looks, far from each other, are enough, but not one after a pause. */
static void disagreement_seldom(void **state)
{
	(void)state;
	take(0, 5);
	tell_taken(1, 2);
	now += 2000 * MS;
	tell_taken(1, 2);
	assert_string_equal(codes(), "");
	now += 500 * MS;
	tell_taken(1, 2);
	assert_string_equal(codes(), "taken-untold");
}

/* The kernel's head against what completions said, when all has been still for a second. */
static void disagreement(void **state)
{
	(void)state;
	take(0, 5);
	take(1, 5);
	tell_taken(20, 2);
	assert_string_equal(codes(), "");
	take(2, 5);
	tell_taken(9, 4);
	assert_string_equal(codes(), "");
	tell_taken(2, 4);
	assert_string_equal(codes(), "taken-untold");
	take(3, 5);
	take(4, 5);
	tell_taken(11, 4);
	assert_string_equal(codes(), "named-not-taken");
}

/* One look, at which head was read so long after the last that was told. */
static void look_after(uint64_t ms, uint64_t taken)
{
	struct group_counts counts = {.total[COUNT_TAKEN] = taken, .looked_ns = now + ms * MS};

	see_group(4, &counts);
}

/* What was told before head was read was taken by then, however busy the group is. */
static void named_while_busy(void **state)
{
	(void)state;
	take(0, 5);
	take(1, 5);
	/* what is named by now may have been taken since head was read */
	look_after(0, 1);
	assert_string_equal(codes(), "");
	look_after(1000, 2);
	assert_string_equal(codes(), "");
	take(2, 5);
	/* a look may have been stopped for so long before it read the clock */
	look_after(500, 2);
	assert_string_equal(codes(), "");
	look_after(1000, 2);
	assert_string_equal(codes(), "named-not-taken");
}

/* It goes on and on: then by what was told at the look before. */
static void named_before(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		take(i, 5);
		look_after(10, i);
		assert_string_equal(codes(), "");
		now += 1000 * MS;
	}
	take(4, 5);
	look_after(10, 3);
	assert_string_equal(codes(), "named-not-taken");
}

/* The account was lost and made anew: it knows less than the books. */
static void met_anew(void **state)
{
	struct trace_rec rec;

	(void)state;
	take(0, 5);
	take(1, 5);
	look_after(1000, 2);
	look_after(2000, 0);
	tell_taken(11, 0);
	assert_string_equal(codes(), "");
	/* not so when it was registered again: a look before that is of the group before */
	rec = rec_of(TRACE_DONE);
	rec.fd = 5;
	rec.res = -125;
	casebook_take(&book, &rec);
	reg(8);
	look_after(-50, 2);
	put(0, 8);
	look_after(1000, 0);
	take(0, 5);
	look_after(2000, 0);
	assert_string_equal(codes(), "named-not-taken");
}

static bool is_found(enum complaint complaint, const char *evidence)
{
	struct diagnose_case what = {.book = &book};
	struct diagnosis out;
	bool found = false;

	assert_int_equal(diagnose(&what, &out), 0);
	for (size_t i = 0; i < out.nr; i++)
		found |= out.findings[i].complaint == complaint &&
			 strstr(out.findings[i].evidence, evidence);
	diagnosis_done(&out);
	return found;
}

static void fixed(uint32_t slot, uint32_t len, uint64_t start)
{
	struct trace_rec rec = rec_of(TRACE_DONE);

	rec.flags = TRACE_TABLE;
	rec.res = -14;
	rec.bid = slot;
	rec.available = 4;
	rec.user_data = 0x5000;
	rec.nr = len;
	rec.held_ns = start;
	rec.extra = start ? 4096 : 0;
	casebook_take(&book, &rec);
}

static uint64_t refused_twice(void)
{
	struct trace_rec rec = rec_of(TRACE_DONE);
	uint64_t before = book.tables[0].count;

	rec.flags = TRACE_TABLE;
	rec.res = -14;
	rec.bid = 9;
	rec.available = 4;
	rec.fd = 3; /* when it is issued; its completion does not know its file */
	casebook_take(&book, &rec);
	rec.fd = -1;
	casebook_take(&book, &rec);
	return book.tables[0].count - before;
}

static void outside_table(void **state)
{
	(void)state;
	fixed(1, 4096, 0x5000);
	assert_false(is_found(OUTSIDE_TABLE, ""));
	fixed(1, 4097, 0x5000);
	assert_true(is_found(OUTSIDE_TABLE, "4097 bytes at 0x5000, buffer 1 has 4096 at 0x5000"));
	fixed(1, 1, 0x5001);
	assert_true(is_found(OUTSIDE_TABLE, "buffer 1 has 4096 at 0x5001"));
	fixed(2, 1, 0);
	assert_true(is_found(OUTSIDE_TABLE, "index 2, an empty slot"));
	fixed(4, 1, 0);
	assert_true(is_found(OUTSIDE_TABLE, "index 4, the table has 4 slots"));
	assert_int_equal(refused_twice(), 1);
}

static void submit_file(int fd, uint32_t inode)
{
	struct trace_rec rec = rec_of(TRACE_SUBMIT);

	rec.fd = fd;
	rec.extra = inode;
	casebook_take(&book, &rec);
}

static void starve_file(int fd)
{
	struct trace_rec rec = rec_of(TRACE_STARVE);

	rec.fd = fd;
	rec.res = -105;
	rec.cause = STARVE_EMPTY_AT_DATA;
	casebook_take(&book, &rec);
}

static void closed_files(void **state)
{
	(void)state;
	reg(4);
	submit_file(9, 100);
	starve_file(9);
	submit_file(9, 100); /* armed again */
	starve_file(9);
	submit_file(9, 101); /* another file */
	assert_false(is_found(CLOSED_ON_STARVE, ""));
	starve_file(9);
	submit_file(9, 102);
	assert_true(is_found(CLOSED_ON_STARVE, "2 files, the last fd 9"));
}

static void cut_short(uint32_t left)
{
	struct trace_rec rec = rec_of(TRACE_DONE);

	rec.res = -14;
	rec.opcode = 10;
	rec.extra = left;
	casebook_take(&book, &rec);
}

static void remainders(void **state)
{
	(void)state;
	reg(4);
	book.groups[0]->lint.buf_bytes = 256;
	cut_short(256);
	assert_false(is_found(REMAINDER_SMALL, ""));
	cut_short(76);
	assert_true(is_found(REMAINDER_SMALL, "the last with 76 of 256 bytes left"));
}

/* What is served by a buffer of its own in between tries no longer in vain. */
static void served_otherwise(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		take(i, 9);
	for (int i = 0; i < 40; i++) {
		struct trace_rec rec = rec_of(TRACE_SUBMIT);

		starve(STARVE_EMPTY_AT_ISSUE, 9);
		rec.fd = 9;
		rec.flags = TRACE_PLAIN;
		casebook_take(&book, &rec);
	}
	assert_false(is_found(REARM_SPIN, ""));
	for (int i = 0; i < 40; i++)
		starve(STARVE_EMPTY_AT_ISSUE, 9);
	assert_true(is_found(REARM_SPIN, "40 requests in a row"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OF_EIGHT(told_late),           OF_EIGHT(given_twice),
		OF_EIGHT(said_twice),          OF_EIGHT(silent_ones),
		OF_EIGHT(one_by_one),          OF_NOTHING(not_armed_again),
		OF_EIGHT(after_the_last),      OF_EIGHT(disagreement_of_bundles),
		OF_EIGHT(disagreement_seldom), OF_EIGHT(named_while_busy),
		OF_EIGHT(named_before),        OF_EIGHT(met_anew),
		OF_EIGHT(disagreement),        OF_NOTHING(outside_table),
		OF_NOTHING(closed_files),      OF_NOTHING(remainders),
		OF_EIGHT(served_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

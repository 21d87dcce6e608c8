// SPDX-License-Identifier: MIT
/* What was lost, or seen too late, is never told as another cause. From literal events and slots.
 */
#include "casebook_rig.h"

#define LOW  0x10000000ULL /* memory of the program ... */
#define HIGH 0x10100000ULL
#define LEN  256

static struct ring_slot slots[8];

static struct ring_slot slot_of(uint16_t bid)
{
	return (struct ring_slot){.addr = LOW + bid * (uint64_t)LEN, .len = LEN, .bid = bid};
}

/* Looks at what is between head and tail of a ring of 8, as often as it takes to be sure. */
static void look(uint16_t head, uint16_t tail)
{
	static const struct lint_range ranges[] = {{LOW, HIGH}};
	const struct lint_view view = {.slots = slots,
				       .entries = 8,
				       .head = head,
				       .tail = tail,
				       .ranges = ranges,
				       .nr_ranges = 1};

	for (int i = 0; i < 2; i++)
		assert_int_equal(lint_look(&book.groups[0]->lint, &view), 0);
}

static void fill(void)
{
	stand_of_eight();
	for (uint16_t bid = 0; bid < 8; bid++)
		slots[bid] = slot_of(bid);
	look(0, 8);
}

static void foreign_one(void **state)
{
	(void)state;
	fill();
	take(0, 5);
	put(65535, 1);
	slots[0] = slot_of(65535);
	look(1, 9);
	seen(8);
	assert_string_equal(codes(), "foreign-bid");
	book.may_miss = true;
	assert_string_equal(codes(), "foreign-bid");
	book.may_miss = false;
	book.groups[0]->sums.missed = 1;
	assert_string_equal(codes(), "foreign-bid");
}

/* The books did not see it come, for want of room or because it was overwritten unread. */
static void foreign_in_memory(void **state)
{
	(void)state;
	fill();
	take(0, 5);
	slots[0] = slot_of(65535);
	look(1, 9);
	seen(8);
	assert_string_equal(codes(), "foreign-bid");
}

static void bad_one(void **state)
{
	(void)state;
	fill();
	take(0, 5);
	put(0, 1);
	slots[0].addr = 0x1000;
	look(1, 9);
	seen(8);
	assert_string_equal(codes(), "bad-address");
}

/* Where one return is lost a group is in doubt, and no other. */
static void of_one_group(void **state)
{
	struct case_group *group;

	(void)state;
	group = book.groups[0];
	submit(5);
	starve(STARVE_EMPTY_AT_DATA, 5);
	now += 500 * MS;
	seen(8);
	group->lint.available = 8;
	assert_string_equal(codes(), "not-rearmed");
	group->sums.missed = 1;
	assert_true(casebook_may_miss(&book, group));
	assert_string_equal(codes(), "");
	group->sums.missed = 0;
	assert_string_equal(codes(), "not-rearmed");
}

/* The process ended before anybody looked, but long after its request did. */
static void ended_unseen(void **state)
{
	struct case_group *group;

	(void)state;
	group = book.groups[0];
	seen_with(8, 8);
	submit(5);
	starve(STARVE_EMPTY_AT_DATA, 5);
	assert_string_equal(codes(), "");
	group->sums.over_ns = now + 500 * MS;
	group->sums.left = 0;
	assert_string_equal(codes(), "");
	group->sums.left = 8;
	assert_string_equal(codes(), "not-rearmed");
	/* it was another process of the ring that ended */
	now += 600 * MS;
	submit(5);
	assert_string_equal(codes(), "");
}

/* What lay dead while its buffers were there is told, though its file has been closed since. */
static void closed_in_the_end(void **state)
{
	struct case_group *group;

	(void)state;
	group = book.groups[0];
	submit(5);
	starve(STARVE_EMPTY_AT_DATA, 5);
	now += 1200 * MS;
	seen_with(8, 8);
	group->lint.available = 8;
	assert_string_equal(codes(), "not-rearmed");
	casebook_closed(&book, group, 0, now - 100 * MS);
	assert_string_equal(codes(), "not-rearmed");
	group->sums.missed = 1;
	assert_string_equal(codes(), "");
}

/* Nobody saw it open for long: it may have been closed because of the starve. */
static void closed_soon(void **state)
{
	struct case_group *group;

	(void)state;
	group = book.groups[0];
	submit(5);
	starve(STARVE_EMPTY_AT_DATA, 5);
	group->lint.available = 8;
	now += 1200 * MS;
	seen_with(8, 8);
	casebook_closed(&book, group, 0, now - 300 * MS);
	assert_string_equal(codes(), "");
	assert_int_equal(group->sums.closed.count, 1);
}

static void look_empty(void)
{
	seen_with(8, 0);
	now += 1500 * MS;
}

static void waits(void)
{
	stand_of_eight();
	for (uint32_t i = 0; i < 2; i++) {
		for (uint32_t bid = 0; bid < 8; bid++)
			take(bid, 5);
		if (!i)
			put(0, 8);
	}
	submit(5);
}

static void empty_all_the_time(void **state)
{
	(void)state;
	waits();
	look_empty();
	look_empty();
	assert_string_equal(codes(), "armed-on-empty");
	book.groups[0]->sums.missed = 1;
	assert_string_equal(codes(), "");
}

/* Those of worker threads have a buffer each, and wait for data; the last one has none. */
static void wait_with_buffers(void **state)
{
	(void)state;
	stand_of_eight();
	for (uint32_t i = 0; i < 8; i++)
		submit(5);
	look_empty();
	look_empty();
	assert_string_equal(codes(), "");
	submit(5);
	look_empty();
	look_empty();
	assert_string_equal(codes(), "armed-on-empty");
	assert_int_equal(book.groups[0]->waited.open, 1);
}

/* Empty whenever it is looked at, which is seldom. */
static void empty_now_and_then(void **state)
{
	(void)state;
	waits();
	for (int i = 0; i < 4; i++) {
		look_empty();
		put(0, 8);
		for (uint32_t bid = 0; bid < 8; bid++)
			take(bid, 5);
	}
	seen_with(8, 0);
	assert_string_equal(codes(), "");
}

static void of_somebody(void **state)
{
	(void)state;
	take(0, 5);
	now += 2000 * MS;
	tell_taken(20, 3);
	assert_string_equal(codes(), "taken-untold");
	book.unattributed = 2;
	assert_string_equal(codes(), "");
	book.unattributed = 1;
	book.guessed = 1;
	assert_string_equal(codes(), "");
	book.guessed = 0;
	assert_string_equal(codes(), "taken-untold");
}

/* Failures whose buffers cannot be told from those that follow. */
static void of_equal_entries(void **state)
{
	(void)state;
	fill();
	take(0, 5);
	now += 2000 * MS;
	tell_taken(20, 4);
	assert_string_equal(codes(), "taken-untold");
	for (int i = 4; i < 8; i++)
		slots[i] = (struct ring_slot){0};
	look(4, 8);
	assert_string_equal(codes(), "zero-length");
}

/* Failures on entries without length name a bid, as 6.1 does: whose that is nobody knows. */
static void failed_without_length(void **state)
{
	struct trace_rec failed;

	(void)state;
	fill();
	take(0, 5);
	now += 10 * MS;
	put(0, 1);
	submit(5);
	failed = rec_of(TRACE_SELECT);
	failed.bid = 3;
	failed.nr = 1;
	failed.fd = 5;
	failed.res = -14;
	failed.cqe_flags = BUFFER;
	casebook_take(&book, &failed);
	now += 2000 * MS;
	seen(8);
	assert_string_equal(codes(), "leak-on-error");
	for (int i = 4; i < 8; i++)
		slots[i] = (struct ring_slot){0};
	look(4, 8);
	assert_string_equal(codes(), "zero-length");
}

/* What came back and was overwritten before it was read is out by the books, and is taken again. */
static void back_unread(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		take(i % 4, 5);
	seen(8);
	tell_taken(5, 8);
	assert_string_equal(codes(), "delivered-twice");
	book.groups[0]->unread = 4;
	assert_string_equal(codes(), "");
}

static void other_lives(void **state)
{
	(void)state;
	fill();
	for (uint16_t i = 0; i < 8; i++)
		slots[i].len = LEN / 2;
	look(0, 8);
	seen(8);
	assert_string_equal(codes(), "length-shrunk");
	/* a group registered anew, with buffers of another length */
	book.lost_lives = book.may_miss = true;
	assert_string_equal(codes(), "");
}

/* What an earlier ring left in this memory is not taken for entries of this one. */
static void strewn(void **state)
{
	(void)state;
	book.from_birth = true;
	reg(8);
	for (uint16_t bid = 0; bid < 8; bid++)
		slots[bid] = slot_of(bid);
	starve(STARVE_UNPUBLISHED, 5);
	assert_string_equal(codes(), "unpublished");
	/* its predecessor may have gone unseen */
	book.lost_lives = true;
	assert_string_equal(codes(), "never-filled");
	book.lost_lives = book.from_birth = false;
	assert_string_equal(codes(), "never-filled");
	book.from_birth = true;
	reg(8);
	starve(STARVE_UNPUBLISHED, 5);
	assert_string_equal(codes(), "never-filled");
	look(0, 0);
	assert_string_equal(codes(), "never-filled");
	slots[0].bid = 1;
	look(0, 0);
	assert_string_equal(codes(), "unpublished");
}

/* All written once, and published as they are wanted. */
static void written_ahead(void **state)
{
	(void)state;
	reg(8);
	memset(slots, 0, sizeof(slots));
	look(0, 0);
	for (uint16_t bid = 0; bid < 8; bid++)
		slots[bid] = slot_of(bid);
	look(0, 0);
	assert_string_equal(codes(), "");
	starve(STARVE_UNPUBLISHED, 5);
	assert_string_equal(codes(), "unpublished");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OF_NOTHING(foreign_one),
		OF_NOTHING(foreign_in_memory),
		OF_NOTHING(bad_one),
		OF_EIGHT(of_one_group),
		OF_EIGHT(ended_unseen),
		OF_EIGHT(closed_in_the_end),
		OF_EIGHT(closed_soon),
		OF_NOTHING(empty_all_the_time),
		OF_NOTHING(wait_with_buffers),
		OF_NOTHING(empty_now_and_then),
		OF_EIGHT(of_somebody),
		OF_NOTHING(of_equal_entries),
		OF_NOTHING(failed_without_length),
		OF_EIGHT(back_unread),
		OF_NOTHING(other_lives),
		OF_NOTHING(strewn),
		OF_NOTHING(written_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

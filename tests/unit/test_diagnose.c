// SPDX-License-Identifier: MIT
/* Findings from literal events and slots; the table of codes against the manual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose.h"
#include "shortage.h"

#define MS     1000000ULL
#define RING   0x1000
#define BUFFER 1 /* IORING_CQE_F_* */
#define MORE   2

static struct casebook book;
static uint64_t now;

static int begin(void **state)
{
	(void)state;
	now = 1000 * MS;
	casebook_init(&book, now);
	return 0;
}

static int end(void **state)
{
	(void)state;
	casebook_done(&book);
	return 0;
}

static struct trace_rec rec_of(enum trace_kind kind)
{
	return (struct trace_rec){.at_ns = now,
				  .ring_id = RING,
				  .tgid = 7,
				  .kind = kind,
				  .bid = REC_UNKNOWN_U32,
				  .fd = -1};
}

static void reg(uint32_t entries)
{
	struct trace_rec rec = rec_of(TRACE_REGISTER);

	rec.nr = entries;
	rec.user_data = 0x10000;
	casebook_take(&book, &rec);
}

static void put(uint32_t bid, uint32_t nr)
{
	struct trace_rec rec = rec_of(TRACE_RETURN);

	rec.bid = bid;
	rec.nr = nr;
	casebook_take(&book, &rec);
}

static void submit(int fd)
{
	struct trace_rec rec = rec_of(TRACE_SUBMIT);

	rec.fd = fd;
	rec.flags = TRACE_MULTISHOT;
	casebook_take(&book, &rec);
}

static void take(uint32_t bid, int fd)
{
	struct trace_rec rec = rec_of(TRACE_SELECT);

	if (book.nr_groups && !book.groups[0]->open)
		submit(fd);

	rec.bid = bid;
	rec.nr = 1;
	rec.fd = fd;
	rec.res = 64;
	rec.cqe_flags = BUFFER | MORE;
	rec.flags = TRACE_MULTISHOT;
	casebook_take(&book, &rec);
}

static void starve(enum starve_cause cause, int fd)
{
	struct trace_rec rec = rec_of(TRACE_STARVE);

	rec.cause = cause;
	rec.fd = fd;
	rec.res = -105;
	rec.flags = TRACE_MULTISHOT;
	casebook_take(&book, &rec);
}

static void seen_with(uint32_t entries, uint32_t available)
{
	struct group_rec group = {.ring_id = RING, .entries = entries, .available = available};
	struct ring_rec ring = {.ring_id = RING, .tgid = 7, .fd = 3, .comm = "x"};
	struct sample sample = {
		.at_ns = now, .rings = &ring, .nr_rings = 1, .groups = &group, .nr_groups = 1};

	casebook_sample(&book, &sample);
}

static void seen(uint32_t entries)
{
	seen_with(entries, 0);
}

/* The codes found, separated by blanks. */
static const char *codes(void)
{
	const struct diagnose_case what = {.book = &book};
	static char text[512];
	struct diagnosis diagnosis;

	assert_int_equal(diagnose(&what, &diagnosis), 0);
	text[0] = '\0';
	for (size_t i = 0; i < diagnosis.nr; i++) {
		if (i)
			strcat(text, " ");
		strcat(text, complaint_texts[diagnosis.findings[i].complaint].code);
	}
	diagnosis_done(&diagnosis);
	return text;
}

static void sound(void **state)
{
	(void)state;
	reg(8);
	put(0, 8);
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

/* 8 buffers out at once, starved, back after `ms`. */
static void rounds(uint32_t entries, int files, uint64_t ms)
{
	reg(entries);
	put(0, 8);
	for (int round = 0; round < 10; round++) {
		for (int fd = 0; fd < files; fd++)
			submit(10 + fd);
		for (uint32_t bid = 0; bid < 8; bid++)
			take(bid, 10 + (int)bid % files);
		starve(STARVE_EMPTY_AT_DATA, 10);
		now += ms * MS;
		put(0, 8);
		submit(10);
	}
	seen(entries);
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
	reg(8);
	put(0, 8);
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
	reg(8);
	put(0, 8);
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
	reg(8);
	put(0, 8);
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
	reg(8);
	put(0, 8);
	for (uint32_t bid = 3; bid < 5; bid++)
		put(bid, 1);
	seen(8);
	assert_string_equal(codes(), ""); /* may be told in the wrong order */
	put(6, 1);
	seen(8);
	assert_string_equal(codes(), "returned-twice");
}

/* Each return is told after the next taking: late, but not twice. */
static void told_late(void **state)
{
	(void)state;
	reg(8);
	put(0, 8);
	for (uint32_t bid = 0; bid < 8; bid++)
		take(bid, 5);
	for (uint32_t i = 0; i < 80; i++) {
		take(i % 8, 5);
		put(i % 8, 1);
	}
	put(0, 8);
	seen(8);
	assert_string_equal(codes(), "");
	assert_int_equal(book.groups[0]->held, 0);
}

static void given_twice(void **state)
{
	(void)state;
	reg(8);
	put(0, 8);
	for (uint32_t i = 0; i < 8; i++)
		take(i % 4, 5);
	seen(8);
	assert_string_equal(codes(), "");
	assert_int_equal(book.groups[0]->owed, 4);
	book.groups[0]->quiet.owed = 4;
	assert_string_equal(codes(), "delivered-twice");
	/* told late, after all */
	put(0, 1);
	assert_string_equal(codes(), "");
}

/* Nor are lost records taken for anything that rests on their absence. */
static void missing(void **state)
{
	(void)state;
	reg(8);
	put(0, 8);
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
	reg(8);
	put(0, 8);
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

static void went_back(void **state)
{
	struct trace_rec rec;

	(void)state;
	reg(8);
	put(0, 8);
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

static void tell_taken(uint32_t looks, uint64_t taken)
{
	for (uint32_t i = 0; i < looks; i++) {
		struct group_rec group = {.ring_id = RING, .entries = 8, .available = 4};
		struct ring_rec ring = {.ring_id = RING, .tgid = 7};
		struct group_counts counts = {0};
		struct sample sample = {.at_ns = now,
					.rings = &ring,
					.nr_rings = 1,
					.groups = &group,
					.nr_groups = 1,
					.counts = &counts};

		counts.total[COUNT_TAKEN] = taken;
		now += 100 * MS;
		casebook_sample(&book, &sample);
		book.groups[0]->lint.buf_bytes = 256;
	}
}

/* A busy machine: few looks, far from each other, are enough, but not one after a pause. */
static void disagreement_seldom(void **state)
{
	(void)state;
	reg(8);
	put(0, 8);
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
	reg(8);
	put(0, 8);
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

/* ---- slots */

struct slots_case {
	const char *name;
	struct ring_slot slots[4];
	uint16_t head, tail;
	int kind; /* of enum lint_kind; -1: nothing */
};

#define SLOT(a, l, b)                                                                              \
	{                                                                                          \
		.addr = (a), .len = (l), .bid = (b)                                                \
	}

static void slots(void **state)
{
	static const struct lint_range ranges[] = {{0x1000, 0x9000}};
	static const struct slots_case cases[] = {
		{"sane", {SLOT(0x1000, 256, 0), SLOT(0x1100, 256, 1)}, 0, 2, -1},
		{"zero", {SLOT(0x1000, 256, 0), SLOT(0, 0, 0)}, 0, 2, LINT_ZERO_LENGTH},
		{"zero behind", {SLOT(0x1000, 256, 0), SLOT(0, 0, 0)}, 0, 1, -1},
		{"nowhere", {SLOT(0x8f01, 256, 0)}, 0, 1, LINT_BAD_ADDRESS},
		{"wraps", {SLOT(UINT64_MAX, 256, 0)}, 0, 1, LINT_BAD_ADDRESS},
		{"twice", {SLOT(0x1000, 256, 3), SLOT(0x1100, 256, 3)}, 0, 2, LINT_DUPLICATE},
		{"shared", {SLOT(0x1000, 256, 0), SLOT(0x1080, 256, 1)}, 0, 2, LINT_SHARED},
		{"over", {SLOT(0x2010, 256, 0)}, 0, 1, LINT_OVER_RING},
		{"full", {SLOT(0x1000, 256, 0)}, 0, 6, LINT_OVERFILLED},
		{"unpublished", {SLOT(0x1000, 256, 0)}, 0, 0, LINT_UNPUBLISHED},
		{"used up", {SLOT(0x1000, 256, 0)}, 4, 4, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct lint_view view = {.slots = cases[i].slots,
					       .entries = 4,
					       .head = cases[i].head,
					       .tail = cases[i].tail,
					       .ring_addr = 0x2000,
					       .ranges = ranges,
					       .nr_ranges = 1};
		struct lint lint = {0};

		lint_look(&lint, &view);
		lint_look(&lint, &view);
		for (int kind = 0; kind < LINT_KINDS; kind++) {
			if (lint_is_sure(&lint, kind) != (kind == cases[i].kind))
				fail_msg("%s: kind %d", cases[i].name, kind);
		}
		lint_done(&lint);
	}
}

static void shrunk(void **state)
{
	struct ring_slot slot[1] = {SLOT(0x1000, 256, 0)};
	struct lint_view view = {.slots = slot, .entries = 1, .tail = 1};
	struct lint lint = {0};

	(void)state;
	lint_look(&lint, &view);
	slot[0].len = 64;
	lint_look(&lint, &view);
	assert_true(lint_is_sure(&lint, LINT_SHRUNK));
	assert_int_equal(lint.found[LINT_SHRUNK].other, 256);
	lint_done(&lint);
}

/* ---- what is not of a group, and what became of files */

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

static void queues(void **state)
{
	const struct lint_range queue[] = {{0x1000, 0x2000}, {0x8000, 0x9000}};
	struct ring_slot at[4] = {{0x7f00, 256, 0, 0}};
	struct lint_view view = {.slots = at, .entries = 4, .tail = 1, .ring_addr = 0x20000};
	struct lint lint = {0};

	(void)state;
	view.queues = queue;
	view.nr_queues = 2;
	for (int i = 0; i < 2; i++)
		lint_look(&lint, &view);
	assert_false(lint_is_sure(&lint, LINT_OVER_QUEUE));
	at[0].addr++;
	lint_look(&lint, &view);
	assert_false(lint_is_sure(&lint, LINT_OVER_QUEUE));
	lint_look(&lint, &view);
	assert_true(lint_is_sure(&lint, LINT_OVER_QUEUE));
	lint_done(&lint);
	view.ring_addr = 0x1fc0;
	at[0].addr = 0x9000;
	for (int i = 0; i < 2; i++)
		lint_look(&lint, &view);
	assert_true(lint_is_sure(&lint, LINT_OVER_QUEUE));
	assert_int_equal(lint.found[LINT_OVER_QUEUE].other, LINT_RING_ITSELF);
	lint_done(&lint);
}

/* ---- the manual */

static void plain(char *line)
{
	char *to = line;

	for (const char *from = line; *from; from++) {
		if (from[0] != '\\' || from[1] != '-')
			*to++ = *from;
	}
	*to = '\0';
	line[strcspn(line, "\n")] = '\0';
}

static void expect_line(FILE *page, const char *lead, const char *text)
{
	char line[1024], wanted[1024];

	snprintf(wanted, sizeof(wanted), "%s%s", lead, text);
	assert_non_null(fgets(line, sizeof(line), page));
	plain(line);
	assert_string_equal(line, wanted);
}

static void manual(void **state)
{
	FILE *page = fopen("tools/bufscope.8", "r");
	char line[1024] = "", tag[128];

	(void)state;
	assert_non_null(page);
	while (strcmp(line, ".SH FINDINGS\n") != 0)
		assert_non_null(fgets(line, sizeof(line), page));
	while (strcmp(line, ".TP\n") != 0)
		assert_non_null(fgets(line, sizeof(line), page));
	for (int i = 0; i < COMPLAINTS; i++) {
		const struct complaint_text *text = &complaint_texts[i];

		snprintf(tag, sizeof(tag), "%s \" (%s)\"", text->code,
			 severity_name(text->severity));
		expect_line(page, ".BR ", tag);
		expect_line(page, "", text->title);
		expect_line(page, "", ".br");
		expect_line(page, "Cause: ", text->cause);
		expect_line(page, "", ".br");
		expect_line(page, "Evidence: ", text->evidence);
		expect_line(page, "", ".br");
		expect_line(page, "Cure: ", text->cure);
		expect_line(page, "", i + 1 < COMPLAINTS ? ".TP" : ".SH EXIT STATUS");
		assert_int_equal(complaint_find(text->code), i);
	}
	fclose(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sound, begin, end),
		cmocka_unit_test_setup_teardown(each_cause, begin, end),
		cmocka_unit_test_setup_teardown(too_small, begin, end),
		cmocka_unit_test_setup_teardown(slow, begin, end),
		cmocka_unit_test_setup_teardown(lazy, begin, end),
		cmocka_unit_test_setup_teardown(one_of_many, begin, end),
		cmocka_unit_test_setup_teardown(replayed, begin, end),
		cmocka_unit_test_setup_teardown(forgotten, begin, end),
		cmocka_unit_test_setup_teardown(drains, begin, end),
		cmocka_unit_test_setup_teardown(takes_and_keeps, begin, end),
		cmocka_unit_test_setup_teardown(ended_with_it, begin, end),
		cmocka_unit_test_setup_teardown(slow_is_no_leak, begin, end),
		cmocka_unit_test_setup_teardown(twice, begin, end),
		cmocka_unit_test_setup_teardown(told_late, begin, end),
		cmocka_unit_test_setup_teardown(given_twice, begin, end),
		cmocka_unit_test_setup_teardown(missing, begin, end),
		cmocka_unit_test_setup_teardown(not_armed_again, begin, end),
		cmocka_unit_test_setup_teardown(after_the_last, begin, end),
		cmocka_unit_test_setup_teardown(went_back, begin, end),
		cmocka_unit_test_setup_teardown(next_ring, begin, end),
		cmocka_unit_test_setup_teardown(late_sample, begin, end),
		cmocka_unit_test_setup_teardown(disagreement, begin, end),
		cmocka_unit_test_setup_teardown(disagreement_seldom, begin, end),
		cmocka_unit_test_setup_teardown(adds_up, begin, end),
		cmocka_unit_test_setup_teardown(sized, begin, end),
		cmocka_unit_test_setup_teardown(lost_records, begin, end),
		cmocka_unit_test_setup_teardown(outside_table, begin, end),
		cmocka_unit_test_setup_teardown(closed_files, begin, end),
		cmocka_unit_test_setup_teardown(remainders, begin, end),
		cmocka_unit_test(queues),
		cmocka_unit_test(slots),
		cmocka_unit_test(shrunk),
		cmocka_unit_test(manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

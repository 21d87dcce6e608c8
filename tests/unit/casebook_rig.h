/* SPDX-License-Identifier: MIT */
/* A casebook that a test fills with literal events, and what is found in it. */
#ifndef BUFSCOPE_CASEBOOK_RIG_H
#define BUFSCOPE_CASEBOOK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose.h"

#define MS     1000000ULL
#define RING   0x1000
#define BUFFER 1 /* IORING_CQE_F_* */
#define MORE   2

static struct casebook book;
static uint64_t now;

static inline int begin(void **state)
{
	(void)state;
	now = 1000 * MS;
	casebook_init(&book, now);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	casebook_done(&book);
	return 0;
}

static inline struct trace_rec rec_of(enum trace_kind kind)
{
	return (struct trace_rec){.at_ns = now,
				  .ring_id = RING,
				  .tgid = 7,
				  .kind = kind,
				  .bid = REC_UNKNOWN_U32,
				  .fd = -1};
}

static inline void reg(uint32_t entries)
{
	struct trace_rec rec = rec_of(TRACE_REGISTER);

	rec.nr = entries;
	rec.user_data = 0x10000;
	casebook_take(&book, &rec);
}

static inline void put(uint32_t bid, uint32_t nr)
{
	struct trace_rec rec = rec_of(TRACE_RETURN);

	rec.bid = bid;
	rec.nr = nr;
	casebook_take(&book, &rec);
}

/* The scene of most tests: a group of eight, all of them in it. */
static inline void stand_of_eight(void)
{
	reg(8);
	put(0, 8);
}

static inline int begin_of_eight(void **state)
{
	begin(state);
	stand_of_eight();
	return 0;
}

/* A test that begins with nothing, and one that begins with a group of eight. */
#define OF_NOTHING(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define OF_EIGHT(test)   cmocka_unit_test_setup_teardown(test, begin_of_eight, end)

static inline void submit(int fd)
{
	struct trace_rec rec = rec_of(TRACE_SUBMIT);

	rec.fd = fd;
	rec.flags = TRACE_MULTISHOT;
	casebook_take(&book, &rec);
}

static inline void take(uint32_t bid, int fd)
{
	struct trace_rec rec = rec_of(TRACE_SELECT);

	if (book.nr_groups && !book.groups[0]->sums.open)
		submit(fd);

	rec.bid = bid;
	rec.nr = 1;
	rec.fd = fd;
	rec.res = 64;
	rec.cqe_flags = BUFFER | MORE;
	rec.flags = TRACE_MULTISHOT;
	casebook_take(&book, &rec);
}

static inline void starve(enum starve_cause cause, int fd)
{
	struct trace_rec rec = rec_of(TRACE_STARVE);

	rec.cause = cause;
	rec.fd = fd;
	rec.res = -105;
	rec.flags = TRACE_MULTISHOT;
	casebook_take(&book, &rec);
}

static inline void seen_with(uint32_t entries, uint32_t available)
{
	struct group_rec group = {.ring_id = RING, .entries = entries, .available = available};
	struct ring_rec ring = {.ring_id = RING, .tgid = 7, .fd = 3, .comm = "x"};
	struct sample sample = {
		.at_ns = now, .rings = &ring, .nr_rings = 1, .groups = &group, .nr_groups = 1};

	casebook_sample(&book, &sample);
}

static inline void seen(uint32_t entries)
{
	seen_with(entries, 0);
}

/* A look at the group, as it is now. */
static inline void see_group(uint32_t available, struct group_counts *counts)
{
	struct group_rec group = {.ring_id = RING, .entries = 8, .available = available};
	struct ring_rec ring = {.ring_id = RING, .tgid = 7};
	struct sample sample = {.at_ns = now,
				.rings = &ring,
				.nr_rings = 1,
				.groups = &group,
				.nr_groups = 1,
				.counts = counts};

	casebook_sample(&book, &sample);
}

static inline void tell_taken(uint32_t looks, uint64_t taken)
{
	for (uint32_t i = 0; i < looks; i++) {
		struct group_counts counts = {.total[COUNT_TAKEN] = taken};

		see_group(4, &counts);
		now += 100 * MS;
		book.groups[0]->lint.buf_bytes = 256;
	}
}

/* The codes found, separated by blanks. */
static inline const char *codes(void)
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

/* 8 buffers out at once, starved, back after `ms`. */
static inline void rounds(uint32_t entries, int files, uint64_t ms)
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

#endif

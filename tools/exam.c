// SPDX-License-Identifier: MIT
/* What would the doctor say of one group or process while the others are watched lightly? */
#include "exam.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"

#define TRACE_BYTES (4U << 20)
#define MOST_TAKES  16 /* at once: others may make records as fast as they are taken */

static int begin(struct exam *exam, const struct observe_opts *opts, struct observe_err *err)
{
	int code = inspection_begin(&exam->inspection);

	if (code)
		return code;
	exam->observe = observe_open(opts, err);
	if (exam->observe)
		return 0;
	return err->code ? err->code : -EIO;
}

int exam_begin(struct exam *exam, const struct observe_opts *opts, char *why)
{
	struct observe_opts full = *opts;
	struct observe_err err = {0};
	int code;

	exam_end(exam);
	full.depth = OBSERVE_FULL;
	full.is_optional = false;
	full.trace = (struct observe_trace){.kinds = CASEBOOK_KINDS,
					    .is_booked = true,
					    .room = opts->trace.room,
					    .bytes = TRACE_BYTES};
	code = begin(exam, &full, &err);
	if (code) {
		snprintf(why, EXAM_WHY, "%s", err.what[0] ? err.what : strerror(-code));
		exam_end(exam);
		return code;
	}
	exam->tgid = full.nr_tgids ? full.tgids[0] : 0;
	exam->bgid = full.bgid;
	casebook_init(&exam->book, clock_ns(CLOCK_MONOTONIC));
	return 0;
}

void exam_end(struct exam *exam)
{
	observe_close(exam->observe);
	inspection_done(&exam->inspection);
	diagnosis_done(&exam->diagnosis);
	casebook_done(&exam->book);
	sample_done(&exam->sample);
	memset(exam, 0, sizeof(*exam));
}

static void take(void *context, const struct trace_rec *rec)
{
	struct exam *exam = context;

	casebook_take(&exam->book, rec);
	exam->nr_records++;
}

void exam_take(struct exam *exam)
{
	int more = exam->observe != NULL;

	for (int i = 0; i < MOST_TAKES && more > 0; i++)
		more = observe_trace(exam->observe, take, exam);
}

/* ---- joining */

static void forget_counts(struct group_counts *counts)
{
	memset(counts->total, 0xff, sizeof(counts->total)); /* COUNT_UNKNOWN */
	memset(counts->gauge, 0xff, sizeof(counts->gauge));
	counts->wraps = counts->unread = counts->looked_ns = 0;
}

/* A source that only looks has no counts at all. */
static int need_counts(struct sample *sample)
{
	if (sample->counts)
		return 0;
	sample->counts = calloc(sample->nr_groups + 1, sizeof(*sample->counts));
	for (size_t i = 0; sample->counts && i < sample->nr_groups; i++)
		forget_counts(&sample->counts[i]);
	return sample->counts ? 0 : -ENOMEM;
}

/* Totals that are known go on as they were: both began at another time. */
static void add_counts(struct group_counts *to, const struct group_counts *from)
{
	for (int c = 0; c < COUNT_MAX; c++)
		if (to->total[c] == COUNT_UNKNOWN)
			to->total[c] = from->total[c];
	for (int g = 0; g < GAUGE_MAX; g++)
		if (to->gauge[g] == COUNT_UNKNOWN)
			to->gauge[g] = from->gauge[g];
}

/* Both are in the same order, so that the search goes on where the last one ended. */
static void join(struct sample *sample, const struct sample *exam)
{
	size_t at = 0;

	for (size_t i = 0; exam->counts && i < exam->nr_groups; i++) {
		const struct group_rec *group = &exam->groups[i];
		size_t tried = 0;

		for (; tried < sample->nr_groups; tried++, at++) {
			at = at < sample->nr_groups ? at : 0;
			if (sample->groups[at].ring_id == group->ring_id &&
			    sample->groups[at].bgid == group->bgid)
				break;
		}
		if (tried < sample->nr_groups)
			add_counts(&sample->counts[at], &exam->counts[i]);
	}
}

/* All of it at each look, as the doctor does at its end: who has each buffer, too. */
static int read_books(struct exam *exam)
{
	struct book_view view;
	int err = observe_books(exam->observe, &view);

	if (!err)
		casebook_read(&exam->book, &view, true);
	return err;
}

int exam_look(struct exam *exam, struct sample *sample)
{
	int err;

	if (!exam->observe)
		return 0;
	err = observe_sample(exam->observe, &exam->sample);
	err = err ? err : need_counts(sample);
	if (err)
		return err;
	exam_take(exam);
	err = read_books(exam);
	if (err)
		return err;
	casebook_sample(&exam->book, &exam->sample);
	inspection_look(&exam->inspection, exam->observe, &exam->book, &exam->sample);
	join(sample, &exam->sample);
	diagnosis_done(&exam->diagnosis);
	return inspection_conclude(&exam->inspection, exam->observe, &exam->book, &exam->diagnosis);
}

/* SPDX-License-Identifier: MIT */
/*
 * What `bufscope limits` found: every question with its answer, asked now or read from a file.
 * The report owns its rows; probes and sections are the library's, or, for keys that this version
 * does not know, the report's own.
 */
#ifndef BUFSCOPE_LIMITS_REPORT_H
#define BUFSCOPE_LIMITS_REPORT_H

#include <stdio.h>

#include "../lib/limits.h"
#include "../lib/limits_preflight.h"

struct limits_row {
	const struct limits_section *section;
	const struct limits_probe *probe;
	struct limits_answer answer;
};

struct limits_report {
	struct limits_row *rows;
	size_t nr;
	char kernel[65];
	enum limits_level level; /* that was asked at */
	uint64_t at_ns;          /* CLOCK_MONOTONIC when the first question was asked */
	uint64_t wall_ns;        /* CLOCK_REALTIME at the same moment */
	uint64_t uid;
	bool has_memlock;
	uint64_t memlock_bytes; /* RLIMIT_MEMLOCK, soft; without has_memlock: unlimited */
	uint64_t max_bytes;     /* that one question might occupy; 0: not known */
	void *document;         /* what strings of a report that was read lie in */
};

/* What to ask; all conditions together. */
struct limits_choice {
	enum limits_level level;
	char **prefixes; /* of keys; none: all */
	int nr_prefixes;
	const char *call; /* only questions about this call; NULL: all */
};

/* Fills in the rows, unanswered. 0 or -ENOMEM. */
int limits_report_plan(struct limits_report *report, const struct limits_choice *choice);

/*
 * Asks; when the level's time is up, what only measures is left unasked. `progress`, if not NULL,
 * is called before each row and once with done == report->nr. 0 or -errno when a probe could not be
 * started.
 */
int limits_report_ask(struct limits_report *report, const struct limits_opts *opts,
		      void (*progress)(const struct limits_report *report, size_t done));

/* Reads what limits_report_json() wrote. 0, -errno of the file, -EBADMSG if it is no report. */
int limits_report_read(struct limits_report *report, const char *path);

void limits_report_json(const struct limits_report *report, FILE *out);

void limits_report_text(const struct limits_report *report, bool verbose, FILE *out);

/*
 * Rows whose answers differ, timings aside, `old` against `new`. Returns how many.
 */
size_t limits_report_diff(const struct limits_report *old, const struct limits_report *new,
			  FILE *out);

/* The curves as one SVG document. 0, -ENODATA if there are none, -ENOMEM. */
int limits_report_plot(const struct limits_report *report, FILE *out);

void limits_report_done(struct limits_report *report);

void limits_preflight_text(const struct limits_preflight *preflight, FILE *out);
void limits_preflight_json(const struct limits_preflight *preflight, FILE *out);

static inline bool limits_is_curve(const struct limits_probe *probe)
{
	return probe->columns[0] != NULL;
}

#endif

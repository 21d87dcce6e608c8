/* SPDX-License-Identifier: MIT */
/* Writes an event of a trace as a line of text or as a JSON object. */
#ifndef BUFSCOPE_TRACE_LINE_H
#define BUFSCOPE_TRACE_LINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../lib/sample.h"
#include "../lib/trace.h"

struct trace_lines {
	FILE *file;
	const char *kernel; /* release */
	uint64_t start_ns;  /* text tells the time since then, */
	uint64_t wall_ns;   /* or that of the wall clock, which is so far ahead of at_ns; 0: no */
};

/* How it ended. */
struct trace_end {
	uint64_t at_ns;
	uint64_t events;
	uint32_t shown; /* kinds, a bit each: what else was lost is no event */
	struct trace_lost lost[TRACE_KINDS];
	uint64_t losses[LOSS_MAX];
};

void trace_line_titles(const struct trace_lines *lines);
void trace_line_text(const struct trace_lines *lines, const struct trace_event *event);
void trace_line_json(const struct trace_lines *lines, const struct trace_event *event);

/* Events lost: records of kinds that are shown. */
uint64_t trace_end_lost(const struct trace_end *end);

/* How it ended, for people. */
void trace_line_end(FILE *file, const struct trace_end *end);

/* The last object: {"event":"end"}. */
void trace_line_json_end(const struct trace_lines *lines, const struct trace_end *end);

#endif

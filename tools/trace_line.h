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
	uint64_t lost;
	uint64_t losses[LOSS_MAX];
};

void trace_line_titles(const struct trace_lines *lines);
void trace_line_text(const struct trace_lines *lines, const struct trace_event *event);
void trace_line_json(const struct trace_lines *lines, const struct trace_event *event);

/* The last object: {"event":"end"}. */
void trace_line_json_end(const struct trace_lines *lines, const struct trace_end *end);

#endif

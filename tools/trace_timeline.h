/* SPDX-License-Identifier: MIT */
/*
 * Writes a trace as a timeline in the Chrome JSON trace event format, which ui.perfetto.dev and
 * chrome://tracing open, also if its end is missing. Each group is a "process" there: a counter of
 * available buffers, a slice per hold on as many tracks as were held at once, and a track of what
 * happened otherwise.
 */
#ifndef BUFSCOPE_TRACE_TIMELINE_H
#define BUFSCOPE_TRACE_TIMELINE_H

#include <stdint.h>
#include <stdio.h>

#include "../lib/trace.h"

struct timeline;

/* Times are told since start_ns. NULL with errno; the file stays the caller's. */
struct timeline *timeline_open(FILE *file, uint64_t start_ns);

/* 0 or -ENOMEM. */
int timeline_add(struct timeline *timeline, const struct trace_event *event);

/* Ends what is still held, and the document, which tells how many were lost. NULL is accepted. */
void timeline_close(struct timeline *timeline, uint64_t end_ns, uint64_t lost);

#endif

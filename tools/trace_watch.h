/* SPDX-License-Identifier: MIT */
/* --watch: whose tail shall be watched, and since when is it? */
#ifndef BUFSCOPE_TRACE_WATCH_H
#define BUFSCOPE_TRACE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/observe.h"
#include "../lib/trace.h"

struct trace_watch {
	bool is_wanted;
	uint32_t tgid;
	int32_t fd; /* -1: the ring that has none */
	uint32_t bgid;

	uint64_t ring_id;
	bool is_set;
	bool is_group; /* registered, as far as is known */
};

/* "TGID/FD:BGID" or "TGID/-:BGID". 0 or -EINVAL. */
int trace_watch_parse(struct trace_watch *watch, const char *text);

/*
 * Finds the ring, and the group's tail if it is registered already. 0 or an exit code after saying
 * what failed.
 */
int trace_watch_begin(struct trace_watch *watch, struct observe *observe,
		      const struct sample *sample);

/* The group may have come or gone with this event. */
void trace_watch_note(struct trace_watch *watch, struct observe *observe,
		      const struct trace_event *event);

/* Whether there is a group whose memory the program had not mapped yet: to be tried again. */
bool trace_watch_is_due(const struct trace_watch *watch);
void trace_watch_retry(struct trace_watch *watch, struct observe *observe);

#endif

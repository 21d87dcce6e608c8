/* SPDX-License-Identifier: MIT */
/* The run of a trace, from the first event to the last. */
#ifndef BUFSCOPE_TRACE_RUN_H
#define BUFSCOPE_TRACE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "target.h"
#include "trace_watch.h"

struct trace_opts {
	struct target target;
	uint32_t shown; /* a bit per enum trace_kind */
	struct trace_watch watch;
	uint64_t count;       /* events; UINT64_MAX: no end */
	uint64_t duration_ns; /* UINT64_MAX: no end */
	bool json;
	bool clock; /* text tells the time of the wall clock */
	bool verbose;
	const char *file;     /* NULL: standard output */
	const char *timeline; /* file; NULL: lines instead */
	char **command;       /* NULL: none */
};

/* Returns an exit code. */
int trace_run(struct trace_opts *opts);

#endif

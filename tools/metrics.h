/* SPDX-License-Identifier: MIT */
/*
 * Writes a model for those who gather metrics, as OpenMetrics or in the older text format of
 * Prometheus; all columns from lib/fields.c. What is not known is left out. Knows no clock and no
 * network.
 */
#ifndef BUFSCOPE_METRICS_H
#define BUFSCOPE_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../lib/model.h"
#include "../lib/observe.h"

enum metrics_format {
	METRICS_TEXT, /* Prometheus 0.0.4: what node_exporter's textfile collector reads, too */
	METRICS_OPEN, /* OpenMetrics 1.0.0 */
	METRICS_FORMATS
};

/* Of the exporter itself, as it is now. */
struct metrics_self {
	uint64_t looks, scrapes;
	uint64_t look_ns; /* what the last look took */
	uint64_t cpu_ns, resident_bytes;
	uint64_t started_ns; /* CLOCK_REALTIME */
};

/* What the kernel's programs counted of a group besides: as observe_detail(). 0 or -errno. */
typedef int metrics_detail_fn(void *context, const struct group_rec *group,
			      struct observe_detail *detail);

struct metrics_opts {
	enum metrics_format format;
	size_t limit;                    /* at most so many rings, and so many groups */
	const char *version;             /* of the program */
	const char *kernel;              /* that was looked at */
	const struct metrics_self *self; /* NULL: nothing is said of it */
	metrics_detail_fn *detail;       /* NULL: there is none */
	void *context;                   /* of detail() */
};

/* The value of Content-Type. */
const char *metrics_content_type(enum metrics_format format);

/* 0 or -ENOMEM; errors of writing stay in the FILE. */
int metrics_write(FILE *file, const struct model *model, const struct metrics_opts *opts);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Curves as one SVG document: panels of lines with axes, ticks and a legend, nothing else. It is
 * complete in itself (no script, no font, no link) and follows the reader's light or dark scheme.
 * Knows nothing of what the curves are about. Text may come from anywhere: it is escaped.
 */
#ifndef BUFSCOPE_PLOT_H
#define BUFSCOPE_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* How the numbers at an axis are written, and which ones get a tick. */
enum plot_unit {
	PLOT_NUMBER, /* decimal steps: 10, 1k */
	PLOT_BINARY, /* powers of two: 64, 4K */
	PLOT_BYTES,  /* the same, of bytes */
	PLOT_NS,     /* a time span: 10us */
};

struct plot_axis {
	const char *title; /* "entries"; NULL: none */
	enum plot_unit unit;
	bool is_log; /* values below 1 are drawn at 1 */
};

struct plot_point {
	double x, y;
	double low, high; /* of a spread around y; both 0: none */
};

/* Ascending x; at least one point, or the series is not drawn and the legend says so. */
struct plot_series {
	const char *name;
	const struct plot_point *points;
	size_t nr;
};

/* More series than this repeat colours, with other dashes. */
#define PLOT_COLOURS 7

struct plot {
	const char *title;
	struct plot_axis x, y;
	const struct plot_series *series;
	size_t nr;
};

struct plot_page {
	const char *title;
	const char *subtitle; /* NULL: none */
	const struct plot *plots;
	size_t nr;
	unsigned int columns; /* panels side by side; 0: two */
};

/* Writes the document; errors are the stream's (ferror). */
void plot_svg(FILE *out, const struct plot_page *page);

#endif

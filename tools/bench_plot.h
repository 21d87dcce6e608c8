/* SPDX-License-Identifier: MIT */
#ifndef BUFSCOPE_BENCH_PLOT_H
#define BUFSCOPE_BENCH_PLOT_H

#include <stdio.h>

#include "bench.h"

/* Draws what was measured as one SVG document. 0, -ENODATA: nothing that is a curve, or -ENOMEM. */
int bench_plot(FILE *out, const struct bench_table *tables, size_t nr);

#endif

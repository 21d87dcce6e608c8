/* SPDX-License-Identifier: MIT */
/* What was measured, as a person reads it, or a program. */
#ifndef BUFSCOPE_BENCH_REPORT_H
#define BUFSCOPE_BENCH_REPORT_H

#include <stdio.h>

#include "bench.h"
#include "json_write.h"

/* ---- bench_report.c: strategies side by side */

void bench_print_table(FILE *out, const struct bench_table *table);
void bench_table_json(struct json *json, const struct bench_table *table);

/* ---- bench_evict_report.c: policies, trace by trace, and the verdicts on clock */

void bench_print_evictions(FILE *out, const struct bench_eviction *all, size_t nr);
void bench_evictions_json(struct json *json, const struct bench_eviction *all, size_t nr);

#endif

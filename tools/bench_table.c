// SPDX-License-Identifier: MIT
/* Several rounds of all strategies in turn, and what is typical of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Outwards, where a quartile lies between two of few values: rather too wide than too narrow. */
struct bench_spread bench_spread(const double *values, uint32_t nr)
{
	double sorted[BENCH_MAX_ROUNDS] = {0};
	uint32_t quarter = (nr - 1) / 4;

	memcpy(sorted, values, nr * sizeof(*values));
	qsort(sorted, nr, sizeof(*sorted), compare);
	return (struct bench_spread){sorted[quarter], sorted[nr / 2], sorted[nr - 1 - quarter]};
}

struct bench_spread bench_figure(const struct bench_row *row, uint32_t rounds, size_t offset)
{
	double values[BENCH_MAX_ROUNDS] = {0};

	for (uint32_t i = 0; i < rounds; i++)
		memcpy(&values[i], (const char *)&row->rounds[i] + offset, sizeof(double));
	return bench_spread(values, rounds);
}

const struct bench_case *bench_case_of(const char *key)
{
	for (size_t i = 0; i < bench_nr_cases; i++) {
		if (strcmp(bench_cases[i].key, key) == 0)
			return &bench_cases[i];
	}
	return NULL;
}

const struct bench_row *bench_row_of(const struct bench_table *table, const char *key)
{
	for (size_t i = 0; i < table->nr; i++) {
		if (strcmp(table->rows[i].strategy->key, key) == 0)
			return &table->rows[i];
	}
	return NULL;
}

void bench_show_progress(size_t done, size_t all, const char *key)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (done == all)
		fputs("\r\033[K", stderr);
	else
		fprintf(stderr, "\r%zu/%zu %s\033[K", done, all, key);
	fflush(stderr);
}

/* The row that does the same by hand; NULL: none. */
static const struct bench_row *by_hand(const struct bench_table *table, const struct bench_row *row)
{
	for (size_t i = 0; row->strategy->kind >= 0 && i < table->nr; i++) {
		const struct bench_row *other = &table->rows[i];

		if (other->strategy->kind < 0 && other->strategy->hand == row->strategy->hand)
			return other;
	}
	return NULL;
}

/* Ratios are within a round: what slows the machine for longer than that is in both. */
static void compare_round(struct bench_table *table, uint32_t round)
{
	double baseline = table->rows[0].rounds[round].cpu_ns;

	for (size_t i = 0; i < table->nr; i++) {
		struct bench_row *row = &table->rows[i];
		const struct bench_row *hand = by_hand(table, row);
		double cpu_ns = row->rounds[round].cpu_ns;

		if (baseline > 0)
			row->ratio[round] = cpu_ns / baseline;
		if (hand && !hand->err && hand->rounds[round].cpu_ns > 0)
			row->own[round] = cpu_ns / hand->rounds[round].cpu_ns;
	}
}

/* Every other round backwards: none profits from what runs before it. */
static void run_round(struct bench_table *table, uint32_t round)
{
	for (size_t i = 0; i < table->nr; i++) {
		struct bench_row *row = &table->rows[round % 2 ? table->nr - 1 - i : i];

		if (!row->err && !bench_stop)
			row->err = bench_run(table->work, row->strategy, table->ops,
					     &row->rounds[round]);
	}
	compare_round(table, round);
}

static bool is_named(const struct bench_plan *plan, size_t i)
{
	return plan->chosen & 1u << i;
}

static bool is_wanted(const struct bench_plan *plan, size_t i)
{
	const struct bench_strategy *s = &bench_strategies[i];

	if (!plan->chosen || i == 0 || is_named(plan, i))
		return true;
	for (size_t k = 0; s->kind < 0 && k < bench_nr_strategies; k++) {
		if (is_named(plan, k) && bench_strategies[k].hand == s->hand)
			return true;
	}
	return false;
}

static void choose_rows(struct bench_table *table, const struct bench_plan *plan)
{
	for (size_t i = 0; i < bench_nr_strategies; i++) {
		struct bench_row *row = &table->rows[table->nr];

		row->strategy = &bench_strategies[i];
		row->why_not = bench_why_not(row->strategy, table->work);
		row->err = row->why_not ? -EOPNOTSUPP : 0;
		if (row->why_not ? is_named(plan, i) : is_wanted(plan, i))
			table->nr++;
	}
}

void bench_fill(struct bench_table *table, const struct bench_case *work,
		const struct bench_plan *plan)
{
	memset(table, 0, sizeof(*table));
	table->work = work;
	table->ops = work->bytes > 4096 ? plan->ops / (work->bytes / 4096) + 1 : plan->ops;
	if (work->source == BENCH_NOTHING) /* long enough that two threads do meet */
		table->ops *= 20;
	table->rounds = work->source == BENCH_IDLE ? 1 : plan->rounds;
	choose_rows(table, plan);
	for (uint32_t round = 0; round < table->rounds && !bench_stop; round++) {
		bench_show_progress(round, table->rounds, work->key);
		run_round(table, round);
	}
	bench_show_progress(table->rounds, table->rounds, work->key);
}

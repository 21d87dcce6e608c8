// SPDX-License-Identifier: MIT
/* The policies of eviction side by side, and is clock, which the study chose, the right one? */
#include <string.h>

#include "../lib/bufscope.h"
#include "bench_report.h"

static void print_eviction(FILE *out, const struct bench_eviction *e)
{
	fprintf(out, "%23u", e->table);
	for (int p = 0; p < BENCH_POLICIES; p++)
		fprintf(out, " %6.1f%%", 100.0 * e->policies[p].hits / e->accesses);
	fprintf(out, " %6.1f%%\n", 100.0 * e->best / e->accesses);
}

static void eviction_json(struct json *json, const struct bench_eviction *e)
{
	json_open(json, NULL, '{');
	json_text(json, "trace", e->trace);
	json_u64(json, "table", e->table);
	json_u64(json, "buffers", e->buffers);
	json_u64(json, "accesses", e->accesses);
	json_u64(json, "optimum_hits", e->best);
	json_open(json, "policies", '[');
	for (int p = 0; p < BENCH_POLICIES; p++) {
		json_open(json, NULL, '{');
		json_text(json, "policy", bench_policy_names[p]);
		json_u64(json, "hits", e->policies[p].hits);
		json_u64(json, "registered", e->policies[p].registered);
		json_u64(json, "evicted", e->policies[p].evicted);
		json_double(json, "access_ns", e->policies[p].ns);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

/* Of one trace over all sizes of table, or of all. */
struct eviction_sum {
	const char *trace;
	uint64_t accesses;
	uint64_t hits[BENCH_POLICIES], registered[BENCH_POLICIES], evicted[BENCH_POLICIES];
	double ns[BENCH_POLICIES];
};

static void add_eviction(struct eviction_sum *sum, const struct bench_eviction *e)
{
	sum->trace = e->trace;
	sum->accesses += e->accesses;
	for (int p = 0; p < BENCH_POLICIES; p++) {
		sum->hits[p] += e->policies[p].hits;
		sum->registered[p] += e->policies[p].registered;
		sum->evicted[p] += e->policies[p].evicted;
		sum->ns[p] += e->policies[p].ns * e->accesses;
	}
}

/* The trace that begins at *i, which is moved behind it. */
static struct eviction_sum sum_trace(const struct bench_eviction *all, size_t nr, size_t *i)
{
	struct eviction_sum sum = {0};

	do
		add_eviction(&sum, &all[*i]);
	while (++*i < nr && strcmp(all[*i].trace, sum.trace) == 0);
	return sum;
}

/*
 * Is clock the right choice? Against the best of the other policies, a difference below one access
 * in a hundred is none. Which one is better, else 0.
 */
static int better_than_clock(const struct eviction_sum *sum)
{
	int best = 1;

	for (int p = 1; p < BENCH_POLICIES; p++) {
		if (sum->hits[p] > sum->hits[best])
			best = p;
	}
	return sum->hits[0] + sum->accesses / 100 >= sum->hits[best] ? 0 : best;
}

static void print_verdicts(FILE *out, const struct bench_eviction *all, size_t nr)
{
	size_t i = 0;

	fputs("\nThe study's choice, clock, over all table sizes:\n", out);
	while (i < nr) {
		struct eviction_sum sum = sum_trace(all, nr, &i);
		int best = better_than_clock(&sum);

		if (!best)
			fprintf(out, "%-17s confirmed: no other policy does better\n", sum.trace);
		else
			fprintf(out, "%-17s refuted: %s hits %.1f%%, clock %.1f%%\n", sum.trace,
				best == BS_EVICT_NONE ? "who evicts none"
						      : bench_policy_names[best],
				100.0 * (double)sum.hits[best] / (double)sum.accesses,
				100.0 * (double)sum.hits[0] / (double)sum.accesses);
	}
}

static void verdicts_json(struct json *json, const struct bench_eviction *all, size_t nr)
{
	size_t i = 0;

	json_open(json, "verdicts", '[');
	while (i < nr) {
		struct eviction_sum sum = sum_trace(all, nr, &i);
		int best = better_than_clock(&sum);

		json_open(json, NULL, '{');
		json_text(json, "trace", sum.trace);
		json_text(json, "policy", bench_policy_names[0]);
		json_text(json, "verdict", best ? "refuted" : "confirmed");
		if (best)
			json_text(json, "better", bench_policy_names[best]);
		else
			json_null(json, "better");
		json_close(json, '}');
	}
	json_close(json, ']');
}

/* What it costs: hits are free, all else is a system call. */
static void print_costs(FILE *out, const struct bench_eviction *all, size_t nr)
{
	struct eviction_sum sum = {0};
	double each;

	for (size_t i = 0; i < nr; i++)
		add_eviction(&sum, &all[i]);
	each = (double)sum.accesses;
	fprintf(out, "\n%-23s", "Over all: registered");
	for (int p = 0; p < BENCH_POLICIES; p++)
		fprintf(out, " %6.1f%%", 100 * (double)sum.registered[p] / each);
	fprintf(out, "\n%-23s", "          evicted");
	for (int p = 0; p < BENCH_POLICIES; p++)
		fprintf(out, " %6.1f%%", 100 * (double)sum.evicted[p] / each);
	fprintf(out, "\n%-23s", "          ns an access");
	for (int p = 0; p < BENCH_POLICIES; p++)
		fprintf(out, " %7.1f", sum.ns[p] / each);
	putc('\n', out);
}

void bench_print_evictions(FILE *out, const struct bench_eviction *all, size_t nr)
{
	const char *trace = "";

	fprintf(out, "%-17s %5s", "hits of", "table");
	for (int p = 0; p < BENCH_POLICIES; p++)
		fprintf(out, " %7s", bench_policy_names[p]);
	fputs(" optimum\n", out);
	for (size_t i = 0; i < nr; i++) {
		if (strcmp(trace, all[i].trace) != 0)
			fprintf(out, "%s: %u accesses to %u buffers\n", all[i].trace,
				all[i].accesses, all[i].buffers);
		trace = all[i].trace;
		print_eviction(out, &all[i]);
	}
	print_costs(out, all, nr);
	print_verdicts(out, all, nr);
}

void bench_evictions_json(struct json *json, const struct bench_eviction *all, size_t nr)
{
	json_open(json, "evictions", '[');
	for (size_t i = 0; i < nr; i++)
		eviction_json(json, &all[i]);
	json_close(json, ']');
	verdicts_json(json, all, nr);
}

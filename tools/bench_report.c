// SPDX-License-Identifier: MIT
/* The strategies side by side: a table, or JSON. */
#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../lib/text.h"
#include "bench_report.h"

#define FULL_WIDTH 100

/* What stands in a file is not wrapped. */
static bool is_wide(FILE *out)
{
	struct winsize size;

	return !isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) ||
	       size.ws_col >= FULL_WIDTH;
}

/* Why there are no figures. */
static const char *reason(const struct bench_row *row)
{
	return row->why_not ? row->why_not : text_errno(-row->err);
}

/* Where to look for it. */
static const char *hint(const struct bench_table *table, const struct bench_row *row)
{
	bool has_files = table->work->source == BENCH_DIRECT || table->work->source == BENCH_TREE;

	if (row->why_not)
		return "";
	if (row->err == -ENOMEM)
		return ": see ulimit -l";
	if (row->err == -EMFILE)
		return ": see ulimit -n";
	/* Without the baseline it is not for the strategy. */
	return has_files && table->rows[0].err == row->err ? ": see TMPDIR" : "";
}

static double per_s(double wall_ns)
{
	return wall_ns > 0 ? 1e9 / wall_ns : 0;
}

static void print_row(FILE *out, const struct bench_row *row, uint32_t rounds)
{
	struct bench_spread cpu = BENCH_FIGURE(row, rounds, cpu_ns);
	struct bench_spread wall = BENCH_FIGURE(row, rounds, wall_ns);
	struct bench_spread ratio = bench_spread(row->ratio, rounds);
	struct bench_spread own = bench_spread(row->own, rounds);
	struct bench_spread p50 = BENCH_FIGURE(row, rounds, p50_ns);
	struct bench_spread p99 = BENCH_FIGURE(row, rounds, p99_ns);

	fprintf(out, "  %-11s %8.0f %8.0f", row->strategy->key, per_s(wall.median), cpu.median);
	if (ratio.median > 0)
		fprintf(out, " %6.3f %6.3f-%-6.3f", ratio.median, ratio.low, ratio.high);
	else
		fprintf(out, " %6s %13s", "-", "-");
	if (own.median > 0)
		fprintf(out, " %6.3f", own.median);
	else
		fprintf(out, " %6s", "-");
	if (p50.median > 0)
		fprintf(out, " %7.0f %7.0f", p50.median, p99.median);
	else
		fprintf(out, " %7s %7s", "-", "-");
}

static void print_memory(FILE *out, const struct bench_result *result)
{
	fprintf(out, " %7.0f %7.0f %8llu", (double)result->resident / 1024,
		(double)result->pinned / 1024, (unsigned long long)result->allocated);
}

/* Fewer connections than wished for, or than are usual: each takes two descriptors. */
static bool is_cut_short(const struct bench_table *table)
{
	return table->rows[0].rounds[0].ops < table->ops &&
	       table->rows[0].rounds[0].ops < BENCH_MOST_IDLE;
}

static void print_idle(FILE *out, const struct bench_table *table)
{
	fprintf(out, "%s: memory per 10000 connections on which nothing arrives, of %u%s\n",
		table->work->key, table->rows[0].rounds[0].ops,
		is_cut_short(table) ? ": RLIMIT_NOFILE allows no more" : "");
	fprintf(out, "  %-11s %12s %12s %9s\n", "strategy", "resident KiB", "pinned KiB",
		"buffers");
	for (size_t i = 0; i < table->nr; i++) {
		const struct bench_row *row = &table->rows[i];
		double scale = 10000.0 / 1024 / (row->rounds[0].ops ? row->rounds[0].ops : 1);

		if (row->err)
			fprintf(out, "  %-11s %12s %12s %9s %s%s\n", row->strategy->key, "-", "-",
				"-", reason(row), hint(table, row));
		else
			fprintf(out, "  %-11s %12.0f %12.0f %9llu\n", row->strategy->key,
				scale * (double)row->rounds[0].resident,
				scale * (double)row->rounds[0].pinned,
				(unsigned long long)row->rounds[0].allocated);
	}
}

void bench_print_table(FILE *out, const struct bench_table *table)
{
	bool has_memory = is_wide(out);

	if (table->work->source == BENCH_IDLE) {
		print_idle(out, table);
		return;
	}
	fprintf(out, "%s: %u operation%s, %u round%s, ratio to %s\n", table->work->key, table->ops,
		table->ops == 1 ? "" : "s", table->rounds, table->rounds == 1 ? "" : "s",
		table->rows[0].strategy->key);
	fprintf(out, "  %-11s %8s %8s %6s %13s %6s %7s %7s", "strategy", "ops/s", "CPU ns", "ratio",
		"middle half", "byhand", "p50 ns", "p99 ns");
	fputs(has_memory ? " res KiB pin KiB   allocs\n" : "\n", out);
	for (size_t i = 0; i < table->nr; i++) {
		const struct bench_row *row = &table->rows[i];

		if (row->err) {
			fprintf(out, "  %-11s %8s %8s   %s%s\n", row->strategy->key, "-", "-",
				reason(row), hint(table, row));
			continue;
		}
		print_row(out, row, table->rounds);
		if (has_memory)
			print_memory(out, &row->rounds[table->rounds - 1]);
		putc('\n', out);
	}
}

static void figure_json(struct json *json, const char *key, double value)
{
	if (value > 0)
		json_double(json, key, value);
	else
		json_null(json, key);
}

static void row_json(struct json *json, const struct bench_row *row, uint32_t rounds)
{
	struct bench_spread ratio = bench_spread(row->ratio, rounds);
	struct bench_spread own = bench_spread(row->own, rounds);
	const struct bench_result *last = &row->rounds[rounds - 1];

	json_open(json, NULL, '{');
	json_text(json, "strategy", row->strategy->key);
	if (row->err) {
		json_text(json, "error", reason(row));
		json_close(json, '}');
		return;
	}
	figure_json(json, "ops_per_s", per_s(BENCH_FIGURE(row, rounds, wall_ns).median));
	figure_json(json, "cpu_ns", BENCH_FIGURE(row, rounds, cpu_ns).median);
	figure_json(json, "cpu_ratio", ratio.median);
	figure_json(json, "cpu_ratio_p25", ratio.low);
	figure_json(json, "cpu_ratio_p75", ratio.high);
	figure_json(json, "cpu_ratio_to_hand", own.median);
	figure_json(json, "cpu_ratio_to_hand_p25", own.low);
	figure_json(json, "cpu_ratio_to_hand_p75", own.high);
	figure_json(json, "latency_p50_ns", BENCH_FIGURE(row, rounds, p50_ns).median);
	figure_json(json, "latency_p99_ns", BENCH_FIGURE(row, rounds, p99_ns).median);
	json_u64(json, "resident_bytes", last->resident);
	json_u64(json, "pinned_bytes", last->pinned);
	json_u64(json, "buffers_allocated", last->allocated);
	json_close(json, '}');
}

void bench_table_json(struct json *json, const struct bench_table *table)
{
	json_open(json, NULL, '{');
	json_text(json, "case", table->work->key);
	json_u64(json, "bytes", table->work->bytes);
	json_u64(json, "depth", table->work->depth);
	json_u64(json, "threads", table->work->threads);
	if (table->work->source == BENCH_IDLE) {
		json_u64(json, "connections", table->rows[0].rounds[0].ops);
		json_boolean(json, "is_cut_short", is_cut_short(table));
	} else
		json_u64(json, "operations", table->ops);
	json_text(json, "baseline", table->rows[0].strategy->key);
	json_open(json, "strategies", '[');
	for (size_t i = 0; i < table->nr; i++)
		row_json(json, &table->rows[i], table->rounds);
	json_close(json, ']');
	json_close(json, '}');
}

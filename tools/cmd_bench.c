// SPDX-License-Identifier: MIT
/* bufscope bench: the pool strategies side by side on this machine. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../lib/text.h"
#include "bench.h"
#include "cmd.h"
#include "json_write.h"

#define MAX_ROUNDS     99u
#define MAX_STRATEGIES 16u

struct options {
	uint32_t rounds;
	uint32_t ops; /* of an operation of 4 KiB; larger ones get fewer */
	bool json;
	const char *file;
	bool evict;
	char **prefixes;
	int nr_prefixes;
};

enum { OPT_ROUNDS = 256 };

static void print_help(void)
{
	puts("usage: bufscope bench [options] [CASE...]\n"
	     "       bufscope bench [options] evict\n"
	     "\n"
	     "Does the same work with buffers from each kind of pool, and by hand on liburing\n"
	     "beside them, round by round, and prints medians. CASE selects by the beginning of\n"
	     "the key: file, file.4K, socket. `evict` replays access traces over each policy for\n"
	     "registered buffers, and over the optimum that knows the future.\n"
	     "\n"
	     "  -n, --count COUNT   operations a round, of 4 KiB; fewer where they are larger\n"
	     "                      (default 20000)\n"
	     "      --rounds N      1 ... 99 (default 7)\n"
	     "  -j, --json          one JSON document\n"
	     "  -o, --output FILE   write there instead of standard output\n"
	     "  -h, --help\n"
	     "\n"
	     "Exit status: 0 ok, 1 failed, 2 usage, 3 io_uring is not available to you.");
}

/* 0 to go on, else 1 + the exit code. */
static int parse_option(int c, char **argv, struct options *o)
{
	uint64_t value;

	switch (c) {
	case 'h':
		print_help();
		return 1 + EXIT_OK;
	case 'j':
		o->json = true;
		return 0;
	case 'o':
		o->file = optarg;
		return 0;
	case 'n':
		if (text_parse_u64(optarg, 1, 100000000, &value))
			return 1 + cmd_usage(argv[0], "-n takes 1 ... 100000000, not '%s'", optarg);
		o->ops = (uint32_t)value;
		return 0;
	case OPT_ROUNDS:
		if (text_parse_u64(optarg, 1, MAX_ROUNDS, &value))
			return 1 + cmd_usage(argv[0], "--rounds takes 1 ... 99, not '%s'", optarg);
		o->rounds = (uint32_t)value;
		return 0;
	default:
		return 1 + cmd_bad_option(argv);
	}
}

static bool begins(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

static bool is_chosen(const struct options *o, const char *key)
{
	for (int i = 0; i < o->nr_prefixes; i++) {
		if (begins(key, o->prefixes[i]))
			return true;
	}
	return o->nr_prefixes == 0;
}

static int parse_operands(int argc, char **argv, struct options *o)
{
	o->prefixes = argv + optind;
	o->nr_prefixes = argc - optind;
	o->evict = o->nr_prefixes == 1 && strcmp(o->prefixes[0], "evict") == 0;
	for (int i = 0; i < o->nr_prefixes && !o->evict; i++) {
		bool found = false;

		for (size_t k = 0; k < bench_nr_cases; k++)
			found |= begins(bench_cases[k].key, o->prefixes[i]);
		if (!found)
			return 1 + cmd_usage(argv[0], "bench: no case begins with '%s'",
					     o->prefixes[i]);
	}
	return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{"count", required_argument, NULL, 'n'},
		{"rounds", required_argument, NULL, OPT_ROUNDS},
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "n:jo:h", table, NULL)) != -1) {
		int stop = parse_option(c, argv, o);

		if (stop)
			return stop;
	}
	return parse_operands(argc, argv, o);
}

/* ---- output */

/* What both documents begin with. */
static void open_document(struct json *json)
{
	struct utsname uts;
	struct timespec ts;

	uname(&uts);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	json_open(json, NULL, '{');
	json_text(json, "schema", "bufscope.bench/1");
	json_text(json, "kernel", uts.release);
	json_u64(json, "at_ns", (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
}

static void close_document(struct json *json)
{
	json_close(json, ']');
	json_close(json, '}');
	putc('\n', json->file);
}

static void show_progress(size_t done, size_t all, const char *key)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (done == all)
		fputs("\r\033[K", stderr);
	else
		fprintf(stderr, "\r%zu/%zu %s\033[K", done, all, key);
	fflush(stderr);
}

/* ---- eviction */

static void print_eviction(FILE *out, const struct bench_eviction *e)
{
	fprintf(out, "%-17s %5u", e->trace, e->table);
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
		json_u64(json, "evicted", e->policies[p].evicted);
		json_double(json, "access_ns", e->policies[p].ns);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

/*
 * Is clock the right choice? Per trace, summed over the table sizes: against the best of the other
 * policies, a difference below one access in a hundred is none.
 */
static void print_verdict(FILE *out, const char *trace, const uint64_t *hits, uint64_t accesses)
{
	int best = 1;

	for (int p = 1; p < BENCH_POLICIES; p++) {
		if (hits[p] > hits[best])
			best = p;
	}
	if (hits[0] + accesses / 100 >= hits[best])
		fprintf(out, "%-17s clock is as good as any\n", trace);
	else
		fprintf(out, "%-17s clock is beaten by %s: %.1f%% against %.1f%%\n", trace,
			bench_policy_names[best], 100.0 * (double)hits[0] / (double)accesses,
			100.0 * (double)hits[best] / (double)accesses);
}

static void print_verdicts(FILE *out, const struct bench_eviction *all, size_t nr)
{
	size_t i = 0;

	fputs("\nThe study's choice, clock, over all table sizes:\n", out);
	while (i < nr) {
		const char *trace = all[i].trace;
		uint64_t hits[BENCH_POLICIES] = {0}, accesses = 0;

		for (; i < nr && strcmp(all[i].trace, trace) == 0; i++) {
			accesses += all[i].accesses;
			for (int p = 0; p < BENCH_POLICIES; p++)
				hits[p] += all[i].policies[p].hits;
		}
		print_verdict(out, trace, hits, accesses);
	}
}

static int run_evict(const struct options *o, FILE *out)
{
	size_t nr = bench_nr_evictions();
	struct bench_eviction *all = calloc(nr, sizeof(*all));
	struct json json = {.file = out};
	int err = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < nr && !err; i++)
		err = bench_evict(i, &all[i]);
	if (err) {
		cmd_error("cannot replay: %s", strerror(-err));
	} else if (o->json) {
		open_document(&json);
		json_open(&json, "evictions", '[');
		for (size_t i = 0; i < nr; i++)
			eviction_json(&json, &all[i]);
		close_document(&json);
	} else {
		fprintf(out, "hits of %u accesses to %u buffers\n\n%-17s %5s", all[0].accesses,
			all[0].buffers, "trace", "table");
		for (int p = 0; p < BENCH_POLICIES; p++)
			fprintf(out, " %7s", bench_policy_names[p]);
		fputs(" optimum\n", out);
		for (size_t i = 0; i < nr; i++)
			print_eviction(out, &all[i]);
		print_verdicts(out, all, nr);
	}
	free(all);
	return err ? EXIT_FAILED : EXIT_OK;
}

/* ---- strategies */

struct row {
	const struct bench_strategy *strategy;
	double cpu_ns[MAX_ROUNDS], wall_ns[MAX_ROUNDS];
	double ratio[MAX_ROUNDS]; /* of CPU time, to the baseline of the same round */
	int err;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static double quantile(double *values, uint32_t nr, double q)
{
	qsort(values, nr, sizeof(*values), compare);
	return values[(uint32_t)(q * (nr - 1) + 0.5)];
}

static size_t choose_rows(const struct bench_case *work, struct row *rows)
{
	size_t nr = 0;

	for (size_t i = 0; i < bench_nr_strategies; i++) {
		const struct bench_strategy *s = &bench_strategies[i];

		if (work->is_socket ? s->of_sockets : s->of_files)
			rows[nr++] = (struct row){.strategy = s};
	}
	return nr;
}

/* The first row is the baseline. */
static void run_round(const struct bench_case *work, struct row *rows, size_t nr, uint32_t round,
		      uint32_t ops)
{
	for (size_t i = 0; i < nr; i++) {
		struct bench_result result = {0};

		if (!rows[i].err)
			rows[i].err = bench_run(work, rows[i].strategy, ops, &result);
		rows[i].cpu_ns[round] = result.cpu_ns;
		rows[i].wall_ns[round] = result.wall_ns;
		rows[i].ratio[round] = result.cpu_ns / rows[0].cpu_ns[round];
	}
}

static void print_row(FILE *out, struct row *row, uint32_t rounds)
{
	if (row->err) {
		fprintf(out, "  %-10s %9s %9s %7s   %s\n", row->strategy->key, "-", "-", "-",
			text_errno(-row->err));
		return;
	}
	fprintf(out, "  %-10s %9.0f %9.0f", row->strategy->key,
		1e9 / quantile(row->wall_ns, rounds, 0.5), quantile(row->cpu_ns, rounds, 0.5));
	fprintf(out, " %7.3f   %.3f ... %.3f\n", quantile(row->ratio, rounds, 0.5),
		quantile(row->ratio, rounds, 0.25), quantile(row->ratio, rounds, 0.75));
}

static void row_json(struct json *json, struct row *row, uint32_t rounds)
{
	json_open(json, NULL, '{');
	json_text(json, "strategy", row->strategy->key);
	if (row->err) {
		json_text(json, "error", text_errno(-row->err));
	} else {
		json_double(json, "ops_per_s", 1e9 / quantile(row->wall_ns, rounds, 0.5));
		json_double(json, "cpu_ns", quantile(row->cpu_ns, rounds, 0.5));
		json_double(json, "cpu_ratio", quantile(row->ratio, rounds, 0.5));
		json_double(json, "cpu_ratio_p25", quantile(row->ratio, rounds, 0.25));
		json_double(json, "cpu_ratio_p75", quantile(row->ratio, rounds, 0.75));
	}
	json_close(json, '}');
}

static void write_case(const struct options *o, const struct bench_case *work, struct row *rows,
		       struct json *json)
{
	size_t nr = choose_rows(work, rows);
	uint32_t ops = work->bytes > 4096 ? o->ops / (work->bytes / 4096) + 1 : o->ops;

	for (uint32_t round = 0; round < o->rounds; round++) {
		show_progress(round, o->rounds, work->key);
		run_round(work, rows, nr, round, ops);
	}
	show_progress(o->rounds, o->rounds, work->key);
	if (o->json) {
		json_open(json, NULL, '{');
		json_text(json, "case", work->key);
		json_u64(json, "bytes", work->bytes);
		json_u64(json, "depth", work->depth);
		json_u64(json, "operations", ops);
		json_text(json, "baseline", rows[0].strategy->key);
		json_open(json, "strategies", '[');
	} else {
		fprintf(json->file, "%s: %u operations, %u rounds, ratio to %s\n", work->key, ops,
			o->rounds, rows[0].strategy->key);
		fprintf(json->file, "  %-10s %9s %9s %7s   %s\n", "strategy", "ops/s", "CPU ns",
			"ratio", "middle half");
	}
	for (size_t i = 0; i < nr; i++) {
		if (o->json)
			row_json(json, &rows[i], o->rounds);
		else
			print_row(json->file, &rows[i], o->rounds);
	}
	if (o->json) {
		json_close(json, ']');
		json_close(json, '}');
	}
}

static int can_run(void)
{
	struct bench_result result;
	int err = bench_run(&bench_cases[0], &bench_strategies[0], 8, &result);

	if (!err)
		return EXIT_OK;
	cmd_error("cannot use io_uring: %s", strerror(-err));
	return err == -EPERM || err == -ENOSYS || err == -EACCES || err == -ENOMEM
		       ? EXIT_UNSUPPORTED
		       : EXIT_FAILED;
}

static int run_strategies(const struct options *o, FILE *out)
{
	struct row *rows = calloc(MAX_STRATEGIES, sizeof(*rows));
	struct json json = {.file = out};
	int code = rows ? can_run() : EXIT_FAILED;

	if (code) {
		free(rows);
		return code;
	}
	if (o->json) {
		open_document(&json);
		json_u64(&json, "rounds", o->rounds);
		json_open(&json, "cases", '[');
	}
	for (size_t i = 0; i < bench_nr_cases; i++) {
		if (is_chosen(o, bench_cases[i].key))
			write_case(o, &bench_cases[i], rows, &json);
	}
	if (o->json)
		close_document(&json);
	free(rows);
	return EXIT_OK;
}

int cmd_bench(int argc, char **argv, const struct globals *globals)
{
	struct options o = {.rounds = 7, .ops = 20000};
	int code = parse_options(argc, argv, &o);
	FILE *out = stdout;

	(void)globals;
	if (code)
		return code - 1;
	if (o.file)
		out = fopen(o.file, "we");
	if (!out) {
		cmd_error("cannot write '%s': %s", o.file, strerror(errno));
		return EXIT_FAILED;
	}
	code = o.evict ? run_evict(&o, out) : run_strategies(&o, out);
	if (o.file && fclose(out)) {
		cmd_error("cannot write '%s': %s", o.file, strerror(errno));
		code = EXIT_FAILED;
	}
	return code;
}

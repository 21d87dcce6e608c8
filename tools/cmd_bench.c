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
#include "bench_plot.h"
#include "cmd.h"
#include "json_write.h"

struct options {
	uint32_t rounds;
	uint32_t ops; /* of an operation of 4 KiB; larger ones get fewer */
	bool json;
	const char *file;
	bool evict, claims;
	const char *plot;
	const char *trace; /* NULL: those that are made */
	char **prefixes;
	int nr_prefixes;
};

enum { OPT_ROUNDS = 256, OPT_PLOT, OPT_TRACE };

static void print_help(void)
{
	puts("usage: bufscope bench [options] [CASE...]\n"
	     "       bufscope bench [options] evict | claims\n"
	     "\n"
	     "Does the same work with buffers from each kind of pool, and the same by hand\n"
	     "on liburing beside it, round by round, and prints medians. CASE selects by the\n"
	     "beginning of the key: file, direct, socket, tcp, pipe, tree (a copy), acquire\n"
	     "(no I/O), idle (memory of silent connections). `evict` replays access traces\n"
	     "over each policy for registered buffers, and over the optimum that knows the\n"
	     "future. `claims` gives the study's claims about pools a verdict.\n"
	     "\n"
	     "  -n, --count COUNT   operations a round, of 4 KiB; fewer where they are larger\n"
	     "                      (default 20000)\n"
	     "      --rounds N      1 ... 99 (default 7)\n"
	     "      --plot FILE     draw CPU time and latency as SVG\n"
	     "      --trace FILE    with evict: replay this one; the first word of each line\n"
	     "                      names the buffer that was used, as `trace` or bpftrace\n"
	     "                      recorded it (see the manual)\n"
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
	case OPT_PLOT:
		o->plot = optarg;
		return 0;
	case OPT_TRACE:
		o->trace = optarg;
		return 0;
	case OPT_ROUNDS:
		if (text_parse_u64(optarg, 1, BENCH_MAX_ROUNDS, &value))
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
	o->claims = o->nr_prefixes == 1 && strcmp(o->prefixes[0], "claims") == 0;
	if (o->trace && !o->evict)
		return 1 + cmd_usage(argv[0], "bench: --trace goes with evict");
	if (o->plot && (o->evict || o->claims))
		return 1 + cmd_usage(argv[0], "bench: --plot draws cases alone");
	for (int i = 0; i < o->nr_prefixes && !o->evict && !o->claims; i++) {
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
		{"plot", required_argument, NULL, OPT_PLOT},
		{"trace", required_argument, NULL, OPT_TRACE},
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

/* Over each size of table; *nr counts them. */
static int replay_trace(const struct bench_trace *trace, struct bench_eviction *all, size_t *nr)
{
	uint32_t tables[BENCH_TABLES];
	size_t nr_tables = bench_tables(trace, tables);
	int err = 0;

	for (size_t i = 0; i < nr_tables && !err; i++)
		err = bench_evict(trace, tables[i], &all[(*nr)++]);
	return err;
}

static int replay_recorded(const char *path, struct bench_eviction *all, size_t *nr)
{
	struct bench_trace trace;
	int err = bench_trace_read(path, &trace);

	if (!err)
		err = replay_trace(&trace, all, nr);
	else if (err == -E2BIG)
		cmd_error("'%s' has more than %u accesses, or 32768 buffers", path,
			  BENCH_MAX_ACCESSES);
	else if (err == -ENODATA)
		cmd_error("'%s' tells of less than two buffers", path);
	else
		cmd_error("cannot read '%s': %s", path, strerror(-err));
	bench_trace_done(&trace);
	return err;
}

static int replay_made(struct bench_eviction *all, size_t *nr)
{
	int err = 0;

	for (size_t i = 0; i < bench_nr_traces && !err; i++) {
		struct bench_trace trace;

		err = bench_trace_make(i, &trace);
		if (!err)
			err = replay_trace(&trace, all, nr);
		bench_trace_done(&trace);
	}
	if (err)
		cmd_error("cannot replay: %s", strerror(-err));
	return err;
}

static void print_evictions(FILE *out, const struct bench_eviction *all, size_t nr)
{
	fprintf(out, "hits of %u accesses to %u buffers\n\n%-17s %5s", all[0].accesses,
		all[0].buffers, "trace", "table");
	for (int p = 0; p < BENCH_POLICIES; p++)
		fprintf(out, " %7s", bench_policy_names[p]);
	fputs(" optimum\n", out);
	for (size_t i = 0; i < nr; i++)
		print_eviction(out, &all[i]);
	print_verdicts(out, all, nr);
}

static int run_evict(const struct options *o, FILE *out)
{
	struct bench_eviction *all = calloc(bench_nr_traces * BENCH_TABLES, sizeof(*all));
	struct json json = {.file = out};
	size_t nr = 0;
	int err = -ENOMEM;

	if (!all)
		cmd_error("out of memory");
	else
		err = o->trace ? replay_recorded(o->trace, all, &nr) : replay_made(all, &nr);
	if (!err && o->json) {
		open_document(&json);
		json_open(&json, "evictions", '[');
		for (size_t i = 0; i < nr; i++)
			eviction_json(&json, &all[i]);
		close_document(&json);
	} else if (!err) {
		print_evictions(out, all, nr);
	}
	free(all);
	return err ? EXIT_FAILED : EXIT_OK;
}

/* ---- strategies */

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
	const struct bench_result *last = &row->rounds[rounds - 1];

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
	fprintf(out, " %7.0f %7.0f %8llu\n", (double)last->resident / 1024,
		(double)last->pinned / 1024, (unsigned long long)last->allocated);
}

static void print_idle(FILE *out, const struct bench_table *table)
{
	fprintf(out, "%s: memory per 10000 connections on which nothing arrives, of %u\n",
		table->work->key, table->rows[0].rounds[0].ops);
	fprintf(out, "  %-11s %12s %12s %9s\n", "strategy", "resident KiB", "pinned KiB",
		"buffers");
	for (size_t i = 0; i < table->nr; i++) {
		const struct bench_row *row = &table->rows[i];
		double scale = 10000.0 / 1024 / (row->rounds[0].ops ? row->rounds[0].ops : 1);

		if (row->err)
			fprintf(out, "  %-11s %12s %12s %9s %s\n", row->strategy->key, "-", "-",
				"-", text_errno(-row->err));
		else
			fprintf(out, "  %-11s %12.0f %12.0f %9llu\n", row->strategy->key,
				scale * (double)row->rounds[0].resident,
				scale * (double)row->rounds[0].pinned,
				(unsigned long long)row->rounds[0].allocated);
	}
}

static void print_table(FILE *out, const struct bench_table *table)
{
	if (table->work->source == BENCH_IDLE) {
		print_idle(out, table);
		return;
	}
	fprintf(out, "%s: %u operations, %u rounds, ratio to %s\n", table->work->key, table->ops,
		table->rounds, table->rows[0].strategy->key);
	fprintf(out, "  %-11s %8s %8s %6s %13s %6s %7s %7s %7s %7s %8s\n", "strategy", "ops/s",
		"CPU ns", "ratio", "middle half", "byhand", "p50 ns", "p99 ns", "res KiB",
		"pin KiB", "allocs");
	for (size_t i = 0; i < table->nr; i++) {
		const struct bench_row *row = &table->rows[i];

		if (row->err)
			fprintf(out, "  %-11s %8s %8s   %s\n", row->strategy->key, "-", "-",
				text_errno(-row->err));
		else
			print_row(out, row, table->rounds);
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
		json_text(json, "error", text_errno(-row->err));
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

static void table_json(struct json *json, const struct bench_table *table)
{
	json_open(json, NULL, '{');
	json_text(json, "case", table->work->key);
	json_u64(json, "bytes", table->work->bytes);
	json_u64(json, "depth", table->work->depth);
	json_u64(json, "threads", table->work->threads);
	if (table->work->source == BENCH_IDLE)
		json_u64(json, "connections", table->rows[0].rounds[0].ops);
	else
		json_u64(json, "operations", table->ops);
	json_text(json, "baseline", table->rows[0].strategy->key);
	json_open(json, "strategies", '[');
	for (size_t i = 0; i < table->nr; i++)
		row_json(json, &table->rows[i], table->rounds);
	json_close(json, ']');
	json_close(json, '}');
}

/* Whether io_uring is to be had; else says why not, and `then` what follows from it. */
static int can_run(const char *then)
{
	struct bench_result result;
	int err = bench_run(&bench_cases[0], &bench_strategies[0], 8, &result);

	switch (-err) {
	case 0:
		return EXIT_OK;
	case EPERM:
	case EACCES:
		cmd_error("io_uring is disabled for this user%s", then);
		cmd_hint("see sysctl kernel.io_uring_disabled and kernel.io_uring_group");
		return EXIT_UNSUPPORTED;
	case ENOSYS:
		cmd_error("this kernel has no io_uring%s", then);
		return EXIT_UNSUPPORTED;
	case ENOMEM:
		cmd_error("no memory for a ring%s", then);
		cmd_hint("some kernels charge rings to RLIMIT_MEMLOCK: see ulimit -l");
		return EXIT_UNSUPPORTED;
	default:
		cmd_error("cannot use io_uring: %s", strerror(-err));
		return EXIT_FAILED;
	}
}

static int draw(const char *path, const struct bench_table *tables, size_t nr)
{
	FILE *file = fopen(path, "we");
	int err = file ? bench_plot(file, tables, nr) : -errno;

	if (file && fclose(file) && !err)
		err = -errno;
	if (err)
		cmd_error("cannot draw '%s': %s", path,
			  err == -ENODATA ? "nothing that is a curve" : strerror(-err));
	return err ? EXIT_FAILED : EXIT_OK;
}

/* Those chosen, one after the other; the caller frees. */
static struct bench_table *run_cases(const struct options *o, FILE *out, size_t *nr)
{
	struct bench_table *tables = calloc(bench_nr_cases, sizeof(*tables));

	*nr = 0;
	for (size_t i = 0; tables && i < bench_nr_cases; i++) {
		if (!is_chosen(o, bench_cases[i].key))
			continue;
		bench_fill(&tables[*nr], &bench_cases[i], o->ops, o->rounds);
		if (!o->json)
			print_table(out, &tables[*nr]);
		fflush(out);
		(*nr)++;
	}
	return tables;
}

static int run_strategies(const struct options *o, FILE *out)
{
	struct json json = {.file = out};
	struct bench_table *tables;
	size_t nr;
	int code = can_run(": what needs it has no figures");

	if (code == EXIT_FAILED)
		return code;
	code = EXIT_OK;
	tables = run_cases(o, out, &nr);
	if (!tables)
		return EXIT_FAILED;
	if (o->json) {
		open_document(&json);
		json_u64(&json, "rounds", o->rounds);
		json_open(&json, "cases", '[');
		for (size_t i = 0; i < nr; i++)
			table_json(&json, &tables[i]);
		close_document(&json);
	}
	if (o->plot)
		code = draw(o->plot, tables, nr);
	free(tables);
	return code;
}

/* ---- claims */

static const char *verdict_text(enum bench_verdict verdict)
{
	static const char *const texts[] = {"cannot tell", "holds", "holds not"};

	return texts[verdict];
}

static void print_claims(FILE *out, const struct bench_claim *claims, int nr)
{
	for (int i = 0; i < nr; i++)
		fprintf(out, "%-11s  %s\n%13s%s\n", verdict_text(claims[i].verdict),
			claims[i].claim, "", claims[i].evidence);
}

static void claims_json(struct json *json, const struct bench_claim *claims, int nr)
{
	open_document(json);
	json_open(json, "claims", '[');
	for (int i = 0; i < nr; i++) {
		json_open(json, NULL, '{');
		json_text(json, "key", claims[i].key);
		json_text(json, "claim", claims[i].claim);
		json_text(json, "verdict", verdict_text(claims[i].verdict));
		json_text(json, "evidence", claims[i].evidence);
		json_close(json, '}');
	}
	close_document(json);
}

static int run_claims(const struct options *o, FILE *out)
{
	struct bench_claim claims[BENCH_MAX_CLAIMS] = {0};
	struct json json = {.file = out};
	int code = can_run(""), nr;

	if (code)
		return code;
	nr = bench_judge(o->ops, o->rounds, claims);
	if (nr < 0) {
		cmd_error("cannot judge: %s", strerror(-nr));
		return EXIT_FAILED;
	}
	if (o->json)
		claims_json(&json, claims, nr);
	else
		print_claims(out, claims, nr);
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
	if (o.evict)
		code = run_evict(&o, out);
	else
		code = o.claims ? run_claims(&o, out) : run_strategies(&o, out);
	if (o.file && fclose(out)) {
		cmd_error("cannot write '%s': %s", o.file, strerror(errno));
		code = EXIT_FAILED;
	}
	return code;
}

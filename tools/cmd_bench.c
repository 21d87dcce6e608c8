// SPDX-License-Identifier: MIT
/* bufscope bench: the pool strategies side by side on this machine. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../lib/bufscope.h"
#include "../lib/clock.h"
#include "../lib/text.h"
#include "bench.h"
#include "bench_plot.h"
#include "bench_report.h"
#include "cmd.h"
#include "json_write.h"

struct options {
	struct bench_plan plan;
	bool json;
	const char *file;
	bool evict, claims;
	const char *plot;
	const char *trace; /* NULL: those that are built in */
	char **prefixes;
	int nr_prefixes;
};

enum { OPT_ROUNDS = 256, OPT_PLOT, OPT_TRACE, OPT_STRATEGY };

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
	     "future. `claims` gives the study's claims about pools a verdict: holds, holds\n"
	     "not, more than was claimed, or it cannot tell.\n"
	     "\n"
	     "  -n, --count COUNT   operations a round, of 4 KiB; fewer where they are larger,\n"
	     "                      20 times as many without I/O (default 20000)\n"
	     "      --rounds N      1 ... 99 (default 7)\n"
	     "      --strategy NAME only this one, its like by hand, and the baseline\n"
	     "                      (repeatable): heap, global, local, fixed, ring, mmap, inc,\n"
	     "                      legacy, fallback, or hand-plain, hand-heap and so on\n"
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

static int choose_strategy(const char *command, const char *name, struct options *o)
{
	for (size_t i = 0; i < bench_nr_strategies; i++) {
		if (strcmp(bench_strategies[i].key, name) == 0) {
			o->plan.chosen |= 1u << i;
			return 0;
		}
	}
	return 1 + cmd_usage(command, "bench: there is no strategy '%s'", name);
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
		o->plan.ops = (uint32_t)value;
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
		o->plan.rounds = (uint32_t)value;
		return 0;
	case OPT_STRATEGY:
		return choose_strategy(argv[0], optarg, o);
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

static bool has_operand(const struct options *o, const char *word)
{
	for (int i = 0; i < o->nr_prefixes; i++) {
		if (strcmp(o->prefixes[i], word) == 0)
			return true;
	}
	return false;
}

static int parse_operands(int argc, char **argv, struct options *o)
{
	o->prefixes = argv + optind;
	o->nr_prefixes = argc - optind;
	o->evict = has_operand(o, "evict");
	o->claims = has_operand(o, "claims");
	if ((o->evict || o->claims) && o->nr_prefixes > 1)
		return 1 +
		       cmd_usage(argv[0], "bench: '%s' goes alone", o->evict ? "evict" : "claims");
	if (o->trace && !o->evict)
		return 1 + cmd_usage(argv[0], "bench: --trace goes with evict");
	if (o->plot && (o->evict || o->claims))
		return 1 + cmd_usage(argv[0], "bench: --plot draws cases alone");
	if (o->plan.chosen && (o->evict || o->claims))
		return 1 + cmd_usage(argv[0], "bench: --strategy goes with cases alone");
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
		{"strategy", required_argument, NULL, OPT_STRATEGY},
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

	uname(&uts);
	json_open(json, NULL, '{');
	json_text(json, "schema", "bufscope.bench/1");
	json_text(json, "kernel", uts.release);
	json_u64(json, "at_ns", clock_ns(CLOCK_MONOTONIC));
}

static void close_document(struct json *json)
{
	json_close(json, ']');
	json_close(json, '}');
	putc('\n', json->file);
}

/* ---- eviction */

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

static int replay_built_in(struct bench_eviction *all, size_t *nr)
{
	int err = 0;

	for (size_t i = 0; i < bench_nr_traces && !err; i++) {
		struct bench_trace trace;

		err = bench_trace_get(i, &trace);
		if (!err)
			err = replay_trace(&trace, all, nr);
		bench_trace_done(&trace);
	}
	if (err)
		cmd_error("cannot replay: %s", strerror(-err));
	return err;
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
		err = o->trace ? replay_recorded(o->trace, all, &nr) : replay_built_in(all, &nr);
	if (!err && o->json) {
		open_document(&json);
		bench_evictions_json(&json, all, nr);
		json_close(&json, '}');
		putc('\n', out);
	} else if (!err) {
		bench_print_evictions(out, all, nr);
	}
	free(all);
	return err ? EXIT_FAILED : EXIT_OK;
}

/* ---- strategies */

/* Whether io_uring is to be had; else says why not, and `then` what follows from it. */
static int can_run(const char *then)
{
	struct bench_result result = {0};
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

static int cannot_draw(const char *path, int err)
{
	cmd_error("cannot draw '%s': %s", path,
		  err == -ENODATA ? "nothing that is a curve" : strerror(-err));
	return EXIT_FAILED;
}

static int draw(const struct options *o, FILE *file, const struct bench_table *tables, size_t nr)
{
	int err = bench_plot(file, tables, nr);

	if (fclose(file) && !err)
		err = -errno;
	return err ? cannot_draw(o->plot, err) : EXIT_OK;
}

/* Those chosen, one after the other; the caller frees. */
static struct bench_table *run_cases(const struct options *o, FILE *out, size_t *nr)
{
	struct bench_table *tables = calloc(bench_nr_cases, sizeof(*tables));

	*nr = 0;
	for (size_t i = 0; tables && i < bench_nr_cases; i++) {
		if (!is_chosen(o, bench_cases[i].key))
			continue;
		bench_fill(&tables[*nr], &bench_cases[i], &o->plan);
		if (bench_stop)
			break;
		if (!o->json)
			bench_print_table(out, &tables[*nr]);
		fflush(out);
		(*nr)++;
	}
	return tables;
}

static void print_document(FILE *out, const struct options *o, const struct bench_table *tables,
			   size_t nr)
{
	struct json json = {.file = out};

	open_document(&json);
	json_u64(&json, "rounds", o->plan.rounds);
	json_open(&json, "cases", '[');
	for (size_t i = 0; i < nr; i++)
		bench_table_json(&json, &tables[i]);
	close_document(&json);
}

static bool has_figures(const struct bench_table *tables, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		for (size_t k = 0; k < tables[i].nr; k++) {
			if (!tables[i].rows[k].err)
				return true;
		}
	}
	return false;
}

/* What is said when the cases were run, or not to the end. */
static int conclude(const struct options *o, FILE *out, const struct bench_table *tables, size_t nr)
{
	if (!tables || bench_stop)
		return EXIT_FAILED;
	if (o->json)
		print_document(out, o, tables, nr);
	if (has_figures(tables, nr))
		return EXIT_OK;
	cmd_error("nothing could be measured");
	return EXIT_FAILED;
}

static int run_strategies(const struct options *o, FILE *out)
{
	struct bench_table *tables;
	FILE *plot = NULL;
	size_t nr;
	int code = can_run(": what needs it has no figures");

	if (code == EXIT_FAILED)
		return code;
	if (o->plot) /* before minutes of work, not after them */
		plot = fopen(o->plot, "we");
	if (o->plot && !plot)
		return cannot_draw(o->plot, -errno);
	tables = run_cases(o, out, &nr);
	code = conclude(o, out, tables, nr);
	if (plot && code == EXIT_OK)
		code = draw(o, plot, tables, nr);
	else if (plot)
		fclose(plot);
	free(tables);
	return code;
}

/* ---- claims */

static const char *verdict_text(enum bench_verdict verdict)
{
	static const char *const texts[] = {"cannot tell", "holds", "holds not", "more"};

	return texts[verdict];
}

static void print_claims(FILE *out, const struct bench_claim *claims, int nr)
{
	for (int i = 0; i < nr; i++) {
		const char *rest = claims[i].evidence;

		fprintf(out, "%-11s  %s\n", verdict_text(claims[i].verdict), claims[i].claim);
		while (*rest) {
			const char *line = rest;
			size_t bytes = text_wrap(&rest, 79 - 13);

			fprintf(out, "%13s%.*s\n", "", (int)bytes, line);
		}
	}
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
	nr = bench_judge(&o->plan, claims);
	if (nr < 0) {
		cmd_error("cannot judge: %s", strerror(-nr));
		return EXIT_FAILED;
	}
	if (bench_stop)
		return EXIT_FAILED;
	if (o->json)
		claims_json(&json, claims, nr);
	else
		print_claims(out, claims, nr);
	return EXIT_OK;
}

static void stop(int signal)
{
	bench_stop = signal;
}

/* What the work has made is taken away before the end. */
static void stop_at_signals(void)
{
	struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int finish(const struct options *o, FILE *out, int code)
{
	bool is_lost = ferror(out); /* by an earlier flush, whose errno is gone */
	int err = fclose(out) ? errno : 0;

	if (err)
		cmd_error("cannot write '%s': %s", o->file, strerror(err));
	else if (is_lost)
		cmd_error("cannot write '%s'", o->file);
	return err || is_lost ? EXIT_FAILED : code;
}

int cmd_bench(int argc, char **argv, const struct globals *globals)
{
	struct options o = {.plan = {.rounds = 7, .ops = 20000}};
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
	if (!o.evict)
		stop_at_signals();
	if (o.evict)
		code = run_evict(&o, out);
	else
		code = o.claims ? run_claims(&o, out) : run_strategies(&o, out);
	if (bench_stop) {
		bench_show_progress(1, 1, "");
		raise(bench_stop);
	}
	return o.file ? finish(&o, out, code) : code;
}

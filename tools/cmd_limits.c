// SPDX-License-Identifier: MIT
/* bufscope limits: what this kernel lets you register, what lies past it, what it costs. */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../lib/limits.h"
#include "../lib/text.h"
#include "cmd.h"

struct options {
	struct limits_opts limits;
	bool json;
	bool verbose;
	const char *file; /* NULL: standard output */
	char **prefixes;  /* of keys; nr 0: all */
	int nr_prefixes;
};

/* Every probe with its answer, in the order of the table. */
struct report {
	struct row {
		const struct limits_section *section;
		const struct limits_probe *probe;
		struct limits_answer answer;
	} * rows;
	size_t nr;
	uint64_t at_ns;
	uint64_t wall_ns;
};

enum { OPT_QUICK = 256, OPT_FULL, OPT_MAX_MEMORY };

static void print_help(void)
{
	puts("usage: bufscope limits [options] [KEY...]\n"
	     "\n"
	     "Asks the running kernel what it lets you register, what lies past each limit and "
	     "what\n"
	     "it costs, by doing it. KEY selects by the beginning of the key: "
	     "pbuf_ring.max_entries,\n"
	     "legacy, fixed, cost. Needs no privilege; RLIMIT_MEMLOCK and the like bound the "
	     "answers\n"
	     "as they bound your programs.\n"
	     "\n"
	     "      --quick             under 3 seconds\n"
	     "      --full              up to 3 minutes; without either, up to 20 seconds\n"
	     "      --max-memory SIZE   what one question may occupy or pin (suffix K, M, G);\n"
	     "                          by default a quarter of the memory available, at most 1G\n"
	     "  -j, --json              one JSON document\n"
	     "  -o, --output FILE       write there instead of standard output\n"
	     "  -v, --verbose           show keys and remarks\n"
	     "  -h, --help\n"
	     "\n"
	     "Exit status: 0 ok, 1 failed, 2 usage, 3 io_uring is not available to you.");
}

/* 0 to go on, else 1 + the exit code. */
static int parse_option(int c, char **argv, struct options *o)
{
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
	case 'v':
		o->verbose = true;
		return 0;
	case OPT_QUICK:
		o->limits.level = LIMITS_QUICK;
		return 0;
	case OPT_FULL:
		o->limits.level = LIMITS_FULL;
		return 0;
	case OPT_MAX_MEMORY:
		if (text_parse_size(optarg, 1 << 20, UINT64_MAX / 2, &o->limits.max_bytes) == 0)
			return 0;
		return 1 + cmd_usage(argv[0], "--max-memory takes 1M or more, not '%s'", optarg);
	default:
		return 1 + cmd_bad_option(argv);
	}
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{"quick", no_argument, NULL, OPT_QUICK},
		{"full", no_argument, NULL, OPT_FULL},
		{"max-memory", required_argument, NULL, OPT_MAX_MEMORY},
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "jo:vh", table, NULL)) != -1) {
		int stop = parse_option(c, argv, o);

		if (stop)
			return stop;
	}
	o->prefixes = argv + optind;
	o->nr_prefixes = argc - optind;
	return 0;
}

/* io_uring is not to be had: one line, and what can be done. */
static int explain_absence(int err)
{
	switch (-err) {
	case EPERM:
	case EACCES:
		cmd_error("io_uring is disabled for this user");
		cmd_hint("see sysctl kernel.io_uring_disabled and kernel.io_uring_group");
		return EXIT_UNSUPPORTED;
	case ENOSYS:
		cmd_error("this kernel has no io_uring");
		return EXIT_UNSUPPORTED;
	case ENOMEM:
		cmd_error("not even one ring can be created: %s", strerror(ENOMEM));
		cmd_hint("this kernel charges rings to RLIMIT_MEMLOCK: see ulimit -l");
		return EXIT_UNSUPPORTED;
	default:
		cmd_error("cannot create a ring: %s", strerror(-err));
		return EXIT_FAILED;
	}
}

static bool is_wanted(const struct options *o, const char *key)
{
	for (int i = 0; i < o->nr_prefixes; i++) {
		if (strncmp(key, o->prefixes[i], strlen(o->prefixes[i])) == 0)
			return true;
	}
	return o->nr_prefixes == 0;
}

/* Lists what will be asked; the answers are empty. */
static int plan_report(const struct options *o, struct report *report)
{
	const struct limits_section *const *sections = limits_sections();
	size_t most = 0;

	for (size_t s = 0; sections[s]; s++)
		most += sections[s]->nr;
	report->rows = calloc(most + 1, sizeof(*report->rows));
	if (!report->rows)
		return -ENOMEM;
	for (size_t s = 0; sections[s]; s++) {
		for (size_t i = 0; i < sections[s]->nr; i++) {
			if (!is_wanted(o, sections[s]->probes[i].key))
				continue;
			report->rows[report->nr].section = sections[s];
			report->rows[report->nr++].probe = &sections[s]->probes[i];
		}
	}
	return 0;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void show_progress(size_t done, size_t total, const char *what)
{
	enum { WIDTH = 24 };
	int filled = (int)(done * WIDTH / total);

	if (!isatty(STDERR_FILENO))
		return;
	if (done == total)
		fputs("\r\033[K", stderr);
	else
		fprintf(stderr, "\r[%.*s%*s] %zu/%zu %s\033[K", filled, "########################",
			WIDTH - filled, "", done, total, what);
	fflush(stderr);
}

static int fill_report(const struct options *o, struct report *report)
{
	report->at_ns = read_clock(CLOCK_MONOTONIC);
	report->wall_ns = read_clock(CLOCK_REALTIME);
	for (size_t i = 0; i < report->nr; i++) {
		struct row *row = &report->rows[i];
		int err;

		show_progress(i, report->nr, row->probe->key);
		err = limits_ask(row->probe, &o->limits, &row->answer);
		if (err)
			return err;
	}
	show_progress(1, 1, "");
	return 0;
}

static void print_note(FILE *out, const struct limits_answer *a, bool verbose)
{
	if (a->note[0] && (verbose || a->how == LIMITS_DIED))
		fprintf(out, "      %s\n", a->note);
}

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

static void print_answer(FILE *out, const struct row *row, bool verbose)
{
	const struct limits_answer *a = &row->answer;
	char value[48] = "-";

	if (a->has_value)
		snprintf(value, sizeof(value), "%llu %s", (unsigned long long)a->value,
			 row->probe->unit);
	else if (limits_verdict_name(a->verdict))
		snprintf(value, sizeof(value), "%s", limits_verdict_name(a->verdict));
	fprintf(out, "  %-27s %-16s %-9s %-14s %s\n", row->probe->question, value,
		a->errno_past ? text_errno(a->errno_past) : "-",
		or_dash(limits_bound_name(a->bound_by)), limits_how_name(a->how));
	if (verbose)
		fprintf(out, "    %s\n", row->probe->key);
	print_note(out, a, verbose);
}

static void print_points(FILE *out, const struct row *row)
{
	const struct limits_answer *a = &row->answer;
	bool each = row->probe->form == LIMITS_CURVE_EACH;
	char up[16], down[16], one[16];

	fprintf(out, "    %12s %12s %12s%s\n", row->probe->unit, "register", "unregister",
		each ? "     each" : "");
	for (size_t i = 0; i < a->nr_points; i++) {
		const struct limits_point *p = &a->points[i];

		text_span(one, sizeof(one), p->register_ns / p->at);
		fprintf(out, "    %12llu %12s %12s%s%s\n", (unsigned long long)p->at,
			text_span(up, sizeof(up), p->register_ns),
			text_span(down, sizeof(down), p->unregister_ns), each ? "    " : "",
			each ? one : "");
	}
	if (a->errno_past)
		fprintf(out, "    %12s %12s\n", "past it", text_errno(a->errno_past));
}

static void print_curve(FILE *out, const struct row *row, bool verbose)
{
	fprintf(out, "  %s\n", row->probe->question);
	if (verbose)
		fprintf(out, "    %s\n", row->probe->key);
	print_note(out, &row->answer, verbose);
	if (row->answer.nr_points > 0)
		print_points(out, row);
	else
		fprintf(out, "    %s %s\n", limits_how_name(row->answer.how),
			row->answer.errno_past ? text_errno(row->answer.errno_past) : "");
}

static void print_table(FILE *out, const struct report *report, const struct options *o)
{
	const struct limits_section *section = NULL;
	struct utsname uts;

	uname(&uts);
	fprintf(out, "kernel %s, %s\n", uts.release,
		geteuid() == 0 ? "as root" : "as an unprivileged user");
	for (size_t i = 0; i < report->nr; i++) {
		const struct row *row = &report->rows[i];

		if (row->section != section) {
			section = row->section;
			fprintf(out, "\n%s\n", section->title);
			if (row->probe->form == LIMITS_VALUE)
				fprintf(out, "  %-27s %-16s %-9s %-14s %s\n", "QUESTION", "ANSWER",
					"PAST IT", "SET BY", "HOW");
		}
		if (row->probe->form != LIMITS_VALUE)
			print_curve(out, row, o->verbose);
		else
			print_answer(out, row, o->verbose);
	}
}

static struct json_object *json_text(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static struct json_object *json_number(bool known, uint64_t value)
{
	return known ? json_object_new_uint64(value) : NULL;
}

static struct json_object *json_row(const struct row *row)
{
	const struct limits_answer *a = &row->answer;
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "key", json_text(row->probe->key));
	json_object_object_add(j, "section", json_text(row->section->name));
	json_object_object_add(j, "question", json_text(row->probe->question));
	if (row->probe->form == LIMITS_VALUE)
		json_object_object_add(j, "value", json_number(a->has_value, a->value));
	json_object_object_add(j, "unit", json_text(row->probe->unit));
	json_object_object_add(j, "verdict", json_text(limits_verdict_name(a->verdict)));
	json_object_object_add(j, "errno_past",
			       a->errno_past ? json_text(text_errno(a->errno_past)) : NULL);
	json_object_object_add(j, "bound_by", json_text(limits_bound_name(a->bound_by)));
	json_object_object_add(j, "how", json_text(limits_how_name(a->how)));
	json_object_object_add(j, "note", json_text(a->note[0] ? a->note : NULL));
	return j;
}

static struct json_object *json_points(const struct limits_answer *a)
{
	struct json_object *points = json_object_new_array();

	for (size_t i = 0; i < a->nr_points; i++) {
		struct json_object *p = json_object_new_object();

		json_object_object_add(p, "at", json_object_new_uint64(a->points[i].at));
		json_object_object_add(p, "register_ns",
				       json_object_new_uint64(a->points[i].register_ns));
		json_object_object_add(p, "unregister_ns",
				       json_object_new_uint64(a->points[i].unregister_ns));
		json_object_array_add(points, p);
	}
	return points;
}

static uint64_t soft_memlock(void)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	return limit.rlim_cur;
}

static void print_json(FILE *out, const struct report *report)
{
	struct json_object *doc = json_object_new_object();
	struct json_object *limits = json_object_new_array(), *costs = json_object_new_array();
	uint64_t memlock = soft_memlock();
	struct utsname uts;

	uname(&uts);
	for (size_t i = 0; i < report->nr; i++) {
		const struct row *row = &report->rows[i];
		struct json_object *j = json_row(row);

		if (row->probe->form != LIMITS_VALUE)
			json_object_object_add(j, "points", json_points(&row->answer));
		json_object_array_add(row->probe->form != LIMITS_VALUE ? costs : limits, j);
	}
	json_object_object_add(doc, "schema", json_text("bufscope.limits/1"));
	json_object_object_add(doc, "kernel", json_text(uts.release));
	json_object_object_add(doc, "at_ns", json_object_new_uint64(report->at_ns));
	json_object_object_add(doc, "wall_ns", json_object_new_uint64(report->wall_ns));
	json_object_object_add(doc, "uid", json_object_new_uint64(geteuid()));
	json_object_object_add(doc, "memlock_bytes",
			       json_number(memlock != RLIM_INFINITY, memlock));
	json_object_object_add(doc, "limits", limits);
	json_object_object_add(doc, "costs", costs);
	fprintf(out, "%s\n",
		json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(doc);
}

static int write_report(const struct options *o, const struct report *report)
{
	FILE *out = o->file ? fopen(o->file, "we") : stdout;
	bool ok;

	if (!out) {
		cmd_error("cannot write '%s': %s", o->file, strerror(errno));
		return EXIT_FAILED;
	}
	if (o->json)
		print_json(out, report);
	else
		print_table(out, report, o);
	if (!o->file)
		return EXIT_OK;
	ok = fflush(out) == 0;
	if (fclose(out) == 0 && ok)
		return EXIT_OK;
	cmd_error("cannot write '%s': %s", o->file, strerror(errno));
	return EXIT_FAILED;
}

static int run(const struct options *o, struct report *report)
{
	int err = plan_report(o, report);

	if (!err && report->nr == 0)
		return cmd_usage("limits", "limits: no key begins like that");
	if (!err)
		err = limits_can_ask();
	if (err)
		return explain_absence(err);
	err = fill_report(o, report);
	if (err) {
		cmd_error("cannot start a probe: %s", strerror(-err));
		return EXIT_FAILED;
	}
	return write_report(o, report);
}

int cmd_limits(int argc, char **argv, const struct globals *globals)
{
	struct options o = {
		.limits.level = LIMITS_DEFAULT,
		.verbose = globals->verbose,
	};
	struct report report = {0};
	int code = parse_options(argc, argv, &o);

	if (code)
		return code - 1;
	code = run(&o, &report);
	free(report.rows);
	return code;
}

// SPDX-License-Identifier: MIT
/* bufscope doctor: who starves, why, and what to change. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/caps.h"
#include "../lib/text.h"
#include "cmd.h"
#include "doctor.h"
#include "doctor_self.h"
#include "out.h"

#define MOST_ROOM  (1U << 20)
#define DEFAULT_NS UINT64_C(10000000000)

enum {
	OPT_EXPLAIN = OPT_OWN,
	OPT_FAIL_ON,
	OPT_SELF,
	OPT_REPLAY,
	OPT_BASELINE,
	OPT_DIFF,
	OPT_ROOM,
};

struct options {
	struct doctor_opts doctor;
	enum severity fail_on;
	bool json;
	bool self;
	const char *file;     /* NULL: standard output */
	const char *explain;  /* NULL, a code, or "list" */
	const char *baseline; /* an earlier report; NULL: none */
	const char *diff;     /* a report to compare with it, instead of watching; NULL: none */
};

static void print_help(void)
{
	puts("usage: bufscope doctor [options] [-- COMMAND [ARGUMENT...]]\n"
	     "       bufscope doctor --replay FILE\n"
	     "       bufscope doctor --baseline FILE --diff FILE\n"
	     "       bufscope doctor --explain CODE\n"
	     "       bufscope doctor --self\n"
	     "\n"
	     "Follows every event of buffer groups, reads the memory of their rings, and\n"
	     "tells what is wrong, by which evidence, and what to change. A COMMAND is\n"
	     "watched from its first ring to its end.\n"
	     "\n"
	     "  -p, --pid PID        only this process; may be given up to 64 times\n"
	     "  -g, --bgid BGID      only groups with this id\n"
	     "  -d, --duration SECONDS  how long (default 10; with a COMMAND until it ends)\n"
	     "      --fail-on LEVEL  exit with 1 if a finding is info, warn (default) or crit\n"
	     "      --replay FILE    examine a recording of 'top -b -j --full' instead: its\n"
	     "                       totals tell less than events do\n"
	     "      --baseline FILE  compare with an earlier report (-j); only what is new\n"
	     "                       counts for the exit status\n"
	     "      --diff FILE      compare this report with the baseline, and watch nothing\n"
	     "      --room BUFFERS   room for so many buffers of all groups (default and most\n"
	     "                       1M, in about 100 MB of memory); what does not fit is\n"
	     "                       counted and told\n"
	     "      --self           the table of abilities instead: what bufscope can do on\n"
	     "                       this kernel and as this user, and what each missing one\n"
	     "                       costs\n"
	     "      --explain CODE   the text of one code; 'list' names all\n"
	     "  -j, --json           one JSON document\n"
	     "  -o, --output FILE    write there instead of standard output\n"
	     "  -v, --verbose        show what libbpf and the kernel say\n"
	     "  -h, --help\n"
	     "\n"
	     "Exit status: 0 nothing found, 1 a finding, or failed, 2 usage, 3 not permitted\n"
	     "or not supported; with --self: 0 rings can be watched, 3 none can.");
}

static int parse_level(struct options *o, const char *command)
{
	for (int i = SEVERITY_INFO; i <= SEVERITY_CRIT; i++) {
		if (strcmp(optarg, severity_name((enum severity)i)) == 0) {
			o->fail_on = (enum severity)i;
			return 0;
		}
	}
	return 1 + cmd_usage(command, "--fail-on takes info, warn or crit, not '%s'", optarg);
}

static int parse_room(struct options *o, const char *command)
{
	uint64_t buffers;

	if (text_parse_size(optarg, 1, MOST_ROOM, &buffers))
		return 1 + cmd_usage(command, "--room takes 1 ... 1M, not '%s'", optarg);
	o->doctor.target.trace.room = (uint32_t)buffers;
	return 0;
}

/* Where the argument of an option goes that takes it as it is; NULL: it is none of these. */
static const char **text_option(int c, struct options *o)
{
	switch (c) {
	case OPT_REPLAY:
		return &o->doctor.replay;
	case OPT_BASELINE:
		return &o->baseline;
	case OPT_DIFF:
		return &o->diff;
	case OPT_EXPLAIN:
		return &o->explain;
	case 'o':
		return &o->file;
	default:
		return NULL;
	}
}

/* 0 to go on, else 1 + the exit code. */
static int parse_option(int c, char **argv, struct options *o)
{
	const char **text = text_option(c, o);

	if (text) {
		*text = optarg;
		return 0;
	}
	if (target_owns(c))
		return target_option(&o->doctor.target, c, optarg, argv[0]);
	switch (c) {
	case 'd':
		if (text_parse_seconds(optarg, 1, UINT64_C(86400000000000), &o->doctor.duration_ns))
			return 1 +
			       cmd_usage(argv[0], "-d takes up to 86400 seconds, not '%s'", optarg);
		return 0;
	case OPT_FAIL_ON:
		return parse_level(o, argv[0]);
	case OPT_ROOM:
		return parse_room(o, argv[0]);
	case OPT_SELF:
		o->self = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'v':
		o->doctor.verbose = true;
		return 0;
	case 'h':
		print_help();
		return 1 + EXIT_OK;
	default:
		return 1 + cmd_bad_option(argv);
	}
}

/* What goes together. 0, or 1 + the exit code. */
static int check_options(const struct options *o, const char *command)
{
	bool is_bound = o->doctor.replay || o->diff;

	if (o->self && o->doctor.command)
		return 1 + cmd_usage(command, "--self takes no command");
	if (o->doctor.command && o->doctor.target.nr_tgids)
		return 1 + cmd_usage(command, "-p and a command exclude each other");
	if (is_bound && o->doctor.command)
		return 1 + cmd_usage(command, "--replay and --diff take no command");
	if (o->doctor.replay && o->diff)
		return 1 + cmd_usage(command, "--replay and --diff exclude each other");
	if (is_bound && o->doctor.duration_ns)
		return 1 + cmd_usage(command, "--replay and --diff take no duration");
	if (o->diff && !o->baseline)
		return 1 + cmd_usage(command, "--diff needs a --baseline to compare with");
	return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{"pid", required_argument, NULL, 'p'},
		{"bgid", required_argument, NULL, 'g'},
		{"duration", required_argument, NULL, 'd'},
		{"fail-on", required_argument, NULL, OPT_FAIL_ON},
		{"room", required_argument, NULL, OPT_ROOM},
		{"self", no_argument, NULL, OPT_SELF},
		{"replay", required_argument, NULL, OPT_REPLAY},
		{"baseline", required_argument, NULL, OPT_BASELINE},
		{"diff", required_argument, NULL, OPT_DIFF},
		{"explain", required_argument, NULL, OPT_EXPLAIN},
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c, stop;

	while ((c = getopt_long(argc, argv, "+p:g:d:jo:vh", table, NULL)) != -1) {
		stop = parse_option(c, argv, o);
		if (stop)
			return stop;
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
		return 1 + cmd_usage(argv[0], "a command stands after --: '%s'", argv[optind]);
	if (optind < argc)
		o->doctor.command = argv + optind;
	else if (strcmp(argv[optind - 1], "--") == 0)
		return 1 + cmd_usage(argv[0], "no command after --");
	stop = check_options(o, argv[0]);
	if (stop)
		return stop;
	if (!o->doctor.duration_ns)
		o->doctor.duration_ns = o->doctor.command ? UINT64_MAX : DEFAULT_NS;
	return 0;
}

static int explain(const char *code)
{
	int complaint = complaint_find(code);

	if (strcmp(code, "list") == 0) {
		for (int i = 0; i < COMPLAINTS; i++)
			printf("%-5s %-22s %s\n", severity_name(complaint_texts[i].severity),
			       complaint_texts[i].code, complaint_texts[i].title);
		return EXIT_OK;
	}
	if (complaint < 0)
		return cmd_usage("doctor", "no code '%s'; --explain list names all", code);
	doctor_explain(stdout, complaint);
	return EXIT_OK;
}

static int examine_self(const struct options *o)
{
	FILE *file = out_open(o->file);
	int code;

	if (!file)
		return EXIT_FAILED;
	if (o->json)
		doctor_self_json(file);
	else
		doctor_self_table(file);
	code = out_close(file, o->file);
	return code || caps_backend() >= 0 ? code : EXIT_UNSUPPORTED;
}

static int write_report(const struct options *o, const struct doctor_report *report)
{
	FILE *file = out_open(o->file);
	int code;

	if (!file)
		return EXIT_FAILED;
	if (o->json)
		doctor_json(file, report);
	else
		doctor_text(file, report);
	code = out_close(file, o->file);
	for (size_t i = 0; !code && i < report->now->nr; i++) {
		const struct doctor_entry *entry = &report->now->at[i];

		if (entry->severity >= o->fail_on && entry->since != SINCE_BEFORE)
			code = EXIT_FAILED;
	}
	return code;
}

/* c: NULL if two reports are compared. */
static int report(const struct options *o, const struct consultation *c)
{
	struct doctor_list now = {0}, before = {0};
	struct doctor_report report = {.consultation = c, .now = &now};
	int code = EXIT_OK;

	if (o->baseline)
		code = doctor_list_read(&before, o->baseline);
	if (!code && o->diff)
		code = doctor_list_read(&now, o->diff);
	else if (!code && doctor_list_make(&now, c)) {
		cmd_error("out of memory");
		code = EXIT_FAILED;
	}
	if (!code && o->baseline) {
		before.nr = doctor_compare(&now, &before);
		report.gone = &before;
	}
	code = code ? code : write_report(o, &report);
	doctor_list_done(&now);
	doctor_list_done(&before);
	return code;
}

/* Before anything is watched for long: whether files can be read and written. */
static int check_files(const struct options *o)
{
	struct doctor_list before = {0};
	int code = o->baseline ? doctor_list_read(&before, o->baseline) : EXIT_OK;
	FILE *file;

	doctor_list_done(&before);
	if (code || !o->file)
		return code;
	file = fopen(o->file, "ae");
	if (file && !fclose(file))
		return EXIT_OK;
	cmd_error("cannot write '%s': %s", o->file, strerror(errno));
	return EXIT_FAILED;
}

static int consult(struct options *o)
{
	struct consultation *consultation = calloc(1, sizeof(*consultation));
	int code;

	if (!consultation) {
		cmd_error("out of memory");
		return EXIT_FAILED;
	}
	code = o->doctor.replay ? doctor_replay(&o->doctor, consultation)
				: doctor_watch(&o->doctor, consultation);
	code = code ? code : report(o, consultation);
	doctor_done(consultation);
	free(consultation);
	return code;
}

int cmd_doctor(int argc, char **argv, const struct globals *globals)
{
	struct options o = {
		.doctor = {.target = TARGET_ALL, .verbose = globals->verbose},
		.fail_on = SEVERITY_WARN,
	};
	int code = parse_options(argc, argv, &o);

	if (code)
		return code - 1;
	if (o.explain)
		return explain(o.explain);
	if (o.self)
		return examine_self(&o);
	code = check_files(&o);
	if (code)
		return code;
	return o.diff ? report(&o, NULL) : consult(&o);
}

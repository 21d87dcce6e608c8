// SPDX-License-Identifier: MIT
/* bufscope trace: single events, as they happen. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/text.h"
#include "../lib/trace.h"
#include "trace_run.h"

#define MIN_NS     UINT64_C(1000000)
#define MAX_NS     UINT64_C(86400000000000)
#define MAX_BUFFER (UINT64_C(1) << 30)

enum {
	OPT_ERRORS = OPT_OWN,
	OPT_BUFFER,
	OPT_PERFETTO,
	OPT_WATCH,
};

static void print_help(void)
{
	puts("usage: bufscope trace [options] [-- COMMAND [ARGUMENT]...]\n"
	     "\n"
	     "Tells each event of buffer groups in a line: register, unregister, fill,\n"
	     "select, bundle, partial, return, starve, mshot-end, overflow. With a COMMAND it\n"
	     "is run, and it and its children are followed from their first instruction to\n"
	     "its end.\n"
	     "\n"
	     "  -p, --pid PID        only rings of this process; may be given up to 64 times\n"
	     "  -g, --bgid BGID      only groups with this id\n"
	     "  -e, --event KIND,... only these kinds of events\n"
	     "      --errors         only events that tell of an error: starves, overflows,\n"
	     "                       failed registrations, failed requests of a multishot\n"
	     "                       or with a buffer\n"
	     "  -n, --count COUNT    end after so many events\n"
	     "  -d, --duration SECONDS  end after that time\n"
	     "  -j, --json           one JSON object a line\n"
	     "  -T, --timestamps     the time of day instead of seconds since the beginning\n"
	     "  -o, --output FILE    write there instead of standard output\n"
	     "      --perfetto FILE  instead of lines, a timeline that ui.perfetto.dev opens\n"
	     "      --watch PID/FD:BGID  with a hardware breakpoint on the tail of this\n"
	     "                       buffer ring, so that each return is told with its time\n"
	     "                       and thread\n"
	     "      --buffer SIZE    for events not yet written (default 16M); what does not\n"
	     "                       fit is lost, and counted\n"
	     "      --tick SECONDS   how often tails are read, for returns that no other event\n"
	     "                       follows (default 0.001; 0: not)\n"
	     "  -v, --verbose        show what libbpf and the kernel say\n"
	     "  -h, --help\n"
	     "\n"
	     "Needs CAP_BPF and CAP_PERFMON. A return is a store to memory, which nobody\n"
	     "sees: it is told when the next event or tick finds it. With --watch each store\n"
	     "interrupts the program, for about 10 us in a virtual machine, and one of the\n"
	     "four breakpoints of each thread is taken.\n"
	     "\n"
	     "Exit status: 0 ok, 1 failed, 2 usage, 3 not permitted or not supported.");
}

/* 0 to go on, else 1 + the exit code; so everywhere below. */
static int parse_kinds(struct trace_opts *o, const char *command)
{
	uint32_t kinds = 0;
	char *rest = optarg;
	char *name;

	while ((name = strsep(&rest, ","))) {
		int kind = trace_kind_find(name);

		if (kind < 0)
			return 1 + cmd_usage(command, "-e: no event '%s'", name);
		kinds |= 1U << kind;
	}
	o->shown = kinds;
	return 0;
}

/* Up to the next power of two, and at least a page: so the kernel wants it. */
static int parse_buffer(struct trace_opts *o, const char *command)
{
	uint64_t bytes, page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (text_parse_size(optarg, 1, MAX_BUFFER, &bytes))
		return 1 + cmd_usage(command, "--buffer takes 1 ... 1G, not '%s'", optarg);
	while (page < bytes)
		page *= 2;
	o->target.trace.bytes = (uint32_t)page;
	return 0;
}

static int parse_limit(struct trace_opts *o, int c, const char *command)
{
	if (c == 'n') {
		if (text_parse_u64(optarg, 1, UINT64_MAX, &o->count))
			return 1 + cmd_usage(command, "-n takes 1 or more, not '%s'", optarg);
		return 0;
	}
	if (text_parse_seconds(optarg, MIN_NS, MAX_NS, &o->duration_ns))
		return 1 + cmd_usage(command, "-d takes 0.001 ... 86400 seconds, not '%s'", optarg);
	return 0;
}

static int parse_watch(struct trace_opts *o, const char *command)
{
	if (trace_watch_parse(&o->watch, optarg))
		return 1 + cmd_usage(command, "--watch takes PID/FD:BGID, not '%s'", optarg);
	return 0;
}

static int parse_option(struct trace_opts *o, int c, char **argv)
{
	if (target_owns(c))
		return target_option(&o->target, c, optarg, argv[0]);
	switch (c) {
	case 'e':
		return parse_kinds(o, argv[0]);
	case OPT_ERRORS:
		o->target.trace.only_errors = true;
		return 0;
	case 'n':
	case 'd':
		return parse_limit(o, c, argv[0]);
	case OPT_BUFFER:
		return parse_buffer(o, argv[0]);
	case 'j':
		o->json = true;
		return 0;
	case 'T':
		o->clock = true;
		return 0;
	case 'o':
		o->file = optarg;
		return 0;
	case OPT_PERFETTO:
		o->timeline = optarg;
		return 0;
	case OPT_WATCH:
		return parse_watch(o, argv[0]);
	case 'v':
		o->verbose = true;
		return 0;
	case 'h':
		print_help();
		return 1 + EXIT_OK;
	default:
		return 1 + cmd_bad_option(argv);
	}
}

/* What does not go together. */
static int check_options(const struct trace_opts *o, const char *command)
{
	if (o->timeline && (o->json || o->file))
		return 1 + cmd_usage(command,
				     "--perfetto replaces lines: %s has no meaning with it",
				     o->json ? "-j" : "-o");
	if (o->timeline && (o->shown != TRACE_SHOWN || o->target.trace.only_errors))
		return 1 + cmd_usage(command, "--perfetto needs all events: %s does not go with it",
				     o->target.trace.only_errors ? "--errors" : "-e");
	if (o->watch.is_wanted && (o->command || o->target.trace.only_errors))
		return 1 + cmd_usage(command, "--watch does not go with %s",
				     o->command ? "a command" : "--errors");
	if (o->watch.is_wanted && o->target.bgid >= 0 && o->target.bgid != (int)o->watch.bgid)
		return 1 + cmd_usage(command, "-g leaves out the group to watch");
	if (o->command && o->target.nr_tgids == OBSERVE_MAX_TGIDS)
		return 1 + cmd_usage(command, "-p can be given %d times along with a command",
				     OBSERVE_MAX_TGIDS - 1);
	return 0;
}

static int parse_options(int argc, char **argv, struct trace_opts *o)
{
	static const struct option table[] = {
		{"pid", required_argument, NULL, 'p'},
		{"bgid", required_argument, NULL, 'g'},
		{"event", required_argument, NULL, 'e'},
		{"errors", no_argument, NULL, OPT_ERRORS},
		{"count", required_argument, NULL, 'n'},
		{"duration", required_argument, NULL, 'd'},
		{"json", no_argument, NULL, 'j'},
		{"timestamps", no_argument, NULL, 'T'},
		{"output", required_argument, NULL, 'o'},
		{"perfetto", required_argument, NULL, OPT_PERFETTO},
		{"watch", required_argument, NULL, OPT_WATCH},
		{"buffer", required_argument, NULL, OPT_BUFFER},
		{"tick", required_argument, NULL, TARGET_TICK},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "+p:g:e:n:d:jTo:vh", table, NULL)) != -1) {
		int stop = parse_option(o, c, argv);

		if (stop)
			return stop;
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
		return 1 + cmd_usage(argv[0], "a command stands behind --: '%s'", argv[optind]);
	if (optind < argc)
		o->command = argv + optind;
	else if (optind > 1 && strcmp(argv[optind - 1], "--") == 0)
		return 1 + cmd_usage(argv[0], "no command behind --");
	return check_options(o, argv[0]);
}

/* What is watched is what is traced, unless something else is named. */
static void aim_at_watched(struct trace_opts *o)
{
	struct target *target = &o->target;

	target->trace.is_watched = true;
	target->trace.kinds |= 1U << TRACE_REGISTER | 1U << TRACE_UNREGISTER;
	if (target->bgid < 0)
		target->bgid = (int)o->watch.bgid;
	if (target->nr_tgids == 0)
		target->tgids[target->nr_tgids++] = o->watch.tgid;
}

int cmd_trace(int argc, char **argv, const struct globals *globals)
{
	struct trace_opts o = {
		.target = TARGET_ALL,
		.count = UINT64_MAX,
		.duration_ns = UINT64_MAX,
		.verbose = globals->verbose,
	};
	int stop;

	o.target.depth = OBSERVE_FULL;
	o.target.depth_given = true;
	o.target.scan_entries = 0;
	o.shown = TRACE_SHOWN;
	o.target.trace.bytes = 16U << 20;
	stop = parse_options(argc, argv, &o);
	if (stop)
		return stop - 1;
	o.target.trace.kinds = o.shown | 1U << TRACE_CREATE;
	if (o.watch.is_wanted)
		aim_at_watched(&o);
	return trace_run(&o);
}

// SPDX-License-Identifier: MIT
/* bufscope top: the rings and groups of the system, again and again. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/text.h"
#include "cmd.h"
#include "out.h"
#include "signals.h"
#include "tui.h"
#include "watch.h"

struct options {
	struct target target;
	uint64_t interval_ns;
	uint64_t count;       /* frames; UINT64_MAX: no end */
	uint64_t duration_ns; /* UINT64_MAX: no end */
	bool batch;
	bool json;
	bool verbose;
	const char *file;   /* NULL: standard output */
	const char *replay; /* NULL: the kernel */
};

enum { OPT_REPLAY = OPT_OWN };

static void print_help(void)
{
	puts("usage: bufscope top [options]\n"
	     "\n"
	     "Shows every buffer group live, on a terminal; with -b as text, with -j as JSON.\n"
	     "\n" TARGET_HELP DEPTH_HELP
	     "  -i, --interval SECONDS  between two looks, 0.01 or more (default 1)\n"
	     "  -n, --count COUNT    end after so many looks\n"
	     "  -d, --duration SECONDS  end after that time\n"
	     "  -b, --batch          text, one table a look\n"
	     "  -j, --json           with -b: one JSON object a line, which is a recording,\n"
	     "                       too\n"
	     "  -o, --output FILE    with -b: write there instead of standard output\n"
	     "      --replay FILE    show a recording instead of the kernel; with -b all of\n"
	     "                       it at once\n"
	     "  -v, --verbose        show what libbpf and the kernel say\n"
	     "  -h, --help\n"
	     "\n"
	     "What is named by -p or -g is followed in full, else the whole system lightly.\n"
	     "Needs CAP_BPF and CAP_PERFMON. Rates are '-' until the second look. '?' marks a\n"
	     "number that may be short: a 16-bit counter may have wrapped between two looks.\n"
	     "\n"
	     "Exit status: 0 ok, 1 failed, 2 usage, 3 not permitted or not supported.");
}

static int parse_number(struct options *o, int c, const char *command)
{
	const char *name = c == 'i' ? "-i" : "-d";
	uint64_t *ns = c == 'i' ? &o->interval_ns : &o->duration_ns;

	if (c == 'n') {
		if (text_parse_u64(optarg, 1, UINT64_MAX, &o->count))
			return 1 + cmd_usage(command, "-n takes 1 or more, not '%s'", optarg);
		return 0;
	}
	if (text_parse_seconds(optarg, WATCH_MIN_NS, WATCH_MAX_NS, ns))
		return 1 + cmd_usage(command, "%s takes 0.01 ... 86400 seconds, not '%s'", name,
				     optarg);
	return 0;
}

static int parse_option(struct options *o, int c, char **argv)
{
	if (target_owns(c))
		return target_option(&o->target, c, optarg, argv[0]);
	switch (c) {
	case 'i':
	case 'n':
	case 'd':
		return parse_number(o, c, argv[0]);
	case 'b':
		o->batch = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'o':
		o->file = optarg;
		return 0;
	case OPT_REPLAY:
		o->replay = optarg;
		return 0;
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

/* 0 to go on, else 1 + the exit code. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		TARGET_LONG,
		DEPTH_LONG,
		{"interval", required_argument, NULL, 'i'},
		{"count", required_argument, NULL, 'n'},
		{"duration", required_argument, NULL, 'd'},
		{"batch", no_argument, NULL, 'b'},
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"replay", required_argument, NULL, OPT_REPLAY},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, TARGET_SHORT "i:n:d:bjo:vh", table, NULL)) != -1) {
		int stop = parse_option(o, c, argv);

		if (stop)
			return stop;
	}
	if (optind < argc)
		return 1 + cmd_usage(argv[0], "%s takes no argument: '%s'", argv[0], argv[optind]);
	if (!o->target.depth_given)
		o->target.depth =
			o->target.nr_tgids || o->target.bgid >= 0 ? OBSERVE_FULL : OBSERVE_LIGHT;
	if (!o->batch && (o->json || o->file))
		return 1 + cmd_usage(argv[0], "%s goes with -b", o->json ? "-j" : "-o");
	return 0;
}

/* ---- batch mode */

struct batch {
	const struct options *options;
	struct watch watch;
	FILE *file;
	int signals;       /* readable when somebody wants us to end */
	uint64_t first_ns; /* stamp of the first sample */
	uint64_t frames;
};

static void write_text(const struct batch *batch)
{
	const struct model *model = watch_model(&batch->watch);
	time_t wall = (time_t)(model->wall_ns / 1000000000);
	char summary[256], clock[16] = "";
	struct tm tm;

	if (localtime_r(&wall, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	fprintf(batch->file, "%s%s  %s\n", batch->frames ? "\n" : "", clock,
		out_summary(model, summary, sizeof(summary)));
	if (model->live_groups > 0)
		out_groups(batch->file, model);
}

/* Whoever reads a pipe wants each frame when it is whole. 0 to go on, else 1 + the exit code. */
static int write_frame(struct batch *batch)
{
	const struct out_head head = {.schema = "bufscope.top/1", .kernel = batch->watch.kernel};
	const struct options *o = batch->options;
	int code = watch_look(&batch->watch);
	const struct model *model = watch_model(&batch->watch);

	if (code)
		return 1 + code;
	if (!batch->watch.is_fresh)
		return watch_is_over(&batch->watch) ? 1 + EXIT_OK : 0;
	if (o->json)
		out_json(batch->file, model, &head);
	else
		write_text(batch);
	if (batch->frames++ == 0)
		batch->first_ns = model->at_ns;
	if (fflush(batch->file))
		return 1 + EXIT_FAILED;
	if (batch->frames >= o->count || model->at_ns - batch->first_ns >= o->duration_ns ||
	    watch_is_over(&batch->watch))
		return 1 + EXIT_OK;
	return 0;
}

/* A recording has no reason to wait. */
static int write_recording(struct batch *batch)
{
	struct pollfd interrupt = {.fd = batch->signals, .events = POLLIN};
	int stop = 0;

	while (!stop && poll(&interrupt, 1, 0) == 0)
		stop = write_frame(batch);
	return stop ? stop - 1 : EXIT_OK;
}

static int run_frames(struct batch *batch)
{
	struct pollfd waits[] = {{.fd = batch->watch.timer, .events = POLLIN},
				 {.fd = batch->signals, .events = POLLIN}};
	int stop = write_frame(batch);

	if (!stop && watch_start(&batch->watch)) {
		cmd_error("cannot start a timer: %s", strerror(errno));
		return EXIT_FAILED;
	}
	while (!stop) {
		if (poll(waits, 2, -1) < 0 && errno != EINTR) {
			cmd_error("cannot wait: %s", strerror(errno));
			return EXIT_FAILED;
		}
		if (waits[1].revents)
			return EXIT_OK;
		if (waits[0].revents)
			stop = write_frame(batch);
	}
	return stop - 1;
}

static int run_batch(const struct options *o)
{
	const struct watch_opts opts = {
		.target = &o->target,
		.replay = o->replay,
		.interval_ns = o->interval_ns,
		.verbose = o->verbose,
	};
	struct batch batch = {.options = o};
	int code = watch_open(&batch.watch, &opts);

	if (code)
		return code;
	code = EXIT_FAILED;
	batch.signals = signals_open(NULL);
	batch.file = out_open(o->file);
	if (batch.file && batch.signals >= 0)
		code = o->replay ? write_recording(&batch) : run_frames(&batch);
	if (batch.file && out_close(batch.file, o->file))
		code = EXIT_FAILED;
	if (batch.signals >= 0)
		close(batch.signals);
	watch_close(&batch.watch);
	return code;
}

int cmd_top(int argc, char **argv, const struct globals *globals)
{
	struct options o = {
		.target = TARGET_ALL,
		.interval_ns = 1000000000,
		.count = UINT64_MAX,
		.duration_ns = UINT64_MAX,
		.verbose = globals->verbose,
	};
	int stop = parse_options(argc, argv, &o);

	if (stop)
		return stop - 1;
	if (o.batch)
		return run_batch(&o);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		cmd_error("top needs a terminal");
		cmd_hint("bufscope top -b");
		return EXIT_USAGE;
	}
	return tui_run(&(struct tui_opts){
		.watch = {.target = &o.target,
			  .replay = o.replay,
			  .interval_ns = o.interval_ns,
			  .verbose = o.verbose},
		.count = o.count,
		.duration_ns = o.duration_ns,
		.has_color = globals->color,
	});
}

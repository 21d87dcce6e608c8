// SPDX-License-Identifier: MIT
/* bufscope list: every ring and buffer group on the system, once. */
#include <getopt.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "cmd.h"
#include "out.h"
#include "target.h"

struct options {
	struct target target;
	bool json;
	bool verbose;
	const char *file; /* NULL: standard output */
};

static void print_help(void)
{
	puts("usage: bufscope list [options]\n"
	     "\n"
	     "Shows every io_uring ring on the system and, under it, its buffer groups.\n"
	     "\n" TARGET_HELP "  -j, --json           one JSON document\n"
	     "  -o, --output FILE    write there instead of standard output\n"
	     "  -v, --verbose        show what libbpf and the kernel say\n"
	     "  -h, --help\n"
	     "\n"
	     "Needs CAP_BPF and CAP_PERFMON. '-' is what cannot be known; '<=N' held is what\n"
	     "is missing from the ring, of which some may never have been filled.\n"
	     "\n"
	     "Exit status: 0 ok, 1 failed, 2 usage, 3 not permitted or not supported.");
}

/* 0 to go on, else 1 + the exit code. */
static int parse_option(struct options *o, int c, char **argv)
{
	if (target_owns(c))
		return target_option(&o->target, c, optarg, argv[0]);
	switch (c) {
	case 'j':
		o->json = true;
		return 0;
	case 'o':
		o->file = optarg;
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

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		TARGET_LONG,
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, TARGET_SHORT "jo:vh", table, NULL)) != -1) {
		int stop = parse_option(o, c, argv);

		if (stop)
			return stop;
	}
	if (optind < argc)
		return 1 + cmd_usage(argv[0], "%s takes no argument: '%s'", argv[0], argv[optind]);
	return 0;
}

/* A model of one sample: what takes two to know stays unknown. */
static int look(const struct options *o, struct model *model)
{
	struct sample sample = {0};
	struct observe *observe;
	int code;

	observe = target_open(&o->target, o->verbose, &code);
	if (!observe)
		return code;
	code = target_sample(observe, &sample);
	if (!code && model_update(model, &sample)) {
		cmd_error("out of memory");
		code = EXIT_FAILED;
	}
	sample_done(&sample);
	observe_close(observe);
	return code;
}

static int write_list(const struct options *o, const struct model *model)
{
	struct utsname uts = {0};
	struct out_head head = {.schema = "bufscope.list/1", .kernel = uts.release};
	FILE *file = out_open(o->file);
	char summary[256];

	if (!file)
		return EXIT_FAILED;
	uname(&uts);
	if (o->json) {
		out_json(file, model, &head);
		return out_close(file, o->file);
	}
	fprintf(file, "%s\n", out_summary(model, summary, sizeof(summary)));
	if (model->live_rings > 0)
		out_list(file, model);
	return out_close(file, o->file);
}

int cmd_list(int argc, char **argv, const struct globals *globals)
{
	struct options o = {.target = TARGET_ALL, .verbose = globals->verbose};
	struct model *model;
	int code = parse_options(argc, argv, &o);

	if (code)
		return code - 1;
	model = model_new();
	if (!model) {
		cmd_error("out of memory");
		return EXIT_FAILED;
	}
	code = look(&o, model);
	if (!code)
		code = write_list(&o, model);
	model_free(model);
	return code;
}

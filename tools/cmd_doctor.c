// SPDX-License-Identifier: MIT
/* bufscope doctor: what is wrong, with this kernel's and this user's abilities for now. */
#include <getopt.h>
#include <stdio.h>

#include "../lib/caps.h"
#include "cmd.h"
#include "doctor_self.h"
#include "out.h"

#define SELF 512

struct options {
	bool self;
	bool json;
	const char *file; /* NULL: standard output */
};

static void print_help(void)
{
	puts("usage: bufscope doctor --self [options]\n"
	     "\n"
	     "Tries what bufscope can do on this kernel and as this user, and tells what each\n"
	     "missing ability costs. Nothing stays loaded or registered.\n"
	     "\n"
	     "      --self           the table of abilities\n"
	     "  -j, --json           one JSON document\n"
	     "  -o, --output FILE    write there instead of standard output\n"
	     "  -h, --help\n"
	     "\n"
	     "Exit status: 0 rings can be watched, 1 failed, 2 usage, 3 no ring can be watched.");
}

/* 0 to go on, else 1 + the exit code. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{"self", no_argument, NULL, SELF},
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "jo:h", table, NULL)) != -1) {
		switch (c) {
		case SELF:
			o->self = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 'o':
			o->file = optarg;
			break;
		case 'h':
			print_help();
			return 1 + EXIT_OK;
		default:
			return 1 + cmd_bad_option(argv);
		}
	}
	if (optind < argc)
		return 1 + cmd_usage(argv[0], "%s takes no argument: '%s'", argv[0], argv[optind]);
	if (!o->self)
		return 1 + cmd_usage(argv[0], "doctor looks at nothing but itself yet: --self");
	return 0;
}

int cmd_doctor(int argc, char **argv, const struct globals *globals)
{
	struct options o = {0};
	int code = parse_options(argc, argv, &o);
	FILE *file;

	(void)globals;
	if (code)
		return code - 1;
	file = out_open(o.file);
	if (!file)
		return EXIT_FAILED;
	if (o.json)
		doctor_self_json(file);
	else
		doctor_self_table(file);
	code = out_close(file, o.file);
	return code || caps_backend() >= 0 ? code : EXIT_UNSUPPORTED;
}

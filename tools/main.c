// SPDX-License-Identifier: MIT
/* Global options, the table of commands, exit codes. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

static const struct {
	const char *name;
	cmd_fn *run;
	const char *help;
} commands[] = {
	{"limits", cmd_limits,
	 "what this kernel lets you register, what lies past it, what it costs"},
	{"list", cmd_list, "every ring and buffer group on the system, once"},
	{"top", cmd_top, "the same, live; batch and JSON modes"},
	{"trace", cmd_trace, "each selection, return and starve, as it happens"},
	{"doctor", cmd_doctor, "who starves, why, and what to change"},
	{"export", cmd_export, "the same as metrics, for Prometheus to gather"},
	{"bench", cmd_bench, "the pool strategies side by side on this machine"},
	{"load", cmd_load, "a workload that knows the exact truth about itself"},
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
	fputs("usage: bufscope [-h] [-V] [-v] [--no-color] COMMAND [options]\n\n", out);
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\n"
	      "  -h, --help      this; after a command: its options\n"
	      "  -V, --version\n"
	      "  -v, --verbose   say more, in any command\n"
	      "      --no-color\n"
	      "\n"
	      "Without a command: top on a terminal.\n",
	      out);
}

/* What was printed must have arrived: a full disk is a failure, a closed pipe is the reader's. */
static int check_stdout(int code)
{
	bool lost = ferror(stdout); /* by an earlier flush, whose errno is gone */
	int err = fflush(stdout) ? errno : 0;

	if (err == EPIPE || (!err && !lost))
		return code;
	if (err)
		cmd_error("cannot write to standard output: %s", strerror(err));
	else
		cmd_error("cannot write to standard output");
	return EXIT_FAILED;
}

static int run_command(int argc, char **argv, const struct globals *globals)
{
	static char top[] = "top";
	char *alone[] = {top, NULL};
	const char *name;

	if (argc == 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
		argc = 1;
		argv = alone;
	}
	if (argc == 0) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	name = argv[0];
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (strcmp(name, commands[i].name) == 0) {
			optind = 0;
			return check_stdout(commands[i].run(argc, argv, globals));
		}
	}
	cmd_error("no command '%s'", name);
	cmd_hint("bufscope --help");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{"verbose", no_argument, NULL, 'v'},
		{"no-color", no_argument, NULL, 'C'},
		{0},
	};
	const char *no_color = getenv("NO_COLOR");
	struct globals globals = {.color = isatty(STDOUT_FILENO) && !(no_color && *no_color)};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+hVv", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			print_usage(stdout);
			return check_stdout(EXIT_OK);
		case 'V':
			puts("bufscope " VERSION);
			return check_stdout(EXIT_OK);
		case 'v':
			globals.verbose = true;
			break;
		case 'C':
			globals.color = false;
			break;
		default:
			cmd_error("unknown option '%s'", argv[optind - 1]);
			cmd_hint("bufscope --help");
			return EXIT_USAGE;
		}
	}
	return run_command(argc - optind, argv + optind, &globals);
}

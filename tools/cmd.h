/* SPDX-License-Identifier: MIT */
/* What the commands share: exit codes, global options, how an error is said. */
#ifndef BUFSCOPE_CMD_H
#define BUFSCOPE_CMD_H

#include <stdbool.h>

#define VERSION "0.1"

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* ran and failed, or found something */
	EXIT_USAGE = 2,
	EXIT_UNSUPPORTED = 3, /* not permitted, or the kernel cannot */
};

struct globals {
	bool verbose;
	bool color; /* false by --no-color, NO_COLOR, or a stdout that is no terminal */
};

/*
 * A command: argv[0] is its name, options follow. Returns an exit code. Data goes to stdout, all
 * else to stderr.
 */
typedef int cmd_fn(int argc, char **argv, const struct globals *globals);

cmd_fn cmd_bench, cmd_doctor, cmd_export, cmd_limits, cmd_list, cmd_load, cmd_top, cmd_trace;

/* One line "bufscope: ..." on stderr, lower case, no full stop. */
void cmd_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line "hint: ..." on stderr; NULL says nothing. */
void cmd_hint(const char *hint);

/*
 * A user's mistake: the line, then "hint: bufscope COMMAND --help". Returns EXIT_USAGE, so that
 * a caller can return it.
 */
int cmd_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for what getopt_long() refused: call with its return value '?' or ':' and argv. */
int cmd_bad_option(char **argv);

#endif

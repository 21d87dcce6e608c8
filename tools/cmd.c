// SPDX-License-Identifier: MIT
/* How is a mistake or a failure said? */
#include "cmd.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(const char *lead, const char *format, va_list args)
{
	char line[512];

	vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "%s%s\n", lead, line);
}

void cmd_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("bufscope: ", format, args);
	va_end(args);
}

void cmd_hint(const char *hint)
{
	if (hint)
		fprintf(stderr, "hint: %s\n", hint);
}

int cmd_usage(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("bufscope: ", format, args);
	va_end(args);
	fprintf(stderr, "hint: bufscope %s --help\n", command);
	return EXIT_USAGE;
}

int cmd_bad_option(char **argv)
{
	const char *word = optind > 0 ? argv[optind - 1] : "";

	if (optopt && optopt < 128 && !strchr("?:", optopt))
		return cmd_usage(argv[0], "%s: unknown option or missing value '-%c'", argv[0],
				 optopt);
	return cmd_usage(argv[0], "%s: unknown option or missing value '%s'", argv[0], word);
}

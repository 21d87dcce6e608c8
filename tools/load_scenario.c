// SPDX-License-Identifier: MIT
/* Which scenarios are there, and how is one played? */
#include "load_scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static const struct scenario *const acts[] = {
	load_scenarios_starve, load_scenarios_return, load_scenarios_entry, load_scenarios_bound,
	load_scenarios_call,   load_scenarios_extent, load_scenarios_sane,
};

#define NR_ACTS (sizeof(acts) / sizeof(acts[0]))

static void list(void)
{
	for (size_t i = 0; i < NR_ACTS; i++) {
		for (const struct scenario *s = acts[i]; s->name; s++)
			printf("%-20s %-22s %-32s %s\n", s->name, s->expect ? s->expect : "-",
			       s->also ? s->also : "-", s->what);
	}
}

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; i < NR_ACTS; i++) {
		for (const struct scenario *s = acts[i]; s->name; s++) {
			if (strcmp(s->name, name) == 0)
				return s;
		}
	}
	return NULL;
}

static int play(const struct scenario *scenario, uint32_t entries)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	int code = EXIT_OK;

	if (!stage) {
		cmd_error("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	stage->entries = entries;
	if (setjmp(stage->failed)) {
		cmd_error("%s: %s", scenario->name, stage->what);
		code = stage->err == EINVAL || stage->err == ENOSYS || stage->err == EPERM
			       ? EXIT_UNSUPPORTED
			       : EXIT_FAILED;
	} else {
		stage_open(stage, scenario->sq_entries ? scenario->sq_entries : 64);
		scenario->play(stage);
		stage_close(stage);
	}
	free(stage);
	return code;
}

int load_scenario(const char *name, uint32_t entries)
{
	const struct scenario *scenario = find(name);

	if (strcmp(name, "list") == 0) {
		list();
		return EXIT_OK;
	}
	if (!scenario)
		return cmd_usage("load", "no scenario '%s'; --scenario list names all", name);
	return play(scenario, entries);
}

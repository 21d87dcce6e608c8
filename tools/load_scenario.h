/* SPDX-License-Identifier: MIT */
/*
 * Programs in miniature, each with one mistake that programs with buffer groups make, or with
 * none: for seeing what the doctor says, and for testing it.
 */
#ifndef BUFSCOPE_LOAD_SCENARIO_H
#define BUFSCOPE_LOAD_SCENARIO_H

#include "load_stage.h"

struct scenario {
	const char *name;
	const char *what;   /* it does, in a line */
	const char *expect; /* code that the doctor must give; NULL: it must find nothing */
	const char *also;   /* further codes that are true of it, separated by commas; NULL: none */
	void (*play)(struct stage *stage);
	unsigned int sq_entries;
};

/* The end of a list has no name. */
extern const struct scenario load_scenarios_starve[], load_scenarios_return[],
	load_scenarios_entry[], load_scenarios_bound[], load_scenarios_call[],
	load_scenarios_extent[], load_scenarios_sane[];

/*
 * "list" prints all of them. `entries`: of groups that it fills whole, instead of its own; 0: its
 * own. Returns an exit code.
 */
int load_scenario(const char *name, uint32_t entries);

#endif

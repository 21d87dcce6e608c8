// SPDX-License-Identifier: MIT
/*
 * How much work are the BPF programs for this kernel's verifier? It gives up after a million
 * instructions; a program that comes near would be refused by the next kernel, or the last one.
 * Prints a line for each: program, instructions verified, states at the peak.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <dlfcn.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "observe.h"

#define LIMIT         1000000 /* BPF_COMPLEXITY_LIMIT_INSNS of the kernel */
#define MOST_PROGRAMS 64
#define LOG_STATS     4

static struct cost {
	char name[BPF_OBJ_NAME_LEN];
	unsigned int insns;
	unsigned int states;
} costs[MOST_PROGRAMS];

static size_t nr_costs;

/*
 * "processed N insns (limit N) max_states_per_insn N total_states N peak_states N mark_read N";
 * from 7.2 on behind a line "insns processed N+N", one N for each function.
 */
static void note_load(const union bpf_attr *attr, const char *log)
{
	const char *line = strstr(log, "\nprocessed ");
	struct cost cost = {0};

	if (!line || nr_costs == MOST_PROGRAMS ||
	    sscanf(line,
		   "\nprocessed %u insns (limit %*u) max_states_per_insn %*u total_states %*u "
		   "peak_states %u",
		   &cost.insns, &cost.states) != 2)
		return;
	memcpy(cost.name, attr->prog_name, sizeof(cost.name) - 1);
	for (size_t i = 0; i < nr_costs; i++) {
		if (strcmp(costs[i].name, cost.name) != 0)
			continue;
		if (cost.insns > costs[i].insns)
			costs[i] = cost;
		return;
	}
	costs[nr_costs++] = cost;
}

typedef long syscall_fn(long nr, ...);

union argument {
	long number;
	union bpf_attr *attr;
};

/* libbpf finds this one before libc's: each load is asked for its statistics. */
long syscall(long __sysno, ...)
{
	static syscall_fn *real;
	static char log[65536];
	union bpf_attr *attr;
	long arg[6], result;
	va_list args;

	va_start(args, __sysno);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	attr = (union argument){.number = arg[1]}.attr;
	if (__sysno != __NR_bpf || arg[0] != BPF_PROG_LOAD || attr->log_level)
		return real(__sysno, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	attr->log_level = LOG_STATS;
	attr->log_buf = (uintptr_t)log;
	attr->log_size = sizeof(log);
	log[0] = '\0';
	result = real(__sysno, arg[0], arg[1], arg[2]);
	if (result >= 0)
		note_load(attr, log);
	return result;
}

#define TICK_NS 5000000 /* as the commands have it: without one, less is verified */

/* With functions: where the kernel lets them be seen. */
static void load_all(void)
{
	const struct observe_opts all[] = {
		{.depth = OBSERVE_FULL,
		 .bgid = -1,
		 .tick_ns = TICK_NS,
		 .scan_entries = 32768,
		 .trace = {.kinds = ~0U, .is_tree = true, .is_watched = true, .bytes = 65536}},
		{.depth = OBSERVE_FULL,
		 .bgid = -1,
		 .tick_ns = TICK_NS,
		 .trace = {.kinds = ~0U, .is_tree = true, .is_booked = true, .bytes = 65536}},
		{.depth = OBSERVE_FULL, .bgid = -1, .tick_ns = TICK_NS, .functions = true},
		{.depth = OBSERVE_FULL, .bgid = -1},
		{.depth = OBSERVE_LIGHT, .bgid = -1, .tick_ns = TICK_NS},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct observe_err err;
		struct observe *o = observe_open(&all[i], &err);

		if (!o)
			fail_msg("%s", err.what);
		observe_close(o);
	}
}

/* libbpf tries out what the kernel can by programs of a few instructions. */
static bool is_ours(const struct cost *cost)
{
	return cost->insns > 20;
}

static void within_budget(void **state)
{
	const char *path = getenv("BUDGET");
	FILE *table = path ? fopen(path, "w") : stdout;

	(void)state;
	assert_non_null(table);
	load_all();
	for (size_t i = 0; i < nr_costs; i++)
		if (is_ours(&costs[i]))
			fprintf(table, "# budget %-16s %7u %6u\n", costs[i].name, costs[i].insns,
				costs[i].states);
	if (path)
		fclose(table);
	assert_true(nr_costs > 8);
	for (size_t i = 0; i < nr_costs; i++)
		assert_in_range(costs[i].insns, 1, LIMIT / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(within_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

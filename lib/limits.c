// SPDX-License-Identifier: MIT
/* Which questions are there, and what is the answer to one? */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "limits_child.h"
#include "limits_kernel.h"
#include "limits_table.h"

/* No single answer may take longer when the asker does not say, in milliseconds. */
static const unsigned int patience_ms[] = {
	[LIMITS_QUICK] = 10000,
	[LIMITS_DEFAULT] = 30000,
	[LIMITS_FULL] = 90000,
};

unsigned int limits_time_ms(enum limits_level level)
{
	/* Some less than is promised, for what is begun then. */
	static const unsigned int most[] = {2500, 19000, 170000};

	return most[level];
}

const struct limits_section *const *limits_sections(void)
{
	static const struct limits_section *const sections[] = {
		&limits_setup_section,    &limits_ring_section,
		&limits_legacy_section,   &limits_fixed_section,
		&limits_request_section,  &limits_memlock_section,
		&limits_capacity_section, &limits_multishot_section,
		&limits_bundle_section,   &limits_inc_section,
		&limits_account_section,  &limits_cost_section,
		&limits_memory_section,   &limits_worker_section,
		&limits_claim_section,    NULL,
	};

	return sections;
}

uint64_t limits_available(void)
{
	unsigned long long kb;
	uint64_t bytes = UINT64_MAX;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return bytes;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
			bytes = kb * 1024;
	}
	fclose(f);
	return bytes;
}

uint64_t limits_budget(void)
{
	const uint64_t most = 1ULL << 30;
	uint64_t budget = limits_available() / 4;

	if (budget < LIMITS_LEAST_BYTES)
		return LIMITS_LEAST_BYTES;
	return budget < most ? budget : most;
}

struct errand {
	const struct limits_probe *probe;
	struct limits_env env;
	struct limits_answer answer;
};

static int run_errand(void *box)
{
	struct errand *e = box;

	return e->probe->ask(&e->env, &e->answer);
}

static void describe_fate(const struct limits_child *child, struct limits_answer *answer)
{
	switch (child->fate) {
	case FATE_DONE:
		if (child->result) {
			answer->how = LIMITS_FAILED;
			answer->errno_past = -child->result;
		}
		break;
	case FATE_KILLED:
		answer->how = LIMITS_DIED;
		snprintf(answer->note, sizeof(answer->note),
			 "the probe was killed by signal %d (%s)", child->result,
			 strsignal(child->result));
		break;
	case FATE_LEFT:
		answer->how = LIMITS_DIED;
		snprintf(answer->note, sizeof(answer->note), "the probe exited with status %d",
			 child->result);
		break;
	case FATE_LATE:
		answer->how = LIMITS_LATE;
		break;
	}
}

static int ask_once(const struct limits_probe *probe, const struct limits_opts *opts,
		    struct limits_answer *answer)
{
	struct errand e = {
		.probe = probe,
		.env =
			{
				.level = opts->level,
				.max_bytes = opts->max_bytes ? opts->max_bytes : limits_budget(),
				.arg = probe->arg,
			},
	};
	struct limits_child child = {
		.run = run_errand,
		.box = &e,
		.box_bytes = sizeof(e),
		.patience_ms = opts->patience_ms ? opts->patience_ms : patience_ms[opts->level],
	};
	int err = limits_child_run(&child);

	*answer = e.answer;
	if (!err)
		describe_fate(&child, answer);
	return err;
}

/*
 * Where rings are charged to RLIMIT_MEMLOCK, those of probes that are over stay charged for a
 * while, and a tight limit may be used up by the dead. An edge sees to that by itself.
 */
static bool is_crowded_out(const struct limits_answer *answer, int round)
{
	const int rounds = answer->how == LIMITS_FAILED ? 3 : 1;

	return answer->errno_past == ENOMEM && !answer->has_value && !answer->is_final &&
	       round < rounds;
}

int limits_ask(const struct limits_probe *probe, const struct limits_opts *opts,
	       struct limits_answer *answer)
{
	int err = ask_once(probe, opts, answer);

	for (int round = 0; !err && is_crowded_out(answer, round); round++) {
		limits_settle();
		err = ask_once(probe, opts, answer);
	}
	return err;
}

static int ask_ring(const struct limits_env *env, struct limits_answer *answer)
{
	struct io_uring ring;

	(void)env;
	answer->how = LIMITS_TRIED;
	return limits_ring_open(&ring);
}

int limits_can_ask(void)
{
	static const struct limits_probe probe = {.key = "ring", .ask = ask_ring};
	const struct limits_opts opts = {.level = LIMITS_QUICK, .max_bytes = 1};
	struct limits_answer answer;
	int err = limits_ask(&probe, &opts, &answer);

	if (err)
		return err;
	if (answer.how == LIMITS_TRIED)
		return 0;
	/* Seccomp may kill instead of refusing. */
	return answer.how == LIMITS_FAILED ? -answer.errno_past : -EPERM;
}

static const char *name_in(const char *const *names, size_t nr, unsigned int i)
{
	return i < nr ? names[i] : NULL;
}

#define NAME_IN(names, i) name_in(names, LIMITS_NR(names), i)

const char *limits_bound_name(enum limits_bound bound)
{
	static const char *const names[] = {
		[LIMITS_BY_UNKNOWN] = NULL,           [LIMITS_BY_KERNEL] = "kernel",
		[LIMITS_BY_ABI] = "field width",      [LIMITS_BY_MEMLOCK] = "RLIMIT_MEMLOCK",
		[LIMITS_BY_NOFILE] = "RLIMIT_NOFILE", [LIMITS_BY_MEMORY] = "memory",
		[LIMITS_BY_PRIVILEGE] = "privilege",  [LIMITS_BY_BUDGET] = "memory budget",
		[LIMITS_BY_PROBE] = "not tried past",
	};

	return NAME_IN(names, bound);
}

const char *limits_how_name(enum limits_how how)
{
	static const char *const names[] = {
		[LIMITS_NOT_ASKED] = "not asked", [LIMITS_TRIED] = "tried",
		[LIMITS_MEASURED] = "measured",   [LIMITS_ABSENT] = "absent",
		[LIMITS_FAILED] = "failed",       [LIMITS_DIED] = "died",
		[LIMITS_LATE] = "too slow",
	};

	return NAME_IN(names, how);
}

const char *limits_verdict_name(enum limits_verdict verdict)
{
	static const char *const names[] = {
		[LIMITS_NO_VERDICT] = NULL,         [LIMITS_ACCEPTED] = "accepted",
		[LIMITS_REFUSED] = "refused",       [LIMITS_BEHAVES] = "behaves",
		[LIMITS_MISBEHAVES] = "misbehaves", [LIMITS_CANNOT_TELL] = "cannot tell",
		[LIMITS_HOLDS] = "holds",           [LIMITS_HOLDS_NOT] = "holds not",
	};

	return NAME_IN(names, verdict);
}

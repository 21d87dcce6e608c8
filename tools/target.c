// SPDX-License-Identifier: MIT
/* Which processes and groups did the user mean, and may we look at them? */
#include "target.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../lib/text.h"

/* 0 or 1 + EXIT_USAGE; so everywhere below. */
static int add_tgid(struct target *target, const char *argument, const char *command)
{
	uint64_t tgid;

	if (text_parse_u64(argument, 1, INT32_MAX, &tgid))
		return 1 + cmd_usage(command, "-p takes a process id, not '%s'", argument);
	if (target->nr_tgids == OBSERVE_MAX_TGIDS)
		return 1 + cmd_usage(command, "-p can be given %d times", OBSERVE_MAX_TGIDS);
	target->tgids[target->nr_tgids++] = (uint32_t)tgid;
	return 0;
}

/* The depth and what goes with it. */
static int depth_option(struct target *target, int option, const char *argument,
			const char *command)
{
	uint64_t *ns = option == TARGET_TICK ? &target->tick_ns : &target->stuck_ns;

	if (option == TARGET_LIGHT || option == TARGET_FULL || option == TARGET_KBUF) {
		target->depth = option == TARGET_LIGHT ? OBSERVE_LIGHT : OBSERVE_FULL;
		target->depth_given = true;
		target->functions = option == TARGET_KBUF;
		return 0;
	}
	if (text_parse_seconds(argument, 0, UINT64_C(86400000000000), ns) ||
	    (option == TARGET_TICK && *ns && (*ns < 100000 || *ns > 1000000000)))
		return 1 + cmd_usage(command, "%s takes %s seconds, not '%s'",
				     option == TARGET_TICK ? "--tick" : "--stuck",
				     option == TARGET_TICK ? "0 or 0.0001 ... 1" : "0 ... 86400",
				     argument);
	return 0;
}

bool target_owns(int option)
{
	return option == 'p' || option == 'g' || (option >= TARGET_SCAN && option <= TARGET_STUCK);
}

int target_option(struct target *target, int option, const char *argument, const char *command)
{
	uint64_t number;

	switch (option) {
	case 'p':
		return add_tgid(target, argument, command);
	case 'g':
		if (text_parse_u64(argument, 0, 65535, &number))
			return 1 + cmd_usage(command, "-g takes 0 ... 65535, not '%s'", argument);
		target->bgid = (int)number;
		return 0;
	case TARGET_LIGHT:
	case TARGET_FULL:
	case TARGET_KBUF:
	case TARGET_TICK:
	case TARGET_STUCK:
		return depth_option(target, option, argument, command);
	default:
		if (text_parse_u64(argument, 0, 32768, &number))
			return 1 +
			       cmd_usage(command, "--scan takes 0 ... 32768, not '%s'", argument);
		target->scan_entries = (uint32_t)number;
		return 0;
	}
}

/* The kernel cannot, or does not let us; everything else is a failure. */
static int code_of(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
	case -ENOSYS:
	case -EOPNOTSUPP:
		return EXIT_UNSUPPORTED;
	default:
		return EXIT_FAILED;
	}
}

struct observe *target_open(const struct target *target, bool verbose, int *code)
{
	const struct observe_opts opts = {
		.tgids = target->nr_tgids ? target->tgids : NULL,
		.nr_tgids = target->nr_tgids,
		.bgid = target->bgid,
		.scan_entries = target->scan_entries,
		.depth = target->depth,
		.is_optional = !target->depth_given,
		.tick_ns = target->tick_ns,
		.stuck_ns = target->stuck_ns,
		.functions = target->functions,
		.trace = target->trace,
		.verbose = verbose,
	};
	struct observe_err err = {0};
	struct observe *observe;

	for (size_t i = 0; i < target->nr_tgids; i++) {
		if (kill((pid_t)target->tgids[i], 0) && errno == ESRCH) {
			cmd_error("no process %u", target->tgids[i]);
			*code = EXIT_FAILED;
			return NULL;
		}
	}
	observe = observe_open(&opts, &err);
	if (!observe) {
		cmd_error("%s", err.what);
		cmd_hint(err.hint);
		*code = code_of(err.code);
	}
	return observe;
}

int target_sample(struct observe *observe, struct sample *sample)
{
	int err = observe_sample(observe, sample);

	if (!err)
		return EXIT_OK;
	cmd_error("cannot read the rings: %s", strerror(-err));
	return code_of(err);
}

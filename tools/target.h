/* SPDX-License-Identifier: MIT */
/* What a command shall look at: the options that say so, and the door opened accordingly. */
#ifndef BUFSCOPE_TARGET_H
#define BUFSCOPE_TARGET_H

#include "../lib/observe.h"
#include "cmd.h"

struct target {
	uint32_t tgids[OBSERVE_MAX_TGIDS];
	size_t nr_tgids;
	int bgid; /* -1: all */
	uint32_t scan_entries;
};

#define TARGET_ALL                                                                                 \
	{                                                                                          \
		.bgid = -1, .scan_entries = 32768                                                  \
	}

/* For the option string, the long table and the help of a command. */
#define TARGET_SHORT "p:g:"
#define TARGET_LONG                                                                                \
	{"pid", required_argument, NULL, 'p'}, {"bgid", required_argument, NULL, 'g'},             \
	{                                                                                          \
		"scan", required_argument, NULL, TARGET_SCAN                                       \
	}
#define TARGET_SCAN 512
#define TARGET_HELP                                                                                \
	"  -p, --pid PID        only rings of this process; may be given up to 64 times\n"         \
	"  -g, --bgid BGID      only groups with this id\n"                                        \
	"      --scan ENTRIES   read the slots of rings up to this size, for what is held and\n"   \
	"                       how large buffers are; 0 reads none (default 32768: all)\n"

/*
 * Takes in an option of TARGET_SHORT or TARGET_LONG. 0, or -1 after saying what is wrong with
 * `argument`: the command then ends with EXIT_USAGE.
 */
int target_option(struct target *target, int option, const char *argument, const char *command);

/*
 * Opens the kernel's view on it. NULL after saying why not, with the exit code for it.
 */
struct observe *target_open(const struct target *target, bool verbose, int *code);

/* One observation; 0 or an exit code after saying what failed. */
int target_sample(struct observe *observe, struct sample *sample);

#endif

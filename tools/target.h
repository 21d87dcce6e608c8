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
	enum observe_depth depth;
	bool depth_given;  /* --light or --full, else the command chooses */
	bool functions;    /* --kbuf */
	uint64_t tick_ns;  /* 0: no tick */
	uint64_t stuck_ns; /* held for longer is stuck */
	struct observe_trace trace;
};

#define TARGET_ALL                                                                                 \
	{                                                                                          \
		.bgid = -1, .scan_entries = 32768, .tick_ns = 1000000, .stuck_ns = 1000000000      \
	}

/* For the option string, the long table and the help of a command. */
#define TARGET_SHORT "p:g:"
#define TARGET_LONG                                                                                \
	{"pid", required_argument, NULL, 'p'}, {"bgid", required_argument, NULL, 'g'},             \
	{                                                                                          \
		"scan", required_argument, NULL, TARGET_SCAN                                       \
	}
#define TARGET_SCAN 512
/* The first that a command may give to options of its own without a letter. */
#define OPT_OWN 600
#define TARGET_HELP                                                                                \
	"  -p, --pid PID        only rings of this process; may be given up to 64 times\n"         \
	"  -g, --bgid BGID      only groups with this id\n"                                        \
	"      --scan ENTRIES   read the slots of rings up to this size, for what is\n"            \
	"                       held and how large buffers are; 0 reads none (default\n"           \
	"                       32768: all)\n"

/* How deeply to watch, for commands that watch for longer than a moment. */
#define DEPTH_LONG                                                                                 \
	{"light", no_argument, NULL, TARGET_LIGHT}, {"full", no_argument, NULL, TARGET_FULL},      \
		{"kbuf", no_argument, NULL, TARGET_KBUF},                                          \
		{"tick", required_argument, NULL, TARGET_TICK},                                    \
	{                                                                                          \
		"stuck", required_argument, NULL, TARGET_STUCK                                     \
	}
#define TARGET_LIGHT 513
#define TARGET_FULL  514
#define TARGET_KBUF  515
#define TARGET_TICK  516
#define TARGET_STUCK 517
#define DEPTH_HELP                                                                                 \
	"      --light          read head and tail of every group at a tick: costs the\n"          \
	"                       watched programs nothing, tells no starves and no\n"               \
	"                       holders\n"                                                         \
	"      --full           follow every event: all counters and the ledger of\n"              \
	"                       buffers\n"                                                         \
	"      --kbuf           like --full, and watch the kernel's own buffer functions\n"        \
	"                       where it lets us; costs the watched programs more\n"               \
	"      --tick SECONDS   how often head and tail are read (default 0.001; 0: not)\n"        \
	"      --stuck SECONDS  a buffer held for longer is stuck (default 1)\n"

/* Whether it is an option of TARGET_SHORT, TARGET_LONG or DEPTH_LONG. */
bool target_owns(int option);

/* Takes such an option in. 0, or 1 + EXIT_USAGE after saying what is wrong with `argument`. */
int target_option(struct target *target, int option, const char *argument, const char *command);

/*
 * Opens the kernel's view on it. NULL after saying why not, with the exit code for it.
 */
struct observe *target_open(const struct target *target, bool verbose, int *code);

/* One observation; 0 or an exit code after saying what failed. */
int target_sample(struct observe *observe, struct sample *sample);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Where models come from: the kernel, looked at again and again, or a recording. Keeps the time
 * between two looks, and shows moments that are past.
 */
#ifndef BUFSCOPE_WATCH_H
#define BUFSCOPE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/model.h"
#include "../lib/replay.h"
#include "../lib/tape.h"
#include "exam.h"
#include "target.h"

#define WATCH_MIN_NS UINT64_C(10000000)       /* 0.01 s */
#define WATCH_MAX_NS UINT64_C(86400000000000) /* a day */

struct watch_opts {
	const struct target *target;
	const char *replay;   /* a recording instead of the kernel; NULL: none */
	uint64_t interval_ns; /* between two looks at the kernel */
	bool verbose;
};

struct watch {
	const struct target *target;
	struct observe *observe; /* NULL: a recording */
	struct replay *replay;   /* NULL: the kernel */
	struct exam exam;        /* a part of the kernel that is watched in full */
	char kernel[REPLAY_KERNEL_LEN];
	struct sample sample; /* its arrays are reused */
	struct model *model;  /* the kernel: of now; a recording: of the moment shown */
	struct tape tape;     /* the kernel's last looks */
	struct model *moment; /* shown instead of the model while it is held; else NULL */
	struct model *built;  /* by watch_build(), to be shown next; else NULL */
	int answer;           /* of watch_fetch() or watch_build() */
	bool is_held;
	size_t at;     /* a recording: frame shown; replay_nr(): none yet */
	bool is_fresh; /* the last look changed the model: a damaged frame does not */
	uint64_t interval_ns;
	double speed; /* a recording: this many times as fast as it was */
	int timer;    /* becomes readable when the next look is due */
};

/*
 * Takes no look yet. 0 or an exit code, after saying what failed; then there is nothing to close.
 */
int watch_open(struct watch *watch, const struct watch_opts *opts);
void watch_close(struct watch *watch);

/* Whether a recording is at its last frame. */
bool watch_is_over(const struct watch *watch);

/*
 * Looks at the kernel, or goes on to the next frame, and acknowledges the timer. 0 or an exit
 * code, after saying what failed.
 */
int watch_look(struct watch *watch);

/*
 * The two halves of a look at the kernel. The first one takes long where there are many groups; it
 * may run beside a thread that reads models, but uses neither `observe` nor `exam` meanwhile. The
 * second one returns what watch_look() does.
 */
void watch_fetch(struct watch *watch);
int watch_take(struct watch *watch);

/* Takes back what made the timer readable. */
void watch_acknowledge(struct watch *watch);

/* (Re)starts the timer by the present interval or speed. 0 or -errno. */
int watch_start(struct watch *watch);

/*
 * From now on watches this process in full, too, or one group of it; bgid -1: all. `why` has room
 * for EXAM_WHY bytes. 0 or -errno: then nothing is watched in full.
 */
int watch_examine(struct watch *watch, uint32_t tgid, int bgid, char *why);

/* Stands still. The kernel is looked at all the same, so that no counter wraps unseen. */
void watch_hold(struct watch *watch);
void watch_go_on(struct watch *watch);

/* While it is held: how many moments can be shown, and which one is. */
size_t watch_nr_moments(const struct watch *watch);

/* A recording shows that moment, 0 is the oldest. 0 or -errno. */
int watch_show(struct watch *watch, size_t moment);

/*
 * The same of the kernel's past, in two halves, the first of which takes long, again: nobody may
 * take in a look meanwhile. The second one returns 0 or -errno.
 */
void watch_build(struct watch *watch, size_t moment);
int watch_show_built(struct watch *watch);

/* What is to be shown: valid until any other call. */
const struct model *watch_model(const struct watch *watch);

#endif

/* SPDX-License-Identifier: MIT */
/* Looks again and again: a sample at every tick of a timer, taken into a model. */
#ifndef BUFSCOPE_WATCH_H
#define BUFSCOPE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/model.h"
#include "target.h"

#define WATCH_MIN_NS UINT64_C(10000000)       /* 0.01 s */
#define WATCH_MAX_NS UINT64_C(86400000000000) /* a day */

struct watch {
	struct observe *observe;
	struct sample sample; /* its arrays are reused */
	struct model *model;
	int timer; /* becomes readable when a sample is due */
};

/* Takes no sample yet. 0 or an exit code, after saying what failed; then there is nothing to close.
 */
int watch_open(struct watch *watch, const struct target *target, bool verbose);
void watch_close(struct watch *watch);

/* From now on every interval_ns; the first one after that time. 0 or -errno. */
int watch_start(struct watch *watch, uint64_t interval_ns);

/* Takes a sample, and acknowledges the timer. 0 or an exit code, after saying what failed. */
int watch_look(struct watch *watch);

#endif

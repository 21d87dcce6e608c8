/* SPDX-License-Identifier: MIT */
/*
 * One group or one process, watched in full while the rest is watched lightly: every event goes
 * into a casebook, what is counted is added to the samples of the others.
 */
#ifndef BUFSCOPE_EXAM_H
#define BUFSCOPE_EXAM_H

#include "../lib/diagnose.h"
#include "../lib/observe.h"

#define EXAM_EVENTS 4096 /* the last ones are kept */
#define EXAM_WHY    200

struct exam {
	struct observe *observe; /* NULL: nothing is examined */
	uint32_t tgid;
	int bgid; /* -1: all groups of the process */
	struct sample sample;
	struct casebook book;
	struct diagnosis diagnosis;
	struct trace_rec *events; /* a ring of EXAM_EVENTS */
	uint64_t nr_events;       /* in all */
};

/*
 * Zeroed before the first call; what was examined before is forgotten. 0 or -errno, then `why`
 * (room for EXAM_WHY bytes) tells what failed.
 */
int exam_begin(struct exam *exam, const struct observe_opts *opts, char *why);
void exam_end(struct exam *exam);

/* Takes in the events that are there. */
void exam_take(struct exam *exam);

/*
 * Looks at it, and tells `sample` what it does not know of the groups examined. 0 or -errno.
 */
int exam_look(struct exam *exam, struct sample *sample);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * One group or one process, watched in full while the rest is watched lightly: what the kernel's
 * programs book of it is read at each look, as the doctor does, and what is counted is added to the
 * samples of the others.
 */
#ifndef BUFSCOPE_EXAM_H
#define BUFSCOPE_EXAM_H

#include "inspection.h"

#define EXAM_WHY 200

struct exam {
	struct observe *observe; /* NULL: nothing is examined */
	uint32_t tgid;
	int bgid; /* -1: all groups of the process */
	struct sample sample;
	struct casebook book;
	struct diagnosis diagnosis;
	struct inspection inspection;
	uint64_t nr_records; /* taken: of what is rare, no single completions */
};

/*
 * Zeroed before the first call; what was examined before is forgotten. 0 or -errno, then `why`
 * (room for EXAM_WHY bytes) tells what failed.
 */
int exam_begin(struct exam *exam, const struct observe_opts *opts, char *why);
void exam_end(struct exam *exam);

/* Takes in the records that are there: what is rare is told one by one. */
void exam_take(struct exam *exam);

/*
 * Looks at it, and tells `sample` what it does not know of the groups examined. 0 or -errno.
 */
int exam_look(struct exam *exam, struct sample *sample);

#endif

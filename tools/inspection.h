/* SPDX-License-Identifier: MIT */
/*
 * What events do not tell the doctor: the memory of rings, the mappings, files and limits of the
 * programs that have them. It is read from outside: no program notices.
 */
#ifndef BUFSCOPE_INSPECTION_H
#define BUFSCOPE_INSPECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/diagnose.h"
#include "../lib/observe.h"

#define INSPECTION_BGIDS 2048U /* buffer rings with larger ids cannot be mapped */

struct inspection_ranges {
	struct lint_range *at;
	size_t nr;
};

struct inspection_maps {
	uint32_t tgid;
	struct inspection_ranges writable; /* those that touch are one */
	struct inspection_ranges
		queues; /* of rings; and rings of buffers that the kernel has mapped */
	uint8_t buffers[INSPECTION_BGIDS / 8]; /* of which ids; a bit each */
};

struct inspection {
	struct ring_slot *slots;
	struct inspection_maps maps; /* of the process looked at last */
	size_t turn;                 /* group whose memory is read next */
	uint64_t files_ns;           /* files that starved were all asked for then; 0: not all */
	struct diagnose_limit *limits;
	size_t nr_limits;
	bool maps_unread; /* of some process: addresses were not compared */
	bool out_of_memory;
};

/* 0 or -ENOMEM; released by inspection_done() in any case. */
int inspection_begin(struct inspection *inspection);

/* At a look, after the book has taken in the sample. */
void inspection_look(struct inspection *inspection, struct observe *observe, struct casebook *book,
		     const struct sample *sample);

/* What all of it comes to, now; the book may go on. 0 or -ENOMEM. */
int inspection_conclude(const struct inspection *inspection, const struct observe *observe,
			struct casebook *book, struct diagnosis *diagnosis);

/* Zeroes are accepted. */
void inspection_done(struct inspection *inspection);

#endif

/* SPDX-License-Identifier: MIT */
/* Several threads, each with a ring of its own, that register at once until they are refused. */
#ifndef BUFSCOPE_LIMITS_WORKER_H
#define BUFSCOPE_LIMITS_WORKER_H

#include <stdbool.h>
#include <stdint.h>

enum limits_team_what {
	TEAM_BUFFERS, /* registered buffers of one page */
	TEAM_GROUPS,  /* buffer rings of 4096 entries */
};

struct limits_team {
	enum limits_team_what what;
	uint32_t workers;
	uint64_t memlock_bytes; /* limit of a user without privileges; 0: as this user is bound */
	uint64_t max_bytes;     /* that all of them together may occupy */
	/* what became of it */
	bool budgeted;               /* a worker ended because of max_bytes */
	bool alone;                  /* they were a user that nobody else is */
	uint64_t least, most, total; /* of all workers */
	uint64_t each_ns;            /* of one registration, as the workers saw it */
	int err;                     /* positive, that ended it; 0: their tables were full */
};

/*
 * In a child; blocks until that is gone and its charges most likely are. 0 or -errno: -ECHILD if it
 * was killed, -EFBIG if max_bytes does not even do for a ring each.
 */
int limits_team_run(struct limits_team *team);

/* The memlock limit to ask under: this user's, at most 8 MiB. */
uint64_t limits_team_memlock(void);

#endif

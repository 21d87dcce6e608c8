/* SPDX-License-Identifier: MIT */
/*
 * What do programs call their pools? Reads the rosters (pool_roster.h) of the processes of a sample
 * from outside, through /proc; remembers which have none as long as their rings stay the same.
 */
#ifndef BUFSCOPE_ROSTER_READ_H
#define BUFSCOPE_ROSTER_READ_H

#include "sample.h"

struct roster_reader;

/* NULL: no memory. */
struct roster_reader *roster_new(void);

/*
 * Fills in the names of groups and tables of a sorted sample. Where a process cannot be read (which
 * takes CAP_SYS_PTRACE, or its user) they stay unknown.
 */
void roster_name(struct roster_reader *reader, struct sample *sample);

/* NULL is accepted. */
void roster_free(struct roster_reader *reader);

#endif

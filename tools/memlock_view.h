/* SPDX-License-Identifier: MIT */
/* A user's ledger with the processes that hold it, and how it is told: limits --memlock. */
#ifndef BUFSCOPE_MEMLOCK_VIEW_H
#define BUFSCOPE_MEMLOCK_VIEW_H

#include <stdio.h>

#include "../lib/memlock.h"

struct memlock_process {
	uint32_t tgid;
	char comm[REC_COMM_LEN];
	struct memlock_ledger ledger; /* of its rings alone */
	bool has_limit;
	uint64_t limit_bytes;
};

struct memlock_view {
	struct memlock_account account; /* of the caller */
	struct memlock_ledger ledger;
	struct memlock_process *processes; /* with rings that charge the user */
	size_t nr;
	bool has_limit; /* a process of the user was found: these are the limits of all of them */
	uint64_t least_limit;
	uint64_t most_limit;
};

/*
 * Fills in what the sample and /proc tell of view->account; the rest must be zero. 0 or -ENOMEM;
 * memlock_view_done() in any case.
 */
int memlock_view_fill(struct memlock_view *view, const struct sample *sample);
void memlock_view_done(struct memlock_view *view);

void memlock_text(const struct memlock_view *view, FILE *out);
void memlock_json(const struct memlock_view *view, const struct sample *sample, FILE *out);

#endif

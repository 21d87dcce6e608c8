/* SPDX-License-Identifier: MIT */
/*
 * A consultation: what is watched for how long, what was found, how it is told.
 *
 * doctor_watch.c   events, samples and ring memory into a casebook
 * doctor_report.c  findings as text or JSON
 */
#ifndef BUFSCOPE_DOCTOR_H
#define BUFSCOPE_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../lib/diagnose.h"
#include "target.h"

struct doctor_opts {
	struct target target;
	uint64_t duration_ns; /* UINT64_MAX: until the command ends */
	char *const *command; /* NULL: none */
	bool verbose;
};

/* What could not be seen. */
struct doctor_blind {
	uint64_t records_lost;
	uint64_t losses[LOSS_MAX];
	uint32_t early_groups;  /* were there before: what they had lent is not known */
	uint32_t unread_groups; /* their memory was not read */
	uint32_t legacy_groups; /* have no memory that could be read */
	bool maps_unread;       /* of some process: addresses were not compared */
	bool out_of_memory;
};

struct consultation {
	struct casebook book;
	struct diagnosis diagnosis;
	struct doctor_blind blind;
	struct diagnose_limit *limits;
	size_t nr_limits;
	enum sample_backend backend;
};

/* 0 or an exit code, after saying what failed. Release it with doctor_done() in any case. */
int doctor_watch(struct doctor_opts *opts, struct consultation *consultation);
void doctor_done(struct consultation *consultation);

void doctor_text(FILE *file, const struct consultation *consultation);
void doctor_json(FILE *file, const struct consultation *consultation);

/* One code of the table. */
void doctor_explain(FILE *file, int complaint);

#endif

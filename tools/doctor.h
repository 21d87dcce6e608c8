/* SPDX-License-Identifier: MIT */
/*
 * A consultation: what is watched for how long, what was found, how it is told.
 *
 * doctor_watch.c   events, samples and ring memory into a casebook
 * doctor_replay.c  a recording into a casebook and a model
 * doctor_list.c    findings as they are told; read back from an earlier report; compared
 * doctor_report.c  a report as text
 * doctor_json.c    and as JSON
 */
#ifndef BUFSCOPE_DOCTOR_H
#define BUFSCOPE_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../lib/diagnose.h"
#include "../lib/shortage.h"
#include "target.h"

struct doctor_opts {
	struct target target;
	uint64_t duration_ns; /* UINT64_MAX: until the command ends */
	char *const *command; /* NULL: none */
	const char *replay;   /* a recording instead of the kernel; NULL: none */
	bool verbose;
};

/* What could not be seen. */
struct doctor_blind {
	uint64_t records_lost;
	uint64_t losses[LOSS_MAX];
	uint32_t early_groups;  /* were there before: since when what they had lent is not known */
	uint32_t unread_groups; /* their memory was not read */
	uint32_t legacy_groups; /* have no memory that could be read */
	uint64_t gap_ns;        /* longest time between two looks */
	bool maps_unread;       /* of some process: addresses were not compared */
	bool out_of_memory;
	bool no_events;  /* a recording has totals alone */
	bool no_starves; /* and one that was made lightly not even those of starves */
};

struct consultation {
	struct casebook book;
	struct diagnosis diagnosis;
	struct doctor_blind blind;
	enum sample_backend backend;
};

/* 0 or an exit code, after saying what failed. Release it with doctor_done() in any case. */
int doctor_watch(struct doctor_opts *opts, struct consultation *consultation);
int doctor_replay(const struct doctor_opts *opts, struct consultation *consultation);
void doctor_done(struct consultation *consultation);

/* ---- findings as they are told */

enum doctor_since {
	SINCE_UNKNOWN, /* there is nothing to compare with */
	SINCE_NEW,     /* not in the baseline */
	SINCE_BEFORE,  /* there, too */
};

struct doctor_entry {
	int complaint; /* -1: a code that this version does not know */
	char code[32];
	enum severity severity;
	enum confidence confidence;
	uint32_t tgid; /* 0: not known */
	int32_t fd;    /* -1: not known */
	uint32_t ring; /* ordinal; 0: not known */
	uint32_t bgid; /* REC_UNKNOWN_U32: of a ring */
	char comm[REC_COMM_LEN + 1];
	char evidence[EVIDENCE_BYTES];
	char size[EVIDENCE_BYTES];
	enum doctor_since since;
};

struct doctor_list {
	struct doctor_entry *at;
	size_t nr;
};

/* 0 or -ENOMEM. */
int doctor_list_make(struct doctor_list *list, const struct consultation *consultation);

/* An earlier report in JSON. 0 or an exit code, after saying what failed. */
int doctor_list_read(struct doctor_list *list, const char *path);

/*
 * Marks those of `now` that `before` has, too: the same code of a group with the same id, of a
 * process of the same name; process ids and descriptors differ from run to run. What `now` lacks
 * is moved to the front of `before`; returns how many that are.
 */
size_t doctor_compare(struct doctor_list *now, struct doctor_list *before);

void doctor_list_done(struct doctor_list *list);

/* ---- reports */

struct doctor_report {
	const struct consultation *consultation; /* NULL: two reports are compared */
	const struct doctor_list *now;
	const struct doctor_list *gone; /* NULL: nothing to compare with */
};

/* In a sentence: which group, what is wrong with it, what to do. False: nothing was found. */
bool doctor_summary(char *text, size_t size, const struct doctor_report *report);

void doctor_text(FILE *file, const struct doctor_report *report);
void doctor_json(FILE *file, const struct doctor_report *report);

size_t doctor_count_groups(const struct casebook *book);
uint32_t doctor_ring_ordinal(const struct casebook *book, uint64_t ring_id);

/* One code of the table. */
void doctor_explain(FILE *file, int complaint);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the diagnosis share: the group under examination, and how a finding is made.
 * Used by lib/diagnose*.c alone.
 */
#ifndef BUFSCOPE_DIAGNOSE_BENCH_H
#define BUFSCOPE_DIAGNOSE_BENCH_H

#include "diagnose.h"

#define MOST_LISTED 8

struct bench {
	const struct diagnose_case *what;
	const struct case_group *group; /* under examination */
	struct diagnosis *out;
	int err;
};

/* A finding about the group on the bench, empty of words. NULL: no memory, which is noted. */
struct finding *bench_add(struct bench *bench, enum complaint complaint,
			  enum confidence confidence);

/* Append to an evidence or an advice. */
void bench_say(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bench_say_span(char *text, uint64_t ns);
void bench_say_nr(char *text, uint64_t nr, const char *noun); /* "1 request", "2 requests" */
void bench_say_file(char *text, const struct book_stream *stream);

/* Whether events of the group were lost: what their absence would tell is not to be told. */
bool bench_may_miss(const struct bench *bench);

/* Whether the group's entries were seen to be wrong in this way, beyond doubt. */
bool bench_is_sure(const struct bench *bench, enum lint_kind kind);

/* Whether requests starved of a group whose entries were seen to be written behind the tail. */
bool bench_is_unpublished(const struct bench *bench);

/* The gravest first. */
void bench_sort(struct diagnosis *diagnosis);

/* The parts, each of which adds its findings. */
void diagnose_entries(struct bench *bench);  /* what lies in the ring */
void diagnose_shared(struct bench *bench);   /* rings that lie over each other */
void diagnose_losses(struct bench *bench);   /* buffers that do not come back */
void diagnose_starves(struct bench *bench);  /* why there was none */
void diagnose_requests(struct bench *bench); /* requests, and what was said of them */
void diagnose_tables(struct bench *bench);   /* requests on registered buffers */

#endif

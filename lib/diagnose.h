/* SPDX-License-Identifier: MIT */
/*
 * What is wrong, by which evidence, and what to change. Pure: a casebook in, findings out. The
 * codes and their texts stand in one table, from which the manual page and --explain are made.
 */
#ifndef BUFSCOPE_DIAGNOSE_H
#define BUFSCOPE_DIAGNOSE_H

#include <stddef.h>
#include <stdint.h>

#include "casebook.h"

enum severity {
	SEVERITY_INFO,
	SEVERITY_WARN,
	SEVERITY_CRIT,
};

enum confidence {
	CONFIDENCE_POSSIBLE,
	CONFIDENCE_LIKELY,
	CONFIDENCE_CERTAIN,
};

enum complaint {
	/* requests found no buffer */
	NO_GROUP,
	NEVER_FILLED,
	UNPUBLISHED,
	UNREGISTERED,
	POOL_TOO_SMALL,
	CONSUMER_SLOW,
	ONE_STREAM,
	LAZY_FILL,
	NOT_EMPTY,
	/* buffers do not come back */
	LEAK,
	LEAK_ON_CLOSE,
	LEAK_ON_ERROR,
	LEAK_BUNDLE,
	NEVER_RETURNED,
	DRAINING,
	LEAK_BEFORE,
	/* what comes back is wrong */
	RETURNED_TWICE,
	FOREIGN_BID,
	ADDRESS_CHANGED,
	LENGTH_SHRUNK,
	ZERO_LENGTH,
	BAD_ADDRESS,
	SHARED_MEMORY,
	OVERFILLED,
	OVER_RING,
	OVER_QUEUE,
	RING_UNMAPPED,
	RING_NOWHERE,
	SHARED_RING,
	TAIL_BACK,
	/* what the kernel says does not agree with what it does */
	TAKEN_UNTOLD,
	NAMED_NOT_TAKEN,
	CURSOR_ASTRAY,
	AFTER_LAST,
	DELIVERED_TWICE,
	/* requests that ended */
	NOT_REARMED,
	BUNDLE_EXHAUSTED,
	REARM_SPIN,
	FALLBACK_STAYS,
	ARMED_ON_EMPTY,
	CLOSED_ON_STARVE,
	REMAINDER_SMALL,
	REMAINDER_REFUSED,
	BUNDLE_SINGLE,
	SEND_CUT,
	REQUEST_REFUSED,
	NOT_SELECTED,
	/* calls and limits */
	LEGACY_ON_RING,
	REGISTRATION_REFUSED,
	OUTSIDE_TABLE,
	CQ_OVERFLOW,
	MEMLOCK_LOW,
	COMPLAINTS
};

struct complaint_text {
	const char *code;
	enum severity severity;
	const char *title;
	const char *cause;
	const char *evidence; /* by what it is told */
	const char *cure;
	const char *reference; /* NULL: none */
};

extern const struct complaint_text complaint_texts[COMPLAINTS];

/* By code; -1: none. */
int complaint_find(const char *code);
const char *severity_name(enum severity severity);
const char *confidence_name(enum confidence confidence);

/* RLIMIT_MEMLOCK of a process, for what its rings' user has locked. */
struct diagnose_limit {
	uint32_t tgid;
	uint64_t bytes; /* UINT64_MAX: none */
};

struct diagnose_case {
	const struct casebook *book;
	const struct diagnose_limit *limits;
	size_t nr_limits;
	uint64_t memory_bytes; /* that the machine has to spare; 0: not known */
};

#define EVIDENCE_BYTES 640

struct finding {
	enum complaint complaint;
	enum confidence confidence;
	uint64_t ring_id; /* an identity, never shown */
	uint32_t tgid;    /* 0: not known */
	uint32_t bgid;    /* REC_UNKNOWN_U32: of the ring, not of a group */
	char evidence[EVIDENCE_BYTES];
	char advice[EVIDENCE_BYTES]; /* for this case; "": the cure of the table says it all */
};

struct diagnosis {
	struct finding *findings; /* the gravest first */
	size_t nr;
};

/* 0 or -ENOMEM. Release it with diagnosis_done(). */
int diagnose(const struct diagnose_case *what, struct diagnosis *diagnosis);
void diagnosis_done(struct diagnosis *diagnosis);

/*
 * What the totals alone tell, of a recording or of a dashboard without events: fewer complaints,
 * and never a certain one but for what stands in head and tail themselves. 0 or -ENOMEM.
 */
struct model;
int diagnose_model(const struct model *model, struct diagnosis *diagnosis);

#endif

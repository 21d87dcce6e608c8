/* SPDX-License-Identifier: MIT */
/*
 * The prober: a table of probes, each one question to the running kernel, asked by doing it.
 *
 * Every probe runs in a child process of its own, at low priority and first in line for the
 * out-of-memory killer: whatever happens to it costs that answer and nothing else, and all that
 * it registered goes with it. Nothing here needs a privilege; what a privilege would change, the
 * answer says. No kernel version is ever looked at.
 */
#ifndef BUFSCOPE_LIMITS_H
#define BUFSCOPE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much time the answers may take, all together: limits_time_ms(). */
enum limits_level { LIMITS_QUICK, LIMITS_DEFAULT, LIMITS_FULL };

/* 3 s, 20 s, 3 min. */
unsigned int limits_time_ms(enum limits_level level);

struct limits_opts {
	enum limits_level level;
	uint64_t max_bytes;       /* memory that one probe may occupy; 0: limits_budget() */
	unsigned int patience_ms; /* after which a probe is given up; 0: by level */
};

/* Who sets an edge. */
enum limits_bound {
	LIMITS_BY_UNKNOWN,
	LIMITS_BY_KERNEL,  /* a check in the kernel */
	LIMITS_BY_ABI,     /* the width of a field: nothing larger can be asked */
	LIMITS_BY_MEMLOCK, /* RLIMIT_MEMLOCK of this user */
	LIMITS_BY_NOFILE,  /* RLIMIT_NOFILE */
	LIMITS_BY_MEMORY,
	LIMITS_BY_PRIVILEGE,
	LIMITS_BY_BUDGET, /* limits_opts.max_bytes: nothing larger was tried */
	LIMITS_BY_PROBE,  /* nothing larger was tried */
};

/* How an answer is known, or why it is not. */
enum limits_how {
	LIMITS_NOT_ASKED,
	LIMITS_TRIED,    /* accepted at the value, refused past it */
	LIMITS_MEASURED, /* a cost */
	LIMITS_ABSENT,   /* this kernel refuses all of it, with errno_past */
	LIMITS_FAILED,   /* could not ask; errno_past says what failed */
	LIMITS_DIED,     /* the child was killed */
	LIMITS_LATE,     /* the child took too long and was killed */
};

enum limits_verdict {
	LIMITS_NO_VERDICT,
	LIMITS_ACCEPTED,
	LIMITS_REFUSED,
	LIMITS_BEHAVES,    /* as documented */
	LIMITS_MISBEHAVES, /* as told in the probe's reference */
	LIMITS_CANNOT_TELL,
	LIMITS_HOLDS, /* a claim does */
	LIMITS_HOLDS_NOT,
};

#define LIMITS_MAX_POINTS  24
#define LIMITS_MAX_COLUMNS 4

/* One point of a curve: what a number of entries, bytes, ... comes to. */
struct limits_point {
	uint64_t at;
	uint64_t y[LIMITS_MAX_COLUMNS]; /* in the order of the probe's columns */
};

struct limits_answer {
	enum limits_how how;
	bool has_value;
	uint64_t value; /* in the probe's unit */
	int errno_past; /* positive; 0: no refusal seen */
	enum limits_bound bound_by;
	enum limits_verdict verdict;
	bool is_final;  /* an ENOMEM that waiting does not change */
	char note[120]; /* a remark for people, or empty */
	size_t nr_points;
	struct limits_point points[LIMITS_MAX_POINTS]; /* of a curve, at ascending */
};

/* What a probe's function is told. */
struct limits_env {
	enum limits_level level;
	uint64_t max_bytes;
	const void *arg; /* the probe's own */
};

struct limits_probe {
	const char *key;      /* stable name, "pbuf_ring.max_entries" */
	const char *question; /* for people, at most 26 characters */
	const char *unit;     /* of the value, or of a curve's `at`; NULL: no value */
	/* Runs in the child. 0, or -errno when it could not even ask. */
	int (*ask)(const struct limits_env *env, struct limits_answer *answer);
	const void *arg;
	const char *detail;                      /* the question in full, or NULL */
	const char *call;                        /* what is called: for "why this errno"; or NULL */
	const char *reference;                   /* where a behaviour is told of, or NULL */
	const char *columns[LIMITS_MAX_COLUMNS]; /* names with unit ("register_ns"); a curve */
	enum limits_level level;                 /* the first that asks this */
	unsigned int weight; /* time it takes at full level, in ms; 0: next to none */
};

/* Probes about one subject. */
struct limits_section {
	const char *name; /* "pbuf_ring" */
	const char *title;
	const struct limits_probe *probes;
	size_t nr;
	bool judges;   /* its answers are verdicts, and their notes the evidence */
	bool measures; /* its answers are figures: the first to do without when time is up */
};

/* All sections, in the order to show them; NULL ends the list. */
const struct limits_section *const *limits_sections(void);

/*
 * Can this user have a ring at all? 0; -EPERM (io_uring is disabled for this user), -ENOSYS (not
 * in this kernel), -ENOMEM (RLIMIT_MEMLOCK or memory does not admit one), or another -errno.
 */
int limits_can_ask(void);

/* Memory that the system could give, in bytes; UINT64_MAX if it does not say. */
uint64_t limits_available(void);

/* What some probes need, however little they are allowed. */
#define LIMITS_LEAST_BYTES (32U << 20)

/*
 * What one probe may occupy when nobody says: a quarter of the memory available, at most 1 GiB, at
 * least LIMITS_LEAST_BYTES.
 */
uint64_t limits_budget(void);

/*
 * Asks one question, in a child process; blocks until it is answered. What becomes of the child
 * is an answer, too. 0, or -errno when no child could be had.
 */
int limits_ask(const struct limits_probe *probe, const struct limits_opts *opts,
	       struct limits_answer *answer);

/* Words for output; NULL for UNKNOWN and NO_VERDICT. */
const char *limits_bound_name(enum limits_bound bound);
const char *limits_how_name(enum limits_how how);
const char *limits_verdict_name(enum limits_verdict verdict);

#endif

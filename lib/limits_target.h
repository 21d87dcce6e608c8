/* SPDX-License-Identifier: MIT */
/*
 * On what a register call is made: a good ring, or one of the many that refuse whatever is asked
 * of them. Which errno tells which of them apart is worth knowing.
 */
#ifndef BUFSCOPE_LIMITS_TARGET_H
#define BUFSCOPE_LIMITS_TARGET_H

#include "limits_kernel.h"

enum limits_target {
	TARGET_RING,
	TARGET_CLOSED_FD,
	TARGET_NOT_A_RING,   /* a pipe */
	TARGET_RESTRICTED,   /* its restrictions do not list the opcode */
	TARGET_OTHER_THREAD, /* IORING_SETUP_SINGLE_ISSUER, called from another thread */
};

/* How the argument is passed. */
enum limits_arg { ARG_GOOD, ARG_NULL, ARG_UNMAPPED };

/* One io_uring_register() call. */
struct limits_call {
	enum limits_target target;
	enum limits_arg how;
	unsigned int opcode;
	const void *arg;
	unsigned int nr_args;
};

/* A ring as the target needs it; TARGET_CLOSED_FD and TARGET_NOT_A_RING get a good one. */
int limits_target_open(enum limits_target target, struct io_uring *ring);

/* Makes the call on the target; `ring` is what limits_target_open() made. */
int limits_target_call(const struct limits_call *call, struct io_uring *ring);

/*
 * The answer to a question that has only "accepted" and "refused with this errno" for answers.
 * The kernel itself refuses, but for ENOMEM, which may be RLIMIT_MEMLOCK's.
 */
void limits_answer_refusal(struct limits_answer *answer, int err);

#endif

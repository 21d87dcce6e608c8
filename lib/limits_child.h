/* SPDX-License-Identifier: MIT */
/*
 * Doing something dangerous in a child process: whatever happens to the child, the parent lives
 * and knows, and all that the child had registered, pinned or opened is gone with it.
 */
#ifndef BUFSCOPE_LIMITS_CHILD_H
#define BUFSCOPE_LIMITS_CHILD_H

#include <stddef.h>

enum limits_fate {
	FATE_DONE,   /* run() returned */
	FATE_KILLED, /* by a signal */
	FATE_LEFT,   /* exited without returning from run() */
	FATE_LATE,   /* took too long and was killed */
};

struct limits_child {
	int (*run)(void *box); /* in the child, on its own copy of box */
	void *box;             /* changed by the child if, and only if, it was done */
	size_t box_bytes;
	unsigned int patience_ms;
	/* what became of it */
	enum limits_fate fate;
	int result; /* what run() returned, the signal, or the exit status */
};

/* Blocks until the child is gone. 0, or -errno when there was no child. */
int limits_child_run(struct limits_child *child);

#endif

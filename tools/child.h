/* SPDX-License-Identifier: MIT */
/* A command that waits until it is let go, so that it can be watched from its first instruction. */
#ifndef BUFSCOPE_CHILD_H
#define BUFSCOPE_CHILD_H

#include <stddef.h>
#include <sys/types.h>

struct child {
	pid_t pid;  /* 0: none was forked, or it has been waited for */
	int pidfd;  /* readable when it has ended */
	int go;     /* a byte lets it go, the end of file ends it */
	int failed; /* tells the errno of an exec that failed */
};

/* What child_done() accepts before child_fork(). */
#define CHILD_NONE                                                                                 \
	{                                                                                          \
		.pidfd = -1, .go = -1, .failed = -1                                                \
	}

/*
 * The child inherits terminal, descriptors and signal dispositions as they are now, and waits.
 * argv[0] is looked up in PATH when it is let go. 0 or -errno.
 */
int child_fork(struct child *child, char *const *argv);

/* 0, or -errno of the exec. */
int child_start(struct child *child);

/* Waits for its end and says it: "ended with 3", "was killed by SIGSEGV". Returns out. */
char *child_wait(struct child *child, char *out, size_t size);

/* Asks it to end. 0, or -EBUSY when it goes on for seconds: then it is left alone. */
int child_stop(struct child *child);

/* One that was not let go ends. */
void child_done(struct child *child);

#endif

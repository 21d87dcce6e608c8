/* SPDX-License-Identifier: MIT */
/*
 * The props of a scenario: a ring, buffer groups over plain memory, pairs of sockets. Each
 * message fills one buffer, for it is a packet of its own. Failing ends the scenario.
 */
#ifndef BUFSCOPE_LOAD_STAGE_H
#define BUFSCOPE_LOAD_STAGE_H

#include <liburing.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#define STAGE_BYTES   256 /* of a buffer */
#define STAGE_PAIRS   16
#define STAGE_GOT     1024
#define STAGE_MESSAGE 64

struct stage_group {
	struct io_uring_buf_ring *ring;
	char *buffers; /* entries of them, at their bids less `first` */
	uint32_t entries;
	uint16_t bgid;
	uint16_t first; /* bid */
};

struct stage_cqe {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

struct stage {
	struct io_uring ring;
	uint32_t entries; /* of groups that are filled whole, instead of theirs; 0: theirs */
	int near[STAGE_PAIRS], far[STAGE_PAIRS]; /* -1: not open */
	struct stage_cqe got[STAGE_GOT];         /* by stage_reap() */
	uint64_t asked_ns;                       /* the last request; 0: none */
	uint64_t longest_ns;                     /* that a buffer was out, as others may see it */
	jmp_buf failed;
	char what[128];
	int err;
};

#define STAGE_MULTISHOT 1
#define STAGE_BUNDLE    2
#define STAGE_PLAIN     4 /* into a buffer of its own */
#define STAGE_ASYNC     8 /* by a worker thread, which has a buffer while it waits */

void stage_open(struct stage *stage, unsigned int sq_entries);
void stage_close(struct stage *stage);

/* Pairs 0 ... nr - 1; type is SOCK_SEQPACKET or SOCK_STREAM. */
void stage_pairs(struct stage *stage, unsigned int nr, int type);
void stage_pair(struct stage *stage, unsigned int at, int type);

/*
 * Pair 0, over 127.0.0.1: of these all kernels know how much waits, so that bundles take it; of
 * sockets of AF_UNIX old ones do not.
 */
void stage_tcp(struct stage *stage);

/* Registered, with `fill` buffers in it. */
void stage_group(struct stage *stage, struct stage_group *group, uint32_t fill);
void stage_register(struct stage *stage, struct stage_group *group, unsigned int flags);

/* Entries behind the tail; then they count. */
void stage_put(struct stage_group *group, uint16_t bid, uint32_t behind);
void stage_put_at(struct stage_group *group, struct io_uring_buf entry, uint32_t behind);
void stage_publish(struct stage_group *group, uint32_t nr);
void stage_return(struct stage_group *group, uint16_t bid);

/* A receive on the near end, with the pair's number as user_data. */
void stage_arm(struct stage *stage, unsigned int pair, uint16_t bgid, unsigned int how);

void stage_send(struct stage *stage, unsigned int pair, unsigned int nr);

/* What completed, waiting up to `ms` for the first. Returns how many. */
unsigned int stage_reap(struct stage *stage, unsigned int ms);

/*
 * Of a bundle that was asked for while more than a buffer's data waited: a kernel that fills one
 * only has no bundles to play with, which ends the scenario.
 */
void stage_need_bundle(struct stage *stage, const struct stage_cqe *cqe);

void stage_sleep(unsigned int ms);

/* So long that who watches has looked several times, and longer on a busy machine. */
void stage_linger(void);

/*
 * A request that was made at that time has been served, for stage_lasts(): who watches has seen by
 * now that what the one before it got is back, and may have seen it no earlier.
 */
void stage_asked(struct stage *stage, uint64_t since_ns);

/*
 * Whether to go on: for so long, and for as long as makes the longest time that a buffer was out
 * short beside it. Who does not come back by then is surely gone.
 */
bool stage_lasts(const struct stage *stage, uint64_t since_ns, unsigned int ms);

/* Ends the scenario: what failed, and the errno. */
void stage_fail(struct stage *stage, const char *what, int err) __attribute__((noreturn));

#endif

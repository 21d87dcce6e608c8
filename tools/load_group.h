/* SPDX-License-Identifier: MIT */
/*
 * One buffer group at work: its pool, its source, what it keeps, its counters. Says how much may
 * be sent and how many requests it wants; knows nothing of submission and waiting.
 */
#ifndef BUFSCOPE_LOAD_GROUP_H
#define BUFSCOPE_LOAD_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "load.h"
#include "load_keep.h"
#include "load_source.h"

struct io_uring;
struct io_uring_cqe;
struct io_uring_sqe;

struct load_group {
	const struct load_opts *opts;
	struct load_group_truth *truth;
	struct bs_pool *pool;
	struct load_source source;
	struct load_keep keep;
	struct load_counts counts; /* counts.armed is exact at all times, too */
	uint64_t sent;             /* messages, for the rate */
	uint32_t max_bufs;         /* that one completion may bring */
	uint32_t per_buf;          /* messages that an incremental buffer takes, else 1 */
	uint16_t bgid;
	bool is_dry;       /* -ENOBUFS was seen since the last return */
	bool is_exhausted; /* dry, and nothing will ever be returned: the group is done */
	bool is_leaking;   /* the buffer that is being taken piece by piece is to be leaked */
	bool in_piece;
	bool is_touched; /* for the ring: a completion was seen since it last looked */
};

/* g->opts, g->truth and g->bgid are set. 0 or a fault. */
int load_group_open(struct load_group *g, struct io_uring *ring, struct load_fault *fault);

/* Entries of its buffer ring. */
uint32_t load_group_slots(const struct load_group *g);

/* Bytes that may be sent now, at most max_messages; 0: none. */
uint64_t load_group_allowance(const struct load_group *g, uint64_t elapsed_ns,
			      uint64_t max_messages);

/* Sends them, or what fits of them. Returns the bytes sent or a fault. */
int64_t load_group_send(struct load_group *g, uint64_t bytes, struct load_fault *fault);

/* Requests to be submitted so that `bytes` can be received. */
uint32_t load_group_requests(const struct load_group *g, uint64_t bytes);

/* Fills in one such request; it counts as armed from now on. */
void load_group_arm(struct load_group *g, struct io_uring_sqe *sqe);

/* A completion: counts it and keeps its buffers. Returns the bytes that arrived or a fault. */
int64_t load_group_complete(struct load_group *g, const struct io_uring_cqe *cqe,
			    struct load_fault *fault);

/* Returns what is due; with `all`, everything but what is held and leaked. 0 or a fault. */
int load_group_return(struct load_group *g, bool all, struct load_fault *fault);

/* No more work: as many selections as wanted, or no buffer will ever come. */
bool load_group_is_done(const struct load_group *g);

/* When the next message is due, after the start; 0: now. */
uint64_t load_group_next_ns(const struct load_group *g);

/*
 * At rest: do the pool's books and the kernel's head agree with the counters? 0 or a fault that
 * says how they differ. Publishes the final truth.
 */
int load_group_check(struct load_group *g, int ring_fd, struct load_fault *fault);

void load_group_close(struct load_group *g);

#endif

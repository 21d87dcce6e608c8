/* SPDX-License-Identifier: MIT */
/*
 * A small stage on which the kernel plays a scene: a ring, one buffer ring on it, and two ends
 * to send data through. The buffer ring is kept in the open, so that scenes may do with it what
 * no library would let them do.
 */
#ifndef BUFSCOPE_LIMITS_STAGE_H
#define BUFSCOPE_LIMITS_STAGE_H

#include "limits_kernel.h"

#define STAGE_BGID 1

enum limits_ends { ENDS_STREAM, ENDS_DGRAM, ENDS_TCP, ENDS_PIPE, ENDS_NONE };

struct limits_stage_opts {
	enum limits_ends ends;
	unsigned int entries;   /* of the buffer ring, a power of two; 0: 8 */
	unsigned int buf_bytes; /* of each buffer; 0: 64 */
	unsigned int provided;  /* buffers put in and published */
	uint16_t flags;         /* of the buffer ring */
	uint16_t min_left;
	unsigned int setup_flags;
	bool no_group;
};

struct limits_stage {
	struct io_uring ring;
	struct io_uring_buf *slots; /* shared with the kernel */
	char *memory;               /* buffer i lies at i * buf_bytes */
	unsigned int entries;
	unsigned int buf_bytes;
	uint16_t tail; /* of entries written; what is published may be less */
	int in;        /* the end that the ring reads */
	int out;       /* the end that the scene writes */
};

/* A completion, copied out. */
struct limits_event {
	uint64_t user_data;
	int res;
	unsigned int flags;
};

int limits_stage_open(struct limits_stage *s, const struct limits_stage_opts *opts);

/* Writes the next entry; the kernel does not see it before the tail is published. */
void limits_stage_add(struct limits_stage *s, uint16_t bid, void *addr, unsigned int len);

/* The same for the buffer that belongs to this bid. */
void limits_stage_put(struct limits_stage *s, uint16_t bid);

void limits_stage_publish(struct limits_stage *s);

/* How many buffers the kernel has taken, none having been put back; takes one more to know. */
int limits_stage_taken(struct limits_stage *s);

/* Sends bytes counting up from `first`; all at once. */
int limits_stage_send(struct limits_stage *s, unsigned int bytes, unsigned char first);

/* A multishot (or not) receive on the stage, with flags of IORING_RECV*. */
int limits_stage_recv(struct limits_stage *s, unsigned int ioprio);

/* Submits what is prepared. */
int limits_stage_submit(struct limits_stage *s);

/* The next completion, which is expected; -ETIME if it does not come. */
int limits_stage_next(struct limits_stage *s, struct limits_event *event);

/* One more completion, if there is one; -ETIME if not. Takes a few milliseconds to say no. */
int limits_stage_more(struct limits_stage *s, struct limits_event *event);

/* Makes a prepared request select from the stage's group. */
static inline void limits_stage_select(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = STAGE_BGID;
}

/* A scene with what it needs: the argument of limits_ask_scene(). */
struct limits_scene {
	struct limits_stage_opts stage;
	/* 0, or -errno when something failed that is not what the scene is about. */
	int (*play)(struct limits_stage *s, struct limits_answer *answer);
};

/* A probe's `ask`: absent, if the kernel has no such stage. */
int limits_ask_scene(const struct limits_env *env, struct limits_answer *answer);

/* Parts of a probe: how it is asked (the rest is its stage), and where it is told of. */
#define SCENE(function, ...)                                                                       \
	.ask = limits_ask_scene, .arg = &(const struct limits_scene)                               \
	{                                                                                          \
		.play = (function), .stage = { __VA_ARGS__ }                                       \
	}
#define REF(where) .reference = (where)

/* "ENOBUFS" or "64": a result in words; the last four stay valid. */
const char *limits_say(int res);

/* A verdict and its evidence. Returns 0. */
int limits_judge(struct limits_answer *answer, enum limits_verdict verdict, const char *evidence,
		 ...) __attribute__((format(printf, 3, 4)));

static inline uint16_t limits_event_bid(const struct limits_event *e)
{
	return (uint16_t)(e->flags >> IORING_CQE_BUFFER_SHIFT);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A stage for tests of a trace: a ring, a pair of sockets, and what was told of them. Everything
 * happens in this process, which traces itself.
 */
#ifndef BUFSCOPE_TRACE_RIG_H
#define BUFSCOPE_TRACE_RIG_H

#include <errno.h>
#include <liburing.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "needs.h"
#include "observe.h"
#include "trace.h"
#include "uapi.h"

#define ALL_KINDS  (TRACE_SHOWN | 1U << TRACE_CREATE)
#define BUF_BYTES  64
#define MAX_EVENTS 4096

struct stage {
	struct observe *observe;
	struct io_uring ring;
	int near, far;
	struct trace_rec events[MAX_EVENTS];
	unsigned int nr;
};

static char data[4096];

static inline void set_stage(struct stage *stage)
{
	int pair[2];

	memset(stage, 0, sizeof(*stage));
	assert_int_equal(io_uring_queue_init(8, &stage->ring, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	stage->near = pair[0];
	stage->far = pair[1];
}

static inline struct observe *watch_myself(const struct observe_trace *trace)
{
	static uint32_t tgid;
	struct observe_opts opts = {.depth = OBSERVE_FULL,
				    .stuck_ns = 1000000000,
				    .tgids = &tgid,
				    .nr_tgids = 1,
				    .bgid = -1,
				    .trace = *trace};
	struct observe_err err = {0};
	struct sample sample = {0};
	struct observe *observe;

	tgid = (uint32_t)getpid();
	opts.trace.bytes = 1U << 20;
	observe = observe_open(&opts, &err);
	if (!observe)
		fail_msg("%s", err.what);
	assert_int_equal(observe_sample(observe, &sample), 0);
	sample_done(&sample);
	return observe;
}

static inline void raise_stage(struct stage *stage, const struct observe_trace *trace)
{
	struct observe *observe = watch_myself(trace);

	set_stage(stage);
	stage->observe = observe;
}

static inline struct stage *new_stage(void)
{
	static struct stage stage;
	const struct observe_trace trace = {.kinds = ALL_KINDS};

	raise_stage(&stage, &trace);
	return &stage;
}

static inline void strike(struct stage *stage)
{
	assert_int_equal(observe_trace_lost(stage->observe), 0);
	io_uring_queue_exit(&stage->ring);
	close(stage->near);
	close(stage->far);
	observe_close(stage->observe);
}

static inline void note(void *context, const struct trace_rec *rec)
{
	struct stage *stage = context;

	/* finding a tail takes a ring of its own, which is not of the play */
	if (rec->kind == TRACE_CREATE || (stage->nr && rec->ring_id != stage->events[0].ring_id))
		return;
	assert_true(stage->nr < MAX_EVENTS);
	stage->events[stage->nr++] = *rec;
}

/* Reads on. The events since the last call begin at the index that is returned. */
static inline unsigned int read_on(struct stage *stage)
{
	unsigned int from = stage->nr;

	while (observe_trace(stage->observe, note, stage) > 0)
		;
	return from;
}

static inline const struct trace_rec *event(struct stage *stage, unsigned int i,
					    enum trace_kind kind)
{
	if (i >= stage->nr)
		fail_msg("no event %u: %s expected", i, trace_kind_name(kind));
	if (stage->events[i].kind != kind)
		fail_msg("event %u is %s, not %s", i,
			 trace_kind_name((enum trace_kind)stage->events[i].kind),
			 trace_kind_name(kind));
	return &stage->events[i];
}

/* ---- what is played on it */

static inline int control(struct stage *stage, unsigned int opcode, const struct bs_buf_reg *reg)
{
	long err = syscall(__NR_io_uring_register, stage->ring.ring_fd, opcode, reg, 1);

	return err ? -errno : 0;
}

static inline struct io_uring_buf_ring *new_memory(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static inline struct io_uring_buf_ring *new_group(struct stage *stage, uint16_t bgid,
						  uint32_t entries)
{
	struct io_uring_buf_ring *br = new_memory();
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)br, .ring_entries = entries, .bgid = bgid};

	assert_int_equal(control(stage, IORING_REGISTER_PBUF_RING, &reg), 0);
	return br;
}

/* The buffer of a bid; a store of the tail for each of them. */
static inline void put(struct io_uring_buf_ring *br, uint32_t entries, uint16_t bid)
{
	io_uring_buf_ring_add(br, data + (size_t)bid % 32 * BUF_BYTES, BUF_BYTES, bid,
			      io_uring_buf_ring_mask(entries), 0);
	io_uring_buf_ring_advance(br, 1);
}

static inline void submit_recv(struct stage *stage, uint16_t bgid, uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

	io_uring_prep_recv(sqe, stage->near, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = bgid;
	sqe->user_data = user_data;
	assert_int_equal(io_uring_submit(&stage->ring), 1);
}

static inline int reap(struct stage *stage)
{
	struct io_uring_cqe *cqe;
	int res;

	assert_int_equal(io_uring_wait_cqe(&stage->ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(&stage->ring, cqe);
	return res;
}

static inline void send_bytes(struct stage *stage, size_t bytes)
{
	assert_int_equal(send(stage->far, data, bytes, 0), bytes);
}

static inline int receive(struct stage *stage, uint16_t bgid, size_t bytes)
{
	send_bytes(stage, bytes);
	submit_recv(stage, bgid, 0xabcdef);
	return reap(stage);
}

#endif

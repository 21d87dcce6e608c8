// SPDX-License-Identifier: MIT
/*
 * Is each event of a group told, with what is true of it? Everything happens in this process, which
 * traces itself.
 */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
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

#include "observe.h"
#include "trace.h"
#include "uapi.h"

#define ALL_KINDS  (TRACE_SHOWN | 1U << TRACE_CREATE)
#define BUF_BYTES  64
#define MAX_EVENTS 4096

/* ---- a stage: a ring, a pair of sockets, the trace and what it told */

struct stage {
	struct observe *observe;
	struct io_uring ring;
	int near, far;
	struct trace_rec events[MAX_EVENTS];
	unsigned int nr;
};

static char data[4096];

static void raise_stage(struct stage *stage, const struct observe_trace *trace)
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
	int pair[2];

	memset(stage, 0, sizeof(*stage));
	tgid = (uint32_t)getpid();
	opts.trace.bytes = 1U << 20;
	stage->observe = observe_open(&opts, &err);
	if (!stage->observe)
		fail_msg("%s", err.what);
	assert_int_equal(observe_sample(stage->observe, &sample), 0);
	sample_done(&sample);
	assert_int_equal(io_uring_queue_init(8, &stage->ring, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	stage->near = pair[0];
	stage->far = pair[1];
}

static struct stage *new_stage(void)
{
	static struct stage stage;
	const struct observe_trace trace = {.kinds = ALL_KINDS};

	raise_stage(&stage, &trace);
	return &stage;
}

static void strike(struct stage *stage)
{
	assert_int_equal(observe_trace_lost(stage->observe), 0);
	io_uring_queue_exit(&stage->ring);
	close(stage->near);
	close(stage->far);
	observe_close(stage->observe);
}

static void note(void *context, const struct trace_rec *rec)
{
	struct stage *stage = context;

	/* finding a tail takes a ring of its own, which is not of the play */
	if (rec->kind == TRACE_CREATE || (stage->nr && rec->ring_id != stage->events[0].ring_id))
		return;
	assert_true(stage->nr < MAX_EVENTS);
	stage->events[stage->nr++] = *rec;
}

/* Reads on. The events since the last call begin at the index that is returned. */
static unsigned int read_on(struct stage *stage)
{
	unsigned int from = stage->nr;

	while (observe_trace(stage->observe, note, stage) > 0)
		;
	return from;
}

static const struct trace_rec *event(struct stage *stage, unsigned int i, enum trace_kind kind)
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

static int control(struct stage *stage, unsigned int opcode, const struct bs_buf_reg *reg)
{
	long err = syscall(__NR_io_uring_register, stage->ring.ring_fd, opcode, reg, 1);

	return err ? -errno : 0;
}

static struct io_uring_buf_ring *new_memory(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static struct io_uring_buf_ring *new_group(struct stage *stage, uint16_t bgid, uint32_t entries)
{
	struct io_uring_buf_ring *br = new_memory();
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)br, .ring_entries = entries, .bgid = bgid};

	assert_int_equal(control(stage, IORING_REGISTER_PBUF_RING, &reg), 0);
	return br;
}

/* The buffer of a bid; a store of the tail for each of them. */
static void put(struct io_uring_buf_ring *br, uint32_t entries, uint16_t bid)
{
	io_uring_buf_ring_add(br, data + (size_t)bid % 32 * BUF_BYTES, BUF_BYTES, bid,
			      io_uring_buf_ring_mask(entries), 0);
	io_uring_buf_ring_advance(br, 1);
}

static void submit_recv(struct stage *stage, uint16_t bgid, uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

	io_uring_prep_recv(sqe, stage->near, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = bgid;
	sqe->user_data = user_data;
	assert_int_equal(io_uring_submit(&stage->ring), 1);
}

static int reap(struct stage *stage)
{
	struct io_uring_cqe *cqe;
	int res;

	assert_int_equal(io_uring_wait_cqe(&stage->ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(&stage->ring, cqe);
	return res;
}

static void send_bytes(struct stage *stage, size_t bytes)
{
	assert_int_equal(send(stage->far, data, bytes, 0), bytes);
}

static int receive(struct stage *stage, uint16_t bgid, size_t bytes)
{
	send_bytes(stage, bytes);
	submit_recv(stage, bgid, 0xabcdef);
	return reap(stage);
}

/* ---- tests */

static void registrations(void **state)
{
	struct stage *stage = new_stage();
	struct io_uring_buf_ring *br = new_group(stage, 100, 8);
	struct bs_buf_reg reg = {.ring_addr = (uintptr_t)br, .ring_entries = 8, .bgid = 100};
	const struct trace_rec *rec;

	(void)state;
	assert_int_equal(control(stage, IORING_REGISTER_PBUF_RING, &reg), -EEXIST);
	reg.ring_entries = 7;
	reg.bgid = 101;
	assert_int_equal(control(stage, IORING_REGISTER_PBUF_RING, &reg), -EINVAL);
	memset(&reg, 0, sizeof(reg));
	reg.bgid = 102;
	assert_int_equal(control(stage, IORING_UNREGISTER_PBUF_RING, &reg), -ENOENT);
	reg.bgid = 100;
	assert_int_equal(control(stage, IORING_UNREGISTER_PBUF_RING, &reg), 0);
	read_on(stage);
	rec = event(stage, 0, TRACE_REGISTER);
	assert_int_equal(rec->res, 0);
	assert_int_equal(rec->bgid, 100);
	assert_int_equal(rec->nr, 8);
	assert_int_equal(rec->group_kind, GROUP_RING);
	assert_int_equal(rec->user_data, (uintptr_t)br);
	assert_int_equal(rec->tgid, getpid());
	assert_int_equal(rec->tid, gettid());
	assert_int_equal(event(stage, 1, TRACE_REGISTER)->res, -EEXIST);
	rec = event(stage, 2, TRACE_REGISTER);
	assert_int_equal(rec->res, -EINVAL);
	assert_int_equal(rec->bgid, 101);
	assert_int_equal(event(stage, 3, TRACE_UNREGISTER)->res, -ENOENT);
	assert_int_equal(event(stage, 4, TRACE_UNREGISTER)->res, 0);
	assert_int_equal(stage->nr, 5);
	strike(stage);
}

static void fill_select_return(void **state)
{
	struct stage *stage = new_stage();
	struct io_uring_buf_ring *br = new_group(stage, 3, 8);
	const struct trace_rec *rec;
	unsigned int i;

	(void)state;
	for (uint16_t bid = 2; bid < 6; bid++)
		put(br, 8, bid);
	put(br, 8, 7);
	assert_int_equal(receive(stage, 3, 10), 10);
	i = read_on(stage);
	event(stage, i++, TRACE_REGISTER);
	rec = event(stage, i++, TRACE_FILL);
	assert_int_equal(rec->bid, 2);
	assert_int_equal(rec->nr, 4);
	assert_int_equal(rec->available, 4);
	assert_int_equal(rec->held_ns, 0);
	rec = event(stage, i++, TRACE_FILL);
	assert_int_equal(rec->bid, 7);
	assert_int_equal(rec->nr, 1);
	assert_int_equal(rec->available, 5);
	rec = event(stage, i++, TRACE_SELECT);
	assert_int_equal(rec->bid, 2);
	assert_int_equal(rec->nr, 1);
	assert_int_equal(rec->res, 10);
	assert_int_equal(rec->available, 4);
	assert_int_equal(rec->fd, stage->near);
	assert_int_equal(rec->opcode, IORING_OP_RECV);
	assert_int_equal(rec->user_data, 0xabcdef);
	assert_int_equal(rec->tid, gettid());
	put(br, 8, 2);
	assert_int_equal(receive(stage, 3, 64), 64);
	read_on(stage);
	rec = event(stage, i++, TRACE_RETURN);
	assert_int_equal(rec->bid, 2);
	assert_int_equal(rec->available, 5);
	assert_int_equal(rec->flags & TRACE_EXACT, 0);
	/* since about the selection, two events before */
	assert_in_range(rec->held_ns, 1, rec->at_ns - stage->events[i - 3].at_ns);
	assert_int_equal(event(stage, i++, TRACE_SELECT)->bid, 3);
	assert_int_equal(stage->nr, i);
	strike(stage);
}

/* Of a group that is not traced: a buffer that came back and was taken again between two looks. */
static void taken_again(void **state)
{
	const struct observe_trace none = {0};
	struct sample sample = {0};
	const struct group_counts *counts;
	static struct stage stage;
	struct io_uring_buf_ring *br;

	(void)state;
	raise_stage(&stage, &none);
	br = new_group(&stage, 3, 64);
	for (int i = 0; i < 3; i++) {
		put(br, 64, 5);
		assert_int_equal(receive(&stage, 3, 10), 10);
	}
	assert_int_equal(observe_sample(stage.observe, &sample), 0);
	assert_int_equal(sample.nr_groups, 1);
	counts = sample.counts;
	assert_int_equal(counts->total[COUNT_TAKEN], 3);
	assert_int_equal(counts->total[COUNT_RETURNED], 3);
	assert_int_not_equal(counts->gauge[GAUGE_HOLD_MAX_NS], COUNT_UNKNOWN);
	assert_in_range(counts->gauge[GAUGE_OLDEST_HELD_NS], 1,
			counts->gauge[GAUGE_HOLD_MAX_NS] * 1000);
	sample_done(&sample);
	strike(&stage);
}

static void expect_starve(struct stage *stage, uint16_t bgid, enum starve_cause cause)
{
	unsigned int last = stage->nr - 1;
	const struct trace_rec *rec;

	while (last && stage->events[last].kind != TRACE_STARVE)
		last--;
	rec = event(stage, last, TRACE_STARVE);
	assert_int_equal(rec->bgid, bgid);
	assert_int_equal(rec->res, -ENOBUFS);
	assert_string_equal(trace_cause_name(rec->cause), trace_cause_name(cause));
}

/* Drains what a starved request left in the socket. */
static void drain(struct stage *stage)
{
	assert_true(recv(stage->near, data, sizeof(data), MSG_DONTWAIT) > 0);
}

static void causes(void **state)
{
	struct stage *stage = new_stage();
	const struct bs_buf_reg reg = {.bgid = 5};
	struct io_uring_buf_ring *br;
	int res;

	(void)state;
	assert_int_equal(receive(stage, 4, 1), -ENOBUFS);
	read_on(stage);
	expect_starve(stage, 4, STARVE_NO_GROUP);
	drain(stage);

	br = new_group(stage, 5, 4);
	assert_int_equal(receive(stage, 5, 1), -ENOBUFS);
	read_on(stage);
	expect_starve(stage, 5, STARVE_NEVER_FILLED);
	drain(stage);

	io_uring_buf_ring_add(br, data, BUF_BYTES, 0, io_uring_buf_ring_mask(4), 0);
	assert_int_equal(receive(stage, 5, 1), -ENOBUFS);
	read_on(stage);
	expect_starve(stage, 5, STARVE_UNPUBLISHED);
	drain(stage);

	put(br, 4, 0);
	assert_int_equal(receive(stage, 5, 1), 1);
	assert_int_equal(receive(stage, 5, 1), -ENOBUFS);
	read_on(stage);
	expect_starve(stage, 5, STARVE_EMPTY_AT_ISSUE);
	drain(stage);

	/* two wait, one buffer, then data for both of them: the second finds none */
	put(br, 4, 1);
	submit_recv(stage, 5, 1);
	submit_recv(stage, 5, 2);
	send_bytes(stage, 1);
	res = reap(stage);
	send_bytes(stage, 1);
	/* on old kernels the first byte wakes both, and the last one wins */
	assert_int_equal(res + reap(stage), 1 - ENOBUFS);
	read_on(stage);
	expect_starve(stage, 5, STARVE_EMPTY_AT_DATA);
	drain(stage);

	put(br, 4, 2);
	submit_recv(stage, 5, 3);
	assert_int_equal(control(stage, IORING_UNREGISTER_PBUF_RING, &reg), 0);
	send_bytes(stage, 1);
	assert_int_equal(reap(stage), -ENOBUFS);
	read_on(stage);
	expect_starve(stage, 5, STARVE_UNREGISTERED);
	strike(stage);
}

static void provide(struct stage *stage, int bid, int nr)
{
	io_uring_prep_provide_buffers(io_uring_get_sqe(&stage->ring), data, BUF_BYTES, nr, 9, bid);
	assert_int_equal(io_uring_submit(&stage->ring), 1);
	assert_true(reap(stage) >= 0);
}

static void legacy(void **state)
{
	struct stage *stage = new_stage();
	const struct trace_rec *rec;
	uint32_t bid;

	(void)state;
	provide(stage, 3, 8);
	assert_int_equal(receive(stage, 9, 5), 5);
	read_on(stage);
	rec = event(stage, 0, TRACE_FILL);
	assert_int_equal(rec->bid, 3);
	assert_int_equal(rec->nr, 8);
	assert_int_equal(rec->available, 8);
	rec = event(stage, 1, TRACE_SELECT);
	bid = rec->bid;
	assert_in_range(bid, 3, 10);
	assert_int_equal(rec->res, 5);
	assert_int_equal(rec->available, 7);
	provide(stage, (int)bid, 1);
	read_on(stage);
	rec = event(stage, 2, TRACE_RETURN);
	assert_int_equal(rec->bid, bid);
	assert_int_equal(rec->available, 8);
	assert_int_equal(rec->tid, gettid());
	assert_int_equal(stage->nr, 3);
	strike(stage);
}

/* A full CQ: the completion is told, and that it had to wait. */
static void overflow(void **state)
{
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 1};
	struct stage *stage = new_stage();
	struct io_uring_buf_ring *br;
	unsigned int i;

	(void)state;
	io_uring_queue_exit(&stage->ring);
	assert_int_equal(io_uring_queue_init_params(1, &stage->ring, &params), 0);
	br = new_group(stage, 1, 8);
	for (uint16_t bid = 0; bid < 8; bid++)
		put(br, 8, bid);
	send_bytes(stage, 1);
	submit_recv(stage, 1, 1);
	send_bytes(stage, 1);
	submit_recv(stage, 1, 2);
	read_on(stage);
	i = 2;
	assert_int_equal(event(stage, i++, TRACE_SELECT)->user_data, 1);
	assert_int_equal(event(stage, i++, TRACE_SELECT)->user_data, 2);
	assert_int_equal(event(stage, i, TRACE_OVERFLOW)->user_data, 2);
	assert_int_equal(event(stage, i, TRACE_OVERFLOW)->bid, 1);
	strike(stage);
}

/* Bids in an order of their own: in whatever runs they are told, it is this order. */
static void bundle(void **state)
{
	static const uint16_t order[] = {5, 9, 2, 3, 30, 31, 0, 1};
	struct stage *stage = new_stage();
	struct io_uring_buf_ring *br;
	unsigned int nr = 0, i;
	struct io_uring_sqe *sqe;
	int bytes = 0;

	(void)state;
	if (!(stage->ring.features & IORING_FEAT_RECVSEND_BUNDLE)) {
		strike(stage);
		skip();
	}
	br = new_group(stage, 2, 8);
	for (i = 0; i < 8; i++)
		put(br, 8, order[i]);
	send_bytes(stage, 7 * BUF_BYTES - 5);
	while (bytes < 7 * BUF_BYTES - 5) {
		sqe = io_uring_get_sqe(&stage->ring);
		io_uring_prep_recv(sqe, stage->near, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = 2;
		sqe->ioprio |= IORING_RECVSEND_BUNDLE;
		assert_int_equal(io_uring_submit(&stage->ring), 1);
		i = (unsigned int)reap(stage);
		assert_in_range(i, 1, 7 * BUF_BYTES);
		bytes += (int)i;
	}
	read_on(stage);
	for (i = 0; i < stage->nr; i++) {
		const struct trace_rec *rec = &stage->events[i];

		if (rec->kind != TRACE_BUNDLE && rec->kind != TRACE_SELECT)
			continue;
		for (uint32_t k = 0; k < rec->nr; k++)
			assert_int_equal(rec->bid + k, order[nr++]);
		bytes -= rec->res;
	}
	assert_int_equal(nr, 7);
	assert_int_equal(bytes, 0);
	strike(stage);
}

/* ---- each of many completions and returns, as the program itself saw them */

#define ENTRIES  32
#define ROUNDS   20000
#define MAX_BOOK 512

struct book {
	struct stage *stage;
	struct io_uring_buf_ring *br;
	struct io_uring_cqe seen[MAX_BOOK];
	uint16_t returned[MAX_BOOK];
	unsigned int nr_seen, nr_returned;
	uint16_t mine[ENTRIES]; /* bids that are with the program */
	unsigned int nr_mine;
	uint32_t random;
	uint32_t available; /* as the events add up */
	uint64_t requests;
	bool is_armed;
};

#define MULTISHOT (1ULL << 63) /* in user_data */

static uint32_t roll(struct book *book, uint32_t sides)
{
	book->random = book->random * 1664525 + 1013904223;
	return (book->random >> 8) % sides;
}

static void give_back(struct book *book)
{
	unsigned int which = roll(book, book->nr_mine);

	put(book->br, ENTRIES, book->mine[which]);
	book->returned[book->nr_returned++] = book->mine[which];
	book->mine[which] = book->mine[--book->nr_mine];
}

static void request(struct book *book, bool is_multishot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&book->stage->ring);

	io_uring_prep_recv(sqe, book->stage->near, NULL, 0, is_multishot ? 0 : MSG_DONTWAIT);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->ioprio |= is_multishot ? IORING_RECV_MULTISHOT : 0;
	sqe->buf_group = 3;
	sqe->user_data = ++book->requests | (is_multishot ? MULTISHOT : 0);
	assert_int_equal(io_uring_submit(&book->stage->ring), 1);
	book->is_armed |= is_multishot;
}

static void note_completions(struct book *book)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&book->stage->ring, &cqe) == 0) {
		bool is_end = cqe->user_data & MULTISHOT && !(cqe->flags & IORING_CQE_F_MORE);

		assert_true(book->nr_seen < MAX_BOOK);
		if (cqe->flags & IORING_CQE_F_BUFFER || cqe->res == -ENOBUFS || is_end)
			book->seen[book->nr_seen++] = *cqe;
		if (cqe->flags & IORING_CQE_F_BUFFER && !(cqe->flags & IORING_CQE_F_BUF_MORE))
			book->mine[book->nr_mine++] =
				(uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		book->is_armed &= !is_end;
		io_uring_cqe_seen(&book->stage->ring, cqe);
	}
}

static void play_round(struct book *book)
{
	switch (roll(book, 4)) {
	case 0:
		send_bytes(book->stage, 1 + roll(book, BUF_BYTES));
		break;
	case 1:
		request(book, false);
		break;
	case 2:
		if (!book->is_armed)
			request(book, true);
		break;
	default:
		for (uint32_t nr = roll(book, 4); nr && book->nr_mine; nr--)
			give_back(book);
	}
	note_completions(book);
}

/* One completion is up to two events. Returns the index behind them. */
static unsigned int expect_completion(struct book *book, unsigned int i,
				      const struct io_uring_cqe *cqe)
{
	bool is_whole = !(cqe->flags & IORING_CQE_F_BUF_MORE);
	const struct trace_rec *rec;

	if (cqe->flags & IORING_CQE_F_BUFFER) {
		rec = event(book->stage, i++, is_whole ? TRACE_SELECT : TRACE_PARTIAL);
		assert_int_equal(rec->bid, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		book->available -= is_whole;
	} else if (cqe->res == -ENOBUFS) {
		rec = event(book->stage, i++, TRACE_STARVE);
		assert_int_equal(book->available, 0);
	} else {
		rec = event(book->stage, i, TRACE_MSHOT_END);
	}
	assert_int_equal(rec->res, cqe->res);
	assert_int_equal(rec->user_data, cqe->user_data);
	assert_int_equal(rec->available, book->available);
	if (cqe->user_data & MULTISHOT && !(cqe->flags & IORING_CQE_F_MORE))
		assert_int_equal(event(book->stage, i++, TRACE_MSHOT_END)->user_data,
				 cqe->user_data);
	return i;
}

/* Buffers that were told to be back, so far; `told` of them before. */
static unsigned int expect_return(struct book *book, const struct trace_rec *rec, unsigned int told)
{
	for (uint32_t k = 0; k < rec->nr; k++, told++) {
		assert_true(told < book->nr_returned);
		assert_int_equal(rec->bid + k, book->returned[told]);
	}
	book->available += rec->nr;
	assert_int_equal(rec->available, book->available);
	return told;
}

/* Nothing but what was written down, all of it, in its order. */
static void compare(struct book *book)
{
	unsigned int i = 0, seen = 0, told = 0;

	read_on(book->stage);
	while (i < book->stage->nr) {
		const struct trace_rec *rec = &book->stage->events[i];

		if (rec->kind == TRACE_FILL || rec->kind == TRACE_RETURN) {
			told = expect_return(book, rec, told);
			i++;
			continue;
		}
		assert_true(seen < book->nr_seen);
		i = expect_completion(book, i, &book->seen[seen++]);
	}
	assert_int_equal(seen, book->nr_seen);
	/* the last returns are told with the next event */
	book->nr_returned -= told;
	memmove(book->returned, book->returned + told, book->nr_returned * sizeof(uint16_t));
	book->stage->nr = book->nr_seen = 0;
}

static void compare_each(uint16_t flags)
{
	static struct book book;
	struct stage *stage = new_stage();
	struct io_uring_buf_ring *br = new_memory();
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)br, .ring_entries = ENTRIES, .bgid = 3, .flags = flags};

	book = (struct book){.stage = stage, .br = br, .random = 1};
	if (control(stage, IORING_REGISTER_PBUF_RING, &reg) == -EINVAL && flags) {
		strike(stage);
		skip();
	}
	read_on(stage);
	event(stage, 0, TRACE_REGISTER);
	stage->nr = 0;
	for (uint16_t bid = 0; bid < ENTRIES; bid++)
		book.mine[book.nr_mine++] = (uint16_t)(bid * 7 % ENTRIES);
	for (int i = 0; i < ROUNDS; i++) {
		play_round(&book);
		if (i % 128 == 127)
			compare(&book);
	}
	assert_true(book.requests > ROUNDS / 8);
	strike(stage);
}

static void each_whole(void **state)
{
	(void)state;
	compare_each(0);
}

static void each_piecewise(void **state)
{
	(void)state;
	compare_each(IOU_PBUF_RING_INC);
}

/* ---- returns as they happen */

struct returner {
	struct io_uring_buf_ring *br;
	uint16_t bid; /* of the first */
	pid_t tid;
};

static void *return_ten(void *context)
{
	struct returner *returner = context;

	returner->tid = gettid();
	for (uint16_t i = 0; i < 10; i++)
		put(returner->br, 64, returner->bid + i);
	return NULL;
}

/* A stage whose ring of 64 is watched, or a skip. */
static struct stage *watched_stage(struct io_uring_buf_ring **br, uint64_t address, uint16_t flags)
{
	static struct stage stage;
	const struct observe_trace trace = {.kinds = ALL_KINDS, .is_watched = true};
	struct bs_buf_reg reg = {.ring_entries = 64, .bgid = 6, .flags = flags};
	struct observe_watch watch = {.bgid = 6, .tgid = (uint32_t)getpid()};
	int nr;

	raise_stage(&stage, &trace);
	*br = new_memory();
	if (!flags)
		reg.ring_addr = (uintptr_t)*br;
	nr = control(&stage, IORING_REGISTER_PBUF_RING, &reg);
	if (!nr && flags)
		*br = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, stage.ring.ring_fd,
			   (off_t)(BS_OFF_PBUF_RING | 6ULL << BS_OFF_PBUF_RING_SHIFT));
	read_on(&stage);
	if (!nr) {
		watch.ring_id = event(&stage, 0, TRACE_REGISTER)->ring_id;
		watch.address = address ? (uintptr_t)*br : 0;
		nr = observe_watch(stage.observe, &watch);
	}
	if (nr > 0)
		return &stage;
	strike(&stage);
	/* no such kind of ring, no breakpoints, or where they are refused */
	if (nr != -EINVAL && nr != -ENODEV && nr != -EOPNOTSUPP)
		fail_msg("watching: %s", strerror(-nr));
	skip();
	return NULL;
}

static void expect_exact(struct stage *stage, unsigned int *i, const struct returner *returner)
{
	read_on(stage);
	for (uint16_t k = 0; k < 10; k++, (*i)++) {
		const struct trace_rec *rec = event(stage, *i, *i == 1 ? TRACE_FILL : TRACE_RETURN);

		assert_int_equal(rec->bid, returner->bid + k);
		assert_int_equal(rec->nr, 1);
		assert_int_equal(rec->tid, returner->tid);
		assert_int_equal(rec->available, *i);
		assert_true(rec->flags & TRACE_EXACT);
		assert_true(rec->at_ns > stage->events[*i - 1].at_ns);
	}
}

static void watch(bool with_address, uint16_t flags)
{
	struct returner returner = {.bid = 100};
	struct stage *stage;
	unsigned int i = 1;
	pthread_t thread;

	stage = watched_stage(&returner.br, with_address, flags);
	return_ten(&returner);
	expect_exact(stage, &i, &returner);
	/* a thread that was not there yet */
	returner.bid = 200;
	assert_int_equal(pthread_create(&thread, NULL, return_ten, &returner), 0);
	pthread_join(thread, NULL);
	expect_exact(stage, &i, &returner);
	assert_int_not_equal(returner.tid, gettid());
	assert_int_equal(observe_watch(stage->observe, NULL), 0);
	return_ten(&returner);
	read_on(stage);
	assert_int_equal(stage->nr, i);
	strike(stage);
}

static void watch_address(void **state)
{
	(void)state;
	watch(true, 0);
}

static void watch_found(void **state)
{
	(void)state;
	watch(false, 0);
}

static void watch_mapped(void **state)
{
	(void)state;
	watch(false, IOU_PBUF_RING_MMAP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registrations),  cmocka_unit_test(fill_select_return),
		cmocka_unit_test(taken_again),    cmocka_unit_test(causes),
		cmocka_unit_test(legacy),         cmocka_unit_test(overflow),
		cmocka_unit_test(bundle),         cmocka_unit_test(each_whole),
		cmocka_unit_test(each_piecewise), cmocka_unit_test(watch_address),
		cmocka_unit_test(watch_found),    cmocka_unit_test(watch_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

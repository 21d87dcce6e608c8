// SPDX-License-Identifier: MIT
/*
 * Does full accounting stay exact where attribution is hard, and does its ledger name the right
 * buffers? Rings, groups and requests are made here by hand, so that each buffer's way is known.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "observe.h"
#include "uapi.h"

#define BUF_BYTES  64u
#define MAX_GROUPS 4
#define NEW_GROUPS 2 /* of a ring that lives for a moment only */

/* ---- groups and what is true of them */

struct truth {
	uint64_t taken, returned, selected, starved, bytes, mshot_ended;
};

struct group {
	struct io_uring_buf_ring *br; /* NULL: legacy */
	unsigned char *data;
	uint32_t entries;
	uint16_t bgid, tail;
	int in, out; /* messages go in here and are received from there */
	struct truth truth;
};

struct scene {
	struct io_uring ring;
	struct group groups[MAX_GROUPS];
	size_t nr_groups;
};

static struct observe *observer;
static struct sample sample;

static void *anonymous(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void add_buffer(struct group *g, uint16_t bid)
{
	struct io_uring_buf *entry = &g->br->bufs[g->tail & (g->entries - 1)];

	entry->addr = (uintptr_t)g->data + bid * BUF_BYTES;
	entry->len = BUF_BYTES;
	entry->bid = bid;
	__atomic_store_n(&g->br->tail, ++g->tail, __ATOMIC_RELEASE);
	g->truth.returned++;
}

static struct group *add_empty_group(struct scene *s, uint16_t bgid, uint32_t entries)
{
	struct group *g = &s->groups[s->nr_groups++];
	struct bs_buf_reg reg = {.bgid = bgid, .ring_entries = entries};
	int fds[2];

	*g = (struct group){.bgid = bgid, .entries = entries};
	g->br = anonymous(entries * sizeof(struct io_uring_buf));
	g->data = anonymous((size_t)entries * BUF_BYTES);
	reg.ring_addr = (uintptr_t)g->br;
	assert_int_equal(syscall(__NR_io_uring_register, s->ring.ring_fd, IORING_REGISTER_PBUF_RING,
				 &reg, 1),
			 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	g->in = fds[0];
	g->out = fds[1];
	return g;
}

static struct group *add_group(struct scene *s, uint16_t bgid, uint32_t entries)
{
	struct group *g = add_empty_group(s, bgid, entries);

	for (uint32_t bid = 0; bid < entries; bid++)
		add_buffer(g, (uint16_t)bid);
	return g;
}

static void open_scene(struct scene *s, size_t nr_groups)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(io_uring_queue_init(64, &s->ring, 0), 0);
	for (size_t i = 0; i < nr_groups; i++)
		add_group(s, (uint16_t)(i * 63), 16);
}

static void close_scene(struct scene *s)
{
	io_uring_queue_exit(&s->ring);
	for (size_t i = 0; i < s->nr_groups; i++) {
		struct group *g = &s->groups[i];

		close(g->in);
		close(g->out);
		munmap(g->data, (size_t)g->entries * BUF_BYTES);
		if (g->br)
			munmap(g->br, g->entries * sizeof(struct io_uring_buf));
	}
}

/* ---- requests */

static void send_bytes(struct group *g, size_t bytes)
{
	unsigned char data[BUF_BYTES] = {0};

	assert_int_equal(send(g->in, data, bytes, MSG_DONTWAIT), bytes);
}

static struct io_uring_sqe *prep_recv(struct scene *s, const struct group *g, bool multishot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	assert_non_null(sqe);
	io_uring_prep_rw(IORING_OP_RECV, sqe, g->out, NULL, 0, 0);
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = g->bgid;
	if (multishot)
		sqe->ioprio = IORING_RECV_MULTISHOT;
	return sqe;
}

struct done {
	int res;
	unsigned int flags;
};

/* The completion of a request on that group, which is counted. */
static struct done next_of(struct scene *s, struct group *g)
{
	struct __kernel_timespec patience = {.tv_sec = 10};
	struct io_uring_cqe *seen;
	struct done cqe;

	assert_int_equal(io_uring_wait_cqe_timeout(&s->ring, &seen, &patience), 0);
	cqe = (struct done){.res = seen->res, .flags = seen->flags};
	io_uring_cqe_seen(&s->ring, seen);
	if (cqe.flags & IORING_CQE_F_BUFFER) {
		g->truth.selected++;
		g->truth.taken++;
		g->truth.bytes += cqe.res > 0 ? (uint64_t)cqe.res : 0;
	}
	g->truth.starved += cqe.res == -ENOBUFS;
	return cqe;
}

static uint16_t bid_of(const struct done *cqe)
{
	assert_true(cqe->flags & IORING_CQE_F_BUFFER);
	return (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

/* One message, one request, one buffer. */
static uint16_t take_one(struct scene *s, struct group *g)
{
	struct done cqe;

	send_bytes(g, 10);
	prep_recv(s, g, false);
	assert_int_equal(io_uring_submit(&s->ring), 1);
	cqe = next_of(s, g);
	assert_int_equal(cqe.res, 10);
	return bid_of(&cqe);
}

/* ---- what is told */

static void look(void)
{
	assert_int_equal(observe_sample(observer, &sample), 0);
}

static size_t find(const struct scene *s, const struct group *g)
{
	for (size_t i = 0; i < sample.nr_groups; i++) {
		for (size_t r = 0; r < sample.nr_rings; r++) {
			if (sample.rings[r].ring_id == sample.groups[i].ring_id &&
			    sample.rings[r].fd == s->ring.ring_fd &&
			    sample.groups[i].bgid == g->bgid)
				return i;
		}
	}
	fail_msg("group %u is not seen", g->bgid);
	return 0;
}

static uint64_t told(const struct scene *s, const struct group *g, enum group_counter counter)
{
	return sample.counts[find(s, g)].total[counter];
}

/* The table that shows it: scenario, what was true, what was told. */
static void expect(const struct scene *s, const struct group *g, const char *scenario)
{
	const struct truth *t = &g->truth;
	const uint64_t *c = sample.counts[find(s, g)].total;

	printf("# %-34s group %5u: selected %" PRIu64 " = %" PRIu64 ", taken %" PRIu64 " = %" PRIu64
	       ", returned %" PRIu64 " = %" PRIu64 ", starved %" PRIu64 " = %" PRIu64
	       ", bytes %" PRIu64 " = %" PRIu64 ", ended %" PRIu64 " = %" PRIu64 "\n",
	       scenario, g->bgid, t->selected, c[COUNT_SELECTED], t->taken, c[COUNT_TAKEN],
	       t->returned, c[COUNT_RETURNED], t->starved, c[COUNT_STARVED], t->bytes,
	       c[COUNT_BYTES], t->mshot_ended, c[COUNT_MSHOT_ENDED]);
	assert_int_equal(c[COUNT_SELECTED], t->selected);
	assert_int_equal(c[COUNT_TAKEN], t->taken);
	assert_int_equal(c[COUNT_RETURNED], t->returned);
	assert_int_equal(c[COUNT_STARVED], t->starved);
	assert_int_equal(c[COUNT_BYTES], t->bytes);
	assert_int_equal(c[COUNT_MSHOT_ENDED], t->mshot_ended);
}

static void expect_all(const struct scene *s, const char *scenario)
{
	look();
	for (size_t i = 0; i < s->nr_groups; i++)
		expect(s, &s->groups[i], scenario);
}

/* The bids that the ledger says are held, and their number. */
static size_t held_bids(const struct scene *s, const struct group *g, struct bid_state *bids)
{
	struct observe_detail detail = {.bids = bids, .max = 64};
	size_t held = 0;

	look();
	assert_int_equal(observe_detail(observer, &sample.groups[find(s, g)], &detail), 0);
	assert_true(detail.nr >= g->entries);
	for (uint32_t bid = 0; bid < g->entries; bid++)
		held += !!(bids[bid].flags & BID_HELD);
	return held;
}

static void expect_losses(enum sample_loss which, uint64_t nr)
{
	for (enum sample_loss loss = 0; loss < LOSS_MAX; loss++) {
		uint64_t expected = loss == which ? nr : 0;

		if (sample.losses[loss] != expected)
			fail_msg("%s: %" PRIu64 " lost, not %" PRIu64, sample_loss_name(loss),
				 sample.losses[loss], expected);
	}
}

static int open_observer(uint32_t tgid, uint64_t tick_ns)
{
	struct observe_opts opts = {
		.depth = OBSERVE_FULL,
		.tick_ns = tick_ns,
		.stuck_ns = 1000000000,
		.tgids = &tgid,
		.nr_tgids = 1,
		.bgid = -1,
		.scan_entries = 32768,
	};
	struct observe_err err = {0};

	observer = observe_open(&opts, &err);
	if (!observer)
		print_message("cannot observe: %s\n", err.what);
	return observer ? 0 : -1;
}

static int setup(void **state)
{
	(void)state;
	return open_observer((uint32_t)getpid(), 200000);
}

/* So often that looks fall into all that a completion does; emulation has no time for that. */
static int setup_busy(void **state)
{
	(void)state;
	return open_observer((uint32_t)getpid(), getenv("SLOW") ? 200000 : 20000);
}

static int teardown(void **state)
{
	(void)state;
	observe_close(observer);
	sample_done(&sample);
	memset(&sample, 0, sizeof(sample));
	return 0;
}

/* ---- the ledger */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void names_what_leaked(void **state)
{
	struct bid_state bids[64];
	struct scene s;
	struct group *g;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	for (int i = 0; i < 40; i++) {
		uint16_t bid = take_one(&s, g);

		if (i != 3 && i != 7 && i != 25)
			add_buffer(g, bid);
	}
	assert_int_equal(held_bids(&s, g, bids), 3);
	/* the first sixteen come in order; what follows is what came back, in that order */
	assert_true(bids[3].flags & BID_HELD);
	assert_true(bids[7].flags & BID_HELD);
	assert_int_equal(bids[3].fd, g->out);
	assert_int_equal(sample.groups[find(&s, g)].held, 3);
	add_buffer(g, 3);
	add_buffer(g, 7);
	assert_int_equal(held_bids(&s, g, bids), 1);
	assert_false(bids[3].flags & BID_HELD);
	assert_false(bids[7].flags & BID_HELD);
	expect_all(&s, "leaking");
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

/* The ring has turned since and forgotten them: they are out for as long as it is watched. */
static void leaked_before_the_watch(void **state)
{
	uint64_t began, oldest;
	struct scene s;
	struct group *g;

	teardown(state);
	open_scene(&s, 1);
	g = &s.groups[0];
	for (int i = 0; i < 60; i++) {
		uint16_t bid = take_one(&s, g);

		if (i != 3 && i != 7)
			add_buffer(g, bid);
	}
	began = now_ns();
	assert_int_equal(setup(state), 0);
	look();
	usleep(20000);
	add_buffer(g, take_one(&s, g));
	look();
	oldest = sample.counts[find(&s, g)].gauge[GAUGE_OLDEST_HELD_NS];
	assert_int_equal(sample.groups[find(&s, g)].held, 2);
	assert_in_range(oldest, 20000000, now_ns() - began);
	close_scene(&s);
}

static void sees_double_returns(void **state)
{
	struct scene s;
	struct group *g;
	uint16_t bid;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	for (int i = 0; i < 4; i++)
		bid = take_one(&s, g);
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	add_buffer(g, bid);
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	add_buffer(g, bid); /* it is back */
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 1);
	add_buffer(g, 9); /* it was never taken */
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 2);
	expect_all(&s, "returning twice");
	close_scene(&s);
}

/* ---- more buffers than the ring has slots */

#define MANY_BIDS 65536u

/* Whose bids may be any number; it is empty. */
static struct group *add_group_of_many(struct scene *s)
{
	struct group *g = add_empty_group(s, (uint16_t)(100 + s->nr_groups), 16);

	munmap(g->data, (size_t)g->entries * BUF_BYTES);
	g->data = anonymous((size_t)MANY_BIDS * BUF_BYTES);
	return g;
}

static void expect_held(const struct scene *s, const struct group *g, const uint8_t *is_held)
{
	static struct bid_state bids[MANY_BIDS];
	struct observe_detail detail = {.bids = bids, .max = MANY_BIDS};
	uint32_t held = 0;

	look();
	assert_int_equal(observe_detail(observer, &sample.groups[find(s, g)], &detail), 0);
	for (uint32_t bid = 0; bid < MANY_BIDS; bid++) {
		held += is_held[bid];
		if (is_held[bid] != (bid < detail.nr && !!(bids[bid].flags & BID_HELD)))
			fail_msg("bid %u is%s held", bid, is_held[bid] ? "" : " not");
	}
	assert_int_equal(sample.groups[find(s, g)].held, held);
}

/* 40 buffers take turns in 16 slots, some stay out for long. */
static void lend_many(struct scene *s, struct group *g, uint8_t *is_held)
{
	uint16_t out[64];
	size_t nr_out = 0;

	for (uint16_t bid = 0; bid < 10; bid++)
		add_buffer(g, bid);
	for (unsigned int i = 0; i < 3000; i++) {
		uint16_t taken = take_one(s, g);

		is_held[taken] = 1;
		out[nr_out++] = taken;
		if (nr_out > 30) {
			size_t k = (i * 7 + i / 5) % nr_out;

			is_held[out[k]] = 0;
			add_buffer(g, out[k]);
			out[k] = out[--nr_out];
		} else {
			add_buffer(g, (uint16_t)(1000 + i * 1600));
		}
		if (i % 300 == 299)
			expect_held(s, g, is_held);
	}
}

static void more_buffers_than_slots(void **state)
{
	static uint8_t is_held[MANY_BIDS];
	struct scene s;
	struct group *g;

	memset(is_held, 0, sizeof(is_held));
	open_scene(&s, 0);
	g = add_group_of_many(&s);
	lend_many(&s, g, is_held);
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	expect_all(&s, "more buffers than slots");
	expect_losses(LOSS_MAX, 0);
	/* as a new observer finds it: what only its owner remembers is not known to be out */
	teardown(state);
	assert_int_equal(setup(state), 0);
	look();
	add_buffer(g, take_one(&s, g));
	look();
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

/* Each of these takes a sixteenth of all that can be tracked, and a little. */
static void more_bids_than_room(void **state)
{
	struct scene scenes[5];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		open_scene(&scenes[i], 0);
		for (size_t k = 0; k < MAX_GROUPS; k++)
			add_buffer(add_group_of_many(&scenes[i]), 65000);
		expect_all(&scenes[i], "more bids than room");
	}
	expect_losses(LOSS_BIDS, 5);
	for (size_t i = 0; i < 5; i++)
		close_scene(&scenes[i]);
}

/* What is told lies between what was surely a hold and what surely holds it. */
static void bounds_hold_times(void **state)
{
	struct timespec nap = {.tv_nsec = 20000000};
	uint64_t before, taken, given, after, most;
	struct scene s;
	struct group *g;
	uint16_t bid;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	before = now_ns();
	look();
	bid = take_one(&s, g);
	taken = now_ns();
	nanosleep(&nap, NULL);
	given = now_ns();
	add_buffer(g, bid);
	look();
	after = now_ns();
	most = sample.counts[find(&s, g)].gauge[GAUGE_HOLD_MAX_NS];
	printf("# held for %" PRIu64 " ... %" PRIu64 " us, told %" PRIu64 "\n",
	       (given - taken) / 1000, (after - before) / 1000, most / 1000);
	assert_true(most >= given - taken);
	assert_true(most <= after - before);
	close_scene(&s);
}

#define TIMED 8 /* holds */

/* Takes and returns buffers. How many of the returns were found within a tick? */
static int found_in_time(struct scene *s, uint64_t tick_ns)
{
	struct group *g = &s->groups[0];
	struct bid_state bids[64];
	int in_time = 0;

	for (int i = 0; i < TIMED; i++) {
		uint64_t before = now_ns(), after, given;
		uint16_t bid = take_one(s, g);

		after = now_ns();
		assert_int_equal(held_bids(s, g, bids), 1);
		assert_in_range(bids[bid].since_ns, before, after);
		usleep(i < 4 ? 120000 : 7000);
		given = now_ns();
		add_buffer(g, bid);
		usleep(6 * (unsigned int)tick_ns / 1000);
		assert_int_equal(held_bids(s, g, bids), 0);
		assert_true(bids[bid].since_ns >= given);
		in_time += bids[bid].since_ns <= given + tick_ns;
	}
	return in_time;
}

/*
 * A take has the time of its completion, a return that of the look that found it: that of a tick,
 * here, also where the group stood still for long before. A machine that is busy ticks late.
 */
static void times_takes_and_returns(void **state)
{
	const uint64_t tick_ns = 5000000;
	int in_time = 0;
	struct scene s;

	teardown(state);
	assert_int_equal(open_observer((uint32_t)getpid(), tick_ns), 0);
	open_scene(&s, 1);
	for (int i = 0; i < 10 && in_time < TIMED - 1; i++) {
		in_time = found_in_time(&s, tick_ns);
		printf("# %d of %d returns found within a tick\n", in_time, TIMED);
	}
	assert_true(in_time >= TIMED - 1);
	close_scene(&s);
}

/* ---- completions that tell little */

static void nop(struct scene *s, struct group *g)
{
	io_uring_prep_nop(io_uring_get_sqe(&s->ring));
	io_uring_submit(&s->ring);
	assert_int_equal(next_of(s, g).res, 0);
}

/* Nothing completes, the ring alone shows what was taken, in the order of the entries. */
static void skipped_completions(void **state)
{
	struct bid_state bids[64];
	struct scene s;
	struct group *g;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	for (uint32_t i = 0; i < 200; i++) {
		send_bytes(g, 10);
		prep_recv(&s, g, false)->flags |= IOSQE_CQE_SKIP_SUCCESS;
		io_uring_submit(&s.ring);
		nop(&s, g);
		g->truth.taken++;
		if (i != 198)
			add_buffer(g, (uint16_t)(i % 16));
	}
	assert_int_equal(held_bids(&s, g, bids), 1);
	assert_true(bids[198 % 16].flags & BID_HELD);
	expect_all(&s, "skipped completions");
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

/* Whether the kernel has gone past what is named; kernels that do not tell have. */
static bool is_gone(const struct scene *s, const struct group *g, uint16_t bid)
{
	struct bs_buf_status status = {.buf_group = g->bgid};

	if (syscall(__NR_io_uring_register, s->ring.ring_fd, IORING_REGISTER_PBUF_STATUS, &status,
		    1))
		return true;
	return g->br->bufs[status.head & (g->entries - 1)].bid != bid;
}

/* A receive that fails may take a buffer along (6.1), or name one that it has put back (6.16). */
static void failed_at_once(void **state)
{
	struct bid_state bids[64];
	size_t is_held = 0;
	struct scene s;
	struct group *g;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	for (int i = 0; i < 20; i++) {
		struct group unknown = {0};
		struct done cqe;

		prep_recv(&s, g, false)->msg_flags = MSG_DONTWAIT;
		io_uring_submit(&s.ring);
		cqe = next_of(&s, &unknown);
		assert_int_equal(cqe.res, -EAGAIN);
		if (cqe.flags & IORING_CQE_F_BUFFER && is_gone(&s, g, bid_of(&cqe))) {
			g->truth.selected++;
			g->truth.taken++;
			is_held = 1;
		}
		if (i == 0)
			assert_int_equal(held_bids(&s, g, bids), is_held);
		if (is_held)
			add_buffer(g, bid_of(&cqe));
		add_buffer(g, take_one(&s, g));
	}
	assert_int_equal(held_bids(&s, g, bids), 0);
	expect_all(&s, "failed at once");
	assert_int_equal(told(&s, g, COUNT_DOUBLE_RETURNED), 0);
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

/* Of a list nothing remains to be seen: it is said of how many. */
static void skipped_on_a_list(void **state)
{
	struct io_uring_sqe *sqe;
	struct scene s;
	struct group *g;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	sqe = io_uring_get_sqe(&s.ring);
	io_uring_prep_provide_buffers(sqe, g->data, (int)BUF_BYTES, 16, 1000, 0);
	io_uring_submit(&s.ring);
	assert_true(next_of(&s, g).res >= 0);
	for (int i = 0; i < 5; i++) {
		send_bytes(g, 10);
		sqe = prep_recv(&s, g, false);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		sqe->buf_group = 1000;
		io_uring_submit(&s.ring);
	}
	look();
	expect_losses(LOSS_HIDDEN, 5);
	close_scene(&s);
}

/* Their completions carry no request, and all the same user_data; the bids are the same, too. */
static void equal_user_data(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, 3);
	for (size_t i = 0; i < 3; i++)
		prep_recv(&s, &s.groups[i], true);
	assert_int_equal(io_uring_submit(&s.ring), 3);
	for (unsigned int i = 0; i < 3000; i++) {
		struct group *g = &s.groups[(i * i + i / 7) % 3];
		struct done cqe;

		send_bytes(g, 1 + i % 60);
		cqe = next_of(&s, g);
		assert_true(cqe.flags & IORING_CQE_F_MORE);
		add_buffer(g, bid_of(&cqe));
	}
	expect_all(&s, "equal user_data, multishot");
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

static void equal_user_data_one_shot(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, 3);
	for (unsigned int i = 0; i < 1000; i++) {
		for (size_t k = 0; k < 3; k++)
			send_bytes(&s.groups[k], 10 + k);
		for (size_t k = 0; k < 3; k++)
			prep_recv(&s, &s.groups[k], false);
		assert_int_equal(io_uring_submit(&s.ring), 3);
		for (size_t k = 0; k < 3; k++) {
			struct group unknown = {0}, *g;
			struct done cqe = next_of(&s, &unknown);

			assert_in_range(cqe.res, 10, 12); /* whose it is */
			g = &s.groups[cqe.res - 10];
			g->truth.selected++;
			g->truth.taken++;
			g->truth.bytes += (uint64_t)cqe.res;
			add_buffer(g, bid_of(&cqe));
		}
	}
	expect_all(&s, "equal user_data, one-shot");
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

/* Another ring may send any flags: a buffer that nobody selected. */
static void forged_completions(void **state)
{
	struct io_uring_sqe *sqe;
	struct io_uring other;
	struct scene s;
	struct group *g;
	int res;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	add_buffer(g, take_one(&s, g));
	look();
	assert_int_equal(io_uring_queue_init(8, &other, 0), 0);
	sqe = io_uring_get_sqe(&other);
	io_uring_prep_rw(IORING_OP_MSG_RING, sqe, s.ring.ring_fd, NULL, 10, 77);
	sqe->msg_ring_flags = 2; /* IORING_MSG_RING_FLAGS_PASS */
	sqe->file_index = IORING_CQE_F_BUFFER | 9 << IORING_CQE_BUFFER_SHIFT;
	io_uring_submit(&other);
	res = next_of(&(struct scene){.ring = other}, &(struct group){0}).res;
	io_uring_queue_exit(&other);
	if (res < 0) {
		close_scene(&s);
		skip();
	}
	assert_true(next_of(&s, &(struct group){0}).flags & IORING_CQE_F_BUFFER);
	expect_all(&s, "forged completion");
	expect_losses(LOSS_UNATTRIBUTED, 1);
	close_scene(&s);
}

/* ---- rings and processes that come and go */

static void short_lived_rings(void **state)
{
	struct scene kept;

	(void)state;
	open_scene(&kept, 1);
	for (unsigned int i = 0; i < 3000; i++) {
		struct scene s;

		open_scene(&s, NEW_GROUPS);
		for (unsigned int k = 0; k <= i % 20; k++) {
			struct group *g = &s.groups[k % NEW_GROUPS];

			add_buffer(g, take_one(&s, g));
		}
		if (i % 250 == 249)
			expect_all(&s, "short-lived ring");
		close_scene(&s);
		add_buffer(&kept.groups[0], take_one(&kept, &kept.groups[0]));
	}
	expect_all(&kept, "ring that saw 3000 others");
	expect_losses(LOSS_MAX, 0);
	close_scene(&kept);
}

/* What ends with a ring must not be counted for the next one, which often has its address. */
/*
 * A worker looks its request's descriptor up when it begins, which may be after the ring was
 * closed: a number used again would give it the next ring's socket, and the data in it.
 */
static void renumber(struct group *g, int least)
{
	int fd = fcntl(g->out, F_DUPFD, least);

	assert_true(fd >= least);
	close(g->out);
	g->out = fd;
}

static void closed_in_flight(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		struct scene s;

		open_scene(&s, 2);
		for (int k = 0; k < 2; k++)
			renumber(&s.groups[k], 100 + 2 * i + k);
		for (size_t k = 0; k < 2; k++)
			take_one(&s, &s.groups[k]); /* and keeps it */
		for (size_t k = 0; k < 2; k++) {
			prep_recv(&s, &s.groups[k], true);
			prep_recv(&s, &s.groups[k], false)->flags |= IOSQE_ASYNC;
		}
		io_uring_submit(&s.ring);
		if (i % 40 == 39) {
			look();
			assert_int_equal(told(&s, &s.groups[0], COUNT_SELECTED), 1);
			assert_int_equal(told(&s, &s.groups[0], COUNT_STARVED), 0);
			assert_int_equal(told(&s, &s.groups[0], COUNT_RETURNED), 16);
		}
		close_scene(&s);
	}
	look();
	expect_losses(LOSS_MAX, 0);
}

/* A child works on the ring that it inherited. */
static void forked_child(void **state)
{
	struct scene s;
	struct group *g;
	int status;
	pid_t pid;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	add_buffer(g, take_one(&s, g));
	send_bytes(g, 20);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prep_recv(&s, g, false);
		_exit(io_uring_submit_and_wait(&s.ring, 1) == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(next_of(&s, g).res, 20);
	expect_all(&s, "forked child");
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

/*
 * Only the child is named, whose ring we use, too. We are passed over until it is known that the
 * ring is the child's as well.
 */
static void ring_shared_with_a_stranger(void **state)
{
	struct scene s;
	struct group *g;
	pid_t pid;

	teardown(state);
	open_scene(&s, 1);
	g = &s.groups[0];
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(open_observer((uint32_t)pid, 200000), 0);
	for (int i = 0; i < 3; i++)
		add_buffer(g, take_one(&s, g));
	look();
	assert_int_equal(told(&s, g, COUNT_SELECTED), 0);
	for (int i = 0; i < 3; i++)
		add_buffer(g, take_one(&s, g));
	look();
	assert_int_equal(told(&s, g, COUNT_SELECTED), 3);
	assert_int_equal(told(&s, g, COUNT_TAKEN), 3);
	expect_losses(LOSS_MAX, 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close_scene(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_what_leaked),
		TEST(sees_double_returns),
		TEST(more_buffers_than_slots),
		TEST(more_bids_than_room),
		TEST(bounds_hold_times),
		TEST(times_takes_and_returns),
		TEST(skipped_completions),
		TEST(skipped_on_a_list),
		TEST(failed_at_once),
		cmocka_unit_test_setup_teardown(equal_user_data, setup_busy, teardown),
		TEST(equal_user_data_one_shot),
		TEST(forged_completions),
		TEST(short_lived_rings),
		TEST(closed_in_flight),
		TEST(forked_child),
		TEST(ring_shared_with_a_stranger),
		TEST(leaked_before_the_watch),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}

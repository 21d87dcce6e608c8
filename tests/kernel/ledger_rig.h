/* SPDX-License-Identifier: MIT */
/*
 * A stage for tests of full accounting: rings, groups and requests made by hand, so that each
 * buffer's way is known, and what is told of them.
 */
#ifndef BUFSCOPE_LEDGER_RIG_H
#define BUFSCOPE_LEDGER_RIG_H

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

static inline void *anonymous(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static inline void add_buffer(struct group *g, uint16_t bid)
{
	struct io_uring_buf *entry = &g->br->bufs[g->tail & (g->entries - 1)];

	entry->addr = (uintptr_t)g->data + bid * BUF_BYTES;
	entry->len = BUF_BYTES;
	entry->bid = bid;
	__atomic_store_n(&g->br->tail, ++g->tail, __ATOMIC_RELEASE);
	g->truth.returned++;
}

static inline struct group *add_empty_group(struct scene *s, uint16_t bgid, uint32_t entries)
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

static inline struct group *add_group(struct scene *s, uint16_t bgid, uint32_t entries)
{
	struct group *g = add_empty_group(s, bgid, entries);

	for (uint32_t bid = 0; bid < entries; bid++)
		add_buffer(g, (uint16_t)bid);
	return g;
}

static inline void open_scene(struct scene *s, size_t nr_groups)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(io_uring_queue_init(64, &s->ring, 0), 0);
	for (size_t i = 0; i < nr_groups; i++)
		add_group(s, (uint16_t)(i * 63), 16);
}

static inline void close_scene(struct scene *s)
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

static inline void send_bytes(struct group *g, size_t bytes)
{
	unsigned char data[BUF_BYTES] = {0};

	assert_int_equal(send(g->in, data, bytes, MSG_DONTWAIT), bytes);
}

static inline struct io_uring_sqe *prep_recv(struct scene *s, const struct group *g, bool multishot)
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
static inline struct done next_of(struct scene *s, struct group *g)
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

static inline uint16_t bid_of(const struct done *cqe)
{
	assert_true(cqe->flags & IORING_CQE_F_BUFFER);
	return (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

/* One message, one request, one buffer. */
static inline uint16_t take_one(struct scene *s, struct group *g)
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

static inline void look(void)
{
	assert_int_equal(observe_sample(observer, &sample), 0);
}

static inline size_t find(const struct scene *s, const struct group *g)
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

static inline uint64_t told(const struct scene *s, const struct group *g,
			    enum group_counter counter)
{
	return sample.counts[find(s, g)].total[counter];
}

/* The table that shows it: scenario, what was true, what was told. */
static inline void expect(const struct scene *s, const struct group *g, const char *scenario)
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

static inline void expect_all(const struct scene *s, const char *scenario)
{
	look();
	for (size_t i = 0; i < s->nr_groups; i++)
		expect(s, &s->groups[i], scenario);
}

/* The bids that the ledger says are held, and their number. */
static inline size_t held_bids(const struct scene *s, const struct group *g, struct bid_state *bids)
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

static inline void expect_losses(enum sample_loss which, uint64_t nr)
{
	for (enum sample_loss loss = 0; loss < LOSS_MAX; loss++) {
		uint64_t expected = loss == which ? nr : 0;

		if (sample.losses[loss] != expected)
			fail_msg("%s: %" PRIu64 " lost, not %" PRIu64, sample_loss_name(loss),
				 sample.losses[loss], expected);
	}
}

static inline int open_observer(uint32_t tgid, uint64_t tick_ns)
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

static inline int setup(void **state)
{
	(void)state;
	return open_observer((uint32_t)getpid(), 200000);
}

/* So often that looks fall into all that a completion does; emulation has no time for that. */
static inline int setup_busy(void **state)
{
	(void)state;
	return open_observer((uint32_t)getpid(), getenv("SLOW") ? 200000 : 20000);
}

static inline int teardown(void **state)
{
	(void)state;
	observe_close(observer);
	sample_done(&sample);
	memset(&sample, 0, sizeof(sample));
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif

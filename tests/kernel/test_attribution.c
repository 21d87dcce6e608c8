// SPDX-License-Identifier: MIT
/*
 * Does full accounting stay exact where it is hard to tell which group a completion is of: where
 * completions tell little, and rings and processes come and go?
 */
#include "ledger_rig.h"
#include "needs.h"

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

/* The same of a program that publishes one bid in all entries: the next one names it, too. */
static void failed_with_equal_bids(void **state)
{
	struct bs_buf_status before = {0}, after = {0};
	struct scene s;
	struct group *g;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	for (uint32_t i = 0; i < g->entries; i++)
		g->br->bufs[i].bid = 3;
	before.buf_group = after.buf_group = g->bgid;
	for (int i = 0; i < 10; i++) {
		struct group unknown = {0};
		struct done cqe;
		long not_told = syscall(__NR_io_uring_register, s.ring.ring_fd,
					IORING_REGISTER_PBUF_STATUS, &before, 1);

		prep_recv(&s, g, false)->msg_flags = MSG_DONTWAIT;
		io_uring_submit(&s.ring);
		cqe = next_of(&s, &unknown);
		assert_int_equal(cqe.res, -EAGAIN);
		syscall(__NR_io_uring_register, s.ring.ring_fd, IORING_REGISTER_PBUF_STATUS, &after,
			1);
		if (!(cqe.flags & IORING_CQE_F_BUFFER) || (!not_told && after.head == before.head))
			continue;
		g->truth.selected++;
		g->truth.taken++;
	}
	expect_all(&s, "failed with equal bids");
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

#define NOP_INJECT 1 /* IORING_NOP_INJECT_RESULT, since 6.10; before, flags are refused */

static void prep_starving_nop(struct scene *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	io_uring_prep_nop(sqe);
	sqe->rw_flags = NOP_INJECT;
	sqe->len = (uint32_t)-ENOBUFS;
}

static bool can_inject(void)
{
	struct group unknown = {0};
	struct scene s;
	int res;

	open_scene(&s, 1);
	prep_starving_nop(&s);
	assert_int_equal(io_uring_submit(&s.ring), 1);
	res = next_of(&s, &unknown).res;
	close_scene(&s);
	return res == -ENOBUFS;
}

/* So many requests that select nothing and end as if a group were empty. */
static void starve_alone(struct scene *s, unsigned int nr)
{
	struct group unknown = {0};

	for (unsigned int i = 0; i < nr; i++)
		prep_starving_nop(s);
	assert_int_equal(io_uring_submit(&s->ring), nr);
	for (unsigned int i = 0; i < nr; i++)
		next_of(s, &unknown);
}

static void receive_silently(struct scene *s, struct group *g, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		send_bytes(g, 10);
		prep_recv(s, g, false)->flags |= IOSQE_CQE_SKIP_SUCCESS;
	}
	assert_int_equal(io_uring_submit(&s->ring), nr);
	g->truth.taken += nr;
}

/* What completed silently is forgotten when its address is another request's, of any ring. */
static void after_silent_ones(void **state)
{
	struct scene s;

	(void)state;
	needs(can_inject(), "NOPs that end with an error of choice");
	for (int i = 0; i < 40; i++) {
		open_scene(&s, 1);
		starve_alone(&s, 64);
		receive_silently(&s, &s.groups[0], 16);
		starve_alone(&s, 64);
		look();
		assert_int_equal(told(&s, &s.groups[0], COUNT_STARVED), 0);
		assert_int_equal(told(&s, &s.groups[0], COUNT_TAKEN), 16);
		close_scene(&s);
	}
	expect_losses(LOSS_MAX, 0);
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

#define FORGED_BID 9

static uint32_t naming(uint16_t bid)
{
	return IORING_CQE_F_BUFFER | (uint32_t)bid << IORING_CQE_BUFFER_SHIFT;
}

/* Another ring may send any flags: a buffer that nobody selected. What the sending came to. */
static int forge(struct scene *s, uint64_t user_data, uint32_t flags)
{
	struct io_uring_sqe *sqe;
	struct io_uring other;
	int res;

	assert_int_equal(io_uring_queue_init(8, &other, 0), 0);
	sqe = io_uring_get_sqe(&other);
	io_uring_prep_rw(IORING_OP_MSG_RING, sqe, s->ring.ring_fd, NULL, 10, user_data);
	sqe->msg_ring_flags = 2; /* IORING_MSG_RING_FLAGS_PASS */
	sqe->file_index = flags;
	io_uring_submit(&other);
	res = next_of(&(struct scene){.ring = other}, &(struct group){0}).res;
	io_uring_queue_exit(&other);
	if (res >= 0)
		assert_true(next_of(s, &(struct group){0}).flags & IORING_CQE_F_BUFFER);
	return res;
}

static void forged_completions(void **state)
{
	struct scene s;
	struct group *g;
	int res;

	(void)state;
	open_scene(&s, 1);
	g = &s.groups[0];
	add_buffer(g, take_one(&s, g));
	look();
	res = forge(&s, 77, naming(FORGED_BID));
	if (res >= 0) {
		expect_all(&s, "forged completion");
		expect_losses(LOSS_UNATTRIBUTED, 1);
	}
	close_scene(&s);
	needs(res >= 0, "MSG_RING that passes flags");
}

/* ---- rings and processes that come and go */

static void short_lived_rings(void **state)
{
	/* It is the rings that count; emulation takes its time for each buffer. */
	const unsigned int most = getenv("SLOW") ? 3 : 20;
	struct scene kept;

	(void)state;
	open_scene(&kept, 1);
	for (unsigned int i = 0; i < 3000; i++) {
		struct scene s;

		open_scene(&s, NEW_GROUPS);
		for (unsigned int k = 0; k <= i % most; k++) {
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

/* A multishot receive with user_data 0, and what it got. */
static void stream_one(struct scene *s)
{
	struct group *g = &s->groups[0];

	prep_recv(s, g, true);
	assert_int_equal(io_uring_submit(&s->ring), 1);
	send_bytes(g, 10);
	add_buffer(g, bid_of(&(struct done){.flags = next_of(s, g).flags}));
}

#define AT_ONCE 6 /* rings, so that some get addresses that others had */

/* Opens rings like ours for each byte that it is sent. */
static void be_a_stranger(int line)
{
	char byte;

	while (read(line, &byte, 1) == 1) {
		struct scene scenes[AT_ONCE];

		for (int i = 0; i < AT_ONCE; i++) {
			open_scene(&scenes[i], 1);
			stream_one(&scenes[i]);
		}
		for (int i = 0; i < AT_ONCE; i++)
			close_scene(&scenes[i]);
		if (write(line, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

/*
 * Rings of a stranger and of ours have an address in turns: what was passed over is not ours. A
 * forged completion is told by the request that it names alone.
 */
static void in_turns_with_a_stranger(void **state)
{
	int line[2], res = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, line), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(line[0]);
		be_a_stranger(line[1]);
	}
	for (int turn = 0; turn < 30 && res >= 0; turn++) {
		struct scene scenes[AT_ONCE];
		char byte = 0;

		for (int i = 0; i < AT_ONCE; i++) {
			open_scene(&scenes[i], 1);
			stream_one(&scenes[i]);
			res = forge(&scenes[i], 0, naming(FORGED_BID));
		}
		look();
		for (int i = 0; i < AT_ONCE; i++) {
			const struct group *g = &scenes[i].groups[0];

			if (res >= 0)
				assert_int_equal(told(&scenes[i], g, COUNT_SELECTED), 2);
			close_scene(&scenes[i]);
		}
		assert_int_equal(write(line[0], &byte, 1), 1);
		assert_int_equal(read(line[0], &byte, 1), 1);
	}
	expect_losses(LOSS_MAX, 0);
	close(line[0]);
	close(line[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	needs(res >= 0, "MSG_RING that passes flags");
}

/*
 * Forged ones that say that more will come: what names a buffer taken silently passes for a
 * request's and is remembered with the ring, which never sees its end. The next ring at that
 * address has nothing to do with it.
 */
static void forged_on_the_next_ring(void **state)
{
	uint64_t nr_alien = 0;
	int res = 0;

	(void)state;
	for (int turn = 0; turn < 12 && res >= 0; turn++) {
		struct scene scenes[AT_ONCE];

		for (int i = 0; i < AT_ONCE; i++) {
			struct scene *s = &scenes[i];
			uint16_t bid;

			open_scene(s, 1);
			bid = take_one(s, &s->groups[0]);
			res = forge(s, 77, naming(FORGED_BID) | IORING_CQE_F_MORE);
			nr_alien += res >= 0;
			look();
			if (res >= 0)
				expect_all(s, "ring where another was");
			receive_silently(s, &s->groups[0], 1);
			res = forge(s, 77, naming(bid + 1) | IORING_CQE_F_MORE);
		}
		for (int i = 0; i < AT_ONCE; i++)
			close_scene(&scenes[i]);
	}
	expect_losses(LOSS_UNATTRIBUTED, nr_alien);
	needs(res >= 0, "MSG_RING that passes flags");
}

/* Submitted before the watch, and in no table of those that wait: it is another's turn still. */
static void begins_to_wait_later(void **state)
{
	struct bid_state bids[64];
	struct io_uring_sqe *sqe;
	struct scene s;
	struct group *g;
	char byte;
	int ends[2];

	teardown(state);
	open_scene(&s, 2);
	g = &s.groups[1];
	/* not of a pipe: 6.1 would read it in a thread, which then runs the next request, too */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	sqe = io_uring_get_sqe(&s.ring);
	io_uring_prep_recv(sqe, ends[0], &byte, 1, 0);
	sqe->flags = IOSQE_IO_LINK;
	prep_recv(&s, g, true);
	assert_int_equal(io_uring_submit(&s.ring), 2);
	assert_int_equal(setup(state), 0);
	look();
	assert_int_equal(write(ends[1], "", 1), 1);
	assert_int_equal(next_of(&s, g).res, 1);
	for (int i = 0; i < 8; i++) {
		struct done cqe;
		uint16_t bid;

		send_bytes(g, 10);
		cqe = next_of(&s, g);
		bid = bid_of(&cqe);
		assert_int_equal(held_bids(&s, g, bids), 1);
		assert_int_equal(bids[bid].fd, g->out);
		add_buffer(g, bid);
	}
	look();
	assert_int_equal(told(&s, g, COUNT_SELECTED), 8);
	assert_int_equal(told(&s, g, COUNT_TAKEN), 8);
	expect_losses(LOSS_MAX, 0);
	close(ends[0]);
	close(ends[1]);
	close_scene(&s);
}

/* One more completion on each: of a request that was submitted before the watch, but for one. */
static void receive_on_each(struct scene *s)
{
	for (size_t i = 0; i < s->nr_groups; i++) {
		struct group *g = &s->groups[i];
		struct done cqe;

		if (i == 0) {
			add_buffer(g, take_one(s, g));
			continue;
		}
		send_bytes(g, 10);
		cqe = next_of(s, g);
		assert_true(cqe.flags & IORING_CQE_F_MORE);
		add_buffer(g, bid_of(&cqe));
	}
}

/*
 * Events come from when the programs are there, and tell of groups; what waits on them is met a
 * little later. From that instant on everything is counted, of all groups, and nothing before.
 */
static void events_before_the_meeting(void **state)
{
	struct scene s;

	teardown(state);
	open_scene(&s, 3);
	for (size_t i = 1; i < s.nr_groups; i++)
		prep_recv(&s, &s.groups[i], true);
	assert_int_equal(io_uring_submit(&s.ring), 2);
	assert_int_equal(setup(state), 0);
	receive_on_each(&s);
	for (size_t i = 0; i < s.nr_groups; i++)
		s.groups[i].truth = (struct truth){0};
	expect_all(&s, "before the meeting");
	expect_losses(LOSS_MAX, 0);
	receive_on_each(&s);
	expect_all(&s, "after the meeting");
	expect_losses(LOSS_MAX, 0);
	close_scene(&s);
}

#define CHAIN    32768u /* requests and buffers; the most that a ring can submit at once */
#define MANY     2      /* such rings: as many requests as half of the slots */
#define ONE_BYTE 1

/* The first one waits for a byte, each other one for the one before. */
static void prep_chain(struct scene *s, int line, int zeros)
{
	static char byte;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	io_uring_prep_recv(sqe, line, &byte, ONE_BYTE, 0);
	sqe->flags = IOSQE_IO_LINK;
	for (uint32_t i = 1; i < CHAIN; i++) {
		sqe = io_uring_get_sqe(&s->ring);
		io_uring_prep_rw(IORING_OP_READ, sqe, zeros, NULL, BUF_BYTES, 0);
		sqe->flags = IOSQE_BUFFER_SELECT | IOSQE_IO_LINK;
	}
	sqe->flags = IOSQE_BUFFER_SELECT;
	assert_int_equal(io_uring_submit(&s->ring), CHAIN);
}

/* So many that they do not find room where they are sought first. */
static void many_in_flight(void **state)
{
	int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC), line[2];
	struct scene scenes[MANY] = {0};

	(void)state;
	assert_true(zeros >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line), 0);
	for (struct scene *s = scenes; s < scenes + MANY; s++) {
		assert_int_equal(io_uring_queue_init(CHAIN, &s->ring, 0), 0);
		add_group(s, 0, CHAIN);
		prep_chain(s, line[0], zeros);
	}
	for (int i = 0; i < MANY; i++)
		assert_int_equal(write(line[1], "", ONE_BYTE), ONE_BYTE);
	for (struct scene *s = scenes; s < scenes + MANY; s++) {
		for (uint32_t i = 0; i < CHAIN; i++)
			assert_int_equal(next_of(s, &s->groups[0]).res, i ? BUF_BYTES : ONE_BYTE);
		expect_all(s, "many in flight");
	}
	/* of large rings 6.1 shows no entries, and no ledger is kept */
	assert_int_equal(sample.losses[LOSS_REQUESTS], 0);
	assert_int_equal(sample.losses[LOSS_UNATTRIBUTED], 0);
	for (int i = 0; i < MANY; i++)
		close_scene(&scenes[i]);
	close(line[0]);
	close(line[1]);
	close(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(skipped_completions),
		TEST(after_silent_ones),
		TEST(skipped_on_a_list),
		TEST(failed_at_once),
		TEST(failed_with_equal_bids),
		cmocka_unit_test_setup_teardown(equal_user_data, setup_busy, teardown),
		TEST(equal_user_data_one_shot),
		TEST(forged_completions),
		TEST(short_lived_rings),
		TEST(closed_in_flight),
		TEST(forked_child),
		TEST(ring_shared_with_a_stranger),
		TEST(in_turns_with_a_stranger),
		TEST(forged_on_the_next_ring),
		TEST(begins_to_wait_later),
		TEST(events_before_the_meeting),
		TEST(many_in_flight),
	};

	return cmocka_run_group_tests_name("attribution", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Do data and accounts stay right whatever the order of returns, however often the counters wrap,
 * up to the largest ring and on every way to set up the io_uring?
 */
#include "pool_rig.h"

#include <stdbool.h>

#define HELD_MAX 512u

/* A stream of data through a pool; what came is held a while and given back in any order. */
struct stream {
	struct rig rig;
	struct bs_buf held[HELD_MAX];
	uint64_t at[HELD_MAX]; /* which part of the sequence it is */
	unsigned int nr_held;
	unsigned int flags;
	bool armed;
	uint64_t provided; /* buffers that the kernel had when the request was made */
	bool gave;         /* since the last completion was seen */
};

static uint32_t seed = 1;

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(seed >> 8) * limit) >> 24);
}

/* Held data must still be what it was when it came. */
static void expect_unchanged(const struct stream *s, unsigned int i)
{
	const unsigned char *data = s->held[i].addr;
	uint32_t k;

	for (k = 0; k < s->held[i].len; k++)
		if (data[k] != rig_byte(s->at[i] + k))
			fail_msg("held bid %u has changed", s->held[i].bid);
}

static void give_some(struct stream *s, unsigned int nr)
{
	struct bs_buf batch[HELD_MAX];
	unsigned int i, pick;

	for (i = 0; i < nr; i++) {
		pick = random_below(s->nr_held);
		expect_unchanged(s, pick);
		batch[i] = s->held[pick];
		s->nr_held--;
		s->held[pick] = s->held[s->nr_held];
		s->at[pick] = s->at[s->nr_held];
	}
	rig_give(&s->rig, batch, nr);
	s->gave |= nr > 0;
}

/*
 * When the request starved, was its group empty? All that was there when it was made is taken then.
 * What was given since may have come too late: given after the starve, of which the completion was
 * seen only now; of a legacy group also before, since it goes out with the next submission.
 */
static bool was_empty(const struct stream *s)
{
	struct bs_pool_stats stats;

	assert_int_equal(bs_pool_read_stats(s->rig.pool, &stats), 0);
	if (stats.taken < s->provided)
		return false;
	return s->gave || s->rig.opts.kind == BS_POOL_LEGACY || stats.taken == stats.returned;
}

static void request(struct stream *s)
{
	struct bs_pool_stats stats;

	assert_int_equal(bs_pool_read_stats(s->rig.pool, &stats), 0);
	s->provided = stats.returned;
	rig_recv(&s->rig, s->flags);
}

static void receive(struct stream *s)
{
	struct io_uring_cqe cqe;
	uint64_t at = s->rig.seen;
	int i, nr;

	if (!s->armed)
		request(s);
	rig_next(&s->rig, &cqe);
	s->armed = cqe.flags & IORING_CQE_F_MORE;
	nr = rig_take(&s->rig, &cqe, &s->held[s->nr_held], HELD_MAX - s->nr_held);
	for (i = 0; i < nr; i++) {
		s->at[s->nr_held] = at;
		at += s->held[s->nr_held++].len;
	}
	if (cqe.res == -ENOBUFS) {
		/* older kernels look for the next buffer at once, before there is data for it */
		assert_true(was_empty(s));
		rig_check(&s->rig);
		if (s->nr_held)
			give_some(s, 1 + random_below(s->nr_held));
	} else {
		assert_true(cqe.res > 0);
		s->gave = false;
	}
}

static struct bs_pool_stats run_stream(struct stream *s, uint64_t selections, uint32_t burst)
{
	struct bs_pool_stats stats;

	do {
		rig_send(&s->rig, 1 + random_below(burst));
		while (s->rig.seen < s->rig.sent)
			receive(s);
		stats = rig_check(&s->rig);
		give_some(s, random_below(s->nr_held + 1));
	} while (stats.selected < selections);
	give_some(s, s->nr_held);
	stats = rig_check(&s->rig);
	assert_int_equal(stats.in_use, 0);
	assert_int_equal(stats.bytes, s->rig.sent);
	return stats;
}

static void random_order(enum bs_pool_kind kind, unsigned int flags)
{
	static struct stream s;

	memset(&s, 0, sizeof(s));
	s.flags = flags;
	if (flags & RIG_BUNDLE)
		rig_need("recv_bundle");
	rig_open(&s.rig, kind, 13, 50);
	assert_true(run_stream(&s, rig_times(20000), 1000).starved > 50 || flags & RIG_BUNDLE);
	rig_close(&s.rig, 0);
}

static void random_one_shot_ring(void **state)
{
	(void)state;
	random_order(BS_POOL_RING, 0);
}

static void random_multishot_ring(void **state)
{
	(void)state;
	random_order(BS_POOL_RING, RIG_MULTISHOT);
}

static void random_multishot_mmap(void **state)
{
	(void)state;
	random_order(BS_POOL_MMAP, RIG_MULTISHOT);
}

static void random_multishot_inc(void **state)
{
	(void)state;
	random_order(BS_POOL_INC, RIG_MULTISHOT);
}

static void random_bundle_ring(void **state)
{
	(void)state;
	random_order(BS_POOL_RING, RIG_MULTISHOT | RIG_BUNDLE);
}

static void random_bundle_mmap(void **state)
{
	(void)state;
	random_order(BS_POOL_MMAP, RIG_MULTISHOT | RIG_BUNDLE);
}

static void random_bundle_inc(void **state)
{
	(void)state;
	random_order(BS_POOL_INC, RIG_MULTISHOT | RIG_BUNDLE);
}

static void random_one_shot_bundle(void **state)
{
	(void)state;
	random_order(BS_POOL_RING, RIG_BUNDLE);
}

/* The 16-bit counters wrap three times; once where it takes long. */
static void wrap(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	unsigned int wraps = rig_times(3) ? rig_times(3) : 1;
	static struct stream s;

	memset(&s, 0, sizeof(s));
	s.flags = RIG_MULTISHOT;
	rig_open(&s.rig, kind, 300, 1);
	assert_true(run_stream(&s, wraps * 66000, 2000).taken > wraps * 65536);
	rig_close(&s.rig, 0);
}

static void take_one_by_one(struct rig *rig, struct bs_buf *bufs, int nr)
{
	for (int i = 0; i < nr; i++) {
		rig_send(rig, 16);
		rig_recv(rig, 0);
		assert_int_equal(rig_take_next(rig, &bufs[i], 1), 1);
	}
}

/*
 * What goes back to a legacy group one by one, in the order of its numbers, shares a request as
 * long as that is not submitted; what does not follow has one of its own. All of it comes again.
 */
static void legacy_shares_requests(void **state)
{
	struct bs_buf bufs[8];
	struct rig rig;
	int i;

	(void)state;
	rig_open(&rig, BS_POOL_LEGACY, 16, 16);
	for (int half = 0; half < 2; half++) {
		take_one_by_one(&rig, bufs, 8);
		for (i = 0; i < 4; i++)
			rig_give(&rig, &bufs[i], 1);
		assert_int_equal(io_uring_sq_ready(&rig.ring), 1);
		rig_give(&rig, &bufs[5], 1);
		rig_give(&rig, &bufs[4], 1);
		assert_int_equal(io_uring_sq_ready(&rig.ring), 3);
		assert_int_equal(io_uring_submit(&rig.ring), 3);
		rig_give(&rig, &bufs[6], 1); /* the last one is the kernel's now */
		rig_give(&rig, &bufs[7], 1);
		assert_int_equal(io_uring_sq_ready(&rig.ring), 1);
		assert_int_equal(io_uring_submit(&rig.ring), 1);
		assert_int_equal(bs_pool_available(rig.pool), 16);
	}
	rig_close(&rig, 0);
}

/* A pool's returns leave room for the program's own requests. */
static void legacy_leaves_room(void **state)
{
	struct bs_buf bufs[64];
	struct rig rig;
	int i;

	(void)state;
	rig_open(&rig, BS_POOL_LEGACY, 1024, 16);
	take_one_by_one(&rig, bufs, 64);
	for (i = 64; i--;) { /* backwards: each has a request */
		rig_give(&rig, &bufs[i], 1);
		assert_true(io_uring_sq_space_left(&rig.ring) > 0);
	}
	rig_close(&rig, 0);
}

/* Every buffer of the largest ring is out at once; all go back in one call, in any order. */
static void lend_and_return_all(struct rig *rig, struct bs_buf *bufs)
{
	struct io_uring_cqe cqe;
	struct bs_buf swap;
	uint32_t i, pick;

	rig_send(rig, 32768);
	rig_recv(rig, RIG_MULTISHOT);
	for (i = 0; i < 32768; i++) {
		assert_int_equal(rig_take_next(rig, &bufs[i], 1), 1);
		pick = random_below(i + 1);
		swap = bufs[i];
		bufs[i] = bufs[pick];
		bufs[pick] = swap;
	}
	assert_int_equal(rig_check(rig).in_use, 32768);
	rig_send(rig, 1);
	rig_next(rig, &cqe);
	assert_int_equal(cqe.res, -ENOBUFS);
	rig_give(rig, bufs, 32768);
	assert_int_equal(bs_pool_available(rig->pool), 32768);
	rig_recv(rig, 0);
	assert_int_equal(rig_take_next(rig, bufs, 1), 1);
	rig_give(rig, bufs, 1);
}

static void largest(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	static struct bs_buf bufs[32768];
	struct rig rig;
	int round;

	struct bs_pool_opts opts = {.kind = kind, .buffers = 32768, .buf_bytes = 1};
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 65536};

	rig_open_with(&rig, &opts, &params);
	for (round = 0; round < 2; round++)
		lend_and_return_all(&rig, bufs);
	rig_close(&rig, 0);
}

/* The pool has fewer buffers than its ring has slots. */
static void fewer_than_slots(void **state)
{
	struct bs_pool_opts opts = {.buffers = 5, .buf_bytes = 10, .entries = 64};
	struct io_uring_params params = {0};
	static struct stream s;

	(void)state;
	memset(&s, 0, sizeof(s));
	s.flags = RIG_MULTISHOT;
	rig_open_with(&s.rig, &opts, &params);
	assert_int_equal(rig_check(&s.rig).entries, 64);
	run_stream(&s, 3000, 100);
	rig_close(&s.rig, 0);
}

static void one_buffer(void **state)
{
	static struct stream s;

	(void)state;
	memset(&s, 0, sizeof(s));
	s.flags = RIG_MULTISHOT;
	rig_open(&s.rig, BS_POOL_RING, 1, 10);
	assert_int_equal(rig_check(&s.rig).entries, 1);
	run_stream(&s, 3000, 100);
	rig_close(&s.rig, 0);
}

static void group_ids(void **state)
{
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	uint16_t bgids[] = {0, kind == BS_POOL_MMAP ? 2047 : 65535};
	static struct stream s;
	size_t i;

	for (i = 0; i < 2; i++) {
		struct bs_pool_opts opts = {
			.kind = kind, .buffers = 4, .buf_bytes = 100, .bgid = bgids[i]};
		struct io_uring_params params = {0};

		memset(&s, 0, sizeof(s));
		rig_open_with(&s.rig, &opts, &params);
		run_stream(&s, 500, 300);
		rig_close(&s.rig, 0);
	}
}

static void setup_flags(void **state)
{
	unsigned int setups[] = {
		IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,  IORING_SETUP_SQPOLL,
		IORING_SETUP_CQE32,
	};
	enum bs_pool_kind kind = *(enum bs_pool_kind *)*state;
	static struct stream s;
	size_t i;

	for (i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
		struct bs_pool_opts opts = {.kind = kind, .buffers = 16, .buf_bytes = 50};
		struct io_uring_params params = {.flags = setups[i]};

		memset(&s, 0, sizeof(s));
		s.flags = RIG_MULTISHOT;
		rig_open_with(&s.rig, &opts, &params);
		run_stream(&s, 3000, 500);
		rig_close(&s.rig, 0);
	}
}

/* A ring without file descriptor, as io_uring_close_ring_fd() of newer liburing leaves it. */
static void ring_without_fd(void **state)
{
	struct bs_pool_opts opts = {.buffers = 16, .buf_bytes = 50};
	struct bs_pool_opts more = {.size = sizeof(more), .buffers = 1, .buf_bytes = 1, .bgid = 9};
	struct io_uring_params params = {0};
	static struct stream s;
	struct bs_pool *second;
	int fd;

	(void)state;
	memset(&s, 0, sizeof(s));
	rig_open_with(&s.rig, &opts, &params);
	assert_int_equal(io_uring_register_ring_fd(&s.rig.ring), 1);
	run_stream(&s, 500, 300);

	fd = s.rig.ring.ring_fd;
	s.rig.ring.ring_fd = -1;
	second = bs_pool_open(&s.rig.ring, &more);
	if (!second) {
		assert_int_equal(errno, EINVAL);
		s.rig.ring.ring_fd = fd;
		rig_close(&s.rig, 0);
		needs(0, "registration by the index of a registered ring");
	}
	assert_null(bs_pool_open(&s.rig.ring, &more));
	assert_int_equal(errno, EEXIST);
	assert_int_equal(bs_pool_close(second), 0);
	more.kind = BS_POOL_MMAP; /* has no descriptor to map */
	assert_null(bs_pool_open(&s.rig.ring, &more));
	assert_int_equal(errno, EBADF);
	more.kind = BS_POOL_RING; /* and left nothing behind */
	second = bs_pool_open(&s.rig.ring, &more);
	assert_non_null(second);
	assert_int_equal(bs_pool_close(second), 0);
	s.rig.ring.ring_fd = fd;
	rig_close(&s.rig, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_one_shot_ring),
		cmocka_unit_test(random_multishot_ring),
		cmocka_unit_test(random_multishot_mmap),
		cmocka_unit_test(random_multishot_inc),
		cmocka_unit_test(random_one_shot_bundle),
		cmocka_unit_test(random_bundle_ring),
		cmocka_unit_test(random_bundle_mmap),
		cmocka_unit_test(random_bundle_inc),
		RIG_EACH_KIND(wrap),
		RIG_EACH_KIND(largest),
		cmocka_unit_test(legacy_shares_requests),
		cmocka_unit_test(legacy_leaves_room),
		cmocka_unit_test(fewer_than_slots),
		cmocka_unit_test(one_buffer),
		RIG_EACH_KIND(group_ids),
		RIG_EACH_KIND(setup_flags),
		cmocka_unit_test(ring_without_fd),
	};

	return cmocka_run_group_tests_name("pool_order", tests, NULL, NULL);
}

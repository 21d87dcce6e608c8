// SPDX-License-Identifier: MIT
/* Is each kind of event told, with what is true of it? */
#include "trace_rig.h"

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

/* Two runs of bids put in, and the first one taken; the events told so far. */
static unsigned int fill_and_select(struct stage *stage)
{
	const struct trace_rec *rec;
	unsigned int i = read_on(stage);

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
	return i;
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
	i = fill_and_select(stage);
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

static void no_group(void **state)
{
	struct stage *stage = new_stage();

	(void)state;
	assert_int_equal(receive(stage, 4, 1), -ENOBUFS);
	read_on(stage);
	expect_starve(stage, 4, STARVE_NO_GROUP);
	drain(stage);
	strike(stage);
}

/* A request that finds nothing when it is issued; br: of group 5, with 4 entries. */
static void causes_at_issue(struct stage *stage, struct io_uring_buf_ring *br)
{
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
}

static void causes(void **state)
{
	struct stage *stage = new_stage();
	const struct bs_buf_reg reg = {.bgid = 5};
	struct io_uring_buf_ring *br;
	int res;

	(void)state;
	br = new_group(stage, 5, 4);
	causes_at_issue(stage, br);

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

/* Received by bundles from group 2: returns how many bytes. */
static int receive_bundles(struct stage *stage, int wanted)
{
	struct io_uring_sqe *sqe;
	int bytes = 0, res;

	while (bytes < wanted) {
		sqe = io_uring_get_sqe(&stage->ring);
		io_uring_prep_recv(sqe, stage->near, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = 2;
		sqe->ioprio |= IORING_RECVSEND_BUNDLE;
		assert_int_equal(io_uring_submit(&stage->ring), 1);
		res = reap(stage);
		assert_in_range(res, 1, wanted);
		bytes += res;
	}
	return bytes;
}

/* Bids in an order of their own: in whatever runs they are told, it is this order. */
static void bundle(void **state)
{
	static const uint16_t order[] = {5, 9, 2, 3, 30, 31, 0, 1};
	struct stage *stage = new_stage();
	struct io_uring_buf_ring *br;
	unsigned int nr = 0, i;
	int bytes;

	(void)state;
	if (!(stage->ring.features & IORING_FEAT_RECVSEND_BUNDLE)) {
		strike(stage);
		skip();
	}
	br = new_group(stage, 2, 8);
	for (i = 0; i < 8; i++)
		put(br, 8, order[i]);
	send_bytes(stage, 7 * BUF_BYTES - 5);
	bytes = receive_bundles(stage, 7 * BUF_BYTES - 5);
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

/* Waits on the last of eight registered files, and has received before anybody watches. */
static void wait_registered(struct stage *stage, struct io_uring_buf_ring *br)
{
	int files[8] = {-1, -1, -1, -1, -1, -1, -1, stage->near};
	struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

	for (uint16_t bid = 0; bid < 8; bid++)
		put(br, 8, bid);
	assert_int_equal(io_uring_register_files(&stage->ring, files, 8), 0);
	io_uring_prep_recv(sqe, 7, NULL, 0, 0);
	sqe->ioprio |= IORING_RECV_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
	sqe->buf_group = 2;
	assert_int_equal(io_uring_submit(&stage->ring), 1);
	send_bytes(stage, 3);
	assert_int_equal(reap(stage), 3);
}

static void armed_before(void **state)
{
	const struct observe_trace all = {.kinds = ALL_KINDS};
	static struct stage stage;
	const struct trace_rec *rec;

	(void)state;
	set_stage(&stage);
	wait_registered(&stage, new_group(&stage, 2, 8));
	stage.observe = watch_myself(&all);
	send_bytes(&stage, 5);
	assert_int_equal(reap(&stage), 5);
	read_on(&stage);
	rec = event(&stage, 0, TRACE_SELECT);
	assert_int_equal(rec->bid, 1);
	assert_int_equal(rec->fd, 7);
	assert_int_equal(rec->flags & TRACE_FIXED_FILE, TRACE_FIXED_FILE);
	strike(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registrations), cmocka_unit_test(fill_select_return),
		cmocka_unit_test(taken_again),   cmocka_unit_test(no_group),
		cmocka_unit_test(causes),        cmocka_unit_test(legacy),
		cmocka_unit_test(overflow),      cmocka_unit_test(bundle),
		cmocka_unit_test(armed_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Is each kind of event told, with what is true of it? */
#include "trace_rig.h"

#include <sys/wait.h>

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

/* Each starve so far has one cause: those that were told, those by cause, and the counter agree. */
static void expect_sums(struct stage *stage, uint16_t bgid)
{
	uint64_t told[STARVE_CAUSES] = {0}, nr = 0;
	struct observe_detail detail = {0};
	struct sample sample = {0};

	for (unsigned int i = 0; i < stage->nr; i++) {
		const struct trace_rec *rec = &stage->events[i];

		if (rec->kind != TRACE_STARVE || rec->bgid != bgid)
			continue;
		assert_in_range(rec->cause, 0, STARVE_CAUSES - 1);
		told[rec->cause]++;
		nr++;
	}
	assert_int_equal(observe_sample(stage->observe, &sample), 0);
	assert_int_equal(sample.nr_groups, 1);
	assert_int_equal(observe_detail(stage->observe, &sample.groups[0], &detail), 0);
	assert_int_equal(sample.counts[0].total[COUNT_STARVED], nr);
	assert_memory_equal(detail.causes, told, sizeof(told));
	sample_done(&sample);
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
	expect_sums(stage, 5);

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
	expect_sums(stage, 5);
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

static void arm(struct stage *stage, int fd, uint16_t bgid)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

	io_uring_prep_recv(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->ioprio |= IORING_RECV_MULTISHOT;
	sqe->buf_group = bgid;
	sqe->user_data = 77;
	assert_int_equal(io_uring_submit(&stage->ring), 1);
}

/*
 * Two multishot requests with one user_data, the first on a group that has gone: what comes is the
 * other's, before and after the first one's end.
 */
static void namesakes(void **state)
{
	struct stage *stage = new_stage();
	const struct bs_buf_reg reg = {.bgid = 5};
	struct io_uring_buf_ring *br;
	const struct trace_rec *rec;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	put(new_group(stage, 5, 4), 4, 0);
	arm(stage, stage->near, 5);
	assert_int_equal(control(stage, IORING_UNREGISTER_PBUF_RING, &reg), 0);
	br = new_group(stage, 6, 4);
	for (uint16_t bid = 0; bid < 4; bid++)
		put(br, 4, bid);
	arm(stage, pair[0], 6);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(pair[1], data, 9, 0), 9);
		assert_int_equal(reap(stage), 9);
		read_on(stage);
		rec = &stage->events[stage->nr - 1];
		assert_int_equal(rec->kind, TRACE_SELECT);
		assert_int_equal(rec->bgid, 6);
		assert_int_equal(rec->fd, pair[0]);
		if (i)
			break;
		send_bytes(stage, 1);
		assert_int_equal(reap(stage), -ENOBUFS);
	}
	close(pair[0]);
	close(pair[1]);
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
		needs(0, "bundles");
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

#define AT_ONCE 6 /* rings, so that some get addresses that others had */
#define TURNS   30

/* The kernel frees them later. */
static void close_rings(struct io_uring *rings)
{
	for (int i = 0; i < AT_ONCE; i++)
		io_uring_queue_exit(&rings[i]);
	usleep(20000);
}

/* Opens and closes rings for each byte that it is sent. */
static void be_a_stranger(int line)
{
	struct io_uring rings[AT_ONCE];
	char byte;

	while (read(line, &byte, 1) == 1) {
		for (int i = 0; i < AT_ONCE; i++)
			assert_int_equal(io_uring_queue_init(8, &rings[i], 0), 0);
		close_rings(rings);
		if (write(line, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static void count_refusal(void *context, const struct trace_rec *rec)
{
	unsigned int *nr = context;

	*nr += rec->kind == TRACE_REGISTER && rec->res == -EINVAL;
}

/* A registration that is refused, and one that is not, which the next ring is to have no part in.
 */
static void register_twice(struct stage *stage)
{
	static _Alignas(4096) char page[4096];
	const struct bs_buf_reg wrong = {
		.ring_addr = (uintptr_t)page,
		.ring_entries = 3,
		.bgid = 2,
	};
	struct io_uring rings[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++) {
		struct io_uring_buf_ring *br;

		assert_int_equal(io_uring_queue_init(8, &rings[i], 0), 0);
		stage->ring = rings[i];
		assert_int_equal(control(stage, IORING_REGISTER_PBUF_RING, &wrong), -EINVAL);
		br = new_group(stage, 2, 8);
		put(br, 8, 0);
	}
	close_rings(rings);
}

/* Rings of a stranger and of ours have an address in turns: ours are never passed over. */
static void in_turns_with_a_stranger(void **state)
{
	const struct observe_trace all = {.kinds = ALL_KINDS};
	static struct stage stage;
	unsigned int nr = 0;
	int line[2];
	char byte = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, line), 0);
	stage.observe = watch_myself(&all);
	pid = fork();
	if (pid == 0) {
		close(line[0]);
		be_a_stranger(line[1]);
	}
	for (int turn = 0; turn < TURNS; turn++) {
		register_twice(&stage);
		assert_int_equal(write(line[0], &byte, 1), 1);
		assert_int_equal(read(line[0], &byte, 1), 1);
		while (observe_trace(stage.observe, count_refusal, &nr) > 0)
			;
	}
	close(line[0]);
	close(line[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(observe_trace_lost(stage.observe), 0);
	assert_int_equal(nr, TURNS * AT_ONCE);
	observe_close(stage.observe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_turns_with_a_stranger),
		cmocka_unit_test(registrations),
		cmocka_unit_test(fill_select_return),
		cmocka_unit_test(taken_again),
		cmocka_unit_test(no_group),
		cmocka_unit_test(namesakes),
		cmocka_unit_test(causes),
		cmocka_unit_test(legacy),
		cmocka_unit_test(overflow),
		cmocka_unit_test(bundle),
		cmocka_unit_test(armed_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Does each group get one account when two processors meet it at once? Two threads make the same
 * groups known, one after the other, each at the same moment.
 */
#include "ledger_rig.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <pthread.h>

#define GROUPS 2000u

struct group_args {
	uint64_t ring_id;
	uint32_t bgid;
	uint32_t pad;
};

static struct io_uring ring;
static struct io_uring_buf_ring *rings[GROUPS];
static char buffer[BUF_BYTES];
static uint64_t ring_id;
static int ends[2], program;
static uint32_t turns[2]; /* of each thread: the next group */

static void add_one(struct io_uring_buf_ring *br)
{
	io_uring_buf_ring_add(br, buffer, BUF_BYTES, 0, io_uring_buf_ring_mask(8), 0);
	io_uring_buf_ring_advance(br, 1);
}

static void open_groups(void)
{
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	for (uint16_t bgid = 0; bgid < GROUPS; bgid++) {
		struct bs_buf_reg reg = {.bgid = bgid, .ring_entries = 8};

		rings[bgid] = anonymous(4096);
		reg.ring_addr = (uintptr_t)rings[bgid];
		assert_int_equal(syscall(__NR_io_uring_register, ring.ring_fd,
					 IORING_REGISTER_PBUF_RING, &reg, 1),
				 0);
		add_one(rings[bgid]);
	}
}

/* One message in a buffer of that group, which goes back. */
static void use(uint16_t bgid)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe;

	io_uring_prep_recv(sqe, ends[0], NULL, 0, 0);
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = bgid;
	assert_int_equal(send(ends[1], "", 1, 0), 1);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
	assert_int_equal(cqe->res, 1);
	io_uring_cqe_seen(&ring, cqe);
	add_one(rings[bgid]);
}

static uint64_t find_ring(void)
{
	struct observe_opts opts = {.depth = OBSERVE_ONCE, .bgid = -1};
	struct sample once = {0};
	struct observe_err err;
	struct observe *look = observe_open(&opts, &err);
	uint64_t found = 0;

	assert_non_null(look);
	assert_int_equal(observe_sample(look, &once), 0);
	for (size_t i = 0; i < once.nr_rings; i++) {
		if (once.rings[i].tgid == (uint32_t)getpid() && once.rings[i].fd == ring.ring_fd)
			found = once.rings[i].ring_id;
	}
	observe_close(look);
	sample_done(&once);
	return found;
}

/* The observer's own, by which it makes a group known. */
static int find_program(void)
{
	DIR *own = opendir("/proc/self/fd");
	const struct dirent *entry;
	int found = -1;

	assert_non_null(own);
	while (found < 0 && (entry = readdir(own))) {
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);
		int fd = atoi(entry->d_name);

		if (!bpf_obj_get_info_by_fd(fd, &info, &size) && !strcmp(info.name, "learn_group"))
			found = fd;
	}
	closedir(own);
	return found;
}

static void wait_for(const uint32_t *turn, uint32_t value)
{
	for (uint32_t i = 1; __atomic_load_n(turn, __ATOMIC_ACQUIRE) < value; i++) {
		/* there may be one processor */
		if (i % 4096 == 0)
			sched_yield();
	}
}

static void *meet_all(void *own)
{
	uint32_t *mine = own;
	const uint32_t *others = mine == turns ? turns + 1 : turns;

	for (uint32_t bgid = 0; bgid < GROUPS; bgid++) {
		struct group_args args = {.ring_id = ring_id, .bgid = bgid};
		struct bpf_test_run_opts opts;

		memset(&opts, 0, sizeof(opts));
		opts.sz = sizeof(opts);
		opts.ctx_in = &args;
		opts.ctx_size_in = sizeof(args);
		__atomic_store_n(mine, bgid + 1, __ATOMIC_RELEASE);
		wait_for(others, bgid + 1);
		bpf_prog_test_run_opts(program, &opts);
	}
	return NULL;
}

/* Of a second account, which nobody reads, completions would be missing. */
static void expect_one_each(void)
{
	look();
	assert_int_equal(sample.nr_groups, GROUPS);
	for (size_t i = 0; i < sample.nr_groups; i++) {
		assert_int_equal(sample.counts[i].total[COUNT_TAKEN], 1);
		assert_int_equal(sample.counts[i].total[COUNT_SELECTED], 1);
		assert_int_equal(sample.counts[i].total[COUNT_RETURNED], 1);
	}
	/*
	 * A processor whose turn it is may be stopped, where a host or an emulator shares it out,
	 * for longer than the other waits: that is told, and nothing else may be lost.
	 */
	expect_losses(LOSS_UNATTRIBUTED, sample.losses[LOSS_UNATTRIBUTED]);
	if (!getenv("SLOW"))
		assert_in_range(sample.losses[LOSS_UNATTRIBUTED], 0, GROUPS / 100);
}

static void met_by_two(void **state)
{
	const int watches = getenv("SLOW") ? 1 : 3;

	(void)state;
	open_groups();
	ring_id = find_ring();
	assert_true(ring_id);
	for (int i = 0; i < watches; i++) {
		pthread_t other;

		assert_int_equal(setup(state), 0);
		program = find_program();
		assert_true(program >= 0);
		turns[0] = turns[1] = 0;
		assert_int_equal(pthread_create(&other, NULL, meet_all, &turns[1]), 0);
		meet_all(&turns[0]);
		pthread_join(other, NULL);
		for (uint16_t bgid = 0; bgid < GROUPS; bgid++)
			use(bgid);
		expect_one_each();
		teardown(state);
	}
	io_uring_queue_exit(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(met_by_two),
	};

	return cmocka_run_group_tests_name("meeting", tests, NULL, NULL);
}

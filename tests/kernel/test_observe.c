// SPDX-License-Identifier: MIT
/*
 * Does an observation name every ring and group that really exists? Rings and groups of every
 * kind are made here, and what observe_sample() says of them is compared, field by field.
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
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "needs.h"
#include "observe.h"
#include "uapi.h"

static struct observe *open_for(const uint32_t *tgids, size_t nr, int bgid)
{
	struct observe_opts opts = {
		.tgids = tgids, .nr_tgids = nr, .bgid = bgid, .scan_entries = 32768};
	struct observe_err err = {0};
	struct observe *o = observe_open(&opts, &err);

	if (!o)
		fail_msg("%s", err.what);
	return o;
}

static struct observe *open_self(int bgid)
{
	uint32_t tgid = (uint32_t)getpid();

	return open_for(&tgid, 1, bgid);
}

static void look(struct observe *o, struct sample *sample)
{
	assert_int_equal(observe_sample(o, sample), 0);
	for (int i = 0; i < LOSS_MAX; i++)
		assert_int_equal(sample->losses[i], 0);
}

static void *anonymous(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static int register_group(struct io_uring *ring, const struct bs_buf_reg *reg)
{
	long err =
		syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_PBUF_RING, reg, 1);

	return err ? -errno : 0;
}

/* A group of which the first `filled` slots hold a buffer of 512 bytes; 0 or -errno. */
static int add_group(struct io_uring *ring, struct bs_buf_reg reg, unsigned int filled)
{
	static char data[512];
	size_t bytes = reg.ring_entries * sizeof(struct io_uring_buf);
	uint64_t offset = BS_OFF_PBUF_RING | ((uint64_t)reg.bgid << BS_OFF_PBUF_RING_SHIFT);
	struct io_uring_buf_ring *br = NULL;
	int err;

	if (!(reg.flags & IOU_PBUF_RING_MMAP)) {
		br = anonymous(bytes);
		reg.ring_addr = (uintptr_t)br;
	}
	err = register_group(ring, &reg);
	if (err)
		return err;
	if (!br)
		br = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->ring_fd,
			  (off_t)offset);
	assert_ptr_not_equal(br, MAP_FAILED);
	for (unsigned int i = 0; i < filled; i++)
		io_uring_buf_ring_add(br, data, sizeof(data), (unsigned short)i,
				      io_uring_buf_ring_mask(reg.ring_entries), (int)i);
	io_uring_buf_ring_advance(br, (int)filled);
	/* the kernel has its own mapping; a ring stays alive as long as one of ours is left */
	if (reg.flags & IOU_PBUF_RING_MMAP)
		munmap(br, bytes);
	return 0;
}

static const struct group_rec *find_group(const struct sample *sample, unsigned int bgid)
{
	for (size_t i = 0; i < sample->nr_groups; i++)
		if (sample->groups[i].bgid == bgid)
			return &sample->groups[i];
	fail_msg("no group %u", bgid);
	return NULL;
}

static void expect_group(const struct sample *sample, const struct bs_buf_reg *reg,
			 unsigned int filled)
{
	static const enum group_kind kinds[] = {GROUP_RING, GROUP_MMAP, GROUP_INC, GROUP_INC_MMAP};
	const struct group_rec *group = find_group(sample, reg->bgid);

	assert_int_equal(group->kind, kinds[reg->flags & 3]);
	assert_int_equal(group->entries, reg->ring_entries);
	assert_int_equal(group->head, 0);
	assert_int_equal(group->tail, filled);
	assert_int_equal(group->available, filled);
	assert_int_equal(group->held, 0);
	assert_int_equal(group->buf_bytes, 512);
}

/* The flags of the i-th group: all kinds in turn; without what this kernel or bgid refuses. */
static void add_some_kind(struct io_uring *ring, struct bs_buf_reg *reg, unsigned int i)
{
	unsigned int filled = reg->ring_entries - i;

	reg->flags = (uint16_t)(i % 4);
	if (reg->bgid > 2047)
		reg->flags &= IOU_PBUF_RING_INC;
	if (add_group(ring, *reg, filled) == 0)
		return;
	reg->flags = 0;
	assert_int_equal(add_group(ring, *reg, filled), 0);
}

/* bgids at every edge of the xarray: alone at 0, one level, two, three. */
static void test_groups(void **state)
{
	static const unsigned int bgids[] = {0, 1, 63, 64, 2047, 4095, 65535};
	struct bs_buf_reg regs[7] = {0};
	struct sample sample = {0};
	struct observe *o = open_self(-1);
	struct io_uring ring;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	for (unsigned int i = 0; i < 7; i++) {
		regs[i].bgid = (uint16_t)bgids[i];
		regs[i].ring_entries = 4U << i;
		add_some_kind(&ring, &regs[i], i);
		look(o, &sample);
		assert_int_equal(sample.nr_groups, i + 1);
		for (unsigned int j = 0; j <= i; j++)
			expect_group(&sample, &regs[j], regs[j].ring_entries - j);
	}
	assert_int_equal(sample.nr_rings, 1);
	assert_int_equal(sample.rings[0].fd, ring.ring_fd);
	assert_int_equal(sample.rings[0].tgid, getpid());
	assert_int_equal(sample.rings[0].sq_entries, 8);
	assert_int_equal(sample.rings[0].cq_entries, 16);
	assert_int_equal(sample.rings[0].nr_groups, 7);
	io_uring_queue_exit(&ring);
	look(o, &sample);
	assert_int_equal(sample.nr_rings, 0);
	assert_int_equal(sample.nr_groups, 0);
	sample_done(&sample);
	observe_close(o);
}

/* Slots that were written once are all that a look goes by: of more buffers they remember some. */
static void test_more_buffers_than_slots(void **state)
{
	struct bs_buf_reg reg = {.bgid = 3, .ring_entries = 16};
	struct io_uring_buf_ring *br = anonymous(4096);
	struct sample sample = {0};
	struct observe *o = open_self(-1);
	struct io_uring ring;
	static char data[512];

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	reg.ring_addr = (uintptr_t)br;
	assert_int_equal(register_group(&ring, &reg), 0);
	for (int i = 0; i < 16; i++)
		io_uring_buf_ring_add(br, data, sizeof(data), (unsigned short)(10 + i), 15, i);
	io_uring_buf_ring_advance(br, 12);
	look(o, &sample);
	assert_int_equal(find_group(&sample, 3)->held, REC_UNKNOWN_U32);
	assert_int_equal(find_group(&sample, 3)->held_least, 1 + 4);
	io_uring_queue_exit(&ring);
	munmap(br, 4096);
	sample_done(&sample);
	observe_close(o);
}

static int provide(struct io_uring *ring, int nr, int bgid)
{
	static char data[64 * 100];
	struct io_uring_cqe *cqe;
	int res;

	io_uring_prep_provide_buffers(io_uring_get_sqe(ring), data, 64, nr, bgid, 0);
	io_uring_submit(ring);
	assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

static void test_legacy_and_table(void **state)
{
	static char data[2][4096];
	const struct iovec table[5] = {{data[0], 100}, {data[1], 4096}};
	struct sample sample = {0};
	struct observe *o = open_self(-1);
	struct io_uring ring;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	assert_true(provide(&ring, 100, 77) >= 0);
	assert_true(provide(&ring, 3, 5) >= 0);
	assert_int_equal(io_uring_register_buffers(&ring, table, 5), 0);
	look(o, &sample);
	assert_int_equal(sample.nr_groups, 2);
	assert_int_equal(find_group(&sample, 77)->kind, GROUP_LEGACY);
	assert_int_equal(find_group(&sample, 77)->available, 100);
	assert_int_equal(find_group(&sample, 5)->available, 3);
	assert_int_equal(sample.rings[0].table_entries, 5);
	assert_int_equal(sample.rings[0].table_registered, 2);
	assert_int_equal(sample.rings[0].table_bytes, 4196);
	io_uring_queue_exit(&ring);
	sample_done(&sample);
	observe_close(o);
}

/* Rings that no descriptor shows: registered with the task, then kept by their mappings alone. */
static void test_ring_without_fd(void **state)
{
	struct bs_buf_reg reg = {.bgid = 9, .ring_entries = 4};
	struct sample sample = {0};
	struct observe *o = open_self(-1);
	struct io_uring ring;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	assert_int_equal(add_group(&ring, reg, 4), 0);
	assert_int_equal(io_uring_register_ring_fd(&ring), 1);
	look(o, &sample);
	assert_int_equal(sample.nr_rings, 1);
	assert_int_equal(sample.rings[0].seen, SEEN_FD | SEEN_REGISTERED | SEEN_TASK);
	close(ring.ring_fd);
	look(o, &sample);
	assert_int_equal(sample.nr_rings, 1);
	assert_int_equal(sample.rings[0].fd, -1);
	assert_int_equal(sample.rings[0].seen, SEEN_REGISTERED | SEEN_TASK);
	expect_group(&sample, &reg, 4);
	sample_done(&sample);
	observe_close(o);
}

/* A ring that never had a descriptor, only an index among the task's registered rings. */
static void test_registered_fd_only(void **state)
{
	struct io_uring_params params = {.flags = IORING_SETUP_NO_MMAP |
						  IORING_SETUP_REGISTERED_FD_ONLY};
	struct bs_buf_reg reg = {.bgid = 4095, .ring_entries = 4};
	struct sample sample = {0};
	const struct group_rec *group;
	struct observe *o;
	int index;

	(void)state;
	/* where newer headers have user_addr, that of liburing 2.3 has resv2 */
	memcpy((char *)&params.cq_off + sizeof(params.cq_off) - 8, &(void *){anonymous(4096)}, 8);
	memcpy((char *)&params.sq_off + sizeof(params.sq_off) - 8, &(void *){anonymous(4096)}, 8);
	reg.ring_addr = (uintptr_t)anonymous(4096);
	index = (int)syscall(__NR_io_uring_setup, 4, &params);
	needs(index >= 0, "rings in the program's own memory (6.5)");
	assert_int_equal(syscall(__NR_io_uring_register, index,
				 IORING_REGISTER_PBUF_RING | IORING_REGISTER_USE_REGISTERED_RING,
				 &reg, 1),
			 0);
	o = open_self(-1);
	look(o, &sample);
	group = find_group(&sample, 4095);
	assert_int_equal(group->entries, 4);
	for (size_t i = 0; i < sample.nr_rings; i++) {
		if (sample.rings[i].ring_id != group->ring_id)
			continue;
		assert_int_equal(sample.rings[i].fd, -1);
		assert_int_equal(sample.rings[i].seen, SEEN_REGISTERED | SEEN_TASK);
		assert_true(sample.rings[i].setup_flags & IORING_SETUP_REGISTERED_FD_ONLY);
	}
	sample_done(&sample);
	observe_close(o);
}

/* Neither descriptor nor registration: the mappings alone keep the ring. */
static void test_ring_kept_by_mappings(void **state)
{
	struct bs_buf_reg reg = {.bgid = 10, .ring_entries = 8};
	struct sample sample = {0};
	struct observe *o = open_self(10);
	struct io_uring ring;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	assert_int_equal(add_group(&ring, reg, 8), 0);
	close(ring.ring_fd);
	look(o, &sample);
	expect_group(&sample, &reg, 8);
	for (size_t i = 0; i < sample.nr_rings; i++) {
		if (sample.rings[i].ring_id == sample.groups[0].ring_id)
			assert_int_equal(sample.rings[i].seen, SEEN_TASK);
	}
	sample_done(&sample);
	observe_close(o);
}

/* A forked child shows the same ring once more: one ring, two sightings. */
static void test_forked(void **state)
{
	uint32_t tgids[2] = {(uint32_t)getpid()};
	struct sample sample = {0};
	struct observe *o;
	struct io_uring ring;
	pid_t child;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed assertion must not leave it */
		pause();
		_exit(0);
	}
	tgids[1] = (uint32_t)child;
	o = open_for(tgids, 2, -1);
	look(o, &sample);
	assert_int_equal(sample.nr_rings, 1);
	assert_int_equal(sample.rings[0].tgid, getpid());
	assert_int_equal(sample.rings[0].sightings, 2);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	look(o, &sample);
	assert_int_equal(sample.rings[0].sightings, 1);
	io_uring_queue_exit(&ring);
	sample_done(&sample);
	observe_close(o);
}

/* Far more than fits at first: the arrays must grow, nothing may be lost. */
static void test_all_bgids(void **state)
{
	struct bs_buf_reg reg = {.ring_entries = 8, .ring_addr = (uintptr_t)anonymous(4096)};
	struct sample sample = {0};
	struct observe *o = open_self(-1);
	struct io_uring ring;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	for (unsigned int bgid = 0; bgid < 65536; bgid++) {
		reg.bgid = (uint16_t)bgid;
		assert_int_equal(register_group(&ring, &reg), 0);
	}
	look(o, &sample);
	assert_int_equal(sample.nr_groups, 65536);
	for (unsigned int bgid = 0; bgid < 65536; bgid++)
		assert_int_equal(sample.groups[bgid].bgid, bgid);
	io_uring_queue_exit(&ring);
	sample_done(&sample);
	observe_close(o);
}

static void test_filter_by_bgid(void **state)
{
	struct bs_buf_reg reg = {.ring_entries = 4};
	struct sample sample = {0};
	struct observe *o = open_self(64);
	struct io_uring ring;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	for (unsigned int bgid = 0; bgid < 100; bgid++) {
		reg.bgid = (uint16_t)bgid;
		assert_int_equal(add_group(&ring, reg, 4), 0);
	}
	look(o, &sample);
	assert_int_equal(sample.nr_groups, 1);
	assert_int_equal(sample.groups[0].bgid, 64);
	assert_int_equal(sample.rings[0].nr_groups, 100);
	io_uring_queue_exit(&ring);
	sample_done(&sample);
	observe_close(o);
}

/* One group is there before it is watched, one is registered by another thread after. */
static void *add_late(void *ring)
{
	struct bs_buf_reg reg = {.bgid = 2, .ring_entries = 4};
	static int tid;

	assert_int_equal(prctl(PR_SET_NAME, "late\033"), 0);
	assert_int_equal(add_group(ring, reg, 4), 0);
	tid = gettid();
	return &tid;
}

static void test_origin(void **state)
{
	uint32_t tgid = (uint32_t)getpid();
	struct observe_opts opts = {
		.depth = OBSERVE_LIGHT, .tgids = &tgid, .nr_tgids = 1, .bgid = -1};
	struct bs_buf_reg reg = {.bgid = 1, .ring_entries = 4};
	struct observe_origin origin = {0};
	struct observe_err err = {0};
	struct sample sample = {0};
	struct io_uring ring;
	struct observe *o;
	pthread_t thread;
	void *tid;

	(void)state;
	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	assert_int_equal(add_group(&ring, reg, 4), 0);
	o = observe_open(&opts, &err);
	assert_non_null(o);
	assert_int_equal(pthread_create(&thread, NULL, add_late, &ring), 0);
	assert_int_equal(pthread_join(thread, &tid), 0);
	look(o, &sample);
	assert_int_equal(observe_origin(o, find_group(&sample, 1), &origin), -ENOENT);
	assert_int_equal(observe_origin(o, find_group(&sample, 2), &origin), 0);
	assert_int_equal(origin.tgid, tgid);
	assert_int_equal(origin.tid, *(int *)tid);
	assert_string_equal(origin.comm, "late\033");
	assert_true(origin.at_ns > 0 && origin.at_ns <= sample.at_ns);
	io_uring_queue_exit(&ring);
	sample_done(&sample);
	observe_close(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_more_buffers_than_slots),
		cmocka_unit_test(test_legacy_and_table),
		cmocka_unit_test(test_forked),
		cmocka_unit_test(test_filter_by_bgid),
		cmocka_unit_test(test_origin),
		cmocka_unit_test(test_all_bgids),
		cmocka_unit_test(test_ring_without_fd),
		cmocka_unit_test(test_registered_fd_only),
		cmocka_unit_test(test_ring_kept_by_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

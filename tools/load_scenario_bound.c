// SPDX-License-Identifier: MIT
/* Scenarios in which memory is another's, or ends before what is asked of it. */
#include "load_scenario.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/uapi.h"

#define OWN_PAGE 4096

/* One entry of a sound group lies where it must not. */
static void put_stray(struct stage *stage, uintptr_t address)
{
	struct stage_group group = {.entries = 16};
	struct io_uring_buf entry = {.addr = address, .len = STAGE_BYTES, .bid = 15};

	stage_register(stage, &group, 0);
	for (uint16_t bid = 0; bid < 15; bid++)
		stage_put(&group, bid, bid);
	stage_put_at(&group, entry, 15);
	stage_publish(&group, 16);
	stage_linger();
}

/* The last word of either offsets: where newer headers have user_addr, liburing 2.3 has resv2. */
static void place_queue(void *offsets, size_t bytes, const char *at)
{
	memcpy((char *)offsets + bytes - sizeof(at), &at, sizeof(at));
}

/* Its size was told too small by 64 bytes: buffers begin there. */
static void over_queue(struct stage *stage)
{
	struct io_uring_params params = {.flags = IORING_SETUP_NO_MMAP};
	char *own = mmap(NULL, 2 * OWN_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	int ring;

	if (own == MAP_FAILED)
		stage_fail(stage, "cannot map memory", errno);
	place_queue(&params.cq_off, sizeof(params.cq_off), own);
	place_queue(&params.sq_off, sizeof(params.sq_off), own + OWN_PAGE);
	ring = (int)syscall(SYS_io_uring_setup, 16, &params);
	if (ring < 0)
		stage_fail(stage, "no queues in own memory", errno);
	put_stray(stage, (uintptr_t)own + params.sq_off.array + params.sq_entries * 4 - 64);
	close(ring);
}

static void over_mapped_queue(struct stage *stage)
{
	put_stray(stage, (uintptr_t)stage->ring.sq.sqes + 64);
}

/* Indexes and lengths beyond what was registered. */
static void outside_table(struct stage *stage)
{
	static char memory[2][OWN_PAGE];
	const struct iovec buffers[2] = {{memory[0], OWN_PAGE}, {memory[1], OWN_PAGE}};
	int file = memfd_create("fixed", MFD_CLOEXEC);

	if (file < 0 || ftruncate(file, 4 * OWN_PAGE))
		stage_fail(stage, "cannot make a file", errno);
	if (io_uring_register_buffers(&stage->ring, buffers, 2))
		stage_fail(stage, "cannot register buffers", EPERM);
	for (int i = 0; i < 4; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_read_fixed(sqe, file, memory[1], i % 2 ? OWN_PAGE + 1 : OWN_PAGE, 0,
					 i % 2 ? 1 : 5);
		io_uring_submit(&stage->ring);
		stage_reap(stage, 50);
	}
	stage_sleep(150);
	close(file);
}

/* Header and control data take 116 bytes, a packet 64 more: of 256 then 76 are left. */
static void remainder_small(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	struct msghdr shape = {.msg_controllen = 100};
	unsigned int failed = 0;

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_register(stage, &group, IOU_PBUF_RING_INC);
	for (uint16_t bid = 0; bid < 8; bid++)
		stage_put(&group, bid, bid);
	stage_publish(&group, 8);
	stage_send(stage, 0, 4);
	for (int i = 0; i < 4; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);
		unsigned int nr;

		io_uring_prep_recvmsg(sqe, stage->near[0], &shape, 0);
		sqe->ioprio |= IORING_RECV_MULTISHOT;
		sqe->flags |= IOSQE_BUFFER_SELECT;
		io_uring_submit(&stage->ring);
		nr = stage_reap(stage, 50);
		failed += nr && stage->got[nr - 1].res == -EFAULT;
	}
	if (!failed)
		stage_fail(stage, "this kernel retires such buffers", ENOSYS);
	stage_linger();
}

/* As if mmap() had failed, which nobody noticed. */
static void ring_not_mapped(struct stage *stage)
{
	struct bs_buf_reg reg = {.ring_entries = 16, .bgid = 5, .flags = IOU_PBUF_RING_MMAP};
	int err = io_uring_register_buf_ring(&stage->ring, (void *)&reg, 0);

	if (err)
		stage_fail(stage, "cannot register a ring in the kernel", -err);
	stage_linger();
}

const struct scenario load_scenarios_bound[] = {
	{"over-queue", "a buffer lies over a CQ in the program's memory", "over-queue", NULL,
	 over_queue},
	{"over-mapped-queue", "a buffer lies over the mapped SQ", "over-queue", NULL,
	 over_mapped_queue},
	{"ring-not-mapped", "a ring in kernel memory is registered, not mapped", "ring-not-mapped",
	 NULL, ring_not_mapped},
	{"outside-table", "reads beyond the registered buffers", "outside-table", NULL,
	 outside_table},
	{"remainder-small", "recvmsg into what is left of a buffer", "remainder-small", NULL,
	 remainder_small},
	{0},
};

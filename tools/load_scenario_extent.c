// SPDX-License-Identifier: MIT
/* Scenarios in which requests take less than they could, or than the buffer that they get. */
#include "load_scenario.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/uapi.h"

#define HAS_BUFFER(cqe) ((cqe)->flags & IORING_CQE_F_BUFFER)
#define BID_OF(cqe)     ((uint16_t)((cqe)->flags >> IORING_CQE_BUFFER_SHIFT))

#define ROUNDS 16

/* The length of a message is told in the request, not in the entry. */
static void send_cut(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_STREAM);
	stage_group(stage, &group, 16);
	for (int i = 0; i < ROUNDS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_send(sqe, stage->near[0], NULL, STAGE_MESSAGE, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		io_uring_submit(&stage->ring);
		if (!stage_reap(stage, 100) || !HAS_BUFFER(&stage->got[0]))
			stage_fail(stage, "sends select no buffer", ENOSYS);
		stage_return(&group, BID_OF(&stage->got[0]));
		stage_sleep(10);
	}
	stage_sleep(200);
}

/* An eventfd is read in eight bytes or not at all: of 20 four are left. */
static void remainder_refused(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	int events = eventfd(100, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK);
	unsigned int refused = 0;

	if (events < 0)
		stage_fail(stage, "no eventfd", errno);
	stage_register(stage, &group, IOU_PBUF_RING_INC);
	for (uint16_t bid = 0; bid < 8; bid++) {
		struct io_uring_buf entry = {.len = 20, .bid = bid};

		entry.addr = (uintptr_t)group.buffers + bid * (unsigned int)STAGE_BYTES;
		stage_put_at(&group, entry, bid);
	}
	stage_publish(&group, 8);
	for (int i = 0; i < 6; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_read(sqe, events, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		io_uring_submit(&stage->ring);
		refused += stage_reap(stage, 100) && stage->got[0].res == -EINVAL;
	}
	close(events);
	if (refused < 3)
		stage_fail(stage, "this kernel retires such buffers", ENOSYS);
	stage_linger();
}

const struct scenario load_scenarios_extent[] = {
	{"send-cut", "sends with a length of their own", "send-cut", NULL, send_cut},
	{"remainder-refused", "an eventfd into what is left of a buffer", "remainder-refused", NULL,
	 remainder_refused},
	{0},
};

// SPDX-License-Identifier: MIT
/* Scenarios with mistaken calls, and at limits. */
#include "load_scenario.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void legacy_on_ring(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_group(stage, &group, 16);
	for (int i = 0; i < 4; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_provide_buffers(sqe, group.buffers, STAGE_BYTES, 1, 0, 0);
		io_uring_submit(&stage->ring);
		stage_reap(stage, 50);
	}
	stage_sleep(300);
}

static void registration_refused(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	struct io_uring_buf_reg reg = {.ring_entries = 3, .bgid = 1};

	stage_group(stage, &group, 16);
	reg.ring_addr = (uintptr_t)group.ring;
	io_uring_register_buf_ring(&stage->ring, &reg, 0);
	stage_sleep(300);
}

/* The queue has room for eight. */
static void cq_overflow(struct stage *stage)
{
	struct stage_group group = {.entries = 64};
	unsigned int nr;

	stage_pairs(stage, 16, SOCK_SEQPACKET);
	stage_group(stage, &group, 64);
	for (int round = 0; round < 10; round++) {
		for (unsigned int pair = 0; pair < 16; pair++)
			stage_arm(stage, pair, 0, 0);
		for (unsigned int pair = 0; pair < 16; pair++)
			stage_send(stage, pair, 1);
		stage_sleep(20);
		while ((nr = stage_reap(stage, 20)) > 0) {
			for (unsigned int i = 0; i < nr; i++) {
				if (stage->got[i].flags & IORING_CQE_F_BUFFER)
					stage_return(&group, (uint16_t)(stage->got[i].flags >>
									IORING_CQE_BUFFER_SHIFT));
			}
		}
	}
	stage_sleep(300);
}

/* A user whose other memory nobody knows: what is locked is this ring and these groups. */
static void memlock_low(struct stage *stage)
{
	const struct rlimit limit = {128 << 10, 128 << 10};
	struct io_uring_buf_reg reg = {.ring_entries = 256};
	static char rings[32][256 * 16] __attribute__((aligned(4096)));
	struct io_uring own;
	int err = 0;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || (geteuid() == 0 && setresuid(61234, 61234, 61234)))
		stage_fail(stage, "cannot become another user", errno);
	if (io_uring_queue_init(8, &own, 0))
		stage_fail(stage, "cannot open a ring", EPERM);
	for (uint16_t i = 0; i < 32 && !err; i++) {
		reg.ring_addr = (uintptr_t)rings[i];
		reg.bgid = i;
		err = io_uring_register_buf_ring(&own, &reg, 0);
	}
	stage_sleep(600);
	io_uring_queue_exit(&own);
}

const struct scenario load_scenarios_call[] = {
	{"legacy-on-ring", "PROVIDE_BUFFERS is used on a buffer ring", "legacy-on-ring", NULL,
	 legacy_on_ring},
	{"registration-refused", "a ring of three entries is registered", "registration-refused",
	 NULL, registration_refused},
	{"cq-overflow", "sixteen completions for a queue of eight", "cq-overflow", NULL,
	 cq_overflow, 4},
	{"memlock-low", "rings take most of RLIMIT_MEMLOCK", "memlock-low", "registration-refused",
	 memlock_low},
	{0},
};

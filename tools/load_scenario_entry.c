// SPDX-License-Identifier: MIT
/* Scenarios with insane entries, or with rings whose memory is wrong. */
#include "load_scenario.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../lib/uapi.h"

/* A receive at a time, data or not, for a while. */
static void use(struct stage *stage, uint16_t bgid, unsigned int times)
{
	for (unsigned int i = 0; i < times; i++) {
		stage_arm(stage, 0, bgid, 0);
		stage_reap(stage, 20);
		stage_sleep(30);
	}
}

static void zero_length(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_STREAM);
	stage_register(stage, &group, 0);
	for (uint16_t bid = 0; bid < 4; bid++)
		stage_put(&group, bid, bid);
	stage_publish(&group, 16);
	stage_sleep(300);
	stage_send(stage, 0, 32);
	use(stage, 0, 8);
	stage_linger();
}

static void bad_address(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	struct io_uring_buf entry = {.addr = 0x1000, .len = STAGE_BYTES, .bid = 0};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_register(stage, &group, 0);
	stage_put_at(&group, entry, 0);
	for (uint16_t bid = 1; bid < 16; bid++)
		stage_put(&group, bid, bid);
	stage_publish(&group, 16);
	stage_send(stage, 0, 1);
	use(stage, 0, 8);
	stage_linger();
}

static void shared_memory(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_register(stage, &group, 0);
	for (uint16_t bid = 0; bid < 16; bid++) {
		/* half of the right size as stride */
		struct io_uring_buf entry = {.len = STAGE_BYTES, .bid = bid};

		entry.addr = (uintptr_t)group.buffers + bid * (STAGE_BYTES / 2u);
		stage_put_at(&group, entry, bid);
	}
	stage_publish(&group, 16);
	stage_linger();
}

static void overfilled(struct stage *stage)
{
	struct stage_group group = {.entries = 4};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	group.buffers =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stage_register(stage, &group, 0);
	for (uint16_t bid = 0; bid < 6; bid++)
		stage_return(&group, bid);
	stage_sleep(400);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_send(stage, 0, 1);
	stage_reap(stage, 50);
	stage_linger();
}

static void over_ring(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	struct io_uring_buf entry = {.len = STAGE_BYTES, .bid = 15};

	stage_register(stage, &group, 0);
	for (uint16_t bid = 0; bid < 15; bid++)
		stage_put(&group, bid, bid);
	entry.addr = (uintptr_t)group.ring + 128;
	stage_put_at(&group, entry, 15);
	stage_publish(&group, 16);
	stage_linger();
}

static void ring_unmapped(struct stage *stage)
{
	struct stage_group group = {.entries = 256};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 256);
	use(stage, 0, 4);
	munmap(group.ring, 256 * sizeof(struct io_uring_buf));
	stage_linger();
}

static void shared_ring(struct stage *stage)
{
	struct stage_group group = {.entries = 16}, other = {.entries = 16, .bgid = 1};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	other.ring = group.ring;
	other.buffers = group.buffers;
	stage_register(stage, &other, 0);
	stage_send(stage, 0, 4);
	for (unsigned int i = 0; i < 4; i++) {
		stage_arm(stage, 0, (uint16_t)(i % 2), 0);
		stage_reap(stage, 50);
	}
	stage_linger();
}

/* Incremental buffers that were used up have length 0 until they are written again. */
static void not_rewritten(struct stage *stage)
{
	struct stage_group group = {.entries = 8};

	stage_pairs(stage, 1, SOCK_STREAM);
	stage_register(stage, &group, IOU_PBUF_RING_INC);
	for (uint16_t bid = 0; bid < 8; bid++)
		stage_put(&group, bid, bid);
	stage_publish(&group, 8);
	stage_send(stage, 0, 4 * STAGE_BYTES / STAGE_MESSAGE);
	for (unsigned int i = 0; i < 4; i++) {
		stage_arm(stage, 0, 0, 0);
		stage_reap(stage, 20);
	}
	stage_publish(&group, 4);
	stage_send(stage, 0, 4 * STAGE_BYTES / STAGE_MESSAGE + 1);
	use(stage, 0, 8);
	stage_linger();
}

struct adding {
	struct stage *stage;
	struct stage_group *group;
	uint16_t bid;
	int has_read, may_store;
};

#define TICKS_MS 60 /* within it a tick sees what the tail is */

static void wait_for(const int *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
		stage_sleep(1);
}

static void set(int *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

/* Loses the processor between reading the tail and storing it. */
static void *add_slowly(void *context)
{
	struct adding *adding = context;
	struct io_uring_buf_ring *ring = adding->group->ring;
	uint16_t tail = ring->tail;

	stage_put(adding->group, adding->bid, 0);
	set(&adding->has_read);
	wait_for(&adding->may_store);
	__atomic_store_n(&ring->tail, (uint16_t)(tail + 1), __ATOMIC_RELEASE);
	return NULL;
}

static void two_threads(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (unsigned int round = 0; round < 2; round++) {
		struct adding adding = {.stage = stage, .group = &group};
		uint16_t taken[4];
		pthread_t other;

		for (unsigned int i = 0; i < 4; i++) {
			stage_send(stage, 0, 1);
			stage_arm(stage, 0, 0, 0);
			if (!stage_reap(stage, 50) || stage->got[0].res < 0)
				return;
			taken[i] = (uint16_t)(stage->got[0].flags >> IORING_CQE_BUFFER_SHIFT);
		}
		adding.bid = taken[0];
		if (pthread_create(&other, NULL, add_slowly, &adding))
			stage_fail(stage, "cannot start a thread", EAGAIN);
		wait_for(&adding.has_read);
		for (unsigned int i = 1; i < 4; i++)
			stage_return(&group, taken[i]);
		stage_sleep(TICKS_MS);
		set(&adding.may_store);
		pthread_join(other, NULL);
		stage_sleep(100);
	}
	stage_sleep(400);
}

static void set_up_anew(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	stage_send(stage, 0, 8);
	use(stage, 0, 8);
	io_uring_buf_ring_init(group.ring);
	stage_sleep(100);
	for (uint16_t bid = 0; bid < 16; bid++)
		stage_return(&group, bid);
	stage_sleep(400);
}

const struct scenario load_scenarios_entry[] = {
	{"zero-length", "the tail is moved over 12 slots that were not written", "zero-length",
	 NULL, zero_length},
	{"bad-address", "an entry points to nowhere", "bad-address", NULL, bad_address},
	{"shared-memory", "buffers overlap by half", "shared-memory", NULL, shared_memory},
	{"overfilled", "six buffers go into four slots", "overfilled", NULL, overfilled},
	{"over-ring", "a buffer lies over the ring", "over-ring", NULL, over_ring},
	{"ring-unmapped", "the ring's memory is unmapped while registered", "ring-unmapped", NULL,
	 ring_unmapped},
	{"not-rewritten", "used-up incremental buffers are published as they are", "zero-length",
	 NULL, not_rewritten},
	{"two-threads", "two threads add buffers without a lock", "tail-back", NULL, two_threads},
	{"set-up-anew", "a ring in use is initialised again", "tail-back", NULL, set_up_anew},
	{"shared-ring", "two groups are registered over one ring", "shared-ring", NULL,
	 shared_ring},
	{0},
};

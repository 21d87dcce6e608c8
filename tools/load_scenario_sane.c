// SPDX-License-Identifier: MIT
/* Scenarios that are busy and sound: there is nothing to find. */
#include "load_scenario.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/uapi.h"

#define HAS_BUFFER(cqe) ((cqe)->flags & IORING_CQE_F_BUFFER)
#define BID_OF(cqe)     ((uint16_t)((cqe)->flags >> IORING_CQE_BUFFER_SHIFT))

static void settle(struct stage *stage, struct stage_group *group, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		const struct stage_cqe *cqe = &stage->got[i];

		if (HAS_BUFFER(cqe))
			stage_return(group, BID_OF(cqe));
	}
	for (unsigned int i = 0; i < nr; i++) {
		const struct stage_cqe *cqe = &stage->got[i];

		if (!(cqe->flags & IORING_CQE_F_MORE))
			stage_arm(stage, (unsigned int)cqe->user_data, group->bgid,
				  STAGE_MULTISHOT);
	}
}

static void traffic(struct stage *stage, struct stage_group *group, unsigned int rounds)
{
	unsigned int nr;

	for (unsigned int pair = 0; pair < 4; pair++)
		stage_arm(stage, pair, group->bgid, STAGE_MULTISHOT);
	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int i = 0; i < 16; i++)
			stage_send(stage, i % 4, 1);
		nr = stage_reap(stage, 20);
		settle(stage, group, nr);
		while ((nr = stage_reap(stage, 1)) > 0)
			settle(stage, group, nr);
	}
}

static void busy(struct stage *stage)
{
	struct stage_group group = {.entries = 64};

	stage_pairs(stage, 4, SOCK_SEQPACKET);
	stage_group(stage, &group, 64);
	traffic(stage, &group, 800);
}

/* A ring in kernel memory, for a little longer than it takes to see that one is not mapped. */
static void busy_mapped(struct stage *stage)
{
	static char buffers[64][STAGE_BYTES];
	struct stage_group group = {.entries = 64, .bgid = 3, .buffers = buffers[0]};
	struct bs_buf_reg reg = {.ring_entries = 64, .bgid = 3, .flags = IOU_PBUF_RING_MMAP};
	int err = io_uring_register_buf_ring(&stage->ring, (void *)&reg, 0);

	if (err)
		stage_fail(stage, "cannot register a ring in the kernel", -err);
	stage_pairs(stage, 4, SOCK_SEQPACKET);
	group.ring = mmap(NULL, 64 * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, stage->ring.ring_fd,
			  (off_t)(BS_OFF_PBUF_RING | 3ULL << BS_OFF_PBUF_RING_SHIFT));
	if (group.ring == MAP_FAILED)
		stage_fail(stage, "cannot map the ring", errno);
	for (uint16_t bid = 0; bid < 64; bid++)
		stage_return(&group, bid);
	traffic(stage, &group, 400);
	stage_sleep(1000);
}

static void busy_lazy(struct stage *stage)
{
	struct stage_group group = {.entries = 1024};

	stage_pairs(stage, 4, SOCK_SEQPACKET);
	stage_group(stage, &group, 32);
	traffic(stage, &group, 800);
}

/* Every buffer is out again and again, and none is wanted then. */
static void busy_to_the_last(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 4, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (unsigned int round = 0; round < 100; round++) {
		unsigned int nr, done = 0;
		uint16_t kept[16];

		while (done < 16) {
			stage_arm(stage, done % 4, 0, 0);
			stage_send(stage, done % 4, 1);
			nr = stage_reap(stage, 50);
			for (unsigned int i = 0; i < nr && done < 16; i++) {
				if (HAS_BUFFER(&stage->got[i]))
					kept[done++] = BID_OF(&stage->got[i]);
			}
		}
		stage_sleep(15);
		while (done)
			stage_return(&group, kept[--done]);
	}
}

static void busy_connections(struct stage *stage)
{
	struct stage_group group = {.entries = 32};

	stage_group(stage, &group, 32);
	for (unsigned int i = 0; i < 400; i++) {
		unsigned int pair = i % 8, nr;
		bool is_over = false;

		stage_pair(stage, pair, SOCK_SEQPACKET);
		stage_arm(stage, pair, 0, STAGE_MULTISHOT);
		stage_send(stage, pair, 5);
		close(stage->far[pair]);
		stage->far[pair] = -1;
		while (!is_over && (nr = stage_reap(stage, 50)) > 0) {
			for (unsigned int j = 0; j < nr; j++) {
				is_over |= !(stage->got[j].flags & IORING_CQE_F_MORE);
				if (HAS_BUFFER(&stage->got[j]))
					stage_return(&group, BID_OF(&stage->got[j]));
			}
		}
		close(stage->near[pair]);
		stage->near[pair] = -1;
		stage_sleep(3);
	}
}

static void busy_bundles(struct stage *stage)
{
	struct stage_group group = {.entries = 64};
	unsigned int next = 0;

	stage_tcp(stage);
	stage_group(stage, &group, 64);
	for (unsigned int i = 0; i < 400; i++) {
		unsigned int nr;

		stage_send(stage, 0, 3 * STAGE_BYTES / STAGE_MESSAGE);
		stage_arm(stage, 0, 0, STAGE_BUNDLE);
		nr = stage_reap(stage, 100);
		for (unsigned int j = 0; j < nr; j++) {
			const struct stage_cqe *cqe = &stage->got[j];
			unsigned int spans =
				((unsigned int)cqe->res + STAGE_BYTES - 1) / STAGE_BYTES;

			if (i == 0 || !HAS_BUFFER(cqe) || cqe->res < 0)
				stage_need_bundle(stage, cqe);
			while (spans--)
				stage_return(&group, (uint16_t)(next++ % 64));
		}
		stage_sleep(3);
	}
}

static void busy_incremental(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_STREAM);
	stage_register(stage, &group, IOU_PBUF_RING_INC);
	for (uint16_t bid = 0; bid < 16; bid++)
		stage_put(&group, bid, bid);
	stage_publish(&group, 16);
	for (unsigned int i = 0; i < 400; i++) {
		unsigned int nr;

		stage_send(stage, 0, 1);
		stage_arm(stage, 0, 0, 0);
		nr = stage_reap(stage, 50);
		for (unsigned int j = 0; j < nr; j++) {
			if (HAS_BUFFER(&stage->got[j]) &&
			    !(stage->got[j].flags & IORING_CQE_F_BUF_MORE))
				stage_return(&group, BID_OF(&stage->got[j]));
		}
		stage_sleep(3);
	}
}

static void busy_legacy(struct stage *stage)
{
	static char buffers[16][STAGE_BYTES];
	struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	io_uring_prep_provide_buffers(sqe, buffers, STAGE_BYTES, 16, 0, 0);
	io_uring_submit(&stage->ring);
	stage_reap(stage, 100);
	for (unsigned int i = 0; i < 400; i++) {
		unsigned int nr;

		stage_arm(stage, 0, 0, 0);
		stage_send(stage, 0, 1);
		nr = stage_reap(stage, 100);
		if (nr && HAS_BUFFER(&stage->got[0])) {
			uint16_t bid = BID_OF(&stage->got[0]);

			sqe = io_uring_get_sqe(&stage->ring);
			io_uring_prep_provide_buffers(sqe, buffers[bid], STAGE_BYTES, 1, 0, bid);
			io_uring_submit(&stage->ring);
			stage_reap(stage, 100);
		}
		stage_sleep(3);
	}
}

/* Rings come and go, each at the address of the one before, with the same buffers in their groups.
 */
static void busy_rings(struct stage *stage)
{
	static char buffers[16][STAGE_BYTES];

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	for (unsigned int i = 0; i < 100; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);

		io_uring_prep_provide_buffers(sqe, buffers, STAGE_BYTES, 16, 0, 0);
		io_uring_submit(&stage->ring);
		stage_reap(stage, 100);
		for (unsigned int j = 0; j < 8; j++) {
			stage_arm(stage, 0, 0, 0);
			stage_send(stage, 0, 1);
			stage_reap(stage, 100);
		}
		io_uring_queue_exit(&stage->ring);
		if (io_uring_queue_init(64, &stage->ring, 0))
			stage_fail(stage, "cannot open a ring", EPERM);
		stage_sleep(5);
	}
}

/* Each time with other memory, as programs do that hand their buffers on. */
static void busy_new_memory(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	static char pool[64][STAGE_BYTES];

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (unsigned int i = 0; i < 400; i++) {
		struct io_uring_buf entry = {.addr = (uintptr_t)pool[i % 64], .len = STAGE_BYTES};

		stage_arm(stage, 0, 0, 0);
		stage_send(stage, 0, 1);
		if (!stage_reap(stage, 100) || !HAS_BUFFER(&stage->got[0]))
			continue;
		entry.bid = BID_OF(&stage->got[0]);
		stage_put_at(&group, entry, 0);
		stage_publish(&group, 1);
		stage_sleep(3);
	}
}

struct sharing {
	struct stage_group *group;
	pthread_mutex_t lock;
	uint16_t queue[64];
	unsigned int nr;
	bool is_over;
};

/* Returns what the other thread took, and like it under the lock. */
static void *return_others(void *context)
{
	struct sharing *sharing = context;
	bool is_over = false;

	while (!is_over) {
		pthread_mutex_lock(&sharing->lock);
		while (sharing->nr)
			stage_return(sharing->group, sharing->queue[--sharing->nr]);
		is_over = sharing->is_over;
		pthread_mutex_unlock(&sharing->lock);
		stage_sleep(2);
	}
	return NULL;
}

static void busy_threads(struct stage *stage)
{
	struct stage_group group = {.entries = 64};
	struct sharing sharing = {.group = &group, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t other;

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 64);
	if (pthread_create(&other, NULL, return_others, &sharing))
		stage_fail(stage, "cannot start a thread", EAGAIN);
	for (unsigned int i = 0; i < 600; i++) {
		stage_arm(stage, 0, 0, 0);
		stage_send(stage, 0, 1);
		if (!stage_reap(stage, 100) || !HAS_BUFFER(&stage->got[0]))
			continue;
		pthread_mutex_lock(&sharing.lock);
		if (i % 3 && sharing.nr < 32)
			sharing.queue[sharing.nr++] = BID_OF(&stage->got[0]);
		else
			stage_return(&group, BID_OF(&stage->got[0]));
		pthread_mutex_unlock(&sharing.lock);
		stage_sleep(2);
	}
	pthread_mutex_lock(&sharing.lock);
	sharing.is_over = true;
	pthread_mutex_unlock(&sharing.lock);
	pthread_join(other, NULL);
}

/* Who begins to watch in the first second finds buffers out that no completion has named yet. */
static void busy_async(struct stage *stage)
{
	struct stage_group group = {.entries = STAGE_PAIRS};

	stage_pairs(stage, STAGE_PAIRS, SOCK_SEQPACKET);
	stage_group(stage, &group, STAGE_PAIRS);
	for (unsigned int pair = 0; pair < STAGE_PAIRS; pair++)
		stage_arm(stage, pair, 0, STAGE_ASYNC);
	stage_sleep(2000);
	for (unsigned int round = 0; round < 20; round++) {
		unsigned int nr, done = 0;

		for (unsigned int pair = 0; pair < STAGE_PAIRS; pair++)
			stage_send(stage, pair, 1);
		while (done < STAGE_PAIRS && (nr = stage_reap(stage, 1000)) > 0) {
			for (unsigned int i = 0; i < nr; i++) {
				if (HAS_BUFFER(&stage->got[i]))
					stage_return(&group, BID_OF(&stage->got[i]));
			}
			done += nr;
		}
		for (unsigned int pair = 0; pair < STAGE_PAIRS && round < 19; pair++)
			stage_arm(stage, pair, 0, STAGE_ASYNC);
	}
	stage_linger();
}

const struct scenario load_scenarios_sane[] = {
	{"busy", "four streams, buffers returned at once", NULL, NULL, busy},
	{"busy-mapped", "a ring in kernel memory, used as it should be", NULL, NULL, busy_mapped},
	{"busy-lazy", "32 buffers in a ring of 1024, enough of them", NULL, NULL, busy_lazy},
	{"busy-to-the-last", "all buffers are out for long, none is wanted", NULL, NULL,
	 busy_to_the_last},
	{"busy-connections", "400 connections come, send and go", NULL, NULL, busy_connections},
	{"busy-bundles", "bundles, returned whole", NULL, NULL, busy_bundles},
	{"busy-incremental", "buffers used up piece by piece", NULL, NULL, busy_incremental},
	{"busy-rings", "a hundred rings, one after the other", NULL, NULL, busy_rings},
	{"busy-new-memory", "each return brings other memory", NULL, NULL, busy_new_memory},
	{"busy-threads", "two threads return buffers, under a lock", NULL, NULL, busy_threads},
	{"busy-async", "worker threads wait, each with a buffer", NULL, NULL, busy_async},
	{"busy-legacy", "PROVIDE_BUFFERS after each receive", NULL, NULL, busy_legacy},
	{0},
};

// SPDX-License-Identifier: MIT
/* Scenarios in which buffers do not come back, or come back wrong. */
#include "load_scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/uapi.h"

#define HAS_BUFFER(cqe) ((cqe)->flags & IORING_CQE_F_BUFFER)
#define BID_OF(cqe)     ((uint16_t)((cqe)->flags >> IORING_CQE_BUFFER_SHIFT))

/* One message of pair 0 at a time, for a while; -1: it carries no buffer. */
static int one(struct stage *stage, unsigned int pair)
{
	uint64_t from_ns = clock_ns(CLOCK_MONOTONIC);
	unsigned int nr;

	stage_arm(stage, pair, 0, 0);
	stage_send(stage, pair, 1);
	nr = stage_reap(stage, 100);
	stage_asked(stage, from_ns);
	return nr && HAS_BUFFER(&stage->got[0]) ? BID_OF(&stage->got[0]) : -1;
}

static void traffic(struct stage *stage, struct stage_group *group, unsigned int ms)
{
	uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);

	while (stage_lasts(stage, start_ns, ms)) {
		int bid = one(stage, 0);

		if (bid >= 0)
			stage_return(group, (uint16_t)bid);
		stage_sleep(4);
	}
}

static void leak(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	traffic(stage, &group, 100);
	for (int i = 0; i < 5; i++)
		one(stage, 0);
	traffic(stage, &group, 1600);
}

/* The stores of two threads that read the same tail, in the order in which both are through. */
static void equal_tails(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	traffic(stage, &group, 100);
	for (int i = 0; i < 4; i++) {
		int a = one(stage, 0), b = one(stage, 0);

		if (a < 0 || b < 0)
			break;
		stage_put(&group, (uint16_t)a, 0);
		stage_put(&group, (uint16_t)b, 0);
		stage_publish(&group, 1);
		traffic(stage, &group, 40);
	}
	traffic(stage, &group, 1600);
}

/* None was wanted in vain so far. */
static void draining(struct stage *stage)
{
	struct stage_group group = {.entries = 256};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 256);
	for (int i = 0; i < 60; i++) {
		one(stage, 0);
		stage_sleep(50);
	}
}

static void leak_on_close(struct stage *stage)
{
	struct stage_group group = {.entries = 32};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 32);
	for (int i = 0; i < 24; i++) {
		int bid;

		stage_pair(stage, 1, SOCK_SEQPACKET);
		bid = one(stage, 1);
		/* what the last message before the end came in is forgotten now and then */
		if (i % 4 && bid >= 0)
			stage_return(&group, (uint16_t)bid);
		close(stage->far[1]);
		stage->far[1] = -1;
		stage_arm(stage, 1, 0, 0);
		stage_reap(stage, 100);
		close(stage->near[1]);
		stage->near[1] = -1;
	}
	traffic(stage, &group, 1600);
}

static void leak_on_error(struct stage *stage)
{
	static char buffers[16][STAGE_BYTES];
	int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);
	unsigned int nr;

	io_uring_prep_provide_buffers(sqe, buffers, STAGE_BYTES, 16, 0, 0);
	io_uring_submit(&stage->ring);
	stage_reap(stage, 100);
	for (int i = 0; i < 6; i++) {
		sqe = io_uring_get_sqe(&stage->ring);
		io_uring_prep_read(sqe, directory, NULL, STAGE_BYTES, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		io_uring_submit(&stage->ring);
		nr = stage_reap(stage, 100);
		if (!nr || !HAS_BUFFER(&stage->got[0]) || stage->got[0].res >= 0)
			stage_fail(stage, "this kernel gives no buffer with an error", ENOSYS);
	}
	stage_linger();
	close(directory);
}

static void leak_bundle(struct stage *stage)
{
	struct stage_group group = {.entries = 64};
	unsigned int at = 0, end = 64; /* positions in the ring, as the program mirrors it */
	uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
	uint16_t order[64];

	stage_tcp(stage);
	stage_group(stage, &group, 64);
	for (uint16_t bid = 0; bid < 64; bid++)
		order[bid] = bid;
	for (int i = 0; i < 400 || stage_lasts(stage, start_ns, 1600); i++) {
		uint64_t from_ns = clock_ns(CLOCK_MONOTONIC);
		unsigned int nr;

		stage_send(stage, 0, 3 * STAGE_BYTES / STAGE_MESSAGE);
		stage_arm(stage, 0, 0, STAGE_BUNDLE);
		nr = stage_reap(stage, 100);
		stage_asked(stage, from_ns);
		for (unsigned int j = 0; j < nr; j++) {
			const struct stage_cqe *cqe = &stage->got[j];
			unsigned int spans =
				((unsigned int)cqe->res + STAGE_BYTES - 1) / STAGE_BYTES;

			if (i == 0 || !HAS_BUFFER(cqe) || cqe->res < 0)
				stage_need_bundle(stage, cqe);
			/* the others follow in the ring's order */
			for (unsigned int k = 0; k < (i < 400 && i % 40 == 5 ? 1 : spans); k++)
				stage_return(&group, order[(at + k) % 64]);
			for (unsigned int k = 0; k < (i < 400 && i % 40 == 5 ? 1 : spans); k++)
				order[(end++) % 64] = order[(at + k) % 64];
			at += spans;
		}
		stage_sleep(4);
	}
}

static void never_returned(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (int i = 0; i < 17; i++)
		one(stage, 0);
	stage_linger();
}

static void returned_twice(struct stage *stage)
{
	struct stage_group group = {.entries = 32};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (int i = 0; i < 4; i++) {
		stage_pair(stage, 1, SOCK_SEQPACKET);
		close(stage->far[1]);
		stage->far[1] = -1;
		stage_arm(stage, 1, 0, 0);
		/* an end of file has no buffer: its flags say bid 0 to who does not look */
		if (stage_reap(stage, 100))
			stage_return(&group, BID_OF(&stage->got[0]));
		close(stage->near[1]);
		stage->near[1] = -1;
	}
	traffic(stage, &group, 400);
}

static void foreign_bid(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	traffic(stage, &group, 100);
	one(stage, 0);
	stage_return(&group, (uint16_t)-1);
	stage_linger();
}

static void wrong_group(struct stage *stage)
{
	struct stage_group group = {.entries = 16},
			   other = {.entries = 16, .bgid = 1, .first = 100};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	stage_group(stage, &other, 16);
	stage_sleep(300);
	stage_arm(stage, 0, 1, 0);
	stage_send(stage, 0, 1);
	if (one(stage, 0) >= 0) {
		/* group 0 has room for one now; it gets the buffer of group 1 */
		const struct io_uring_buf entry = {
			.addr = (uintptr_t)other.buffers, .len = STAGE_BYTES, .bid = 100};

		stage_put_at(&group, entry, 0);
		stage_publish(&group, 1);
	}
	stage_linger();
}

static void length_shrunk(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	stage_linger();
	for (int i = 0; i < 8; i++) {
		int bid = one(stage, 0);
		struct io_uring_buf entry = {.len = STAGE_MESSAGE, .bid = (uint16_t)bid};

		entry.addr = (uintptr_t)group.buffers + (unsigned int)bid * STAGE_BYTES;
		stage_put_at(&group, entry, 0);
		stage_publish(&group, 1);
	}
	stage_linger();
}

/* Two are out at a time and go back with each other's memory. */
static void address_changed(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	stage_linger();
	for (int i = 0; i < 8; i++) {
		int a = one(stage, 0), b = one(stage, 0);
		struct io_uring_buf entry = {.len = STAGE_BYTES, .bid = (uint16_t)a};

		if (a < 0 || b < 0)
			break;
		entry.addr = (uintptr_t)group.buffers + (unsigned int)(i ? a : b) * STAGE_BYTES;
		stage_put_at(&group, entry, 0);
		entry.bid = (uint16_t)b;
		entry.addr = (uintptr_t)group.buffers + (unsigned int)(i ? b : a) * STAGE_BYTES;
		stage_put_at(&group, entry, 1);
		stage_publish(&group, 2);
		stage_sleep(150);
	}
	stage_linger();
}

/* Writes a buffer that it holds over the entry that comes next, instead of behind the tail. */
static void overwritten(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (uint32_t at = 0; at < 12; at += 2) {
		int bid = one(stage, 0);
		struct io_uring_buf entry = {.len = STAGE_BYTES, .bid = (uint16_t)bid};

		if (bid < 0)
			break;
		entry.addr = (uintptr_t)group.buffers + (unsigned int)bid * STAGE_BYTES;
		stage_put_at(&group, entry, at + 1);
		one(stage, 0);
	}
	stage_linger();
}

/* With room for as many again, so that the ring is not overfilled. */
static void returned_early(struct stage *stage)
{
	struct stage_group group = {.entries = 32};

	stage_pairs(stage, 1, SOCK_STREAM);
	stage_register(stage, &group, IOU_PBUF_RING_INC);
	for (uint16_t bid = 0; bid < 8; bid++)
		stage_put(&group, bid, bid);
	stage_publish(&group, 8);
	stage_sleep(300);
	for (int i = 0; i < 10; i++) {
		int bid = one(stage, 0);

		if (bid >= 0)
			stage_return(&group, (uint16_t)bid);
		stage_sleep(30);
	}
	stage_sleep(300);
}

const struct scenario load_scenarios_return[] = {
	{"leak", "five buffers are forgotten, the others go round", "leak", NULL, leak},
	{"equal-tails", "of two threads one writes over the other's entry", "leak", NULL,
	 equal_tails},
	{"draining", "buffers are taken one after the other and kept", "draining", NULL, draining},
	{"leak-on-close", "every fourth connection ends with a buffer", "leak-on-close", NULL,
	 leak_on_close},
	{"leak-on-error", "failed reads come with a buffer that is not returned", "leak-on-error",
	 NULL, leak_on_error},
	{"leak-bundle", "of some bundles only the named buffer is returned", "leak-bundle", NULL,
	 leak_bundle},
	{"never-returned", "the pool is used up once", "never-returned", NULL, never_returned},
	{"returned-twice", "bid 0 is returned at each end of file", "returned-twice", NULL,
	 returned_twice},
	{"foreign-bid", "bid 65535 is returned", "foreign-bid", NULL, foreign_bid},
	{"wrong-group", "a buffer goes back into another group", "foreign-bid", NULL, wrong_group},
	{"address-changed", "two buffers go back with each other's memory", "address-changed", NULL,
	 address_changed},
	{"returned-early", "an incremental buffer is returned while it is filled", "returned-twice",
	 NULL, returned_early},
	{"overwritten", "entries in the ring are written over with buffers in use",
	 "delivered-twice", NULL, overwritten},
	{"length-shrunk", "buffers go back with the length of their data", "length-shrunk", NULL,
	 length_shrunk},
	{0},
};

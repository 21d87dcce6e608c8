// SPDX-License-Identifier: MIT
/* Scenarios in which requests find no buffer. */
#include "load_scenario.h"

#include <sys/socket.h>
#include <unistd.h>

#define HAS_BUFFER(cqe) ((cqe)->flags & IORING_CQE_F_BUFFER)
#define BID_OF(cqe)     ((uint16_t)((cqe)->flags >> IORING_CQE_BUFFER_SHIFT))

static void no_group(struct stage *stage)
{
	stage_pairs(stage, 1, SOCK_SEQPACKET);
	for (int i = 0; i < 3; i++) {
		stage_arm(stage, 0, 7, STAGE_MULTISHOT);
		stage_reap(stage, 100);
		stage_sleep(50);
	}
	stage_sleep(400);
}

static void never_filled(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 0);
	stage_sleep(300);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_reap(stage, 100);
	stage_sleep(600);
}

static void unpublished(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 0);
	for (uint16_t bid = 0; bid < 16; bid++)
		stage_put(&group, bid, bid);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_reap(stage, 100);
	stage_sleep(800);
}

/* What an earlier ring left in the memory looks as if it had been written for this one. */
static void reused_memory(struct stage *stage)
{
	/* of smaller ids old kernels keep the head: they give out what lies there */
	struct stage_group group = {.entries = 16, .bgid = 64};

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (int i = 0; i < 40; i++) {
		stage_arm(stage, 0, group.bgid, 0);
		stage_send(stage, 0, 1);
		stage_reap(stage, 100);
		if (HAS_BUFFER(&stage->got[0]))
			stage_return(&group, BID_OF(&stage->got[0]));
	}
	stage_linger();
	io_uring_unregister_buf_ring(&stage->ring, group.bgid);
	group.ring->tail = 0;
	stage_register(stage, &group, 0);
	stage_linger();
	stage_arm(stage, 0, group.bgid, STAGE_MULTISHOT);
	stage_reap(stage, 100);
	stage_linger();
}

static void unregistered(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 2, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_arm(stage, 1, 0, 0);
	stage_sleep(300);
	io_uring_unregister_buf_ring(&stage->ring, 0);
	stage_send(stage, 0, 1);
	stage_send(stage, 1, 1);
	stage_reap(stage, 100);
	stage_sleep(300);
}

/* Returns all that came, and arms those that starved again. */
static unsigned int settle(struct stage *stage, struct stage_group *group, unsigned int nr)
{
	unsigned int dead = 0;

	for (unsigned int i = 0; i < nr; i++) {
		const struct stage_cqe *cqe = &stage->got[i];

		if (HAS_BUFFER(cqe))
			stage_return(group, BID_OF(cqe));
	}
	for (unsigned int i = 0; i < nr; i++) {
		const struct stage_cqe *cqe = &stage->got[i];

		if (cqe->flags & IORING_CQE_F_MORE)
			continue;
		stage_arm(stage, (unsigned int)cqe->user_data, group->bgid, STAGE_MULTISHOT);
		dead++;
	}
	return dead;
}

static void burst(struct stage *stage)
{
	struct stage_group group = {.entries = 16};

	stage_pairs(stage, 4, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (unsigned int pair = 0; pair < 4; pair++)
		stage_arm(stage, pair, 0, STAGE_MULTISHOT);
	for (int round = 0; round < 30; round++) {
		unsigned int nr;

		for (unsigned int i = 0; i < 32; i++)
			stage_send(stage, i % 4, 1);
		while ((nr = stage_reap(stage, 20)) > 0)
			settle(stage, &group, nr);
	}
	stage_sleep(400);
}

static void empty_at_issue(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	unsigned int nr;

	stage_pairs(stage, 12, SOCK_SEQPACKET);
	stage_group(stage, &group, 8);
	for (int round = 0; round < 30; round++) {
		for (unsigned int pair = 0; pair < 12; pair++) {
			stage_send(stage, pair, 1);
			stage_arm(stage, pair, 0, 0);
		}
		/* what starved is still in its socket */
		while ((nr = stage_reap(stage, 20)) > 0) {
			for (unsigned int i = 0; i < nr; i++) {
				if (HAS_BUFFER(&stage->got[i]))
					stage_return(&group, BID_OF(&stage->got[i]));
			}
			for (unsigned int i = 0; i < nr; i++) {
				if (!HAS_BUFFER(&stage->got[i]))
					stage_arm(stage, (unsigned int)stage->got[i].user_data, 0,
						  0);
			}
		}
	}
	stage_sleep(400);
}

static void emptied_at_data(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	unsigned int nr;

	stage_pairs(stage, 12, SOCK_SEQPACKET);
	stage_group(stage, &group, 8);
	for (int round = 0; round < 30; round++) {
		for (unsigned int pair = 0; pair < 12; pair++)
			stage_arm(stage, pair, 0, 0);
		for (unsigned int pair = 0; pair < 12; pair++)
			stage_send(stage, pair, 1);
		while ((nr = stage_reap(stage, 20)) > 0) {
			for (unsigned int i = 0; i < nr; i++) {
				if (HAS_BUFFER(&stage->got[i]))
					stage_return(&group, BID_OF(&stage->got[i]));
			}
			for (unsigned int i = 0; i < nr; i++) {
				if (!HAS_BUFFER(&stage->got[i]))
					stage_arm(stage, (unsigned int)stage->got[i].user_data, 0,
						  0);
			}
		}
	}
	stage_sleep(400);
}

static void one_stream(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	unsigned int nr;

	stage_pairs(stage, 4, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (unsigned int pair = 0; pair < 4; pair++)
		stage_arm(stage, pair, 0, STAGE_MULTISHOT);
	for (int round = 0; round < 30; round++) {
		stage_send(stage, 0, 20);
		for (unsigned int pair = 1; pair < 4; pair++)
			stage_send(stage, pair, 1);
		while ((nr = stage_reap(stage, 20)) > 0)
			settle(stage, &group, nr);
	}
	stage_sleep(400);
}

/* Keeps what it gets until a request starves, and for a while longer. */
static void consumer_slow(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	uint16_t kept[64];
	unsigned int nr_kept = 0, nr;

	stage_pairs(stage, 4, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (unsigned int pair = 0; pair < 4; pair++)
		stage_arm(stage, pair, 0, STAGE_MULTISHOT);
	for (unsigned int i = 0; i < 400; i++) {
		unsigned int dead = 0, pairs[64];

		stage_send(stage, i % 4, 1);
		stage_sleep(3);
		nr = stage_reap(stage, 1);
		for (unsigned int j = 0; j < nr && j < 64; j++) {
			if (HAS_BUFFER(&stage->got[j]))
				kept[nr_kept++] = BID_OF(&stage->got[j]);
			if (!(stage->got[j].flags & IORING_CQE_F_MORE))
				pairs[dead++] = (unsigned int)stage->got[j].user_data;
		}
		if (!dead)
			continue;
		stage_sleep(30);
		while (nr_kept)
			stage_return(&group, kept[--nr_kept]);
		while (dead)
			stage_arm(stage, pairs[--dead], 0, STAGE_MULTISHOT);
	}
	stage_sleep(400);
}

static void lazy_fill(struct stage *stage)
{
	struct stage_group group = {.entries = 256};
	unsigned int nr;

	stage_pairs(stage, 4, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	for (unsigned int pair = 0; pair < 4; pair++)
		stage_arm(stage, pair, 0, STAGE_MULTISHOT);
	for (int round = 0; round < 30; round++) {
		for (unsigned int i = 0; i < 32; i++)
			stage_send(stage, i % 4, 1);
		while ((nr = stage_reap(stage, 20)) > 0)
			settle(stage, &group, nr);
	}
	stage_sleep(400);
}

static void not_rearmed(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	unsigned int nr;

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_send(stage, 0, 24);
	while ((nr = stage_reap(stage, 50)) > 0) {
		for (unsigned int i = 0; i < nr; i++) {
			if (HAS_BUFFER(&stage->got[i]))
				stage_return(&group, BID_OF(&stage->got[i]));
		}
	}
	stage_linger();
}

static void rearm_spin(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	uint16_t kept[8];
	unsigned int nr_kept = 0;

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 8);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_send(stage, 0, 12);
	for (unsigned int i = 0; i < 200; i++) {
		unsigned int nr = stage_reap(stage, 20);

		for (unsigned int j = 0; j < nr; j++) {
			if (HAS_BUFFER(&stage->got[j]) && nr_kept < 8)
				kept[nr_kept++] = BID_OF(&stage->got[j]);
			if (!(stage->got[j].flags & IORING_CQE_F_MORE))
				stage_arm(stage, 0, 0, STAGE_MULTISHOT);
		}
		stage_sleep(1);
	}
	while (nr_kept)
		stage_return(&group, kept[--nr_kept]);
	stage_reap(stage, 20);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_sleep(500);
}

static void fallback_stays(struct stage *stage)
{
	struct stage_group group = {.entries = 16};
	unsigned int nr;

	stage_pairs(stage, 1, SOCK_SEQPACKET);
	stage_group(stage, &group, 16);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT);
	stage_send(stage, 0, 17);
	nr = stage_reap(stage, 100);
	for (unsigned int i = 0; i < nr; i++) {
		if (HAS_BUFFER(&stage->got[i]))
			stage_return(&group, BID_OF(&stage->got[i]));
	}
	for (unsigned int i = 0; i < 60; i++) {
		stage_arm(stage, 0, 0, STAGE_PLAIN);
		stage_send(stage, 0, 1);
		stage_reap(stage, 100);
		stage_sleep(12);
	}
	stage_linger();
}

static void bundle_exhausted(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	bool is_first = true;
	unsigned int nr;

	stage_tcp(stage);
	stage_group(stage, &group, 8);
	stage_send(stage, 0, 10 * STAGE_BYTES / STAGE_MESSAGE);
	stage_arm(stage, 0, 0, STAGE_MULTISHOT | STAGE_BUNDLE);
	while ((nr = stage_reap(stage, 100)) > 0) {
		if (is_first)
			stage_need_bundle(stage, &stage->got[0]);
		is_first = false;
		for (unsigned int i = 0; i < nr; i++) {
			unsigned int spans =
				((unsigned int)stage->got[i].res + STAGE_BYTES - 1) / STAGE_BYTES;

			for (unsigned int j = 0; HAS_BUFFER(&stage->got[i]) && j < spans; j++)
				stage_return(&group, (uint16_t)((BID_OF(&stage->got[i]) + j) % 8));
		}
	}
	stage_send(stage, 0, 1);
	stage_linger();
}

/* Takes each negative result for the peer's end; the next connection gets the same number. */
static void closed_on_starve(struct stage *stage)
{
	struct stage_group group = {.entries = 8};
	unsigned int nr;

	stage_group(stage, &group, 8);
	for (unsigned int round = 0; round < 8; round++) {
		bool is_over = false;

		stage_pair(stage, 0, SOCK_SEQPACKET);
		stage_arm(stage, 0, 0, STAGE_MULTISHOT);
		stage_send(stage, 0, 10);
		while (!is_over && (nr = stage_reap(stage, 100)) > 0) {
			for (unsigned int i = 0; i < nr; i++) {
				if (HAS_BUFFER(&stage->got[i]))
					stage_return(&group, BID_OF(&stage->got[i]));
				is_over |= stage->got[i].res < 0;
			}
		}
		close(stage->near[0]);
		close(stage->far[0]);
		stage_sleep(round % 4 ? 0 : 150);
	}
	stage->near[0] = stage->far[0] = -1;
	stage_sleep(200);
}

const struct scenario load_scenarios_starve[] = {
	{"no-group", "requests name a group that was never registered", "no-group", NULL, no_group},
	{"never-filled", "a group is registered and never filled", "never-filled", NULL,
	 never_filled},
	{"unpublished", "buffers are written, the tail is not moved", "unpublished", NULL,
	 unpublished},
	{"reused-memory", "never filled, in memory of an earlier ring", "never-filled", NULL,
	 reused_memory},
	{"unregistered", "a group is unregistered under armed requests", "unregistered", NULL,
	 unregistered},
	{"burst", "four streams send twice as much as the pool holds", "pool-too-small", NULL,
	 burst},
	{"empty-at-issue", "more requests with data waiting than buffers", "pool-too-small", NULL,
	 empty_at_issue},
	{"emptied-at-data", "more requests armed than buffers, then data", "pool-too-small", NULL,
	 emptied_at_data},
	{"one-stream", "one of four streams takes the whole pool", "one-stream", NULL, one_stream},
	{"consumer-slow", "buffers are kept for tens of milliseconds", "consumer-slow", NULL,
	 consumer_slow},
	{"lazy-fill", "256 entries are registered, 16 buffers provided", "lazy-fill", NULL,
	 lazy_fill},
	{"not-rearmed", "a multishot that starved is never armed again", "not-rearmed",
	 "pool-too-small,consumer-slow", not_rearmed},
	{"rearm-spin", "a starved multishot is armed before buffers return", "rearm-spin",
	 "pool-too-small,consumer-slow", rearm_spin},
	{"fallback-stays", "after a starve, buffers of its own for ever", "fallback-stays",
	 "pool-too-small,consumer-slow", fallback_stays},
	{"bundle-exhausted", "a bundle drains the pool, its end goes unnoticed", "bundle-exhausted",
	 NULL, bundle_exhausted},
	{"closed-on-starve", "each starve ends its connection", "closed-on-starve",
	 "pool-too-small", closed_on_starve},
	{0},
};

// SPDX-License-Identifier: MIT
/* How many buffers does a legacy group (PROVIDE_BUFFERS) take, by one request and in all? */
#include <errno.h>
#include <stdio.h>

#include "limits_kernel.h"
#include "limits_search.h"
#include "limits_target.h"
#include "limits_table.h"

#define BGID      1
#define CHUNK     32768
#define MAX_TRIED 262144 /* four times the number of distinct buffer ids */

struct bench {
	struct io_uring ring;
	void *memory;
};

static int bench_open(struct bench *b)
{
	b->memory = limits_map(2 * MAX_TRIED);
	return b->memory ? limits_ring_open(&b->ring) : -ENOMEM;
}

/* Buffers of one byte each; ids may repeat. */
static int provide(struct bench *b, unsigned int nr)
{
	io_uring_prep_provide_buffers(io_uring_get_sqe(&b->ring), b->memory, 1, (int)nr, BGID, 0);
	return limits_do_one(&b->ring);
}

static uint64_t remove_all(struct bench *b)
{
	uint64_t removed = 0;
	int res;

	do {
		io_uring_prep_remove_buffers(io_uring_get_sqe(&b->ring), CHUNK, BGID);
		res = limits_do_one(&b->ring);
		if (res > 0)
			removed += (uint64_t)res;
	} while (res > 0);
	return removed;
}

/*
 * The last one goes alone: a request that finds room for some of its buffers succeeds, so only
 * a request for a single one tells that the group is full.
 */
static int try_held(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;
	int res = 0;

	for (uint64_t left = nr - 1; left > 0 && res >= 0;) {
		unsigned int n = left < CHUNK ? (unsigned int)left : CHUNK;

		res = provide(b, n);
		left -= n;
	}
	if (res >= 0)
		res = provide(b, 1);
	if (remove_all(b) != nr && res >= 0)
		res = -EPROTO;
	return res < 0 ? res : 0;
}

static int ask_held(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	struct limits_search search = {
		.try_value = try_held,
		.ctx = &b,
		.first = 1,
		.last = MAX_TRIED,
		.last_by = LIMITS_BY_PROBE,
		.guess = 65535, /* one more on newer kernels */
	};
	int err = bench_open(&b);

	(void)env;
	if (!err)
		limits_answer_edge(&search, answer);
	return err;
}

static int try_per_call(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;
	int res = provide(b, (unsigned int)nr);

	remove_all(b);
	return res < 0 ? res : 0;
}

static int ask_per_call(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	struct limits_search search = {
		.try_value = try_per_call,
		.ctx = &b,
		.first = 1,
		.last = MAX_TRIED,
		.last_by = LIMITS_BY_PROBE,
		.guess = 2 * CHUNK,
	};
	uint64_t arrived;
	int err = bench_open(&b);

	(void)env;
	if (err)
		return err;
	limits_answer_edge(&search, answer);
	provide(&b, (unsigned int)answer->value);
	arrived = remove_all(&b);
	if (answer->has_value && arrived != answer->value)
		snprintf(answer->note, sizeof(answer->note),
			 "a request for %llu succeeds, %llu arrive",
			 (unsigned long long)answer->value, (unsigned long long)arrived);
	return 0;
}

/* ---- refusals: a request that is valid but for one thing */

enum before { BEFORE_NOTHING, BEFORE_LEGACY, BEFORE_RING };

struct request_case {
	bool remove;
	int nbufs;
	int len;
	int bid;
	enum before before; /* what the group is already */
	bool kernel_address;
};

static int do_before(enum before before, struct bench *b)
{
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)b->memory,
		.ring_entries = 1,
		.bgid = BGID,
	};

	switch (before) {
	case BEFORE_NOTHING:
		return 0;
	case BEFORE_LEGACY:
		return provide(b, 1);
	case BEFORE_RING:
		return limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	}
	return -EINVAL;
}

static int ask_request_case(const struct limits_env *env, struct limits_answer *answer)
{
	const struct request_case *c = env->arg;
	struct io_uring_sqe *sqe;
	struct bench b;
	int err = bench_open(&b);

	if (!err)
		err = do_before(c->before, &b);
	if (err < 0)
		return err;
	sqe = io_uring_get_sqe(&b.ring);
	if (c->remove)
		io_uring_prep_remove_buffers(sqe, c->nbufs, BGID);
	else
		io_uring_prep_provide_buffers(sqe, b.memory, c->len, c->nbufs, BGID, c->bid);
	if (c->kernel_address)
		sqe->addr = (uintptr_t)limits_kernel_address();
	limits_answer_refusal(answer, limits_do_one(&b.ring));
	return 0;
}

static int try_bid(void *ctx, uint64_t bid)
{
	struct bench *b = ctx;
	int res;

	io_uring_prep_provide_buffers(io_uring_get_sqe(&b->ring), b->memory, 1, 1, BGID, (int)bid);
	res = limits_do_one(&b->ring);
	remove_all(b);
	return res < 0 ? res : 0;
}

static int ask_bid(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	const struct limits_search search = {
		.try_value = try_bid,
		.ctx = &b,
		.last = 2 * CHUNK - 1,
		.last_by = LIMITS_BY_ABI,
		.top_first = true,
	};
	int err = bench_open(&b);

	(void)env;
	if (!err)
		limits_answer_edge(&search, answer);
	return err;
}

static const char call_provide[] = "provide-buffers";
static const char call_remove[] = "remove-buffers";

#define CASE(...)                                                                                  \
	.ask = ask_request_case, .arg = &(const struct request_case)                               \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define PROVIDE(...) CASE(__VA_ARGS__), .call = call_provide
#define REMOVE(...)  CASE(.remove = true, __VA_ARGS__), .call = call_remove

static const struct limits_probe probes[] = {
	{"legacy.max_buffers", "buffers in one group", "buffers", ask_held, .call = call_provide,
	 .weight = 400},
	{"legacy.max_per_call", "buffers by one request", "buffers", ask_per_call,
	 .call = call_provide, .weight = 60},
	{"legacy.max_bid", "highest buffer id", "bid", ask_bid, .call = call_provide},

	{"legacy.no_buffers", "provide 0 buffers", PROVIDE(.nbufs = 0, .len = 1)},
	{"legacy.zero_length", "buffers of length 0", PROVIDE(.nbufs = 1, .len = 0)},
	{"legacy.bid_overflow", "ids past 65535", PROVIDE(.nbufs = 2, .len = 1, .bid = 65535),
	 .detail = "the last of the buffers would have an id over 65535"},
	{"legacy.kernel_address", "a kernel address",
	 PROVIDE(.nbufs = 1, .len = 1, .kernel_address = true)},
	{"legacy.on_ring", "provide to a buffer ring",
	 PROVIDE(.nbufs = 1, .len = 1, .before = BEFORE_RING),
	 .detail = "the group is a buffer ring"},
	{"legacy.remove_none", "remove 0 buffers", REMOVE(.nbufs = 0, .before = BEFORE_LEGACY)},
	{"legacy.remove_more", "remove more than are there",
	 REMOVE(.nbufs = 2, .before = BEFORE_LEGACY)},
	{"legacy.remove_unknown", "remove: unknown group", REMOVE(.nbufs = 1),
	 .detail = "no group has this id"},
	{"legacy.remove_from_ring", "remove from a buffer ring",
	 REMOVE(.nbufs = 1, .before = BEFORE_RING), .detail = "the group is a buffer ring"},
};

const struct limits_section limits_legacy_section = {
	.name = "legacy",
	.title = "legacy groups (PROVIDE_BUFFERS)",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

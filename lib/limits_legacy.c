// SPDX-License-Identifier: MIT
/* How many buffers does a legacy group (PROVIDE_BUFFERS) take, by one request and in all? */
#include <errno.h>
#include <stdio.h>

#include "limits_call.h"
#include "limits_search.h"
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
	return b->memory ? limits_ring_open(&b->ring) : -errno;
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

static const struct limits_probe probes[] = {
	{"legacy.max_buffers", "buffers in one group", "buffers", ask_held},
	{"legacy.max_per_call", "buffers by one request", "buffers", ask_per_call},
};

const struct limits_section limits_legacy_section = {
	.name = "legacy",
	.title = "legacy groups (PROVIDE_BUFFERS)",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

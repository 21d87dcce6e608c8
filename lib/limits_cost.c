// SPDX-License-Identifier: MIT
/* What does a registration cost, in time and in kernel memory, as it grows to its limit? */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "limits_call.h"
#include "limits_table.h"

#define MAX_REPEATS 201

struct cost_case {
	uint16_t flags; /* of a buffer ring */
	size_t bytes;   /* of a fixed buffer; 0: `at` is the size */
	uint64_t first; /* where the curve begins */
	uint64_t last;  /* where it ends if nothing refuses before */
};

struct bench {
	struct io_uring ring;
	const struct cost_case *shape;
	void *memory;
	struct iovec *iov;
};

/* A registration that can be put up and taken down again. */
struct cost_trial {
	int (*enter)(struct bench *b, uint64_t at);
	int (*leave)(struct bench *b);
};

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), compare_u64);
	return values[nr / 2];
}

static int measure_point(struct bench *b, const struct cost_trial *trial,
			 const struct limits_env *env, struct limits_point *point)
{
	static const size_t repeats[] = {9, 51, MAX_REPEATS};
	static const uint64_t most_ns[] = {20000000, 100000000, 1000000000};
	uint64_t in[MAX_REPEATS], out[MAX_REPEATS];
	uint64_t deadline = limits_now_ns() + most_ns[env->level];
	size_t nr = 0;

	do {
		uint64_t t0 = limits_now_ns(), t1;
		int err = trial->enter(b, point->at);

		if (err)
			return err;
		t1 = limits_now_ns();
		err = trial->leave(b);
		if (err)
			return err;
		in[nr] = t1 - t0;
		out[nr] = limits_now_ns() - t1;
		nr++;
	} while (nr < repeats[env->level] && (nr < 3 || limits_now_ns() < deadline));
	point->register_ns = median(in, nr);
	point->unregister_ns = median(out, nr);
	return 0;
}

static void measure_curve(struct bench *b, const struct cost_trial *trial,
			  const struct limits_env *env, struct limits_answer *answer)
{
	unsigned int shift = env->level == LIMITS_QUICK ? 3 : 1;

	answer->how = LIMITS_MEASURED;
	for (uint64_t at = b->shape->first;
	     at <= b->shape->last && answer->nr_points < LIMITS_MAX_POINTS; at <<= shift) {
		struct limits_point *point = &answer->points[answer->nr_points];
		int err;

		point->at = at;
		err = measure_point(b, trial, env, point);
		if (err) {
			answer->errno_past = -err;
			break;
		}
		answer->nr_points++;
	}
	if (answer->nr_points == 0)
		answer->how = LIMITS_UNSUPPORTED;
}

static int enter_group(struct bench *b, uint64_t entries)
{
	const struct bs_buf_reg reg = {
		.ring_addr = b->shape->flags & IOU_PBUF_RING_MMAP ? 0 : (uintptr_t)b->memory,
		.ring_entries = (uint32_t)entries,
		.flags = b->shape->flags,
	};

	return limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

static int leave_group(struct bench *b)
{
	return limits_unregister_group(b->ring.ring_fd, 0);
}

static int ask_group_cost(const struct limits_env *env, struct limits_answer *answer)
{
	static const struct cost_trial trial = {enter_group, leave_group};
	struct bench b = {.shape = env->arg};
	int err;

	b.memory = limits_map_filled(b.shape->last * sizeof(struct io_uring_buf), false);
	err = b.memory ? limits_ring_open(&b.ring) : -errno;
	if (!err)
		measure_curve(&b, &trial, env, answer);
	return err;
}

static int enter_table(struct bench *b, uint64_t at)
{
	uint64_t nr = b->shape->bytes ? at : 1;

	for (uint64_t i = 0; i < nr; i++)
		b->iov[i] = (struct iovec){b->memory, b->shape->bytes ? b->shape->bytes : at};
	return limits_register(b->ring.ring_fd, IORING_REGISTER_BUFFERS, b->iov, (unsigned int)nr);
}

static int leave_table(struct bench *b)
{
	return limits_register(b->ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

static int ask_table_cost(const struct limits_env *env, struct limits_answer *answer)
{
	static const struct cost_trial trial = {enter_table, leave_table};
	struct bench b = {.shape = env->arg};
	size_t bytes = b.shape->bytes ? b.shape->bytes : b.shape->last;
	int err;

	b.memory = limits_map_filled(bytes, false);
	b.iov = calloc(b.shape->bytes ? b.shape->last : 1, sizeof(*b.iov));
	if (!b.memory || !b.iov)
		return -ENOMEM;
	err = limits_ring_open(&b.ring);
	if (!err)
		measure_curve(&b, &trial, env, answer);
	return err;
}

#define CASE(...)                                                                                  \
	&(const struct cost_case)                                                                  \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct limits_probe probes[] = {
	{"cost.pbuf_ring", "buffer ring, user memory", "entries", ask_group_cost,
	 CASE(.first = 1, .last = 65536), true},
	{"cost.pbuf_ring_mmap", "buffer ring, kernel memory", "entries", ask_group_cost,
	 CASE(.flags = IOU_PBUF_RING_MMAP, .first = 1, .last = 65536), true},
	{"cost.fixed_count", "table of 4 KiB buffers", "buffers", ask_table_cost,
	 CASE(.bytes = 4096, .first = 1, .last = 32768), true},
	{"cost.fixed_bytes", "one fixed buffer, 4 KiB pages", "bytes", ask_table_cost,
	 CASE(.first = 4096, .last = 2 << 20), true},
};

const struct limits_section limits_cost_section = {
	.name = "cost",
	.title = "what a registration costs",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

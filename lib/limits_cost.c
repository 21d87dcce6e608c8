// SPDX-License-Identifier: MIT
/* What does a registration cost as it grows to its limit? */
#include <errno.h>
#include <sys/uio.h>

#include "limits_kernel.h"
#include "limits_measure.h"
#include "limits_table.h"

#define MOST_ENTRIES 65536
#define MOST_BUFFERS 32768
#define MOST_BYTES   (2U << 20)
#define BUFFER_BYTES 4096

struct bench {
	struct io_uring ring;
	uint16_t flags; /* of buffer rings */
	char *memory;
	struct iovec *iov;
};

static int put_up_group(void *ctx, uint64_t entries)
{
	struct bench *b = ctx;
	const struct bs_buf_reg reg = {
		.ring_addr = b->flags & IOU_PBUF_RING_MMAP ? 0 : (uintptr_t)b->memory,
		.ring_entries = (uint32_t)entries,
		.flags = b->flags,
	};

	return limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

static int take_down_group(void *ctx)
{
	struct bench *b = ctx;

	return limits_unregister_group(b->ring.ring_fd, 0);
}

static int ask_group(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b = {.flags = *(const uint16_t *)env->arg};
	const struct limits_trial trial = {put_up_group, take_down_group, &b, 1, MOST_ENTRIES};
	int err;

	b.memory = limits_map_filled(MOST_ENTRIES * sizeof(struct io_uring_buf), false);
	err = b.memory ? limits_ring_open(&b.ring) : -ENOMEM;
	if (!err)
		limits_measure_curve(&trial, env->level, answer);
	return err;
}

static int register_table(struct bench *b, unsigned int nr)
{
	return limits_register(b->ring.ring_fd, IORING_REGISTER_BUFFERS, b->iov, nr);
}

static int take_down_table(void *ctx)
{
	struct bench *b = ctx;

	return limits_register(b->ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

static int put_up_count(void *ctx, uint64_t nr)
{
	return register_table(ctx, (unsigned int)nr);
}

static int ask_count(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b = {
		.memory = limits_map_filled(BUFFER_BYTES, false),
		.iov = limits_map(MOST_BUFFERS * sizeof(*b.iov)),
	};
	const struct limits_trial trial = {put_up_count, take_down_table, &b, 1, MOST_BUFFERS};
	int err;

	if (!b.memory || !b.iov)
		return -ENOMEM;
	for (size_t i = 0; i < MOST_BUFFERS; i++)
		b.iov[i] = (struct iovec){b.memory, BUFFER_BYTES};
	err = limits_ring_open(&b.ring);
	if (!err)
		limits_measure_curve(&trial, env->level, answer);
	return err;
}

static int put_up_bytes(void *ctx, uint64_t bytes)
{
	struct bench *b = ctx;

	b->iov->iov_len = bytes;
	return register_table(b, 1);
}

static int ask_bytes(const struct limits_env *env, struct limits_answer *answer)
{
	char *memory = limits_map_filled(MOST_BYTES, false);
	struct iovec iov = {.iov_base = memory};
	struct bench b = {.iov = &iov};
	const struct limits_trial trial = {
		put_up_bytes, take_down_table, &b, limits_page_size(), MOST_BYTES,
	};
	int err = memory ? limits_ring_open(&b.ring) : -ENOMEM;

	if (!err)
		limits_measure_curve(&trial, env->level, answer);
	return err;
}

static const uint16_t user = 0;
static const uint16_t kernel = IOU_PBUF_RING_MMAP;

#define COLUMNS                                                                                    \
	{                                                                                          \
		"register_ns", "unregister_ns"                                                     \
	}

static const struct limits_probe probes[] = {
	{"cost.pbuf_ring", "buffer ring", "entries", ask_group, &user, .columns = COLUMNS},
	{"cost.pbuf_ring_mmap", "buffer ring, mmap", "entries", ask_group, &kernel,
	 .columns = COLUMNS},
	{"cost.fixed_count", "table of 4 KiB buffers", "buffers", ask_count, .columns = COLUMNS},
	{"cost.fixed_bytes", "one fixed buffer", "bytes", ask_bytes, .columns = COLUMNS},
};

const struct limits_section limits_cost_section = {
	.name = "cost",
	.title = "what a registration costs",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

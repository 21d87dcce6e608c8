// SPDX-License-Identifier: MIT
/* How many registered (fixed) buffers does a ring take, and how large may one be? */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "limits_call.h"
#include "limits_search.h"
#include "limits_table.h"

#define MAX_COUNT   (1U << 20)
#define PATCH_BYTES (16U << 20)

struct bench {
	struct io_uring ring;
	char *memory;
	struct iovec buffer; /* what every slot holds */
};

static int bench_open(struct bench *b, size_t bytes)
{
	*b = (struct bench){.memory = limits_map(bytes)};
	return b->memory ? limits_ring_open(&b->ring) : -errno;
}

static int try_table(struct bench *b, const struct iovec *iov, uint64_t nr)
{
	int err = limits_register(b->ring.ring_fd, IORING_REGISTER_BUFFERS, iov, (unsigned int)nr);

	return err ? err : limits_register(b->ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

static int try_count(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;
	struct iovec *iov = calloc(nr, sizeof(*iov));
	int err;

	if (!iov)
		return -ENOMEM;
	for (uint64_t i = 0; i < nr; i++)
		iov[i] = b->buffer;
	err = try_table(b, iov, nr);
	free(iov);
	return err;
}

static int ask_table(struct bench *b, struct limits_answer *answer)
{
	struct limits_search search = {
		.try_value = try_count,
		.ctx = b,
		.first = 1,
		.last = MAX_COUNT,
		.last_by = LIMITS_BY_PROBE,
	};

	limits_answer_edge(&search, answer);
	return 0;
}

static int ask_count(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	int err = bench_open(&b, limits_page_size());

	(void)env;
	b.buffer = (struct iovec){b.memory, limits_page_size()};
	return err ? err : ask_table(&b, answer);
}

/* Empty slots cost no memory and no memlock: only the kernel's own limit shows. */
static int ask_slots(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	int err = bench_open(&b, limits_page_size());

	(void)env;
	return err ? err : ask_table(&b, answer);
}

static int try_bytes(void *ctx, uint64_t bytes)
{
	struct bench *b = ctx;
	const struct iovec iov = {b->memory, bytes};

	return try_table(b, &iov, 1);
}

/*
 * A large address range over little memory: the same pages again and again. What the kernel
 * needs to pin it is real: page table, page array, about 32 bytes a page.
 */
static int map_patchwork(char *at, uint64_t bytes)
{
	int fd = memfd_create("bufscope", MFD_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, PATCH_BYTES) < 0)
		err = -errno;
	for (uint64_t done = 0; done < bytes && !err; done += PATCH_BYTES) {
		if (mmap(at + done, PATCH_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 0) == MAP_FAILED)
			err = -errno;
	}
	close(fd);
	return err;
}

static int ask_bytes(const struct limits_env *env, struct limits_answer *answer)
{
	static const uint64_t most[] = {
		[LIMITS_QUICK] = 2ULL << 30,
		[LIMITS_DEFAULT] = 4ULL << 30,
		[LIMITS_FULL] = 32ULL << 30,
	};
	uint64_t affordable = env->max_bytes / 32 * limits_page_size() / PATCH_BYTES * PATCH_BYTES;
	uint64_t last = affordable < most[env->level] ? affordable : most[env->level];
	struct bench b;
	struct limits_search search = {
		.try_value = try_bytes,
		.ctx = &b,
		.first = 1,
		.last = last,
		.last_by = last == affordable ? LIMITS_BY_BUDGET : LIMITS_BY_PROBE,
	};
	int err = bench_open(&b, last);

	if (!err)
		err = map_patchwork(b.memory, last);
	if (!err)
		limits_answer_edge(&search, answer);
	return err;
}

static const struct limits_probe probes[] = {
	{"fixed.max_count", "buffers of one page", "buffers", ask_count},
	{"fixed.max_slots", "slots of a sparse table", "slots", ask_slots},
	{"fixed.max_bytes", "largest buffer", "bytes", ask_bytes},
};

const struct limits_section limits_fixed_section = {
	.name = "fixed",
	.title = "registered (fixed) buffers",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

// SPDX-License-Identifier: MIT
/* What may be registered as a buffer ring, in each kind of memory, and what is refused how? */
#include <errno.h>
#include <sys/mman.h>

#include "limits_call.h"
#include "limits_search.h"
#include "limits_table.h"

#define MAX_GROUPS 65536 /* all values of the 16-bit group id */

struct kind {
	uint16_t flags;
};

static const struct kind user = {0};
static const struct kind kernel = {IOU_PBUF_RING_MMAP};
static const struct kind incremental = {IOU_PBUF_RING_INC};

/* What a trial works on. */
struct bench {
	struct io_uring ring;
	const struct kind *kind;
	void *memory; /* one page, may serve any number of one-page rings */
};

static int bench_open(struct bench *b, const struct limits_env *env)
{
	b->kind = env->arg;
	b->memory = limits_map(limits_page_size());
	return b->memory ? limits_ring_open(&b->ring) : -errno;
}

static bool in_kernel(const struct kind *kind)
{
	return kind->flags & IOU_PBUF_RING_MMAP;
}

static struct bs_buf_reg smallest(const struct bench *b)
{
	return (struct bs_buf_reg){
		.ring_addr = in_kernel(b->kind) ? 0 : (uintptr_t)b->memory,
		.ring_entries = 1,
		.flags = b->kind->flags,
	};
}

static int try_entries(void *ctx, uint64_t entries)
{
	size_t bytes = entries * sizeof(struct io_uring_buf);
	struct bench *b = ctx;
	struct bs_buf_reg reg = smallest(b);
	void *memory = NULL;
	int err;

	if (!in_kernel(b->kind)) {
		memory = limits_map(bytes);
		if (!memory)
			return -errno;
	}
	reg.ring_addr = (uintptr_t)memory;
	reg.ring_entries = (uint32_t)entries;
	err = limits_try_group(b->ring.ring_fd, &reg);
	if (memory)
		munmap(memory, bytes);
	return err;
}

static int ask_entries(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	struct limits_search search = {
		.try_value = try_entries,
		.ctx = &b,
		.first = 1,
		.last = 1ULL << 31,
		.last_by = LIMITS_BY_ABI,
		.powers = true,
	};
	int err = bench_open(&b, env);

	if (!err)
		limits_answer_edge(&search, answer);
	return err;
}

static int try_groups(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;
	struct bs_buf_reg reg = smallest(b);
	uint64_t done;
	int err = 0;

	for (done = 0; done < nr; done++) {
		reg.bgid = (uint16_t)done;
		err = limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
		if (err)
			break;
	}
	while (done-- > 0)
		limits_unregister_group(b->ring.ring_fd, (unsigned int)done);
	return err;
}

static int ask_groups(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	struct limits_search search = {
		.try_value = try_groups,
		.ctx = &b,
		.first = 1,
		.last = MAX_GROUPS,
		.last_by = LIMITS_BY_ABI,
		.top_first = true,
	};
	int err = bench_open(&b, env);

	if (err)
		return err;
	if (in_kernel(b.kind) && env->max_bytes < MAX_GROUPS * limits_page_size()) {
		search.last = env->max_bytes / limits_page_size();
		search.last_by = LIMITS_BY_BUDGET;
	}
	limits_answer_edge(&search, answer);
	return 0;
}

static int try_mapping(void *ctx, uint64_t bgid)
{
	struct bench *b = ctx;
	struct bs_buf_reg reg = smallest(b);
	void *memory;
	int err;

	reg.bgid = (uint16_t)bgid;
	err = limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	if (err)
		return err;
	memory = mmap(NULL, limits_page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, b->ring.ring_fd,
		      (off_t)(BS_OFF_PBUF_RING | bgid << BS_OFF_PBUF_RING_SHIFT));
	err = memory == MAP_FAILED ? -errno : 0;
	if (!err)
		munmap(memory, limits_page_size());
	limits_unregister_group(b->ring.ring_fd, reg.bgid);
	return err;
}

static int ask_mapping(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	struct limits_search search = {
		.try_value = try_mapping,
		.ctx = &b,
		.last = MAX_GROUPS - 1,
		.last_by = LIMITS_BY_ABI,
	};
	int err = bench_open(&b, env);

	if (!err)
		limits_answer_edge(&search, answer);
	/* The errno of a mapping past the edge tells nothing of memory. */
	if (!err && answer->has_value && answer->errno_past)
		answer->bound_by = LIMITS_BY_KERNEL;
	return err;
}

static int try_min_left(void *ctx, uint64_t bytes)
{
	struct bench *b = ctx;
	struct bs_buf_reg reg = smallest(b);

	reg.min_left = (uint32_t)bytes;
	return limits_try_group(b->ring.ring_fd, &reg);
}

static int ask_min_left(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	struct limits_search search = {
		.try_value = try_min_left,
		.ctx = &b,
		.first = 1,
		.last = UINT32_MAX,
		.last_by = LIMITS_BY_ABI,
		.top_first = true,
	};
	int err = bench_open(&b, env);

	if (!err)
		limits_answer_edge(&search, answer);
	return err;
}

enum memory { MEMORY_GOOD, MEMORY_NULL, MEMORY_MISALIGNED, MEMORY_UNMAPPED, MEMORY_READ_ONLY };

/* One registration that is valid but for what is set here. */
struct violation {
	struct bs_buf_reg reg; /* entries 0 stand for 1 unless zero_entries */
	enum memory memory;
	bool zero_entries;
	bool twice; /* register the same group before */
};

static int place_ring(enum memory memory, uint64_t *addr)
{
	size_t page = limits_page_size();
	char *good = limits_map(2 * page);

	if (!good)
		return -errno;
	*addr = (uintptr_t)good;
	switch (memory) {
	case MEMORY_GOOD:
		return 0;
	case MEMORY_NULL:
		*addr = 0;
		return 0;
	case MEMORY_MISALIGNED:
		*addr += sizeof(struct io_uring_buf);
		return 0;
	case MEMORY_UNMAPPED:
		return munmap(good, 2 * page) < 0 ? -errno : 0;
	case MEMORY_READ_ONLY:
		return mprotect(good, 2 * page, PROT_READ) < 0 ? -errno : 0;
	}
	return -EINVAL;
}

static int ask_violation(const struct limits_env *env, struct limits_answer *answer)
{
	const struct violation *v = env->arg;
	struct bs_buf_reg reg = v->reg;
	struct io_uring ring;
	int err = limits_ring_open(&ring);

	if (!err)
		err = place_ring(v->memory, &reg.ring_addr);
	if (err)
		return err;
	if (reg.ring_entries == 0 && !v->zero_entries)
		reg.ring_entries = 1;
	if (v->twice) {
		err = limits_register(ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
		if (err)
			return err;
	}
	err = limits_register(ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	answer->how = LIMITS_TRIED;
	answer->errno_past = -err;
	answer->verdict = err ? LIMITS_REFUSED : LIMITS_ACCEPTED;
	answer->bound_by = err ? LIMITS_BY_KERNEL : LIMITS_BY_UNKNOWN;
	return 0;
}

#define VIOLATION(...)                                                                             \
	&(const struct violation)                                                                  \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct limits_probe probes[] = {
	{"pbuf_ring.max_entries", "largest ring, user memory", "entries", ask_entries, &user},
	{"pbuf_ring_mmap.max_entries", "largest ring, kernel memory", "entries", ask_entries,
	 &kernel},
	{"pbuf_ring_inc.max_entries", "largest ring, incremental", "entries", ask_entries,
	 &incremental},
	{"pbuf_ring.max_groups", "groups, user memory", "groups", ask_groups, &user},
	{"pbuf_ring_mmap.max_groups", "groups, kernel memory", "groups", ask_groups, &kernel},
	{"pbuf_ring_mmap.max_bgid", "highest bgid mapped", "bgid", ask_mapping, &kernel},
	{"pbuf_ring_inc.max_min_left", "largest min_left", "bytes", ask_min_left, &incremental},
	{"pbuf_ring.zero_entries", "0 entries", NULL, ask_violation,
	 VIOLATION(.zero_entries = true)},
	{"pbuf_ring.not_power_of_two", "3 entries (no power of two)", NULL, ask_violation,
	 VIOLATION(.reg.ring_entries = 3)},
	{"pbuf_ring.null_address", "address NULL", NULL, ask_violation,
	 VIOLATION(.memory = MEMORY_NULL)},
	{"pbuf_ring.misaligned", "address not page aligned", NULL, ask_violation,
	 VIOLATION(.memory = MEMORY_MISALIGNED)},
	{"pbuf_ring.unmapped", "address not mapped", NULL, ask_violation,
	 VIOLATION(.memory = MEMORY_UNMAPPED)},
	{"pbuf_ring.read_only", "memory read-only", NULL, ask_violation,
	 VIOLATION(.memory = MEMORY_READ_ONLY)},
	{"pbuf_ring.unknown_flags", "an unknown flag (0x8000)", NULL, ask_violation,
	 VIOLATION(.reg.flags = 0x8000)},
	{"pbuf_ring.reserved", "a reserved word set", NULL, ask_violation,
	 VIOLATION(.reg.resv = {[4] = 1})},
	{"pbuf_ring.bgid_in_use", "group id already in use", NULL, ask_violation,
	 VIOLATION(.twice = true)},
	{"pbuf_ring_mmap.address_given", "mmap kind, address given", NULL, ask_violation,
	 VIOLATION(.reg.flags = IOU_PBUF_RING_MMAP)},
	{"pbuf_ring.min_left_without_inc", "min_left, not incremental", NULL, ask_violation,
	 VIOLATION(.reg.min_left = 1)},
};

const struct limits_section limits_ring_section = {
	.name = "pbuf_ring",
	.title = "buffer rings",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

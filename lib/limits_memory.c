// SPDX-License-Identifier: MIT
/*
 * How much kernel memory does one object take? Two counters are read before and after very many
 * of them: the system's slab memory, and what the control group of this process is charged.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "limits_kernel.h"
#include "limits_measure.h"
#include "limits_table.h"

#define ROUNDS 3
#define FEWEST 1000 /* objects that stand out from what everybody else does */

/* Counted so many times, or with has_ none. */
struct counters {
	uint64_t slab;
	uint64_t cgroup;
};

struct memory_case {
	/* Puts up the i-th; 0 or -errno. */
	int (*put_up)(void *bench, unsigned int i);
	unsigned int most;
	size_t buf_bytes;        /* memory of a registered buffer */
	unsigned int more_bytes; /* that one takes for sure, besides what is small */
	bool huge;
};

struct bench {
	const struct memory_case *shape;
	unsigned int most; /* shape's, as far as the budget goes */
	struct io_uring ring;
	char *memory;
	char cgroup[320]; /* file to read; empty: there is none */
	const char *label;
};

/* ---- counters */

/* The number behind `label` at the beginning of a line, or the whole file's if it is empty. */
static bool read_number(const char *path, const char *label, uint64_t *out)
{
	size_t len = strlen(label);
	char line[160];
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, label, len) == 0)
			found = sscanf(line + len, "%lu", out) == 1;
	}
	fclose(f);
	return found;
}

/* Where the control group of this process tells the kernel memory that it is charged. */
static void find_cgroup(struct bench *b)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[256];
	uint64_t number;

	b->cgroup[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char *path = strrchr(line, ':');

		if (!path)
			continue;
		path[strcspn(path, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0) {
			snprintf(b->cgroup, sizeof(b->cgroup), "/sys/fs/cgroup%s/memory.stat",
				 path + 1);
			b->label = "kernel ";
		} else if (strstr(line, ":memory:")) {
			snprintf(b->cgroup, sizeof(b->cgroup),
				 "/sys/fs/cgroup/memory%s/memory.kmem.usage_in_bytes", path + 1);
			b->label = "";
		} else {
			continue;
		}
		if (read_number(b->cgroup, b->label, &number))
			break;
		b->cgroup[0] = '\0';
	}
	if (f)
		fclose(f);
}

static struct counters read_counters(const struct bench *b)
{
	struct counters now = {0};

	if (read_number("/proc/meminfo", "SUnreclaim:", &now.slab))
		now.slab *= 1024;
	if (b->cgroup[0])
		read_number(b->cgroup, b->label, &now.cgroup);
	return now;
}

/* ---- the objects */

static int put_up_group(void *ctx, unsigned int i)
{
	struct bench *b = ctx;
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)b->memory,
		.ring_entries = 1,
		.bgid = (uint16_t)i,
	};

	return limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

/* A table of empty slots stands before the first. */
static int put_up_buffer(void *ctx, unsigned int i)
{
	struct bench *b = ctx;
	const struct iovec iov = {b->memory, b->shape->buf_bytes};
	const struct io_uring_rsrc_update2 update = {
		.offset = i,
		.data = (uintptr_t)&iov,
		.nr = 1,
	};
	int done = limits_register(b->ring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE, &update,
				   sizeof(update));

	return done < 0 ? done : 0;
}

static int put_up_legacy(void *ctx, unsigned int i)
{
	enum { AT_ONCE = 64 };
	struct bench *b = ctx;
	int res;

	if (i % AT_ONCE)
		return 0;
	io_uring_prep_provide_buffers(io_uring_get_sqe(&b->ring), b->memory, 1, AT_ONCE, 1, (int)i);
	res = limits_do_one(&b->ring);
	return res < 0 ? res : 0;
}

static int put_up_slots(void *ctx, unsigned int i)
{
	struct bench *b = ctx;
	const struct io_uring_rsrc_register reg = {
		.nr = b->shape->most,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};

	if (i)
		return 0;
	return limits_register(b->ring.ring_fd, IORING_REGISTER_BUFFERS2, &reg, sizeof(reg));
}

/* Closed with the process. */
static int put_up_ring(void *ctx, unsigned int i)
{
	struct io_uring_params params = {0};
	int fd = limits_setup(64, &params);

	(void)ctx;
	(void)i;
	return fd < 0 ? fd : 0;
}

/* ---- measuring */

static void *place(const struct memory_case *c)
{
	const size_t huge = 2U << 20;
	size_t bytes = c->buf_bytes ? c->buf_bytes : limits_page_size();
	char *memory = limits_map(bytes + huge);

	if (!memory)
		return NULL;
	memory += huge - (uintptr_t)memory % huge;
	limits_fill(memory, bytes, c->huge);
	return memory;
}

static int prepare(struct bench *b)
{
	int err = limits_ring_open(&b->ring);
	struct memory_case slots = {.most = 16384};
	struct bench table = {.shape = &slots};

	if (err || b->shape->put_up != put_up_buffer)
		return err;
	table.ring = b->ring;
	return put_up_slots(&table, 0);
}

/* How many were put up; what one of them takes. */
static unsigned int measure_round(struct bench *b, struct counters *each)
{
	struct counters before = read_counters(b), after;
	unsigned int nr = 0;

	while (nr < b->most && b->shape->put_up(b, nr) == 0)
		nr++;
	after = read_counters(b);
	*each = (struct counters){0};
	if (nr && after.slab > before.slab)
		each->slab = (after.slab - before.slab) / nr;
	if (nr && after.cgroup > before.cgroup)
		each->cgroup = (after.cgroup - before.cgroup) / nr;
	return nr;
}

/* As many as the budget allows, by a guess that is rather too high. */
static unsigned int bound_most(const struct memory_case *c, uint64_t max_bytes)
{
	uint64_t each = 1100 + c->more_bytes + c->buf_bytes / limits_page_size() * 16;

	return c->most < max_bytes / each ? c->most : (unsigned int)(max_bytes / each);
}

static int measure(struct bench *b, struct counters *each, unsigned int *nr)
{
	uint64_t slab[ROUNDS], cgroup[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		int err = prepare(b);

		if (err)
			return err;
		*nr = measure_round(b, each);
		slab[round] = each->slab;
		cgroup[round] = each->cgroup;
		io_uring_queue_exit(&b->ring);
		for (int i = 0; i < 3; i++)
			limits_settle();
	}
	each->slab = limits_median(slab, ROUNDS);
	each->cgroup = limits_median(cgroup, ROUNDS);
	return 0;
}

/*
 * The control group's counter sees pages and large tables, too, and others of the group only; the
 * system's moves with everybody.
 */
static int ask_memory(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b = {.shape = env->arg, .ring.ring_fd = -1};
	struct counters each = {0};
	unsigned int nr = 0;
	int err;

	b.most = bound_most(b.shape, env->max_bytes);
	b.memory = place(b.shape);
	find_cgroup(&b);
	err = b.memory ? measure(&b, &each, &nr) : -ENOMEM;
	if (err)
		return err;
	if (nr < FEWEST && nr < b.shape->most) {
		snprintf(answer->note, sizeof(answer->note),
			 "only %u could be had; too few to show in the counters", nr);
		return -ENOMEM;
	}
	answer->how = LIMITS_MEASURED;
	answer->value = each.cgroup ? each.cgroup : each.slab;
	answer->has_value = answer->value > 0;
	if (each.cgroup)
		snprintf(answer->note, sizeof(answer->note),
			 "by the control group's counter; %llu by slab; over %u of them",
			 (unsigned long long)each.slab, nr);
	else
		snprintf(answer->note, sizeof(answer->note), "by slab; over %u of them", nr);
	return 0;
}

#define OBJECT(function, nr, ...)                                                                  \
	.ask = ask_memory, .weight = 400, .level = LIMITS_DEFAULT,                                 \
	.arg = &(const struct memory_case)                                                         \
	{                                                                                          \
		.put_up = (function), .most = (nr), __VA_ARGS__                                    \
	}

static const struct limits_probe probes[] = {
	{"memory.pbuf_ring", "a group, besides its ring", "bytes", OBJECT(put_up_group, 65536)},
	{"memory.fixed_4k", "a fixed buffer of 4K", "bytes",
	 OBJECT(put_up_buffer, 16384, .buf_bytes = 4096)},
	{"memory.fixed_64k", "a fixed buffer of 64K", "bytes",
	 OBJECT(put_up_buffer, 16384, .buf_bytes = 65536)},
	{"memory.fixed_1m", "a fixed buffer of 1M", "bytes",
	 OBJECT(put_up_buffer, 2048, .buf_bytes = 1 << 20)},
	{"memory.fixed_2m_thp", "a fixed huge page of 2M", "bytes",
	 OBJECT(put_up_buffer, 2048, .buf_bytes = 2 << 20, .huge = true)},
	{"memory.fixed_slot", "an empty slot of a table", "bytes", OBJECT(put_up_slots, 16384)},
	{"memory.legacy", "a legacy buffer", "bytes", OBJECT(put_up_legacy, 65536)},
	{"memory.ring", "a ring of 64 entries", "bytes",
	 OBJECT(put_up_ring, 256, .more_bytes = 32768)},
};

const struct limits_section limits_memory_section = {
	.name = "memory",
	.title = "kernel memory of one object",
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.measures = true,
};

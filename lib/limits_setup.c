// SPDX-License-Identifier: MIT
/* How large may a ring be, how many may there be, and which flags does io_uring_setup() take? */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "limits_kernel.h"
#include "limits_search.h"
#include "limits_table.h"
#include "limits_target.h"

/* What a small ring was seen to take in the kernel, at most: bounds how many a run opens. */
#define RING_BYTES (32U << 10)

#define CLOSED_FD 1000000

static int try_setup(unsigned int entries, struct io_uring_params params)
{
	int fd = limits_setup(entries, &params);

	/* The rings tried before this one may still be charged. */
	if (fd == -ENOMEM) {
		limits_settle();
		fd = limits_setup(entries, &params);
	}
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int try_sq_entries(void *ctx, uint64_t entries)
{
	(void)ctx;
	return try_setup((unsigned int)entries, (struct io_uring_params){0});
}

static int try_cq_entries(void *ctx, uint64_t entries)
{
	(void)ctx;
	return try_setup(1, (struct io_uring_params){
				    .flags = IORING_SETUP_CQSIZE,
				    .cq_entries = (uint32_t)entries,
			    });
}

static int ask_size(const struct limits_env *env, struct limits_answer *answer)
{
	int (*const *try_value)(void *ctx, uint64_t value) = env->arg;
	const struct limits_search search = {
		.try_value = *try_value,
		.first = 1,
		.last = UINT32_MAX,
		.last_by = LIMITS_BY_ABI,
	};

	limits_answer_edge(&search, answer);
	return 0;
}

/*
 * One by one until refused: rings are given back late, so that opening them again and again to
 * find the edge would only measure that.
 */
static int ask_rings(const struct limits_env *env, struct limits_answer *answer)
{
	static const uint64_t most[] = {[LIMITS_DEFAULT] = 2048, [LIMITS_FULL] = 65536};
	uint64_t affordable = env->max_bytes / RING_BYTES;
	uint64_t last = affordable < most[env->level] ? affordable : most[env->level];
	struct limits_edge edge = {.any = true, .value = 1};
	struct limits_search search = {
		.try_value = try_sq_entries,
		.last_by = last == affordable ? LIMITS_BY_BUDGET : LIMITS_BY_PROBE,
	};
	int fd = 0, last_fd = -1;

	for (answer->value = 0; answer->value < last; answer->value++) {
		struct io_uring_params params = {0};

		fd = limits_setup(1, &params);
		if (fd < 0)
			break;
		last_fd = fd;
	}
	answer->how = LIMITS_TRIED;
	answer->has_value = true;
	edge.err = fd < 0 ? fd : 0;
	answer->errno_past = -edge.err;
	close(last_fd); /* room for the one by which memlock is told from memory */
	answer->bound_by = limits_blame(&search, &edge);
	return 0;
}

static int ask_flags(const struct limits_env *env, struct limits_answer *answer)
{
	/* What some flags need beside them. */
	static const uint32_t beside[] = {
		0,
		IORING_SETUP_SQPOLL,
		IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_IOPOLL,
		IORING_SETUP_NO_MMAP,
		IORING_SETUP_NO_SQARRAY,
	};

	(void)env;
	for (unsigned int bit = 0; bit < 32; bit++) {
		for (size_t i = 0; i < LIMITS_NR(beside); i++) {
			int err = try_setup(1, (struct io_uring_params){
						       .flags = 1U << bit | beside[i],
						       .cq_entries = 2,
						       .wq_fd = CLOSED_FD,
					       });

			/* Of a flag it does not know the kernel says EINVAL. */
			if (err != -EINVAL)
				answer->value |= 1U << bit;
		}
	}
	answer->has_value = true;
	answer->how = LIMITS_TRIED;
	return 0;
}

static int ask_features(const struct limits_env *env, struct limits_answer *answer)
{
	struct io_uring_params params = {0};
	int fd = limits_setup(1, &params);

	(void)env;
	if (fd < 0)
		return fd;
	answer->value = params.features;
	answer->has_value = true;
	answer->how = LIMITS_TRIED;
	return 0;
}

/* Opcodes that the kernel does not know are refused before it looks at the fd. */
static int ask_register_opcodes(const struct limits_env *env, struct limits_answer *answer)
{
	const struct limits_call call = {.target = TARGET_CLOSED_FD};
	struct io_uring ring;
	int err = limits_ring_open(&ring);

	(void)env;
	if (err)
		return err;
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		struct limits_call one = call;

		one.opcode = opcode;
		err = limits_target_call(&one, &ring);
		if (err == -EINVAL)
			break;
		answer->value = opcode + 1;
	}
	answer->has_value = true;
	answer->how = LIMITS_TRIED;
	answer->errno_past = EINVAL;
	answer->bound_by = LIMITS_BY_KERNEL;
	return 0;
}

static int ask_request_opcodes(const struct limits_env *env, struct limits_answer *answer)
{
	struct io_uring_probe *probe = calloc(1, sizeof(*probe) + 256 * sizeof(probe->ops[0]));
	struct io_uring ring;
	int err = limits_ring_open(&ring);

	(void)env;
	if (!probe || err) {
		free(probe);
		return err ? err : -ENOMEM;
	}
	err = limits_register(ring.ring_fd, IORING_REGISTER_PROBE, probe, 256);
	if (!err) {
		answer->value = probe->last_op + 1U;
		answer->has_value = true;
		answer->how = LIMITS_TRIED;
	}
	free(probe);
	return err;
}

static int try_ring_fds(void *ctx, uint64_t nr)
{
	struct io_uring *ring = ctx;
	struct io_uring_rsrc_update *updates = calloc(nr, sizeof(*updates));
	int done;

	if (!updates)
		return -ENOMEM;
	for (uint64_t i = 0; i < nr; i++)
		updates[i] = (struct io_uring_rsrc_update){
			.offset = UINT32_MAX,
			.data = (uint64_t)ring->ring_fd,
		};
	done = limits_register(ring->ring_fd, IORING_REGISTER_RING_FDS, updates, (unsigned int)nr);
	for (int i = 0; i < done; i++)
		updates[i].data = 0;
	if (done > 0)
		limits_register(ring->ring_fd, IORING_UNREGISTER_RING_FDS, updates,
				(unsigned int)done);
	free(updates);
	if (done < 0)
		return done;
	return (uint64_t)done == nr ? 0 : -EBUSY;
}

static int ask_ring_fds(const struct limits_env *env, struct limits_answer *answer)
{
	struct io_uring ring;
	const struct limits_search search = {
		.try_value = try_ring_fds,
		.ctx = &ring,
		.first = 1,
		.last = 4096,
		.last_by = LIMITS_BY_PROBE,
	};
	int err = limits_ring_open(&ring);

	(void)env;
	if (!err)
		limits_answer_edge(&search, answer);
	return err;
}

struct setup_case {
	unsigned int entries;
	struct io_uring_params params;
};

static int ask_setup_case(const struct limits_env *env, struct limits_answer *answer)
{
	const struct setup_case *c = env->arg;

	limits_answer_refusal(answer, try_setup(c->entries, c->params));
	return 0;
}

static int (*const sq_entries)(void *ctx, uint64_t value) = try_sq_entries;
static int (*const cq_entries)(void *ctx, uint64_t value) = try_cq_entries;

static const char call_setup[] = "setup";

#define CASE(nr, ...)                                                                              \
	.ask = ask_setup_case, .call = call_setup, .arg = &(const struct setup_case)               \
	{                                                                                          \
		.entries = (nr), .params = { __VA_ARGS__ }                                         \
	}

static const struct limits_probe probes[] = {
	{"setup.max_sq_entries", "largest submission queue", "entries", ask_size, &sq_entries,
	 .call = call_setup},
	{"setup.max_cq_entries", "largest completion queue", "entries", ask_size, &cq_entries,
	 .call = call_setup},
	{"setup.max_rings", "rings of one process", "rings", ask_rings, .call = call_setup,
	 .level = LIMITS_DEFAULT, .weight = 3000},
	{"setup.max_ring_fds", "registered ring fds", "rings", ask_ring_fds},
	{"setup.flags", "setup flags known", "mask", ask_flags},
	{"setup.features", "features reported", "mask", ask_features},
	{"setup.register_opcodes", "register opcodes", "opcodes", ask_register_opcodes},
	{"setup.request_opcodes", "request opcodes", "opcodes", ask_request_opcodes},

	{"setup.zero_entries", "0 entries", CASE(0, 0)},
	{"setup.unknown_flag", "an unknown flag (1 << 31)", CASE(1, .flags = 1U << 31)},
	{"setup.reserved", "a reserved word set", CASE(1, .resv = {1})},
	{"setup.zero_cq", "CQSIZE with 0 CQ entries", CASE(1, .flags = IORING_SETUP_CQSIZE)},
	{"setup.small_cq", "CQ smaller than SQ",
	 CASE(4, .flags = IORING_SETUP_CQSIZE, .cq_entries = 2)},
	{"setup.affinity_alone", "SQ_AFF without SQPOLL", CASE(1, .flags = IORING_SETUP_SQ_AFF)},
	{"setup.bad_cpu", "SQPOLL on CPU 1000000",
	 CASE(1, .flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, .sq_thread_cpu = 1000000)},
	{"setup.defer_alone", "DEFER_TASKRUN alone", CASE(1, .flags = IORING_SETUP_DEFER_TASKRUN),
	 .detail = "IORING_SETUP_DEFER_TASKRUN without IORING_SETUP_SINGLE_ISSUER"},
	{"setup.bad_workqueue", "ATTACH_WQ to a closed fd",
	 CASE(1, .flags = IORING_SETUP_ATTACH_WQ, .wq_fd = CLOSED_FD)},
	{"setup.clamp", "2^31 entries with CLAMP", CASE(1U << 31, .flags = IORING_SETUP_CLAMP),
	 .detail = "none: IORING_SETUP_CLAMP cuts the sizes to what is allowed"},
};

const struct limits_section limits_setup_section = {
	.name = "setup",
	.title = "rings",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

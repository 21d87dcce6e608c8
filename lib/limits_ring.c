// SPDX-License-Identifier: MIT
/* What may be registered as a buffer ring, in each kind of memory, and what is refused how? */
#include <errno.h>
#include <sys/mman.h>

#include "limits_kernel.h"
#include "limits_search.h"
#include "limits_target.h"
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
	void *memory;     /* one page, may serve any number of one-page rings */
	uint64_t reached; /* groups that the last trial of many came to */
};

static int bench_open(struct bench *b, const struct limits_env *env)
{
	b->kind = env->arg;
	b->memory = limits_map(limits_page_size());
	return b->memory ? limits_ring_open(&b->ring) : -ENOMEM;
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
	b->reached = done;
	while (done-- > 0)
		limits_unregister_group(b->ring.ring_fd, (unsigned int)done);
	return err;
}

/* All at once first: if it does not come that far, it came to the edge, unless that moves. */
static int ask_groups(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	struct limits_search search = {
		.try_value = try_groups,
		.ctx = &b,
		.first = 1,
		.last = MAX_GROUPS,
		.last_by = LIMITS_BY_ABI,
	};
	int err = bench_open(&b, env);

	if (err)
		return err;
	if (in_kernel(b.kind) && env->max_bytes < MAX_GROUPS * limits_page_size()) {
		search.last = env->max_bytes / limits_page_size();
		search.last_by = LIMITS_BY_BUDGET;
	}
	if (try_groups(&b, search.last) == 0) {
		limits_answer_found(
			&search, &(struct limits_edge){.any = true, .value = search.last}, answer);
		return 0;
	}
	search.guess = b.reached;
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
		.guess = 2047, /* where the offset of a mapping ends */
		.steady = true,
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

/* Every bit alone, on a ring that is right in every other way. */
static int ask_flags(const struct limits_env *env, struct limits_answer *answer)
{
	struct bench b;
	int err = bench_open(&b, env);

	if (err)
		return err;
	for (unsigned int bit = 0; bit < 16; bit++) {
		struct bs_buf_reg reg = smallest(&b);

		reg.flags = (uint16_t)(1U << bit);
		/* Some kernels take no address for a ring in their own memory. */
		if (limits_try_group(b.ring.ring_fd, &reg) == 0)
			answer->value |= reg.flags;
		reg.ring_addr = 0;
		if (limits_try_group(b.ring.ring_fd, &reg) == 0)
			answer->value |= reg.flags;
	}
	answer->has_value = true;
	answer->how = LIMITS_TRIED;
	return 0;
}

/* ---- refusals: a call that is valid but for one thing */

enum memory { MEMORY_GOOD, MEMORY_NULL, MEMORY_MISALIGNED, MEMORY_UNMAPPED, MEMORY_READ_ONLY };

/* What group 0 is before the call. */
enum before {
	BEFORE_NOTHING,
	BEFORE_RING,
	BEFORE_LEGACY,       /* holds a buffer */
	BEFORE_LEGACY_EMPTY, /* held one */
};

/* A call on group 0; what is not set here is as it should be. */
struct group_case {
	unsigned int opcode; /* 0: IORING_REGISTER_PBUF_RING */
	union {
		struct bs_buf_reg reg; /* entries 0 stand for 1 unless zero_entries */
		struct bs_buf_status status;
	};
	enum memory memory;
	enum before before;
	enum limits_target target;
	enum limits_arg arg;
	unsigned int more_args; /* besides the one */
	bool zero_entries;
	bool zero_args;
};

static int place_ring(enum memory memory, uint64_t *addr)
{
	size_t bytes = 2 * limits_page_size();
	char *good = limits_map(bytes);

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
		return munmap(good, bytes) < 0 ? -errno : 0;
	case MEMORY_READ_ONLY:
		return mprotect(good, bytes, PROT_READ) < 0 ? -errno : 0;
	}
	return -EINVAL;
}

static int do_before(enum before before, struct io_uring *ring)
{
	struct bs_buf_reg reg = {.ring_entries = 1};
	static char buffer[1];
	int res;

	switch (before) {
	case BEFORE_NOTHING:
		return 0;
	case BEFORE_RING:
		res = place_ring(MEMORY_GOOD, &reg.ring_addr);
		return res ? res
			   : limits_register(ring->ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	case BEFORE_LEGACY:
	case BEFORE_LEGACY_EMPTY:
		io_uring_prep_provide_buffers(io_uring_get_sqe(ring), buffer, 1, 1, 0, 0);
		res = limits_do_one(ring);
		if (res < 0 || before == BEFORE_LEGACY)
			return res < 0 ? res : 0;
		io_uring_prep_remove_buffers(io_uring_get_sqe(ring), 1, 0);
		res = limits_do_one(ring);
		return res == 1 ? 0 : -EPROTO;
	}
	return -EINVAL;
}

static int ask_group_case(const struct limits_env *env, struct limits_answer *answer)
{
	const struct group_case *c = env->arg;
	struct bs_buf_reg reg = c->reg;
	struct limits_call call = {
		.target = c->target,
		.how = c->arg,
		.opcode = c->opcode ? c->opcode : IORING_REGISTER_PBUF_RING,
		.arg = &reg,
		.nr_args = c->zero_args ? 0 : 1 + c->more_args,
	};
	struct io_uring ring;
	int err = limits_target_open(c->target, &ring);

	if (!err)
		err = do_before(c->before, &ring);
	if (!err && call.opcode == IORING_REGISTER_PBUF_RING) {
		err = place_ring(c->memory, &reg.ring_addr);
		if (reg.ring_entries == 0 && !c->zero_entries)
			reg.ring_entries = 1;
	}
	if (!err)
		limits_answer_refusal(answer, limits_target_call(&call, &ring));
	return err;
}

/* An mmap() of group 0; what is not set here is as it should be. */
struct map_case {
	uint16_t flags;
	uint32_t offset_bgid;
	bool absent;   /* no group is registered */
	bool too_long; /* a page more than the ring has */
};

static int ask_map_case(const struct limits_env *env, struct limits_answer *answer)
{
	const struct map_case *c = env->arg;
	struct bs_buf_reg reg = {.ring_entries = 1, .flags = c->flags};
	size_t page = limits_page_size();
	struct io_uring ring;
	void *p;
	int err = limits_ring_open(&ring);

	if (!err && !(c->flags & IOU_PBUF_RING_MMAP))
		err = place_ring(MEMORY_GOOD, &reg.ring_addr);
	if (err)
		return err;
	if (!c->absent)
		err = limits_register(ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	if (err) {
		answer->how = LIMITS_ABSENT;
		answer->errno_past = -err;
		return 0;
	}
	p = mmap(NULL, c->too_long ? 2 * page : page, PROT_READ | PROT_WRITE, MAP_SHARED,
		 ring.ring_fd,
		 (off_t)(BS_OFF_PBUF_RING | (uint64_t)c->offset_bgid << BS_OFF_PBUF_RING_SHIFT));
	limits_answer_refusal(answer, p == MAP_FAILED ? -errno : 0);
	if (p == MAP_FAILED)
		answer->bound_by = LIMITS_BY_KERNEL;
	answer->is_final = p == MAP_FAILED;
	return 0;
}

static const char call_register[] = "pbuf-ring";
static const char call_unregister[] = "pbuf-unregister";
static const char call_status[] = "pbuf-status";
static const char call_map[] = "pbuf-mmap";

#define CASE(...)                                                                                  \
	.ask = ask_group_case, .arg = &(const struct group_case)                                   \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define MAP(...)      .ask = ask_map_case, .arg = &(const struct map_case){__VA_ARGS__}, .call = call_map
#define REGISTER(...) CASE(__VA_ARGS__), .call = call_register
#define UNREGISTER(...)                                                                            \
	CASE(.opcode = IORING_UNREGISTER_PBUF_RING, __VA_ARGS__), .call = call_unregister
#define STATUS(...) CASE(.opcode = IORING_REGISTER_PBUF_STATUS, __VA_ARGS__), .call = call_status

static const struct limits_probe probes[] = {
	{"pbuf_ring.max_entries", "largest ring", "entries", ask_entries, &user,
	 .call = call_register},
	{"pbuf_ring_mmap.max_entries", "largest ring, mmap", "entries", ask_entries, &kernel,
	 .call = call_register},
	{"pbuf_ring_inc.max_entries", "largest ring, incremental", "entries", ask_entries,
	 &incremental, .call = call_register},
	{"pbuf_ring.max_groups", "groups", "groups", ask_groups, &user, .call = call_register,
	 .weight = 400},
	{"pbuf_ring_mmap.max_groups", "groups, mmap", "groups", ask_groups, &kernel,
	 .call = call_register, .weight = 1000},
	{"pbuf_ring_inc.max_min_left", "largest min_left", "bytes", ask_min_left, &incremental,
	 .call = call_register},
	{"pbuf_ring.flags", "flags known", "mask", ask_flags, &user},

	{"pbuf_ring.zero_entries", "0 entries", REGISTER(.zero_entries = true)},
	{"pbuf_ring.not_power_of_two", "3 entries, no power of two",
	 REGISTER(.reg.ring_entries = 3)},
	{"pbuf_ring.null_address", "address NULL", REGISTER(.memory = MEMORY_NULL)},
	{"pbuf_ring.misaligned", "address not page aligned", REGISTER(.memory = MEMORY_MISALIGNED)},
	{"pbuf_ring.unmapped", "address not mapped", REGISTER(.memory = MEMORY_UNMAPPED)},
	{"pbuf_ring.read_only", "memory read-only", REGISTER(.memory = MEMORY_READ_ONLY)},
	{"pbuf_ring.unknown_flags", "an unknown flag (0x8000)", REGISTER(.reg.flags = 0x8000)},
	{"pbuf_ring.reserved", "a reserved word set", REGISTER(.reg.resv = {[4] = 1})},
	{"pbuf_ring.bgid_in_use", "group id already in use", REGISTER(.before = BEFORE_RING)},
	{"pbuf_ring.bgid_legacy", "bgid of a legacy group", REGISTER(.before = BEFORE_LEGACY),
	 .detail = "the group id names a legacy group that holds buffers"},
	{"pbuf_ring.bgid_legacy_empty", "bgid of an emptied legacy",
	 REGISTER(.before = BEFORE_LEGACY_EMPTY),
	 .detail = "the group id names a legacy group whose buffers are all gone"},
	{"pbuf_ring_mmap.address_given", "mmap kind, address given",
	 REGISTER(.reg.flags = IOU_PBUF_RING_MMAP),
	 .detail = "IOU_PBUF_RING_MMAP although a ring address is given"},
	{"pbuf_ring.min_left_without_inc", "min_left, not incremental", REGISTER(.reg.min_left = 1),
	 .detail = "min_left without IOU_PBUF_RING_INC"},
	{"pbuf_ring.no_args", "nr_args 0", REGISTER(.zero_args = true)},
	{"pbuf_ring.two_args", "nr_args 2", REGISTER(.more_args = 1)},
	{"pbuf_ring.null_arg", "argument NULL", REGISTER(.arg = ARG_NULL)},
	{"pbuf_ring.bad_arg", "argument not mapped", REGISTER(.arg = ARG_UNMAPPED)},
	{"pbuf_ring.closed_fd", "fd not open", REGISTER(.target = TARGET_CLOSED_FD)},
	{"pbuf_ring.not_a_ring", "fd is no ring", REGISTER(.target = TARGET_NOT_A_RING)},
	{"pbuf_ring.other_thread", "from another thread", REGISTER(.target = TARGET_OTHER_THREAD),
	 .detail = "from another thread than the issuer of an IORING_SETUP_SINGLE_ISSUER ring"},
	{"pbuf_ring.restricted", "a restricted ring", REGISTER(.target = TARGET_RESTRICTED),
	 .detail = "the ring's restrictions (IORING_REGISTER_RESTRICTIONS) do not list it"},

	{"pbuf_ring_mmap.max_bgid", "highest bgid mapped", "bgid", ask_mapping, &kernel,
	 .call = call_map, .weight = 70},
	{"pbuf_mmap.absent", "mmap: unknown bgid", MAP(.absent = true),
	 .detail = "no group has the id in the offset"},
	{"pbuf_mmap.user_memory", "mmap: ring in user memory", MAP(),
	 .detail = "the ring lies in user memory, there is nothing to map"},
	{"pbuf_mmap.too_long", "mmap: longer than the ring",
	 MAP(.flags = IOU_PBUF_RING_MMAP, .too_long = true),
	 .detail = "the length exceeds the ring's memory"},
	{"pbuf_mmap.alias", "mmap: bgid 0 as 32768",
	 MAP(.flags = IOU_PBUF_RING_MMAP, .offset_bgid = 32768),
	 .detail = "group 0 is asked for as 32768: the offset has no room for the topmost bit"},

	{"pbuf_unregister.unknown", "unregister: unknown bgid", UNREGISTER(),
	 .detail = "no group has this id"},
	{"pbuf_unregister.high_bgid", "unregister: unknown, >= 64", UNREGISTER(.reg.bgid = 64),
	 .detail = "no group has this id, and it is 64 or more"},
	{"pbuf_unregister.legacy", "unregister: a legacy group",
	 UNREGISTER(.before = BEFORE_LEGACY), .detail = "the group is a legacy one"},
	{"pbuf_unregister.flags", "unregister: flags set",
	 UNREGISTER(.reg.flags = 1, .before = BEFORE_RING), .detail = "flags are not 0"},
	{"pbuf_unregister.reserved", "unregister: reserved word",
	 UNREGISTER(.reg.resv = {1}, .before = BEFORE_RING), .detail = "a reserved word is not 0"},
	{"pbuf_unregister.two_args", "unregister: nr_args 2",
	 UNREGISTER(.more_args = 1, .before = BEFORE_RING), .detail = "nr_args is not 1"},
	{"pbuf_unregister.other_thread", "unregister: other thread",
	 UNREGISTER(.target = TARGET_OTHER_THREAD),
	 .detail = "from another thread than the issuer of an IORING_SETUP_SINGLE_ISSUER ring"},

	{"pbuf_status.known", "status of a ring", STATUS(.before = BEFORE_RING),
	 .detail = "none: the group exists and nothing is wrong (an old kernel lacks the call)"},
	{"pbuf_status.unknown", "status: unknown bgid", STATUS(), .detail = "no group has this id"},
	{"pbuf_status.wide_bgid", "status: bgid 65536", STATUS(.status.buf_group = 65536),
	 .detail = "the group id is over 65535"},
	{"pbuf_status.legacy", "status: a legacy group", STATUS(.before = BEFORE_LEGACY),
	 .detail = "the group is a legacy one"},
	{"pbuf_status.reserved", "status: reserved word",
	 STATUS(.status.resv = {1}, .before = BEFORE_RING), .detail = "a reserved word is not 0"},
	{"pbuf_status.other_thread", "status: other thread", STATUS(.target = TARGET_OTHER_THREAD),
	 .detail = "from another thread than the issuer of an IORING_SETUP_SINGLE_ISSUER ring"},
};

const struct limits_section limits_ring_section = {
	.name = "pbuf_ring",
	.title = "buffer rings",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

// SPDX-License-Identifier: MIT
/* How many registered (fixed) buffers does a ring take, and how large may one be? */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "limits_kernel.h"
#include "limits_search.h"
#include "limits_target.h"
#include "limits_table.h"

#define MAX_COUNT (1U << 20)

struct bench {
	struct io_uring ring;
	char *memory;
	struct iovec buffer; /* what every slot holds */
};

static int bench_open(struct bench *b, size_t bytes)
{
	*b = (struct bench){.memory = limits_map(bytes)};
	return b->memory ? limits_ring_open(&b->ring) : -ENOMEM;
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
		.guess = 16384,
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

/* Where memlock binds, a large buffer would be pinned only to be refused. */
static bool is_unlimited(void)
{
	struct rlimit limit;

	return geteuid() == 0 ||
	       (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY);
}

static int ask_bytes(const struct limits_env *env, struct limits_answer *answer)
{
	const uint64_t guess = 1ULL << 30;
	static const uint64_t most[] = {
		[LIMITS_QUICK] = 2ULL << 30,
		[LIMITS_DEFAULT] = 4ULL << 30,
		[LIMITS_FULL] = 32ULL << 30,
	};
	uint64_t affordable = env->max_bytes / LIMITS_PIN_BYTES * limits_page_size();
	uint64_t last = affordable < most[env->level] ? affordable : most[env->level];
	struct bench b;
	struct limits_search search = {
		.try_value = try_bytes,
		.ctx = &b,
		.first = 1,
		.last = last,
		.last_by = last == affordable ? LIMITS_BY_BUDGET : LIMITS_BY_PROBE,
		.guess = is_unlimited() ? guess : 0,
	};
	int err = limits_ring_open(&b.ring);

	b.memory = limits_map_patchwork(last);
	if (!err && !b.memory)
		err = -errno;
	/* Many pages at a time; to pin them would fault them in one by one, at thrice the cost. */
	if (!err && search.guess && guess <= last)
		madvise(b.memory, guess, MADV_POPULATE_READ);
	if (!err)
		limits_answer_edge(&search, answer);
	return err;
}

/* ---- refusals: a registration that is valid but for one thing */

/* What the one buffer lies in. */
enum memory {
	MEMORY_GOOD, /* private, anonymous */
	MEMORY_NULL,
	MEMORY_UNMAPPED,
	MEMORY_READ_ONLY,
	MEMORY_NO_ACCESS,
	MEMORY_KERNEL,
	MEMORY_SHARED, /* anonymous */
	MEMORY_THP,
	MEMORY_HUGETLB,
	MEMORY_MEMFD,
	MEMORY_FILE_PRIVATE,
	MEMORY_FILE_SHARED,
	MEMORY_RING,     /* the submission queue of a ring */
	MEMORY_PROVIDED, /* of a buffer that a group of the ring holds */
};

struct table_case {
	enum memory memory;
	size_t len; /* 0: one page unless zero_len */
	bool zero_len;
	bool no_buffers;
	bool twice; /* the ring has a table */
	bool unregister;
	enum limits_target target;
	enum limits_arg arg;
};

static void *map_shared(int fd, size_t bytes, int flags)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* A file where files are rather on a disk than in memory; NULL with errno if there is none. */
static void *map_file(size_t bytes, int flags)
{
	char on_disk[] = "/var/tmp/bufscope-XXXXXX", anywhere[] = "/tmp/bufscope-XXXXXX";
	char *path = on_disk;
	int fd = mkostemp(path, O_CLOEXEC);
	void *p = NULL;

	if (fd < 0) {
		path = anywhere;
		fd = mkostemp(path, O_CLOEXEC);
	}
	if (fd < 0)
		return NULL;
	unlink(path);
	if (ftruncate(fd, (off_t)bytes) == 0)
		p = map_shared(fd, bytes, flags);
	close(fd);
	return p;
}

static void *map_memfd(size_t bytes)
{
	int fd = memfd_create("bufscope", MFD_CLOEXEC);
	void *p = NULL;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)bytes) == 0)
		p = map_shared(fd, bytes, MAP_SHARED);
	close(fd);
	return p;
}

static void *map_protected(size_t bytes, int prot)
{
	void *p = limits_map(bytes);

	if (p && mprotect(p, bytes, prot) < 0)
		return NULL;
	return p;
}

static void *map_hole(size_t bytes)
{
	void *p = limits_map(bytes);

	if (p)
		munmap(p, bytes);
	return p;
}

static void *map_provided(size_t bytes, struct io_uring *ring)
{
	struct io_uring_buf *slot = limits_map(limits_page_size());
	void *p = limits_map(bytes);
	struct bs_buf_reg reg = {.ring_addr = (uintptr_t)slot, .ring_entries = 1};

	if (!slot || !p || limits_register(ring->ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1))
		return NULL;
	slot->addr = (uintptr_t)p;
	slot->len = (uint32_t)bytes;
	__atomic_store_n(&slot->resv, 1, __ATOMIC_RELEASE);
	return p;
}

static void *place(enum memory memory, struct io_uring *ring)
{
	size_t page = limits_page_size();

	errno = 0;
	switch (memory) {
	case MEMORY_GOOD:
		return limits_map(page);
	case MEMORY_NULL:
		return NULL;
	case MEMORY_UNMAPPED:
		return map_hole(page);
	case MEMORY_READ_ONLY:
		return map_protected(page, PROT_READ);
	case MEMORY_NO_ACCESS:
		return map_protected(page, PROT_NONE);
	case MEMORY_KERNEL:
		return limits_kernel_address();
	case MEMORY_SHARED:
		return map_shared(-1, page, MAP_SHARED | MAP_ANONYMOUS);
	case MEMORY_THP:
		return limits_map_filled(8U << 20, true);
	case MEMORY_HUGETLB:
		return map_shared(-1, page, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
	case MEMORY_MEMFD:
		return map_memfd(page);
	case MEMORY_FILE_PRIVATE:
		return map_file(page, MAP_PRIVATE);
	case MEMORY_FILE_SHARED:
		return map_file(page, MAP_SHARED);
	case MEMORY_RING:
		return ring->sq.ring_ptr;
	case MEMORY_PROVIDED:
		return map_provided(page, ring);
	}
	return NULL;
}

static int ask_table_case(const struct limits_env *env, struct limits_answer *answer)
{
	const struct table_case *c = env->arg;
	struct iovec iov = {.iov_len = c->len ? c->len : limits_page_size()};
	struct limits_call call = {
		.target = c->target,
		.how = c->arg,
		.opcode = c->unregister ? IORING_UNREGISTER_BUFFERS : IORING_REGISTER_BUFFERS,
		.arg = c->unregister ? NULL : &iov,
		.nr_args = c->unregister || c->no_buffers ? 0 : 1,
	};
	struct io_uring ring;
	int err = limits_target_open(c->target, &ring);

	if (err)
		return err;
	iov.iov_base = place(c->memory, &ring);
	if (!iov.iov_base && errno) {
		/* The pool of huge pages does not grow by waiting. */
		answer->is_final = c->memory == MEMORY_HUGETLB;
		return -errno;
	}
	if (c->zero_len)
		iov.iov_len = 0;
	if (c->twice)
		err = limits_register(ring.ring_fd, IORING_REGISTER_BUFFERS, &iov, 1);
	if (!err)
		limits_answer_refusal(answer, limits_target_call(&call, &ring));
	return err;
}

/* Extended registration and updates: the words of the argument as they come. */
struct words_case {
	unsigned int opcode;
	unsigned int size; /* nr_args is the size of the argument here; 0: as it should be */
	bool table;        /* a table of one buffer exists */
	bool data;         /* points to one good buffer */
	bool tags;         /* points to a tag, not 0 */
	bool null_buffer;  /* the buffer is an empty slot */
	union {
		struct io_uring_rsrc_register reg;
		struct io_uring_rsrc_update2 update;
	};
};

static int ask_words_case(const struct limits_env *env, struct limits_answer *answer)
{
	const struct words_case *c = env->arg;
	const uint64_t tag = 1;
	struct io_uring_rsrc_register reg = c->reg;
	struct io_uring_rsrc_update2 update = c->update;
	bool is_update = c->opcode == IORING_REGISTER_BUFFERS_UPDATE;
	struct iovec iov;
	struct bench b;
	int err = bench_open(&b, limits_page_size());

	if (err)
		return err;
	iov = (struct iovec){b.memory, limits_page_size()};
	if (c->table)
		err = limits_register(b.ring.ring_fd, IORING_REGISTER_BUFFERS, &iov, 1);
	if (err)
		return err;
	if (c->null_buffer)
		iov = (struct iovec){0};
	reg.data = update.data = c->data ? (uintptr_t)&iov : 0;
	reg.tags = update.tags = c->tags ? (uintptr_t)&tag : 0;
	if (is_update)
		err = limits_register(b.ring.ring_fd, c->opcode, &update,
				      c->size ? c->size : sizeof(update));
	else
		err = limits_register(b.ring.ring_fd, c->opcode, &reg,
				      c->size ? c->size : sizeof(reg));
	limits_answer_refusal(answer, err);
	return 0;
}

#define CLONE_REPLACES 2 /* IORING_REGISTER_DST_REPLACE, since 6.13 */

struct clone_case {
	struct bs_clone_buffers words;
	bool empty_source;
	bool full_destination;
	bool closed_source;
	bool not_a_ring;
};

static int ask_clone_case(const struct limits_env *env, struct limits_answer *answer)
{
	const struct clone_case *c = env->arg;
	struct bs_clone_buffers clone = c->words;
	struct bench from, to;
	struct iovec iov;
	int err = bench_open(&from, limits_page_size());

	if (!err)
		err = bench_open(&to, limits_page_size());
	if (err)
		return err;
	iov = (struct iovec){from.memory, limits_page_size()};
	if (!c->empty_source)
		err = limits_register(from.ring.ring_fd, IORING_REGISTER_BUFFERS, &iov, 1);
	if (!err && c->full_destination)
		err = limits_register(to.ring.ring_fd, IORING_REGISTER_BUFFERS, &iov, 1);
	if (err)
		return err;
	clone.src_fd = (uint32_t)from.ring.ring_fd;
	if (c->not_a_ring)
		clone.src_fd = (uint32_t)memfd_create("bufscope", MFD_CLOEXEC);
	if (c->closed_source)
		clone.src_fd = 1000000;
	limits_answer_refusal(answer, limits_register(to.ring.ring_fd,
						      IORING_REGISTER_CLONE_BUFFERS, &clone, 1));
	return 0;
}

static const char call_buffers[] = "buffers";
static const char call_unregister[] = "buffers-unregister";
static const char call_extended[] = "buffers2";
static const char call_update[] = "buffers-update";
static const char call_clone[] = "clone-buffers";

#define TABLE(...)                                                                                 \
	.ask = ask_table_case, .call = call_buffers, .arg = &(const struct table_case)             \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define UNREGISTER(...)                                                                            \
	.ask = ask_table_case, .call = call_unregister, .arg = &(const struct table_case)          \
	{                                                                                          \
		.unregister = true, __VA_ARGS__                                                    \
	}
#define WORDS(...)                                                                                 \
	.ask = ask_words_case, .arg = &(const struct words_case)                                   \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define EXTENDED(...) WORDS(.opcode = IORING_REGISTER_BUFFERS2, __VA_ARGS__), .call = call_extended
#define UPDATE(...)                                                                                \
	WORDS(.opcode = IORING_REGISTER_BUFFERS_UPDATE, .data = true, __VA_ARGS__),                \
		.call = call_update
#define CLONE(...)                                                                                 \
	.ask = ask_clone_case, .call = call_clone, .arg = &(const struct clone_case)               \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct limits_probe probes[] = {
	{"fixed.max_count", "buffers of one page", "buffers", ask_count, .call = call_buffers,
	 .weight = 40},
	{"fixed.max_slots", "slots of a sparse table", "slots", ask_slots, .call = call_buffers},
	{"fixed.max_bytes", "largest buffer", "bytes", ask_bytes, .call = call_buffers,
	 .weight = 400},

	{"fixed.no_buffers", "0 buffers", TABLE(.no_buffers = true)},
	{"fixed.zero_length", "length 0", TABLE(.zero_len = true)},
	{"fixed.null_address", "address NULL", TABLE(.memory = MEMORY_NULL)},
	{"fixed.sparse", "address NULL, length 0", TABLE(.memory = MEMORY_NULL, .zero_len = true),
	 .detail = "none: address NULL and length 0 make an empty slot"},
	{"fixed.unmapped", "address not mapped", TABLE(.memory = MEMORY_UNMAPPED)},
	{"fixed.no_access", "memory without access", TABLE(.memory = MEMORY_NO_ACCESS)},
	{"fixed.read_only", "memory read-only", TABLE(.memory = MEMORY_READ_ONLY)},
	{"fixed.kernel_address", "a kernel address", TABLE(.memory = MEMORY_KERNEL)},
	{"fixed.wraps", "end past address space", TABLE(.memory = MEMORY_KERNEL, .len = 1U << 20)},
	{"fixed.negative", "length over 2^63", TABLE(.len = SIZE_MAX)},
	{"fixed.half_mapped", "end not mapped", TABLE(.len = 1U << 30),
	 .detail = "only the beginning of the buffer is mapped"},
	{"fixed.shared_memory", "shared anonymous memory", TABLE(.memory = MEMORY_SHARED)},
	{"fixed.thp", "transparent huge page", TABLE(.memory = MEMORY_THP)},
	{"fixed.hugetlb", "hugetlb page", TABLE(.memory = MEMORY_HUGETLB),
	 .detail = "a page of the hugetlb pool (none may be configured)"},
	{"fixed.memfd", "memfd", TABLE(.memory = MEMORY_MEMFD)},
	{"fixed.file_private", "private mapping of a file", TABLE(.memory = MEMORY_FILE_PRIVATE)},
	{"fixed.file_shared", "shared mapping of a file", TABLE(.memory = MEMORY_FILE_SHARED),
	 .detail = "a shared mapping of a file (here in /var/tmp); depends on the file system"},
	{"fixed.ring_memory", "memory of a ring", TABLE(.memory = MEMORY_RING),
	 .detail = "the mapped submission queue of a ring"},
	{"fixed.provided", "a provided buffer", TABLE(.memory = MEMORY_PROVIDED),
	 .detail = "a buffer that a group of the ring holds: the two know nothing of each other"},
	{"fixed.twice", "the ring has a table", TABLE(.twice = true),
	 .detail = "the ring already has a table of buffers"},
	{"fixed.null_arg", "argument NULL", TABLE(.arg = ARG_NULL)},
	{"fixed.bad_arg", "argument not mapped", TABLE(.arg = ARG_UNMAPPED)},
	{"fixed.closed_fd", "fd not open", TABLE(.target = TARGET_CLOSED_FD)},
	{"fixed.not_a_ring", "fd is no ring", TABLE(.target = TARGET_NOT_A_RING)},
	{"fixed.other_thread", "from another thread", TABLE(.target = TARGET_OTHER_THREAD),
	 .detail = "from another thread than the issuer of an IORING_SETUP_SINGLE_ISSUER ring"},
	{"fixed.restricted", "a restricted ring", TABLE(.target = TARGET_RESTRICTED),
	 .detail = "the ring's restrictions (IORING_REGISTER_RESTRICTIONS) do not list it"},

	{"fixed_unregister.none", "unregister without a table", UNREGISTER(),
	 .detail = "the ring has no table of buffers"},
	{"fixed_unregister.other_thread", "unregister: other thread",
	 UNREGISTER(.target = TARGET_OTHER_THREAD),
	 .detail = "from another thread than the issuer of an IORING_SETUP_SINGLE_ISSUER ring"},

	{"fixed_extended.sparse", "sparse table of 8",
	 EXTENDED(.reg = {.nr = 8, .flags = IORING_RSRC_REGISTER_SPARSE}),
	 .detail = "none: a table of empty slots"},
	{"fixed_extended.tagged", "a buffer with a tag",
	 EXTENDED(.data = true, .tags = true, .reg = {.nr = 1}),
	 .detail = "none: a buffer with a tag"},
	{"fixed_extended.sparse_data", "sparse, yet data given",
	 EXTENDED(.data = true, .reg = {.nr = 1, .flags = IORING_RSRC_REGISTER_SPARSE}),
	 .detail = "IORING_RSRC_REGISTER_SPARSE although buffers are given"},
	{"fixed_extended.tagged_slot", "a tag on an empty slot",
	 EXTENDED(.data = true, .tags = true, .null_buffer = true, .reg = {.nr = 1})},
	{"fixed_extended.unknown_flag", "an unknown flag",
	 EXTENDED(.data = true, .reg = {.nr = 1, .flags = 1U << 31})},
	{"fixed_extended.reserved", "a reserved word set",
	 EXTENDED(.data = true, .reg = {.nr = 1, .resv2 = 1})},
	{"fixed_extended.size", "argument of another size",
	 EXTENDED(.data = true, .size = 8, .reg = {.nr = 1})},
	{"fixed_extended.no_buffers", "0 buffers", EXTENDED(.data = true)},

	{"fixed_update.good", "update one slot", UPDATE(.table = true, .update = {.nr = 1}),
	 .detail = "none: one slot is replaced"},
	{"fixed_update.no_table", "update without a table", UPDATE(.update = {.nr = 1}),
	 .detail = "the ring has no table of buffers"},
	{"fixed_update.none", "update of 0 slots", UPDATE(.table = true)},
	{"fixed_update.past_end", "update past the table",
	 UPDATE(.table = true, .update = {.nr = 1, .offset = 1})},
	{"fixed_update.wraps", "offset + nr overflows",
	 UPDATE(.table = true, .update = {.nr = 2, .offset = UINT32_MAX})},
	{"fixed_update.reserved", "a reserved word set",
	 UPDATE(.table = true, .update = {.nr = 1, .resv = 1})},

	{"fixed_clone.good", "clone a table", CLONE(), .detail = "none: a table is cloned"},
	{"fixed_clone.empty_source", "clone: source has none", CLONE(.empty_source = true)},
	{"fixed_clone.occupied", "clone: target has a table", CLONE(.full_destination = true)},
	{"fixed_clone.replace", "clone: in its place",
	 CLONE(.full_destination = true, .words.flags = CLONE_REPLACES),
	 .detail = "IORING_REGISTER_DST_REPLACE: the target's table is replaced"},
	{"fixed_clone.closed_source", "clone: source fd not open", CLONE(.closed_source = true)},
	{"fixed_clone.not_a_ring", "clone: source is no ring", CLONE(.not_a_ring = true)},
	{"fixed_clone.unknown_flag", "clone: an unknown flag", CLONE(.words.flags = 1U << 31)},
	{"fixed_clone.past_source", "clone: past the source",
	 CLONE(.words = {.src_off = 0, .nr = 2})},
	{"fixed_clone.offset", "clone: offset past source",
	 CLONE(.words = {.src_off = 1, .nr = 1})},
	{"fixed_clone.past_limit", "clone: past 2^31 slots",
	 CLONE(.words = {.dst_off = 1U << 31, .nr = 1})},
	{"fixed_clone.wraps", "clone: offset overflows",
	 CLONE(.words = {.dst_off = UINT32_MAX, .nr = 1})},
	{"fixed_clone.padding", "clone: a reserved word set", CLONE(.words.pad = {1})},
};

const struct limits_section limits_fixed_section = {
	.name = "fixed",
	.title = "registered (fixed) buffers",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

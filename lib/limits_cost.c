// SPDX-License-Identifier: MIT
/* What does a registration cost as it grows to its limit, and what does memory add to that? */
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "limits_kernel.h"
#include "limits_measure.h"
#include "limits_table.h"

#define MOST_ENTRIES 65536
#define MOST_BUFFERS 32768
#define MOST_BYTES   (16U << 20)
#define BUFFER_BYTES 4096
#define HUGE_BYTES   (2U << 20)

enum pages { PAGES_BASE, PAGES_HUGE, PAGES_HUGETLB };

/* One kind of thing that is put up and taken down, over a range of sizes. */
struct cost_case {
	int (*put_up)(void *ctx, uint64_t at);
	int (*take_down)(void *ctx);
	void (*prepare)(void *ctx, uint64_t at);
	uint64_t first, last;
	uint64_t bytes;     /* of memory to work on */
	uint16_t flags;     /* of buffer rings */
	enum pages pages;   /* what that memory consists of */
	unsigned int slots; /* of a table that is there before, holding one page each */
};

struct bench {
	const struct cost_case *shape;
	struct io_uring ring;
	struct io_uring other; /* that is cloned to, or created */
	char *memory;
	struct iovec *iov;
	struct io_uring_buf_ring *group; /* for first use */
	int file;
	uint64_t bytes;
};

/* ---- buffer rings */

static int put_up_group(void *ctx, uint64_t entries)
{
	struct bench *b = ctx;
	const struct bs_buf_reg reg = {
		.ring_addr = b->shape->flags & IOU_PBUF_RING_MMAP ? 0 : (uintptr_t)b->memory,
		.ring_entries = (uint32_t)entries,
		.flags = b->shape->flags,
	};

	return limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

static int take_down_group(void *ctx)
{
	struct bench *b = ctx;

	return limits_unregister_group(b->ring.ring_fd, 0);
}

/* ---- registered buffers */

static int put_up_table(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;

	return limits_register(b->ring.ring_fd, IORING_REGISTER_BUFFERS, b->iov, (unsigned int)nr);
}

static int put_up_buffer(void *ctx, uint64_t bytes)
{
	struct bench *b = ctx;

	b->iov->iov_len = bytes;
	return put_up_table(b, 1);
}

static int take_down_table(void *ctx)
{
	struct bench *b = ctx;

	return limits_register(b->ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

/* As it was before anybody touched it. */
static void forget_memory(void *ctx, uint64_t bytes)
{
	struct bench *b = ctx;

	madvise(b->memory, bytes, MADV_DONTNEED);
}

static int replace_slot(struct bench *b, const struct iovec *iov)
{
	const struct io_uring_rsrc_update2 update = {.data = (uintptr_t)iov, .nr = 1};
	int done = limits_register(b->ring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE, &update,
				   sizeof(update));

	return done < 0 ? done : 0;
}

static int fill_slot(void *ctx, uint64_t bytes)
{
	struct bench *b = ctx;

	b->iov->iov_len = bytes;
	return replace_slot(b, b->iov);
}

static int empty_slot(void *ctx)
{
	const struct iovec none = {0};

	return replace_slot(ctx, &none);
}

static int put_up_clone(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;
	const struct bs_clone_buffers clone = {
		.src_fd = (uint32_t)b->ring.ring_fd,
		.nr = (uint32_t)nr,
	};

	return limits_register(b->other.ring_fd, IORING_REGISTER_CLONE_BUFFERS, &clone, 1);
}

static int take_down_clone(void *ctx)
{
	struct bench *b = ctx;

	return limits_register(b->other.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

/* ---- a buffer's first use */

/* Reads from a file in memory into the one buffer of the group, which is put back at once. */
static int read_selected(struct bench *b, uint64_t bytes)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
	struct io_uring_buf_ring *group = b->group;
	int res;

	io_uring_buf_ring_add(group, b->memory, (unsigned int)bytes, 0, 0, 0);
	io_uring_buf_ring_advance(group, 1);
	io_uring_prep_read(sqe, b->file, NULL, (unsigned int)bytes, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
	sqe->buf_group = 1;
	res = limits_do_one(&b->ring);
	if (res < 0)
		return res;
	return (uint64_t)res == bytes ? 0 : -EIO;
}

static int read_first(void *ctx, uint64_t bytes)
{
	struct bench *b = ctx;

	b->bytes = bytes;
	return read_selected(b, bytes);
}

static int read_next(void *ctx)
{
	struct bench *b = ctx;

	return read_selected(b, b->bytes);
}

static int open_first_use(struct bench *b)
{
	struct bs_buf_reg reg = {.ring_entries = 1, .bgid = 1};

	b->file = memfd_create("bufscope", MFD_CLOEXEC);
	b->group = limits_map_filled(limits_page_size(), false);
	if (b->file < 0 || !b->group)
		return -ENOMEM;
	if (write(b->file, b->memory, b->shape->bytes) != (ssize_t)b->shape->bytes)
		return -EIO;
	reg.ring_addr = (uintptr_t)b->group;
	return limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

/* ---- legacy buffers */

static int provide(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;
	int res;

	io_uring_prep_provide_buffers(io_uring_get_sqe(&b->ring), b->memory, 1, (int)nr, 1, 0);
	res = limits_do_one(&b->ring);
	return res < 0 ? res : 0;
}

static int remove_all(void *ctx)
{
	struct bench *b = ctx;
	int res;

	io_uring_prep_remove_buffers(io_uring_get_sqe(&b->ring), 65536, 1);
	res = limits_do_one(&b->ring);
	return res < 0 ? res : 0;
}

/* ---- rings */

static int create_ring(void *ctx, uint64_t entries)
{
	struct bench *b = ctx;

	return io_uring_queue_init((unsigned int)entries, &b->other, 0);
}

static int create_ring_cq(void *ctx, uint64_t entries)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE,
		.cq_entries = (uint32_t)entries,
	};
	struct bench *b = ctx;

	return io_uring_queue_init_params(1, &b->other, &params);
}

static int close_ring(void *ctx)
{
	struct bench *b = ctx;

	io_uring_queue_exit(&b->other);
	return 0;
}

/* ---- the curve */

static char *place(const struct cost_case *c)
{
	char *memory;

	if (c->pages == PAGES_HUGETLB) {
		memory = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		return memory == MAP_FAILED ? NULL : memory;
	}
	memory = limits_map(c->bytes + HUGE_BYTES);
	if (!memory)
		return NULL;
	memory += HUGE_BYTES - (uintptr_t)memory % HUGE_BYTES;
	limits_fill(memory, c->bytes, c->pages == PAGES_HUGE);
	return memory;
}

static int open_bench(struct bench *b, const struct cost_case *c)
{
	int err;

	b->shape = c;
	b->memory = place(c);
	b->iov = limits_map(MOST_BUFFERS * sizeof(*b->iov));
	if (!b->memory || !b->iov)
		return -ENOMEM;
	for (size_t i = 0; i < MOST_BUFFERS; i++)
		b->iov[i] = (struct iovec){b->memory, BUFFER_BYTES};
	err = limits_ring_open(&b->ring);
	if (!err && c->put_up == put_up_clone)
		err = limits_ring_open(&b->other);
	if (!err && c->put_up == read_first)
		err = open_first_use(b);
	return !err && c->slots ? put_up_table(b, c->slots) : err;
}

static int ask_cost(const struct limits_env *env, struct limits_answer *answer)
{
	const struct cost_case *c = env->arg;
	struct bench b = {.ring.ring_fd = -1};
	const struct limits_trial trial = {
		.put_up = c->put_up,
		.take_down = c->take_down,
		.prepare = c->prepare,
		.ctx = &b,
		.first = c->first,
		.last = c->last,
	};
	int err = open_bench(&b, c);

	/* No huge pages are set aside on this machine. */
	if (err == -ENOMEM && c->pages == PAGES_HUGETLB) {
		answer->how = LIMITS_ABSENT;
		answer->errno_past = ENOMEM;
		return 0;
	}
	if (!err)
		limits_measure_curve(&trial, env->level, answer);
	return err;
}

#define REGISTER                                                                                   \
	{                                                                                          \
		"register_ns", "unregister_ns"                                                     \
	}
#define COST(...)                                                                                  \
	.ask = ask_cost, .weight = 3000, .arg = &(const struct cost_case)                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define GROUP(...)                                                                                 \
	COST(.put_up = put_up_group, .take_down = take_down_group, .first = 1,                     \
	     .last = MOST_ENTRIES, .bytes = MOST_ENTRIES * sizeof(struct io_uring_buf),            \
	     __VA_ARGS__)
#define BUFFER(...)                                                                                \
	COST(.put_up = put_up_buffer, .take_down = take_down_table, .first = BUFFER_BYTES,         \
	     .last = MOST_BYTES, .bytes = MOST_BYTES, __VA_ARGS__)

static const struct limits_probe probes[] = {
	{"cost.pbuf_ring", "buffer ring", "entries", GROUP(.pages = PAGES_BASE),
	 .columns = REGISTER},
	{"cost.pbuf_ring_thp", "buffer ring, huge page", "entries", GROUP(.pages = PAGES_HUGE),
	 .columns = REGISTER},
	{"cost.pbuf_ring_hugetlb", "buffer ring, hugetlb", "entries", GROUP(.pages = PAGES_HUGETLB),
	 .columns = REGISTER, .level = LIMITS_DEFAULT},
	{"cost.pbuf_ring_mmap", "buffer ring, mmap", "entries", GROUP(.flags = IOU_PBUF_RING_MMAP),
	 .columns = REGISTER},
	{"cost.fixed_count", "table of 4 KiB buffers", "buffers",
	 COST(.put_up = put_up_table, .take_down = take_down_table, .first = 1,
	      .last = MOST_BUFFERS, .bytes = BUFFER_BYTES),
	 .columns = REGISTER},
	{"cost.fixed_bytes", "one fixed buffer", "bytes", BUFFER(.pages = PAGES_BASE),
	 .columns = REGISTER},
	{"cost.fixed_bytes_thp", "the same in huge pages", "bytes", BUFFER(.pages = PAGES_HUGE),
	 .columns = REGISTER},
	{"cost.fixed_bytes_hugetlb", "the same from hugetlb", "bytes",
	 BUFFER(.pages = PAGES_HUGETLB), .columns = REGISTER, .level = LIMITS_DEFAULT},
	{"cost.fixed_untouched", "the same, not touched before", "bytes",
	 BUFFER(.prepare = forget_memory), .columns = REGISTER, .level = LIMITS_DEFAULT,
	 .detail = "the first registration pays for the page faults"},
	{"cost.fixed_update", "one slot replaced", "bytes",
	 COST(.put_up = fill_slot, .take_down = empty_slot, .first = BUFFER_BYTES,
	      .last = MOST_BYTES, .bytes = MOST_BYTES, .slots = 1),
	 .columns = {"fill_ns", "empty_ns"}, .level = LIMITS_DEFAULT},
	{"cost.fixed_clone", "a table cloned", "buffers",
	 COST(.put_up = put_up_clone, .take_down = take_down_clone, .first = 1, .last = 1024,
	      .bytes = BUFFER_BYTES, .slots = 1024),
	 .columns = {"clone_ns", "unregister_ns"}, .level = LIMITS_DEFAULT},
	{"cost.legacy", "legacy buffers", "buffers",
	 COST(.put_up = provide, .take_down = remove_all, .first = 1, .last = MOST_BUFFERS,
	      .bytes = 2 * MOST_BUFFERS),
	 .columns = {"provide_ns", "remove_ns"}, .level = LIMITS_DEFAULT},
	{"cost.first_use", "a provided buffer's first use", "bytes",
	 COST(.put_up = read_first, .take_down = read_next, .prepare = forget_memory,
	      .first = BUFFER_BYTES, .last = 1 << 20, .bytes = 1 << 20),
	 .columns = {"first_ns", "next_ns"}, .level = LIMITS_DEFAULT,
	 .detail = "a read from memory into a buffer never touched, and into it again"},
	{"cost.ring_sq", "a ring, by its SQ", "entries",
	 COST(.put_up = create_ring, .take_down = close_ring, .first = 1, .last = 32768,
	      .bytes = BUFFER_BYTES),
	 .columns = {"create_ns", "close_ns"}, .level = LIMITS_DEFAULT},
	{"cost.ring_cq", "a ring, by its CQ", "entries",
	 COST(.put_up = create_ring_cq, .take_down = close_ring, .first = 1, .last = 65536,
	      .bytes = BUFFER_BYTES),
	 .columns = {"create_ns", "close_ns"}, .level = LIMITS_DEFAULT},
};

const struct limits_section limits_cost_section = {
	.name = "cost",
	.title = "what a registration costs",
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.measures = true,
};

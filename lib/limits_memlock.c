// SPDX-License-Identifier: MIT
/*
 * What does this kernel charge to RLIMIT_MEMLOCK? Asked as a user without privileges; root asks
 * as one that nobody else is.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "limits_meter.h"
#include "limits_stage.h"
#include "limits_table.h"
#include "limits_target.h"

/* What is put up to see its charge. */
struct object {
	struct io_uring ring;
	struct io_uring other;
	void *memory;
};

/* 0 or -errno; -EINVAL of an object that this kernel does not have. */
typedef int put_up_fn(struct object *o);

struct charge_case {
	put_up_fn *put_up;
	unsigned int entries; /* of the object's ring; 0: a small one */
};

/* ---- the objects */

static int put_up_group(struct object *o, uint32_t entries, uint16_t flags)
{
	struct bs_buf_reg reg = {.ring_entries = entries, .flags = flags};

	o->memory = limits_map_filled(entries * sizeof(struct io_uring_buf), false);
	if (!o->memory)
		return -ENOMEM;
	if (!(flags & IOU_PBUF_RING_MMAP))
		reg.ring_addr = (uintptr_t)o->memory;
	return limits_register(o->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

static int put_up_small_group(struct object *o)
{
	return put_up_group(o, 1, 0);
}

static int put_up_large_group(struct object *o)
{
	return put_up_group(o, 32768, 0);
}

static int put_up_small_mmap(struct object *o)
{
	return put_up_group(o, 1, IOU_PBUF_RING_MMAP);
}

static int put_up_large_mmap(struct object *o)
{
	return put_up_group(o, 32768, IOU_PBUF_RING_MMAP);
}

/* Sixteen buffers of 64 KiB behind a ring that has room for them. */
static int put_up_filled_group(struct object *o)
{
	enum { BUFFERS = 16, BYTES = 65536 };
	char *data = limits_map_filled((size_t)BUFFERS * BYTES, false);
	int err = data ? put_up_group(o, BUFFERS, 0) : -ENOMEM;
	struct io_uring_buf *slots = o->memory;

	if (err)
		return err;
	for (int i = 0; i < BUFFERS; i++) {
		slots[i].addr = (uintptr_t)data + (uintptr_t)i * BYTES;
		slots[i].len = BYTES;
		slots[i].bid = (uint16_t)i;
	}
	__atomic_store_n(&slots[0].resv, BUFFERS, __ATOMIC_RELEASE);
	return 0;
}

static int put_up_table(struct io_uring *ring, const struct iovec *iov, unsigned int nr)
{
	return limits_register(ring->ring_fd, IORING_REGISTER_BUFFERS, iov, nr);
}

static int put_up_page(struct object *o)
{
	struct iovec iov = {limits_map_filled(limits_page_size(), false), limits_page_size()};

	return put_up_table(&o->ring, &iov, 1);
}

/* As much as a page, but across two. */
static int put_up_unaligned(struct object *o)
{
	size_t page = limits_page_size();
	char *memory = limits_map_filled(2 * page, false);
	struct iovec iov = {memory + page / 2, page};

	return put_up_table(&o->ring, &iov, 1);
}

static int put_up_megabyte(struct object *o)
{
	struct iovec iov = {limits_map_filled(1 << 20, false), 1 << 20};

	return put_up_table(&o->ring, &iov, 1);
}

static int put_up_page_twice(struct object *o)
{
	void *memory = limits_map_filled(limits_page_size(), false);
	struct iovec iov[2] = {{memory, limits_page_size()}, {memory, limits_page_size()}};

	return put_up_table(&o->ring, iov, 2);
}

static int put_up_page_in_two_rings(struct object *o)
{
	struct iovec iov = {limits_map_filled(limits_page_size(), false), limits_page_size()};
	int err = put_up_table(&o->ring, &iov, 1);

	return err ? err : put_up_table(&o->other, &iov, 1);
}

/* Two pages of a huge one. */
static int put_up_part_of_huge(struct object *o)
{
	const size_t huge = 2U << 20;
	char *memory = limits_map(2 * huge);
	struct iovec iov;

	if (!memory)
		return -ENOMEM;
	memory += huge - (uintptr_t)memory % huge;
	limits_fill(memory, huge, true);
	iov = (struct iovec){memory, 2 * limits_page_size()};
	return put_up_table(&o->ring, &iov, 1);
}

static int put_up_sparse(struct object *o)
{
	struct iovec *iov = calloc(16384, sizeof(*iov));
	int err = iov ? put_up_table(&o->ring, iov, 16384) : -ENOMEM;

	free(iov);
	return err;
}

static int put_up_clone(struct object *o)
{
	struct bs_clone_buffers clone = {.src_fd = (uint32_t)o->ring.ring_fd};
	int err = put_up_page(o);

	if (err)
		return err;
	return limits_register(o->other.ring_fd, IORING_REGISTER_CLONE_BUFFERS, &clone, 1);
}

static int put_up_legacy(struct object *o)
{
	enum { BUFFERS = 1000, BYTES = 4096 };
	void *memory = limits_map_filled((size_t)BUFFERS * BYTES, false);
	int res;

	io_uring_prep_provide_buffers(io_uring_get_sqe(&o->ring), memory, BYTES, BUFFERS, 1, 0);
	res = limits_do_one(&o->ring);
	return res < 0 ? res : 0;
}

/* ---- what they are charged with */

/* The ring itself is the question if the case says how large; else it stands before. */
static int ask_charge(const struct limits_env *env, struct limits_answer *answer)
{
	const struct charge_case *c = env->arg;
	struct object o = {0};
	struct limits_meter meter;
	uint64_t before, after;
	int err = limits_drop_privileges();

	if (!err)
		err = limits_meter_open(&meter);
	if (!err && !c->entries)
		err = limits_ring_open(&o.ring);
	if (!err && !c->entries)
		err = limits_ring_open(&o.other);
	if (!err)
		err = limits_meter_read(&meter, &before);
	if (err)
		return err;
	err = c->entries ? io_uring_queue_init(c->entries, &o.ring, 0) : c->put_up(&o);
	if (err == -EINVAL) {
		answer->how = LIMITS_ABSENT;
		answer->errno_past = EINVAL;
		return 0;
	}
	if (!err)
		err = limits_meter_read(&meter, &after);
	if (err == -ENOMEM || err == -ENOSPC)
		snprintf(answer->note, sizeof(answer->note), "RLIMIT_MEMLOCK is too low to tell");
	if (err)
		return err;
	answer->how = LIMITS_TRIED;
	answer->has_value = true;
	answer->value = after - before;
	return 0;
}

/* A ring that was made with privileges, used without. */
static int ask_privileged_ring(const struct limits_env *env, struct limits_answer *answer)
{
	const struct rlimit none = {0, 0};
	struct object o;
	int err;

	(void)env;
	err = limits_ring_open(&o.ring);
	if (!err)
		err = limits_drop_privileges();
	if (err)
		return err;
	if (!limits_is_alone()) {
		answer->how = LIMITS_FAILED;
		answer->errno_past = EPERM;
		snprintf(answer->note, sizeof(answer->note), "only root can try this");
		return 0;
	}
	setrlimit(RLIMIT_MEMLOCK, &none);
	limits_answer_refusal(answer, put_up_page(&o));
	return 0;
}

/* A child of the same user holds a megabyte: does this process feel it? */
static int ask_shared(const struct limits_env *env, struct limits_answer *answer)
{
	struct limits_meter meter;
	uint64_t before, during;
	struct object o;
	int ready[2], err = limits_drop_privileges();
	pid_t parent = getpid(), pid;
	char byte = 1;

	(void)env;
	if (!err)
		err = limits_meter_open(&meter);
	if (!err)
		err = limits_meter_read(&meter, &before);
	if (err || pipe(ready) < 0)
		return err ? err : -errno;
	pid = fork();
	if (pid == 0) {
		/* The one that waits for this process may be killed at any time. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		byte = limits_ring_open(&o.ring) == 0 && put_up_megabyte(&o) == 0;
		err = write(ready[1], &byte, 1) != 1;
		pause();
		_exit(err);
	}
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		err = -EIO;
	if (!err)
		err = limits_meter_read(&meter, &during);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (err || !byte)
		return err ? err : -ENOMEM;
	answer->how = LIMITS_TRIED;
	answer->has_value = true;
	answer->value = during - before;
	return 0;
}

/* From the close of a ring to the return of its charge. */
static int ask_return(const struct limits_env *env, struct limits_answer *answer)
{
	struct limits_meter meter;
	struct io_uring ring;
	uint64_t before, now = 0, start;
	int err = limits_drop_privileges();

	(void)env;
	if (!err)
		err = limits_meter_open(&meter);
	if (!err)
		err = limits_meter_read(&meter, &before);
	if (!err)
		err = io_uring_queue_init(64, &ring, 0);
	if (!err)
		err = limits_meter_read(&meter, &now);
	if (err)
		return err;
	answer->how = now > before ? LIMITS_MEASURED : LIMITS_ABSENT;
	io_uring_queue_exit(&ring);
	start = clock_ns(CLOCK_MONOTONIC);
	while (!err && now > before && clock_ns(CLOCK_MONOTONIC) - start < 1000000000)
		err = limits_meter_read(&meter, &now);
	answer->has_value = answer->how == LIMITS_MEASURED;
	answer->value = clock_ns(CLOCK_MONOTONIC) - start;
	return err;
}

/* Are charges of cloned buffers given back as they were taken, whichever ring goes first? */
static int ask_clone_return(const struct limits_env *env, struct limits_answer *answer)
{
	struct limits_meter meter;
	struct object o;
	uint64_t before, after;
	int err = limits_drop_privileges();

	(void)env;
	if (!err)
		err = limits_meter_open(&meter);
	if (!err)
		err = limits_ring_open(&o.ring);
	if (!err)
		err = limits_ring_open(&o.other);
	if (!err)
		err = limits_meter_read(&meter, &before);
	if (!err)
		err = put_up_clone(&o);
	if (err == -EINVAL) {
		answer->how = LIMITS_ABSENT;
		answer->errno_past = EINVAL;
		return 0;
	}
	if (!err)
		err = limits_register(o.ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	if (!err)
		err = limits_register(o.other.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	if (!err)
		err = limits_meter_read(&meter, &after);
	if (err)
		return err;
	return limits_judge(answer, after == before ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "%lld bytes are left charged after both tables are gone",
			    (long long)(after - before));
}

/* ---- refusals for want of it */

/* With the limit lowered to what is charged already. */
static int ask_exhausted(const struct limits_env *env, struct limits_answer *answer)
{
	const struct charge_case *c = env->arg;
	struct limits_meter meter;
	struct rlimit limit;
	struct object o;
	uint64_t used;
	int err = limits_drop_privileges();

	if (!err)
		err = limits_meter_open(&meter);
	if (!err && !c->entries)
		err = limits_ring_open(&o.ring);
	if (!err)
		err = limits_meter_read(&meter, &used);
	if (err || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return err ? err : -errno;
	limit.rlim_cur = used;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -errno;
	err = c->entries ? io_uring_queue_init(c->entries, &o.ring, 0) : c->put_up(&o);
	limits_answer_refusal(answer, err);
	if (err == -ENOMEM)
		answer->bound_by = LIMITS_BY_MEMLOCK;
	answer->is_final = err == -ENOMEM;
	return 0;
}

#define CHARGE(function)                                                                           \
	.ask = ask_charge, .arg = &(const struct charge_case)                                      \
	{                                                                                          \
		.put_up = (function)                                                               \
	}
#define RING(nr)                                                                                   \
	.ask = ask_charge, .arg = &(const struct charge_case)                                      \
	{                                                                                          \
		.entries = (nr)                                                                    \
	}
#define EXHAUSTED(...)                                                                             \
	.ask = ask_exhausted, .arg = &(const struct charge_case)                                   \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const char used_up[] = "RLIMIT_MEMLOCK of this user is used up";

static const struct limits_probe probes[] = {
	{"memlock.ring", "a ring of 64", "bytes", RING(64)},
	{"memlock.large_ring", "a ring of 4096", "bytes", RING(4096)},
	{"memlock.group", "a group of 1 entry", "bytes", CHARGE(put_up_small_group)},
	{"memlock.large_group", "a group of 32768", "bytes", CHARGE(put_up_large_group)},
	{"memlock.group_mmap", "a group of 1, mmap", "bytes", CHARGE(put_up_small_mmap)},
	{"memlock.large_group_mmap", "a group of 32768, mmap", "bytes", CHARGE(put_up_large_mmap)},
	{"memlock.provided", "16 buffers of 64K in it", "bytes", CHARGE(put_up_filled_group),
	 .detail = "a group of 16 entries and the 1 MiB of buffers that it holds"},
	{"memlock.legacy", "1000 legacy buffers of 4K", "bytes", CHARGE(put_up_legacy)},
	{"memlock.page", "fixed: one page", "bytes", CHARGE(put_up_page)},
	{"memlock.unaligned", "fixed: across two pages", "bytes", CHARGE(put_up_unaligned),
	 .detail = "a registered buffer as long as a page that begins in the middle of one"},
	{"memlock.megabyte", "fixed: 1 MiB", "bytes", CHARGE(put_up_megabyte)},
	{"memlock.page_twice", "fixed: a page, twice", "bytes", CHARGE(put_up_page_twice),
	 .detail = "the same page in two slots of one table"},
	{"memlock.page_two_rings", "fixed: a page, two rings", "bytes",
	 CHARGE(put_up_page_in_two_rings), .detail = "the same page registered with two rings"},
	{"memlock.part_of_huge", "fixed: 8K of a huge page", "bytes", CHARGE(put_up_part_of_huge)},
	{"memlock.clone", "fixed: a page, cloned", "bytes", CHARGE(put_up_clone),
	 .detail = "a table of one page and its clone on another ring"},
	{"memlock.sparse", "fixed: 16384 empty slots", "bytes", CHARGE(put_up_sparse)},
	{"memlock.other_process", "another process's 1 MiB", "bytes", ask_shared,
	 .detail = "a registered buffer of 1 MiB that another process of the user holds"},
	{"memlock.clone_return", "clones are given back", NULL, ask_clone_return,
	 .reference = "lore:CAG48ez1zez4bdhme"},
	{"memlock.privileged_ring", "root's ring, limit 0", NULL, ask_privileged_ring,
	 .detail = "a page registered without privileges, limit 0, on a ring made by root"},
	{"memlock.return_ns", "until a ring's is returned", "ns", ask_return},

	{"memlock.no_ring", "limit used up: a ring", EXHAUSTED(.entries = 4), .call = "setup",
	 .detail = used_up},
	{"memlock.no_group", "limit used up: a group", EXHAUSTED(.put_up = put_up_small_group),
	 .call = "pbuf-ring", .detail = used_up},
	{"memlock.no_group_mmap", "limit used up: mmap group",
	 EXHAUSTED(.put_up = put_up_small_mmap), .call = "pbuf-ring",
	 .detail = "RLIMIT_MEMLOCK of this user is used up (mmap kind)"},
	{"memlock.no_buffer", "limit used up: a buffer", EXHAUSTED(.put_up = put_up_page),
	 .call = "buffers", .detail = used_up},
	{"memlock.no_legacy", "limit used up: legacy", EXHAUSTED(.put_up = put_up_legacy),
	 .call = "provide-buffers", .detail = used_up},
};

const struct limits_section limits_memlock_section = {
	.name = "memlock",
	.title = "charged to RLIMIT_MEMLOCK of a user without privileges",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

// SPDX-License-Identifier: MIT
/* How much fits under a memlock limit? Tried under several, as a user without privileges. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "limits_child.h"
#include "limits_meter.h"
#include "limits_search.h"
#include "limits_table.h"

#define MOST 4096 /* of each; what is not charged at all would never end */

struct bench {
	struct io_uring ring;
	char *memory;
	struct iovec *iov;    /* of one page each */
	unsigned int entries; /* of groups */
};

static int try_groups(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;
	struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)b->memory,
		.ring_entries = b->entries,
	};
	uint64_t done;
	int err = 0;

	for (done = 0; done < nr && !err; done += !err) {
		reg.bgid = (uint16_t)done;
		err = limits_register(b->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	}
	while (done > 0)
		limits_unregister_group(b->ring.ring_fd, (unsigned int)--done);
	return err;
}

static int try_buffers(void *ctx, uint64_t nr)
{
	struct bench *b = ctx;
	int err =
		limits_register(b->ring.ring_fd, IORING_REGISTER_BUFFERS, b->iov, (unsigned int)nr);

	if (!err)
		limits_register(b->ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	return err;
}

static uint64_t count(struct bench *b, int (*try_value)(void *ctx, uint64_t value), uint64_t most)
{
	const struct limits_search search = {
		.try_value = try_value,
		.ctx = b,
		.first = 1,
		.last = most,
		.steady = true, /* what is unregistered is given back at once */
	};
	struct limits_edge edge = limits_search(&search);

	return edge.any ? edge.value : 0;
}

/* These stay open: closed ones would be charged for a while. */
static uint64_t count_rings(void)
{
	uint64_t nr;

	for (nr = 0; nr < MOST; nr++) {
		struct io_uring_params params = {0};

		if (limits_setup(4, &params) < 0)
			break;
	}
	return nr;
}

static int lower_limit(uint64_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -errno;
	limit.rlim_cur = bytes;
	return setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ? -errno : 0;
}

static int open_bench(struct bench *b)
{
	size_t page = limits_page_size();

	b->memory = limits_map_filled(MOST * page, false);
	b->iov = limits_map(MOST * sizeof(*b->iov));
	if (!b->memory || !b->iov)
		return -ENOMEM;
	for (size_t i = 0; i < MOST; i++)
		b->iov[i] = (struct iovec){b->memory + i * page, page};
	return limits_ring_open(&b->ring);
}

static int count_all(void *box)
{
	struct limits_point *p = box;
	struct bench b = {0};
	int err = limits_drop_privileges();

	/* What the user closed before is given back late. */
	for (int i = 0; i < 2 && !limits_is_alone(); i++)
		limits_settle();
	if (!err)
		err = lower_limit(p->at);
	if (!err)
		err = open_bench(&b);
	if (err)
		return err;
	b.entries = 1;
	p->y[0] = count(&b, try_groups, MOST);
	b.entries = 4096;
	p->y[1] = count(&b, try_groups, MOST);
	p->y[2] = count(&b, try_buffers, MOST);
	io_uring_queue_exit(&b.ring);
	limits_settle();
	p->y[3] = count_rings();
	return 0;
}

/* A child a limit: what it opened is gone before the next begins. */
static int ask_capacity(const struct limits_env *env, struct limits_answer *answer)
{
	static const uint64_t limits[] = {64 << 10, 256 << 10, 1 << 20, 8 << 20};
	size_t nr = env->level == LIMITS_QUICK ? 1 : LIMITS_NR(limits);

	for (size_t i = 0; i < nr; i++) {
		struct limits_point *p = &answer->points[answer->nr_points];
		struct limits_child child = {
			.run = count_all,
			.box = p,
			.box_bytes = sizeof(*p),
			.patience_ms = 20000,
		};
		int err;

		p->at = limits[i];
		err = limits_child_run(&child);
		if (err)
			return err;
		if (child.fate == FATE_DONE && child.result == 0)
			answer->nr_points++;
	}
	answer->how = answer->nr_points ? LIMITS_TRIED : LIMITS_FAILED;
	snprintf(answer->note, sizeof(answer->note), "each counted up to %d", MOST);
	return 0;
}

static const struct limits_probe probes[] = {
	{"memlock.capacity", "what fits under a limit", "bytes", ask_capacity,
	 .columns = {"groups", "groups_4096", "pages", "rings"}, .weight = 2000},
};

const struct limits_section limits_capacity_section = {
	.name = "memlock",
	.title = "what fits under RLIMIT_MEMLOCK, alone on the ring",
	.probes = probes,
	.nr = LIMITS_NR(probes),
};

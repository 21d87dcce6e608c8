// SPDX-License-Identifier: MIT
/*
 * Does what was claimed of buffer pools hold here? What is said of time is judged by the middle
 * halves of interleaved rounds; what is said of how things work, by trying it once.
 */
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/bufscope.h"
#include "bench.h"

#define SIZE 4096u

enum bench_verdict bench_verdict_between(const struct bench_spread *factor, double low, double high)
{
	if (factor->low >= low && factor->high <= high)
		return BENCH_HOLDS;
	if (factor->low > high)
		return BENCH_MORE;
	return factor->high < low ? BENCH_HOLDS_NOT : BENCH_CANNOT_TELL;
}

enum bench_verdict bench_verdict_above(const struct bench_spread *a, const struct bench_spread *b)
{
	if (a->low > b->high)
		return BENCH_HOLDS;
	return a->high < b->low ? BENCH_HOLDS_NOT : BENCH_CANNOT_TELL;
}

struct court {
	struct bench_table *tables; /* measured once for all claims; by case */
	struct bench_claim *claims;
	int nr;
	const struct bench_plan *plan;
};

static const struct bench_row *row_of(struct court *c, const char *work, const char *strategy)
{
	const struct bench_case *what = bench_case_of(work);
	struct bench_table *table = &c->tables[what - bench_cases];
	const struct bench_row *row;

	if (!table->nr)
		bench_fill(table, what, c->plan);
	row = bench_row_of(table, strategy);
	return row && !row->err ? row : NULL;
}

static struct bench_claim *add(struct court *c, const char *key, const char *claim)
{
	struct bench_claim *out = &c->claims[c->nr++];

	*out = (struct bench_claim){.key = key, .claim = claim};
	return out;
}

__attribute__((format(printf, 2, 3))) static void say(struct bench_claim *claim, const char *format,
						      ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(claim->evidence, sizeof(claim->evidence), format, args);
	va_end(args);
}

/* ---- of time */

/* How many times the CPU time of b does a take, round by round? */
static struct bench_spread factor(const struct bench_row *a, const struct bench_row *b,
				  uint32_t rounds)
{
	double values[BENCH_MAX_ROUNDS];

	for (uint32_t i = 0; i < rounds; i++)
		values[i] = a->rounds[i].cpu_ns / b->rounds[i].cpu_ns;
	return bench_spread(values, rounds);
}

/* Of one or two rounds the middle half is as narrow as chance will have it. */
static bool has_halves(const struct court *c)
{
	return c->plan->rounds >= 3;
}

static void judge_allocation(struct court *c, const char *key, const char *claim, const char *work)
{
	struct bench_claim *out = add(c, key, claim);
	const struct bench_row *heap = row_of(c, work, "heap"), *local = row_of(c, work, "local");
	struct bench_spread f;

	if (!heap || !local) {
		say(out, "not measured");
		return;
	}
	f = factor(heap, local, c->plan->rounds);
	if (has_halves(c))
		out->verdict = bench_verdict_between(&f, 2, 5);
	say(out, "allocating takes %.2f times a pool's CPU time (%.2f-%.2f), %s", f.median, f.low,
	    f.high, work);
}

struct pair {
	const char *key, *claim;
	const char *work, *strategy;           /* this takes more ... */
	const char *than_work, *than_strategy; /* ... than this */
	bool is_of_two;                        /* threads that meet: on one processor none do */
};

/* May two threads of this process run at once? */
static bool has_two_processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) >= 2;
}

static void judge_pair(struct court *c, const struct pair *p)
{
	struct bench_claim *out = add(c, p->key, p->claim);
	const struct bench_row *a = row_of(c, p->work, p->strategy);
	const struct bench_row *b = row_of(c, p->than_work, p->than_strategy);
	struct bench_spread x, y;

	if (!a || !b) {
		say(out, "not measured");
		return;
	}
	x = BENCH_FIGURE(a, c->plan->rounds, cpu_ns);
	y = BENCH_FIGURE(b, c->plan->rounds, cpu_ns);
	if (has_halves(c) && (!p->is_of_two || has_two_processors()))
		out->verdict = bench_verdict_above(&x, &y);
	say(out, "%s %s: %.0f ns (%.0f-%.0f); %s %s: %.0f ns (%.0f-%.0f)", p->work, p->strategy,
	    x.median, x.low, x.high, p->than_work, p->than_strategy, y.median, y.low, y.high);
	if (p->is_of_two && !has_two_processors())
		say(out, "on one processor no two threads meet: run it on two");
}

/* ---- of how things work */

/* What the kernel answers to one request. */
static int ask(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int res = io_uring_submit(ring);

	if (res == 1)
		res = io_uring_wait_cqe(ring, &cqe);
	if (res)
		return res;
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

static struct bs_pool *open_pool(struct io_uring *ring, enum bs_pool_kind kind)
{
	struct bs_pool_opts opts = {
		.size = sizeof(opts), .kind = kind, .buffers = 4, .buf_bytes = SIZE};

	return bs_pool_open(ring, &opts);
}

static int read_fixed(struct io_uring *ring, int fd, const struct bs_buf *buf)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read_fixed(sqe, fd, buf->addr, SIZE, 0, bs_buf_index(buf));
	return ask(ring);
}

static int open_page(unsigned char byte)
{
	unsigned char page[SIZE];
	int fd = (int)syscall(SYS_memfd_create, "claim", 0);

	memset(page, byte, sizeof(page));
	if (fd >= 0 && pwrite(fd, page, sizeof(page), 0) != SIZE) {
		close(fd);
		return -EIO;
	}
	return fd < 0 ? -errno : fd;
}

/* Into one that the kernel picks; lent then. */
static int read_picked(struct io_uring *ring, int fd, struct bs_pool *pool, struct bs_buf *buf)
{
	struct io_uring_cqe *cqe;
	struct bs_op op = {.ring = ring, .fd = fd};
	int err = bs_read_managed_at(pool, &op);

	if (!err && io_uring_submit(ring) == 1)
		err = io_uring_wait_cqe(ring, &cqe);
	if (err)
		return err;
	err = bs_op_done(&op, cqe, buf, 1);
	io_uring_cqe_seen(ring, cqe);
	return err == 1 ? op.res : err < 0 ? err : -EIO;
}

/* What a mebibyte into such a buffer takes, to be said after what was tried. */
static void say_mebibyte(struct court *c, struct bench_claim *out, const char *strategy,
			 const char *tried)
{
	const struct bench_row *row = row_of(c, "file.1M.qd4", strategy);
	const struct bench_row *plain = row_of(c, "file.1M.qd4", "hand-plain");
	struct bench_spread f;

	if (!row || !plain) {
		say(out, "%s", tried);
		return;
	}
	f = factor(row, plain, c->plan->rounds);
	say(out, "%s; 1 MiB takes %.2f (%.2f-%.2f) of a plain read's CPU time", tried, f.median,
	    f.low, f.high);
}

/* Were there no copy, the buffer would change with the page it was read from. */
static void judge_copy(struct court *c, struct bench_claim *out, struct io_uring *ring,
		       enum bs_pool_kind kind)
{
	bool is_fixed = kind == BS_POOL_FIXED;
	struct bs_pool *pool = open_pool(ring, kind);
	struct bs_buf buf = {0};
	int fd = open_page('a'), res = -EIO;

	if (fd >= 0 && pool && !is_fixed)
		res = read_picked(ring, fd, pool, &buf);
	else if (fd >= 0 && pool && bs_pool_acquire(pool, &buf, 1) == 1)
		res = read_fixed(ring, fd, &buf);
	if (res != SIZE || pwrite(fd, "b", 1, 0) != 1) {
		say(out, "not tried: no such buffers here");
	} else if (*(unsigned char *)buf.addr == 'a') {
		out->verdict = BENCH_HOLDS_NOT;
		say_mebibyte(c, out, is_fixed ? "fixed" : "ring",
			     "the buffer did not change when the file's page did");
	} else {
		out->verdict = BENCH_HOLDS;
		say_mebibyte(c, out, is_fixed ? "fixed" : "ring",
			     "the buffer changed when the file's page did");
	}
	if (buf.pool)
		bs_pool_give(pool, &buf, 1);
	if (pool)
		bs_pool_close(pool);
	if (fd >= 0)
		close(fd);
}

#define CLAIMED_LIMIT 1024u

/* One more than that, all of the same page: they need a slot each, and nothing else. */
static void judge_limit(struct court *c, struct io_uring *ring)
{
	static struct iovec iovs[CLAIMED_LIMIT + 1];
	static unsigned char page[SIZE] __attribute__((aligned(SIZE)));
	struct bench_claim *out = add(c, "limit", "a ring registers 1024 buffers and no more");
	int err;

	for (size_t i = 0; i <= CLAIMED_LIMIT; i++)
		iovs[i] = (struct iovec){page, sizeof(page)};
	err = io_uring_register_buffers(ring, iovs, CLAIMED_LIMIT + 1);
	if (err == -ENOMEM) {
		say(out, "not tried: no locked memory for %u buffers", CLAIMED_LIMIT + 1);
		return;
	}
	out->verdict = err ? BENCH_HOLDS : BENCH_HOLDS_NOT;
	say(out, "registering %u: %s", CLAIMED_LIMIT + 1,
	    err ? strerror(-err) : "done; `limits` tells how many there may be");
	io_uring_unregister_buffers(ring);
}

static void judge_migration_fixed(struct court *c, struct io_uring *other, struct bs_pool *pool)
{
	struct bench_claim *out = add(c, "migration.fixed",
				      "a registered buffer is of no use on another thread's ring");
	struct bs_buf buf = {0};
	int fd = open_page('a'), res;

	if (fd < 0 || !pool || bs_pool_acquire(pool, &buf, 1) != 1) {
		say(out, "not tried: no registered buffers here");
	} else {
		res = read_fixed(other, fd, &buf);
		out->verdict = res < 0 ? BENCH_HOLDS : BENCH_HOLDS_NOT;
		say(out, "READ_FIXED on another ring: %s", res < 0 ? strerror(-res) : "reads");
	}
	if (buf.pool)
		bs_pool_give(pool, &buf, 1);
	if (fd >= 0)
		close(fd);
}

/* The group is asked for on a ring where nobody registered it; there are data. */
static void judge_migration_ring(struct court *c, struct io_uring *ring, struct io_uring *other)
{
	struct bench_claim *out =
		add(c, "migration.ring", "buffers that the kernel picks may move between threads");
	struct bs_pool *pool = open_pool(ring, BS_POOL_RING);
	struct io_uring_sqe *sqe;
	int fds[2] = {-1, -1}, res;

	if (!pool || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) || write(fds[1], "x", 1) != 1) {
		say(out, "not tried: no buffer rings here");
	} else {
		sqe = io_uring_get_sqe(other);
		io_uring_prep_recv(sqe, fds[0], NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = 0;
		res = ask(other);
		out->verdict = res < 0 ? BENCH_HOLDS_NOT : BENCH_HOLDS;
		say(out, "a group is its ring's as well; recv on another ring: %s",
		    res < 0 ? strerror(-res) : "gets one");
	}
	if (fds[0] >= 0) {
		close(fds[0]);
		close(fds[1]);
	}
	if (pool)
		bs_pool_close(pool);
}

/* What operations in flight need, and those that are on their way back. */
static void judge_reserve(struct court *c)
{
	struct bench_claim *out =
		add(c, "reserve", "twice as many buffers as operations in flight do");
	const struct bench_row *row = row_of(c, "file.4K.qd32.t2", "global");
	uint32_t peak = 0;
	uint64_t starved = 0;

	if (!row) {
		say(out, "not measured");
		return;
	}
	for (uint32_t i = 0; i < c->plan->rounds; i++) {
		peak = row->rounds[i].peak > peak ? row->rounds[i].peak : peak;
		starved += row->rounds[i].starved;
	}
	out->verdict = starved ? BENCH_HOLDS_NOT : BENCH_HOLDS;
	say(out,
	    "file.4K.qd32.t2 global: %u of %u were out at once at most; %llu operations found none",
	    peak, row->rounds[0].buffers, (unsigned long long)starved);
}

static int try_once(struct court *c)
{
	struct io_uring ring, other;
	struct bs_pool *pool;
	int err = io_uring_queue_init(8, &ring, 0);

	if (err)
		return err;
	err = io_uring_queue_init(8, &other, 0);
	if (!err) {
		judge_copy(c, add(c, "zero_copy", "reading into registered buffers copies nothing"),
			   &ring, BS_POOL_FIXED);
		judge_copy(c,
			   add(c, "zero_copy.ring", "nor does it into those that the kernel picks"),
			   &ring, BS_POOL_RING);
		judge_limit(c, &ring);
		pool = open_pool(&ring, BS_POOL_FIXED);
		judge_migration_fixed(c, &other, pool);
		judge_migration_ring(c, &ring, &other);
		if (pool)
			bs_pool_close(pool);
		io_uring_queue_exit(&other);
	}
	io_uring_queue_exit(&ring);
	return err;
}

int bench_judge(const struct bench_plan *plan, struct bench_claim *claims)
{
	static const struct pair pairs[] = {
		{"mutex.contention", "two threads contend for the mutex of a global pool",
		 "acquire.t2", "global", "acquire", "global", true},
		{"mutex.io", "which is felt where each acquisition brings 4 KiB of a file",
		 "file.4K.qd32.t2", "global", "file.4K.qd32.t2", "local", true},
		{"local.acquire", "a thread's own pool is cheaper than a global one", "acquire",
		 "global", "acquire", "local"},
		{"local.io", "which is felt with 4 KiB of a file", "file.4K.qd32", "global",
		 "file.4K.qd32", "local"},
		{"ring.io", "buffers that the kernel picks are cheaper than registered ones",
		 "file.4K.qd32", "fixed", "file.4K.qd32", "ring"},
	};
	struct court c = {.claims = claims, .plan = plan};
	int err;

	c.tables = calloc(bench_nr_cases, sizeof(*c.tables));
	if (!c.tables)
		return -ENOMEM;
	judge_allocation(&c, "alloc.4K", "a pool is 2-5 times faster than allocating, at 4 KiB",
			 "file.4K.qd32");
	judge_allocation(&c, "alloc.64K", "the same at 64 KiB", "file.64K.qd32");
	judge_allocation(&c, "alloc.1M", "the same at 1 MiB", "file.1M.qd4");
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		judge_pair(&c, &pairs[i]);
	judge_reserve(&c);
	err = try_once(&c);
	free(c.tables);
	return err ? err : c.nr;
}

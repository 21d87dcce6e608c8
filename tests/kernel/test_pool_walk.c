// SPDX-License-Identifier: MIT
/*
 * Does a pool on a real ring behave as the simplest description of one, over many random steps with
 * operations in flight, cancels, errors and short reads? The oracle knows what was sent, which
 * operations wait, which buffers are lent and what must be in them; after each step all statistics
 * are those that follow from it.
 *
 * STEPS=N walks N steps with each pool, SEED=N others.
 */
#include "pool_rig.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>

#define BUFFERS    7u
#define BUF_BYTES  96u
#define NR_OPS     8u
#define STREAMS    4u /* the last one is a pipe */
#define MOST_LENT  1024u
#define FILE_BYTES 4096u
#define CYCLE      4000u /* steps with one pool on one ring */

enum source { FROM_STREAM, FROM_FILE, FROM_NOWHERE, FROM_NO_SOCKET };

struct stream {
	int in, out;
	uint64_t sent, seen;
	bool is_ended, is_busy;
};

struct task {
	struct bs_op op;
	enum source source;
	uint32_t stream;
	bool is_stopped;
};

struct loan {
	struct bs_buf buf;
	uint64_t from; /* what is in it begins with this byte of the endless sequence */
};

struct walk {
	enum bs_pool_kind kind;
	enum bs_evict evict;
	uint32_t table;
	uint64_t random;
	struct io_uring ring;
	struct bs_pool *pool;
	int file;
	struct stream streams[STREAMS];
	struct task tasks[NR_OPS];
	struct loan loans[MOST_LENT];
	uint32_t nr_loans, pieces[BUFFERS]; /* of each buffer, lent */
	struct bs_buf stale;                /* given back already */
	struct bs_pool_stats expected;
	uint64_t errors, cancels, shorts, all_taken, all_starved;
};

static uint32_t draw(struct walk *w, uint32_t below)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->random >> 33) % below;
}

static bool kernel_picks(const struct walk *w)
{
	return w->kind <= BS_POOL_LEGACY;
}

/* An operation that waits has a buffer. */
static bool waits_with_buffer(const struct walk *w)
{
	return !kernel_picks(w) && w->kind != BS_POOL_FALLBACK;
}

static uint32_t nr_armed(const struct walk *w)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < NR_OPS; i++)
		nr += w->tasks[i].op.armed;
	return nr;
}

static uint32_t nr_out(const struct walk *w)
{
	uint32_t nr = waits_with_buffer(w) ? nr_armed(w) : 0;

	for (uint32_t i = 0; i < BUFFERS; i++)
		nr += w->pieces[i] > 0;
	return nr;
}

/* ---- what the oracle says */

static void compare_fixed(const struct walk *w, const struct bs_pool_stats *stats)
{
	assert_int_equal(stats->hits + stats->plain + (w->table ? stats->registered : 0),
			 stats->taken);
	assert_true(stats->evicted <= stats->registered);
	assert_true(stats->registered - stats->evicted <= stats->entries);
	if (w->table && w->evict == BS_EVICT_NONE)
		assert_int_equal(stats->evicted, 0);
}

static void compare(const struct walk *w)
{
	const struct bs_pool_stats *expected = &w->expected;
	struct bs_pool_stats stats;

	assert_int_equal(bs_pool_read_stats(w->pool, &stats), 0);
	assert_int_equal(stats.in_flight, nr_armed(w));
	assert_int_equal(stats.in_use, nr_out(w));
	assert_int_equal(stats.selected, expected->selected);
	assert_int_equal(stats.bytes, expected->bytes);
	assert_int_equal(stats.starved, expected->starved);
	assert_int_equal(stats.refused, expected->refused);
	assert_int_equal(bs_pool_available(w->pool), stats.returned - stats.taken);
	assert_true(stats.peak >= stats.in_use && stats.peak <= BUFFERS);
	if (w->kind != BS_POOL_INC) {
		assert_int_equal(stats.taken, expected->taken);
		assert_int_equal(stats.returned, expected->returned);
		assert_int_equal(stats.returned - stats.taken, BUFFERS - stats.in_use);
	}
	if (w->kind == BS_POOL_FIXED)
		compare_fixed(w, &stats);
}

/* ---- data */

static void check_bytes(const unsigned char *data, uint32_t len, uint64_t from)
{
	for (uint32_t i = 0; i < len; i++)
		if (data[i] != rig_byte(from + i))
			fail_msg("byte %llu is wrong", (unsigned long long)from + i);
}

static void send_some(struct walk *w)
{
	struct stream *s = &w->streams[draw(w, STREAMS)];
	uint32_t bytes = 1 + draw(w, 3 * BUF_BYTES);
	unsigned char data[3 * BUF_BYTES];

	if (s->is_ended || s->sent - s->seen > 8 * BUF_BYTES)
		return;
	for (uint32_t i = 0; i < bytes; i++)
		data[i] = rig_byte(s->sent + i);
	assert_int_equal(write(s->in, data, bytes), bytes);
	s->sent += bytes;
}

static void open_stream(struct walk *w, uint32_t i)
{
	int fds[2], err;

	memset(&w->streams[i], 0, sizeof(w->streams[i]));
	if (i == STREAMS - 1) {
		err = pipe(fds);
		w->streams[i].out = fds[0];
		w->streams[i].in = fds[1];
	} else {
		err = socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
		w->streams[i].in = fds[0];
		w->streams[i].out = fds[1];
	}
	assert_int_equal(err, 0);
}

static void close_stream(struct walk *w, uint32_t i)
{
	if (!w->streams[i].is_ended)
		close(w->streams[i].in);
	close(w->streams[i].out);
}

/* The writer goes; when all was read and nobody waits, another one comes. */
static void end_stream(struct walk *w)
{
	uint32_t i = draw(w, STREAMS);
	struct stream *s = &w->streams[i];

	if (!s->is_ended) {
		close(s->in);
		s->is_ended = true;
	} else if (!s->is_busy) {
		close_stream(w, i);
		open_stream(w, i);
	}
}

/* ---- operations */

static void aim(struct walk *w, struct task *t)
{
	struct bs_op *op = &t->op;

	memset(t, 0, sizeof(*t));
	t->source = (enum source)(draw(w, 16) < 13 ? FROM_STREAM : 1 + draw(w, 3));
	t->stream = draw(w, STREAMS);
	op->len = draw(w, 2) ? 0 : 1 + draw(w, 2 * BUF_BYTES);
	if (t->source == FROM_FILE && w->kind == BS_POOL_INC) /* see the header */
		t->source = FROM_NOWHERE;
	if (t->source == FROM_FILE) {
		op->fd = w->file;
		op->offset = draw(w, FILE_BYTES + BUF_BYTES);
	} else if (t->source == FROM_STREAM) {
		op->fd = w->streams[t->stream].out;
		op->offset = t->stream == STREAMS - 1 ? UINT64_MAX : 0;
		op->flags = t->stream == STREAMS - 1 ? 0 : draw(w, 4);
		if (w->kind == BS_POOL_INC)
			op->flags &= BS_OP_MULTISHOT;
	} else {
		op->fd = t->source == FROM_NOWHERE ? -1 : w->file;
	}
}

static bool is_recv(const struct task *t)
{
	return t->source == FROM_NO_SOCKET ||
	       (t->source == FROM_STREAM && t->stream != STREAMS - 1);
}

/* At most one operation reads a stream: what comes then is in order. */
static void start(struct walk *w)
{
	struct task *t = &w->tasks[draw(w, NR_OPS)];
	bool has_buffer = nr_out(w) < BUFFERS;
	int err;

	if (t->op.armed) {
		assert_int_equal(bs_recv_managed(w->pool, &t->op), -EALREADY);
		w->expected.refused++;
		return;
	}
	aim(w, t);
	if (t->source == FROM_STREAM && w->streams[t->stream].is_busy)
		return;
	err = is_recv(t) ? bs_recv_managed(w->pool, &t->op) : bs_read_managed_at(w->pool, &t->op);
	if (waits_with_buffer(w) && !has_buffer) {
		assert_int_equal(err, -ENOBUFS);
		w->expected.starved++;
		return;
	}
	assert_int_equal(err, 0);
	w->expected.taken += waits_with_buffer(w);
	if (t->source == FROM_STREAM)
		w->streams[t->stream].is_busy = true;
}

static void cancel(struct walk *w)
{
	struct task *t = &w->tasks[draw(w, NR_OPS)];

	if (!t->op.armed) {
		assert_int_equal(bs_op_cancel(&t->op), -EINVAL);
		return;
	}
	assert_int_equal(bs_op_cancel(&t->op), 0);
	t->is_stopped = true;
	w->cancels++;
}

/* ---- completions */

/* How may it have gone? */
static void check_result(struct walk *w, const struct task *t, int res)
{
	const struct stream *s = &w->streams[t->stream];

	w->errors += res < 0;
	if (res == -ECANCELED) {
		assert_true(t->is_stopped);
	} else if (res == -ENOBUFS) {
		assert_true(kernel_picks(w) || nr_out(w) == BUFFERS);
	} else if (t->source == FROM_NOWHERE) {
		assert_int_equal(res, -EBADF);
	} else if (t->source == FROM_NO_SOCKET) {
		assert_int_equal(res, -ENOTSOCK);
	} else if (res == 0) {
		assert_true(t->source == FROM_FILE ? t->op.offset >= FILE_BYTES
						   : s->is_ended && s->seen == s->sent);
	} else {
		assert_true(res > 0);
	}
	w->shorts += res > 0 && (uint32_t)res < BUF_BYTES;
}

static void take_loans(struct walk *w, struct task *t, const struct bs_buf *bufs, int nr)
{
	struct stream *s = &w->streams[t->stream];
	uint64_t from = t->source == FROM_FILE ? t->op.offset : s->seen, total = 0;

	for (int i = 0; i < nr; i++) {
		assert_in_range(bufs[i].bid, 0, BUFFERS - 1);
		assert_in_range(bufs[i].len, 1, BUF_BYTES);
		assert_true(w->kind == BS_POOL_INC || !w->pieces[bufs[i].bid]);
		assert_true(w->nr_loans < MOST_LENT);
		check_bytes(bufs[i].addr, bufs[i].len, from + total);
		w->loans[w->nr_loans++] = (struct loan){bufs[i], from + total};
		w->pieces[bufs[i].bid]++;
		total += bufs[i].len;
	}
	if (nr)
		assert_int_equal(total, t->op.res);
	if (t->source == FROM_STREAM)
		s->seen += total;
}

/* The kernel picked: what its completion says. `taken` is what the pool says of the like. */
static void expect_selected(struct walk *w, const struct io_uring_cqe *cqe, int nr)
{
	bool has_buffer = cqe->flags & IORING_CQE_F_BUFFER;
	struct bs_pool_stats stats;

	w->expected.selected += has_buffer;
	w->expected.starved += cqe->res == -ENOBUFS && !has_buffer;
	w->expected.taken += (uint64_t)nr;
	if (has_buffer && cqe->res > 0)
		w->expected.bytes += (uint64_t)cqe->res;
	if (!has_buffer || cqe->res > 0 || w->kind == BS_POOL_INC)
		return;
	/* one that was used up for nothing comes back by itself, if it had left at all */
	bs_pool_read_stats(w->pool, &stats);
	assert_in_range(stats.taken - w->expected.taken, 0, 1);
	w->expected.returned += stats.taken - w->expected.taken;
	w->expected.taken = stats.taken;
}

/* Its own buffer became data, or went back; the next one is there already, or was lacking. */
static void expect_own(struct walk *w, const struct task *t, const struct io_uring_cqe *cqe)
{
	bool goes_on = t->op.flags & BS_OP_MULTISHOT && cqe->res > 0 && !t->is_stopped;

	if (w->kind == BS_POOL_FALLBACK) {
		w->expected.starved += cqe->res == -ENOBUFS;
		/* only what looked at data has had one */
		if (cqe->res > 0 ||
		    (cqe->res != -ENOBUFS && cqe->res != -ECANCELED && t->source != FROM_NOWHERE)) {
			w->expected.taken++;
			w->expected.returned += cqe->res <= 0;
		}
		goes_on = false;
	} else {
		w->expected.returned += cqe->res <= 0;
	}
	w->expected.selected += cqe->res > 0;
	w->expected.bytes += cqe->res > 0 ? (uint64_t)cqe->res : 0;
	if (goes_on && t->op.armed)
		w->expected.taken++;
	else if (goes_on)
		w->expected.starved++;
}

static bool reap(struct walk *w, int timeout_ms)
{
	struct io_uring_cqe cqe;
	struct bs_buf bufs[BUFFERS];
	struct task *t;
	int nr;

	if (bs_pool_next(w->pool, &cqe, timeout_ms) != 1)
		return false;
	t = io_uring_cqe_get_data(&cqe);
	assert_true(t >= w->tasks && t < w->tasks + NR_OPS && t->op.armed);
	if (cqe.res > 0 && draw(w, 4) == 0)
		assert_int_equal(bs_op_done(&t->op, &cqe, NULL, 0), -ENOSPC);
	nr = bs_op_done(&t->op, &cqe, bufs, BUFFERS);
	if (nr < 0)
		fail_msg("bs_op_done: %s, for %d", strerror(-nr), cqe.res);
	check_result(w, t, cqe.res);
	take_loans(w, t, bufs, nr);
	if (kernel_picks(w))
		expect_selected(w, &cqe, nr);
	else
		expect_own(w, t, &cqe);
	if (!t->op.armed && t->source == FROM_STREAM)
		w->streams[t->stream].is_busy = false;
	return true;
}

/* ---- giving back */

static void give_one(struct walk *w, uint32_t i)
{
	struct loan loan = w->loans[i];

	check_bytes(loan.buf.addr, loan.buf.len, loan.from);
	w->stale = loan.buf;
	if (draw(w, 8) == 0)
		bs_buf_drop(&loan.buf);
	else
		assert_int_equal(bs_pool_give(w->pool, &loan.buf, 1), 0);
	w->pieces[w->stale.bid]--;
	w->loans[i] = w->loans[--w->nr_loans];
	w->expected.returned++;
}

/* Several in one call, in any order; now and then with one that is out no more: none is taken. */
static void give(struct walk *w)
{
	struct bs_buf bufs[9];
	uint32_t nr = draw(w, 8), i;

	if (nr == 0 || w->nr_loans < nr) {
		if (w->nr_loans)
			give_one(w, draw(w, w->nr_loans));
		return;
	}
	for (i = 0; i < nr; i++) {
		const struct loan *loan = &w->loans[w->nr_loans - 1 - i];

		check_bytes(loan->buf.addr, loan->buf.len, loan->from);
		bufs[i] = loan->buf;
	}
	if (draw(w, 8) == 0) {
		bufs[nr] = bufs[draw(w, nr)];
		assert_int_equal(bs_pool_give(w->pool, bufs, nr + 1), -EALREADY);
		w->expected.refused++;
		return;
	}
	assert_int_equal(bs_pool_give(w->pool, bufs, nr), 0);
	for (i = 0; i < nr; i++)
		w->pieces[bufs[i].bid]--;
	w->nr_loans -= nr;
	w->expected.returned += nr;
}

static void misuse(struct walk *w)
{
	struct io_uring_cqe cqe = {0};
	struct bs_buf buf = w->stale;

	switch (draw(w, 3)) {
	case 0:
		if (buf.pool && !w->pieces[buf.bid]) {
			assert_int_equal(bs_pool_give(w->pool, &buf, 1), -EALREADY);
			w->expected.refused++;
		}
		break;
	case 1:
		assert_int_equal(bs_op_done(&w->tasks[0].op, &cqe, &buf, 1), -EINVAL);
		break;
	default:
		if (nr_armed(w)) {
			assert_int_equal(bs_pool_close(w->pool), -EBUSY);
			w->expected.refused++;
		}
	}
}

/* ---- one pool */

static bool open_pool(struct walk *w)
{
	static const unsigned int flags[] = {0, IORING_SETUP_COOP_TASKRUN,
					     IORING_SETUP_SINGLE_ISSUER |
						     IORING_SETUP_DEFER_TASKRUN};
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = w->kind,
				    .buffers = BUFFERS,
				    .buf_bytes = BUF_BYTES,
				    .table = w->table,
				    .evict = w->evict};

	assert_int_equal(io_uring_queue_init(draw(w, 2) ? 2 : 16, &w->ring, flags[draw(w, 3)]), 0);
	w->pool = bs_pool_open(&w->ring, &opts);
	if (!w->pool) {
		io_uring_queue_exit(&w->ring);
		return false;
	}
	memset(w->tasks, 0, sizeof(w->tasks));
	memset(&w->expected, 0, sizeof(w->expected));
	memset(&w->stale, 0, sizeof(w->stale));
	w->expected.returned = BUFFERS;
	for (uint32_t i = 0; i < STREAMS; i++)
		open_stream(w, i);
	return true;
}

/* Every buffer of a pool that is at rest can be had, and no more. */
static void count_buffers(struct walk *w)
{
	struct stream *s = &w->streams[0];
	struct task *t = &w->tasks[0];

	close_stream(w, 0);
	open_stream(w, 0);
	for (uint32_t i = 0; i <= BUFFERS; i++) {
		assert_int_equal(write(s->in, (unsigned char[]){rig_byte(i)}, 1), 1);
		s->sent++;
		memset(t, 0, sizeof(*t));
		t->op.fd = s->out;
		if (waits_with_buffer(w) && i == BUFFERS)
			break;
		assert_int_equal(bs_recv_managed(w->pool, &t->op), 0);
		w->expected.taken += waits_with_buffer(w);
		assert_true(reap(w, 5000));
		assert_int_equal(t->op.res, i < BUFFERS ? 1 : -ENOBUFS);
		compare(w);
	}
	while (w->nr_loans)
		give_one(w, 0);
	compare(w);
}

/* Ends what is in flight; nothing is lost. */
static void close_pool(struct walk *w)
{
	uint32_t armed = nr_armed(w), i;

	assert_int_equal(bs_pool_cancel(w->pool), armed);
	for (i = 0; i < NR_OPS; i++)
		w->tasks[i].is_stopped = true;
	while (nr_armed(w)) {
		if (w->nr_loans > MOST_LENT / 2)
			give(w);
		assert_true(reap(w, 5000));
		compare(w);
	}
	while (w->nr_loans)
		give_one(w, draw(w, w->nr_loans));
	compare(w);
	assert_int_equal(bs_pool_available(w->pool), BUFFERS);
	if (w->kind != BS_POOL_INC)
		count_buffers(w);
	w->all_taken += w->expected.selected;
	w->all_starved += w->expected.starved;
	assert_int_equal(bs_pool_close(w->pool), 0);
	io_uring_queue_exit(&w->ring);
	for (i = 0; i < STREAMS; i++)
		close_stream(w, i);
}

static void step(struct walk *w)
{
	uint32_t dice = draw(w, 100);

	if (dice < 25)
		send_some(w);
	else if (dice < 45)
		start(w);
	else if (dice < 75)
		reap(w, 0);
	else if (dice < 90)
		give(w);
	else if (dice < 95)
		cancel(w);
	else if (dice < 97)
		end_stream(w);
	else
		misuse(w);
	compare(w);
}

static int make_file(void)
{
	unsigned char data[FILE_BYTES];
	int fd = memfd_create("walk", MFD_CLOEXEC);

	for (uint32_t i = 0; i < FILE_BYTES; i++)
		data[i] = rig_byte(i);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	return fd;
}

static uint64_t from_environment(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : fallback;
}

static uint64_t all_steps;

static void walk(enum bs_pool_kind kind, uint32_t table, enum bs_evict evict, const char *name)
{
	static struct walk w;
	uint64_t steps = from_environment("STEPS", rig_times(160000)), i;

	memset(&w, 0, sizeof(w));
	w.kind = kind;
	w.table = table;
	w.evict = evict;
	w.random = from_environment("SEED", 1) * 31 + kind * 7 + evict;
	w.file = make_file();
	for (i = 0; i < steps; i++) {
		if (i % CYCLE == 0 && !open_pool(&w)) {
			close(w.file);
			needs(0, name);
		}
		step(&w);
		if (i % CYCLE == CYCLE - 1 || i == steps - 1)
			close_pool(&w);
	}
	close(w.file);
	all_steps += steps;
	print_message("# %s: %llu steps, %llu selections, %llu short, %llu starves, %llu cancels, "
		      "%llu errors\n",
		      name, (unsigned long long)steps, (unsigned long long)w.all_taken,
		      (unsigned long long)w.shorts, (unsigned long long)w.all_starved,
		      (unsigned long long)w.cancels, (unsigned long long)w.errors);
}

#define WALK(name, kind, table, evict)                                                             \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		walk(kind, table, evict, #name);                                                   \
	}

WALK(ring, BS_POOL_RING, 0, BS_EVICT_CLOCK)
WALK(mmap_ring, BS_POOL_MMAP, 0, BS_EVICT_CLOCK)
WALK(inc, BS_POOL_INC, 0, BS_EVICT_CLOCK)
WALK(legacy, BS_POOL_LEGACY, 0, BS_EVICT_CLOCK)
WALK(heap, BS_POOL_HEAP, 0, BS_EVICT_CLOCK)
WALK(local, BS_POOL_LOCAL, 0, BS_EVICT_CLOCK)
WALK(fallback, BS_POOL_FALLBACK, 0, BS_EVICT_CLOCK)
WALK(fixed_all, BS_POOL_FIXED, 0, BS_EVICT_CLOCK)
WALK(fixed_clock, BS_POOL_FIXED, 5, BS_EVICT_CLOCK)
WALK(fixed_none, BS_POOL_FIXED, 5, BS_EVICT_NONE)
WALK(fixed_fifo, BS_POOL_FIXED, 5, BS_EVICT_FIFO)
WALK(fixed_random, BS_POOL_FIXED, 5, BS_EVICT_RANDOM)
WALK(fixed_lru, BS_POOL_FIXED, 5, BS_EVICT_LRU)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring),        cmocka_unit_test(mmap_ring),
		cmocka_unit_test(inc),         cmocka_unit_test(legacy),
		cmocka_unit_test(heap),        cmocka_unit_test(local),
		cmocka_unit_test(fallback),    cmocka_unit_test(fixed_all),
		cmocka_unit_test(fixed_clock), cmocka_unit_test(fixed_none),
		cmocka_unit_test(fixed_fifo),  cmocka_unit_test(fixed_random),
		cmocka_unit_test(fixed_lru),
	};

	int failed = cmocka_run_group_tests_name("pool_walk", tests, NULL, NULL);

	print_message("# %llu steps in all\n", (unsigned long long)all_steps);
	return failed;
}

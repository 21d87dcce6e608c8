// SPDX-License-Identifier: MIT
/*
 * Do managed operations deliver every byte, once and in its place, from a pool of any kind? Do
 * cancelling and closing lose nothing? Is no registered buffer in flight ever given another place?
 */
#include "pool_rig.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const enum bs_pool_kind kinds[] = {
	BS_POOL_RING, BS_POOL_MMAP,  BS_POOL_INC,   BS_POOL_LEGACY,
	BS_POOL_HEAP, BS_POOL_LOCAL, BS_POOL_FIXED, BS_POOL_FALLBACK,
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct bench {
	struct io_uring ring;
	struct bs_pool *pool;
	int in, out;
	uint64_t sent, seen;
};

/* False: this kernel has no such pool. */
static bool set_up(struct bench *b, enum bs_pool_kind kind, uint32_t table)
{
	struct bs_pool_opts opts = {
		.size = sizeof(opts), .kind = kind, .buffers = 8, .buf_bytes = 100, .table = table};
	int fds[2];

	memset(b, 0, sizeof(*b));
	assert_int_equal(io_uring_queue_init(64, &b->ring, 0), 0);
	b->pool = bs_pool_open(&b->ring, &opts);
	if (!b->pool) {
		printf("# kind %d: %s\n", kind, strerror(errno));
		io_uring_queue_exit(&b->ring);
		return false;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	b->in = fds[0];
	b->out = fds[1];
	return true;
}

static void tear_down(struct bench *b, int out)
{
	struct bs_pool_stats stats;

	assert_int_equal(bs_pool_read_stats(b->pool, &stats), 0);
	assert_int_equal(stats.in_flight, 0);
	assert_int_equal(stats.refused, 0);
	assert_int_equal(bs_pool_close(b->pool), out);
	io_uring_queue_exit(&b->ring);
	close(b->in);
	close(b->out);
}

static void send_bytes(struct bench *b, uint32_t bytes)
{
	unsigned char data[1024];

	for (uint32_t i = 0; i < bytes; i++)
		data[i] = rig_byte(b->sent + i);
	assert_int_equal(write(b->in, data, bytes), bytes);
	b->sent += bytes;
}

/* Takes one completion of op; the bytes must be the next ones. Number of buffers, given back. */
static int reap(struct bench *b, struct bs_op *op)
{
	struct io_uring_cqe cqe;
	struct bs_buf bufs[8];
	int nr;

	assert_int_equal(bs_pool_next(b->pool, &cqe, 2000), 1);
	assert_ptr_equal(io_uring_cqe_get_data(&cqe), op);
	nr = bs_op_done(op, &cqe, bufs, 8);
	assert_in_range(nr, 0, 8);
	for (int i = 0; i < nr; i++) {
		const unsigned char *data = bufs[i].addr;

		for (uint32_t at = 0; at < bufs[i].len; at++)
			assert_int_equal(data[at], rig_byte(b->seen + at));
		b->seen += bufs[i].len;
	}
	if (nr)
		assert_int_equal(bs_pool_give(b->pool, bufs, (unsigned int)nr), 0);
	return nr;
}

static void receive(enum bs_pool_kind kind, uint32_t flags)
{
	struct bench b;
	struct bs_op op = {.flags = flags};

	if (!set_up(&b, kind, kind == BS_POOL_FIXED ? 3 : 0))
		return;
	op.fd = b.out;
	for (int i = 0; i < 300; i++) {
		if (!op.armed)
			assert_int_equal(bs_recv_managed(b.pool, &op), 0);
		send_bytes(&b, 1 + (uint32_t)(i * 37) % 700);
		while (b.seen < b.sent) {
			if (!op.armed)
				assert_int_equal(bs_recv_managed(b.pool, &op), 0);
			reap(&b, &op);
		}
	}
	close(b.in); /* the end of the stream is a completion without a buffer */
	if (!op.armed)
		assert_int_equal(bs_recv_managed(b.pool, &op), 0);
	assert_int_equal(reap(&b, &op), 0);
	assert_int_equal(op.res, 0);
	assert_int_equal(op.armed, 0);
	b.in = dup(b.out);
	tear_down(&b, 0);
}

static void one_shot(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_KINDS; i++)
		receive(kinds[i], 0);
}

static void multishot(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_KINDS; i++)
		receive(kinds[i], BS_OP_MULTISHOT);
}

static void bundle(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_KINDS; i++) {
		if (kinds[i] == BS_POOL_INC)
			continue;
		receive(kinds[i], BS_OP_BUNDLE);
	}
}

/* An idle operation is in flight: the pool stays open until it has ended. */
static void cancel(enum bs_pool_kind kind, uint32_t flags, bool with_data)
{
	struct bench b;
	struct bs_op op = {.flags = flags};

	if (!set_up(&b, kind, 0))
		return;
	op.fd = b.out;
	assert_int_equal(bs_recv_managed(b.pool, &op), 0);
	assert_int_equal(bs_recv_managed(b.pool, &op), -EALREADY);
	if (kind != BS_POOL_FALLBACK)
		assert_int_equal(io_uring_submit(&b.ring), 1);
	assert_int_equal(bs_pool_close(b.pool), -EBUSY);
	if (with_data)
		send_bytes(&b, 50);
	assert_int_equal(bs_pool_cancel(b.pool), 1);
	while (op.armed)
		reap(&b, &op);
	if (with_data && b.seen == 0) { /* then it is still in the socket */
		assert_int_equal(op.res, -ECANCELED);
		op.flags = 0;
		assert_int_equal(bs_recv_managed(b.pool, &op), 0);
		reap(&b, &op);
	}
	assert_int_equal(b.seen, b.sent);
	assert_int_equal(bs_op_cancel(&op), -EINVAL);
	assert_int_equal(bs_pool_available(b.pool), 8);
	{ /* the two refusals above are wanted */
		struct bs_pool_stats stats;

		assert_int_equal(bs_pool_read_stats(b.pool, &stats), 0);
		assert_int_equal(stats.refused, 2);
		assert_int_equal(stats.in_flight, 0);
	}
	assert_int_equal(bs_pool_close(b.pool), 0);
	io_uring_queue_exit(&b.ring);
	close(b.in);
	close(b.out);
}

static void cancelling(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_KINDS; i++) {
		for (int way = 0; way < 4; way++)
			cancel(kinds[i], way & 1 ? BS_OP_MULTISHOT : 0, way & 2);
	}
}

/* A file, read in pieces in any order, with a hole in the pool's patience: its end, and an error.
 */
static void read_file(enum bs_pool_kind kind)
{
	struct bench b;
	struct bs_op op = {0};
	unsigned char data[1000];
	int fd = memfd_create("read", 0);

	if (!set_up(&b, kind, 0)) {
		close(fd);
		return;
	}
	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = rig_byte(i);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	op.fd = fd;
	for (int i = 0; i < 100; i++) {
		op.offset = b.seen = (uint64_t)(i * 7 % 10) * 100;
		assert_int_equal(bs_read_managed_at(b.pool, &op), 0);
		assert_int_equal(reap(&b, &op), 1);
		assert_int_equal(op.res, 100);
	}
	op.offset = b.seen = 950; /* short */
	assert_int_equal(bs_read_managed_at(b.pool, &op), 0);
	assert_int_equal(reap(&b, &op), 1);
	assert_int_equal(op.res, 50);
	op.offset = 1000;
	assert_int_equal(bs_read_managed_at(b.pool, &op), 0);
	assert_int_equal(reap(&b, &op), 0);
	assert_int_equal(op.res, 0);
	op.fd = -1;
	assert_int_equal(bs_read_managed_at(b.pool, &op), 0);
	assert_int_equal(reap(&b, &op), 0);
	assert_int_equal(op.res, -EBADF);
	close(fd);
	tear_down(&b, 0);
}

static void reading(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_KINDS; i++) {
		if (kinds[i] != BS_POOL_INC)
			read_file(kinds[i]);
	}
}

/* Where the program picks, operations beyond its buffers are refused; else they end with ENOBUFS.
 */
static void starving(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_KINDS; i++) {
		struct bs_op ops[9] = {0};
		struct bs_pool_stats stats;
		struct io_uring_cqe cqe;
		struct bs_buf bufs[9];
		struct bench b;
		int nr = 0, starved = 0;

		if (kinds[i] == BS_POOL_INC || !set_up(&b, kinds[i], 0))
			continue;
		send_bytes(&b, 900);
		for (int j = 0; j < 9; j++) {
			ops[j].fd = b.out;
			starved += bs_recv_managed(b.pool, &ops[j]) == -ENOBUFS;
		}
		while (nr + starved < 9) {
			struct bs_op *op;
			int got;

			assert_int_equal(bs_pool_next(b.pool, &cqe, 2000), 1);
			op = io_uring_cqe_get_data(&cqe);
			got = bs_op_done(op, &cqe, &bufs[nr], 1);
			assert_in_range(got, 0, 1);
			starved += got == 0 && op->res == -ENOBUFS;
			nr += got;
		}
		assert_int_equal(nr, 8);
		assert_int_equal(bs_pool_read_stats(b.pool, &stats), 0);
		assert_int_equal(stats.starved, 1);
		assert_int_equal(stats.in_use, 8);
		assert_int_equal(bs_pool_give(b.pool, bufs, 8), 0);
		tear_down(&b, 0);
	}
}

/* ---- registered buffers */

struct book {
	struct bs_buf lent[16];
	int index[16];
	uint64_t plain;
	uint64_t lends;
};

/* No two lent buffers share a slot of the five. */
static void check_slots(const struct book *book)
{
	unsigned int used = 0;

	for (int i = 0; i < 16; i++) {
		if (!book->lent[i].pool || book->index[i] < 0)
			continue;
		assert_in_range(book->index[i], 0, 4);
		assert_false(used & 1u << book->index[i]);
		used |= 1u << book->index[i];
	}
}

static void lend_or_give(struct bs_pool *pool, struct book *book, uint16_t bid)
{
	struct bs_buf *buf = &book->lent[bid];

	if (buf->pool) {
		assert_int_equal(bs_buf_index(buf), book->index[bid]);
		assert_int_equal(bs_pool_give(pool, buf, 1), 0);
		buf->pool = NULL;
		return;
	}
	assert_int_equal(bs_pool_acquire_bid(pool, bid, buf), 0);
	book->index[bid] = bs_buf_index(buf);
	book->lends++;
	book->plain += book->index[bid] == -ENOENT;
	check_slots(book);
}

/* Each lent buffer keeps its index, and the counts are those of a simple book. */
static void evict_by(enum bs_evict policy)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = BS_POOL_FIXED,
				    .buffers = 16,
				    .buf_bytes = 4096,
				    .table = 5,
				    .evict = policy};
	struct bs_pool_stats stats;
	struct book book = {0};
	struct io_uring ring;
	struct bs_pool *pool;
	uint32_t random = 1;

	assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
	pool = bs_pool_open(&ring, &opts);
	assert_non_null(pool);
	for (int step = 0; step < 20000; step++) {
		random = random * 1103515245 + 12345;
		lend_or_give(pool, &book, random >> 16 & 15);
	}
	assert_int_equal(bs_pool_read_stats(pool, &stats), 0);
	assert_int_equal(stats.plain, book.plain);
	assert_int_equal(stats.hits + stats.registered + stats.plain, book.lends);
	assert_int_equal(stats.registered - stats.evicted, 5);
	assert_true(policy != BS_EVICT_NONE || stats.evicted == 0);
	assert_true(book.plain > 0 && stats.hits > 0);
	bs_pool_close(pool);
	io_uring_queue_exit(&ring);
}

static void eviction(void **state)
{
	(void)state;
	for (int policy = BS_EVICT_CLOCK; policy <= BS_EVICT_LRU; policy++)
		evict_by((enum bs_evict)policy);
}

/* Two pools in one table; and a table that is somebody else's is refused, with nothing left. */
static void metadata(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_KINDS; i++) {
		struct bs_pool_opts opts = {.size = sizeof(opts),
					    .kind = kinds[i],
					    .buffers = 4,
					    .buf_bytes = 65536,
					    .meta_buffers = 6};
		struct io_uring ring;
		struct bs_pool *pool, *meta;
		struct bs_buf bufs[7];

		assert_int_equal(io_uring_queue_init(8, &ring, 0), 0);
		if (kinds[i] <= BS_POOL_LEGACY)
			opts.meta_bgid = 1;
		pool = bs_pool_open(&ring, &opts);
		if (!pool) {
			printf("# kind %d: %s\n", kinds[i], strerror(errno));
			io_uring_queue_exit(&ring);
			continue;
		}
		meta = bs_pool_meta(pool);
		assert_non_null(meta);
		assert_int_equal(bs_pool_available(meta), 6);
		assert_int_equal(bs_pool_close(meta), -EPERM);
		if (kinds[i] > BS_POOL_LEGACY) {
			assert_int_equal(bs_pool_acquire(meta, bufs, 7), 6);
			assert_int_equal(bufs[0].len, 4096);
			assert_int_equal(bs_pool_give(pool, bufs, 1), -EXDEV);
			if (kinds[i] == BS_POOL_FIXED)
				assert_in_range(bs_buf_index(&bufs[0]), 4, 9);
		}
		if (kinds[i] == BS_POOL_FIXED) {
			assert_null(bs_pool_open(&ring, &opts));
			assert_int_equal(errno, EBUSY);
		}
		assert_int_equal(bs_pool_close(pool), kinds[i] > BS_POOL_LEGACY ? 6 : 0);
		io_uring_queue_exit(&ring);
	}
}

/* ---- without io_uring */

static int forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {4, code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &prog);
}

/* The same program with and without io_uring; its exit code is the kind it was served by. */
static int serve_oneself(void)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = BS_POOL_RING,
				    .buffers = 4,
				    .buf_bytes = 64,
				    .flags = BS_POOL_FALL_BACK};
	struct bs_pool *pool = bs_pool_open(NULL, &opts);
	struct bs_op op = {.flags = BS_OP_MULTISHOT};
	struct bs_pool_stats stats;
	struct io_uring_cqe cqe;
	struct bs_buf buf;
	int fds[2];

	if (!pool || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 100;
	op.fd = fds[0];
	if (bs_recv_managed(pool, &op))
		return 101;
	for (int i = 0; i < 20; i++) {
		if (write(fds[1], "hello", 5) != 5 || bs_pool_next(pool, &cqe, 2000) != 1)
			return 102;
		if (bs_op_done(&op, &cqe, &buf, 1) != 1 || memcmp(buf.addr, "hello", 5) != 0)
			return 103;
		if (bs_pool_give(pool, &buf, 1))
			return 104;
	}
	if (bs_pool_next(pool, &cqe, 0) || bs_op_cancel(&op) || bs_pool_next(pool, &cqe, 2000) != 1)
		return 105;
	if (bs_op_done(&op, &cqe, &buf, 1) || op.armed || op.res != -ECANCELED)
		return 106;
	if (bs_pool_read_stats(pool, &stats) || stats.selected != 20)
		return 107;
	if ((stats.kind == BS_POOL_FALLBACK) != !bs_pool_ring(pool))
		return 108;
	return bs_pool_close(pool) ? 109 : (int)stats.kind;
}

static int in_child(bool without)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(without && forbid_io_uring() ? 110 : serve_oneself());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void falls_back(void **state)
{
	(void)state;
	assert_int_equal(in_child(false), BS_POOL_RING);
	assert_int_equal(in_child(true), BS_POOL_FALLBACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot),   cmocka_unit_test(multishot),
		cmocka_unit_test(bundle),     cmocka_unit_test(cancelling),
		cmocka_unit_test(reading),    cmocka_unit_test(starving),
		cmocka_unit_test(eviction),   cmocka_unit_test(metadata),
		cmocka_unit_test(falls_back),
	};

	return cmocka_run_group_tests_name("pool_op", tests, NULL, NULL);
}

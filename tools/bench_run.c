// SPDX-License-Identifier: MIT
/*
 * The same work, with buffers come by in different ways: what does an operation cost? The loops by
 * hand stand on liburing alone; all loops reap in batches and submit once a batch.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bufscope.h"
#include "bench.h"

#define FILE_BYTES (8u << 20)
#define MAX_DEPTH  128u
#define WARM_UP    8u /* this part of the operations is done before, and not counted */

const struct bench_case bench_cases[] = {
	{"file.4K.qd1", false, 4096, 1},     {"file.4K.qd32", false, 4096, 32},
	{"file.4K.qd128", false, 4096, 128}, {"file.64K.qd32", false, 65536, 32},
	{"file.1M.qd4", false, 1u << 20, 4}, {"socket.64", true, 64, 64},
	{"socket.4K", true, 4096, 16},
};
const size_t bench_nr_cases = sizeof(bench_cases) / sizeof(bench_cases[0]);

const struct bench_strategy bench_strategies[] = {
	{"plain", BENCH_PLAIN, true, false},    {"by-hand", BENCH_BY_HAND, true, true},
	{"heap", BS_POOL_HEAP, true, true},     {"global", BS_POOL_GLOBAL, true, true},
	{"local", BS_POOL_LOCAL, true, true},   {"fixed", BS_POOL_FIXED, true, false},
	{"ring", BS_POOL_RING, true, true},     {"mmap", BS_POOL_MMAP, true, true},
	{"legacy", BS_POOL_LEGACY, true, true}, {"fallback", BS_POOL_FALLBACK, true, true},
};
const size_t bench_nr_strategies = sizeof(bench_strategies) / sizeof(bench_strategies[0]);

struct job {
	const struct bench_case *work;
	struct io_uring ring;
	struct bs_pool *pool;            /* NULL: by hand */
	struct bs_op ops[MAX_DEPTH];     /* of the pool */
	struct io_uring_buf_ring *group; /* by hand, where the kernel picks */
	unsigned char *bufs;             /* by hand */
	int fd;                          /* read from */
	int in;                          /* written to */
	uint64_t next;                   /* position in the file */
	uint64_t done;
};

static int mask(const struct job *j)
{
	return io_uring_buf_ring_mask(2 * j->work->depth);
}

static uint64_t next_offset(struct job *j)
{
	uint64_t at = j->next;

	j->next = (at + j->work->bytes) % FILE_BYTES;
	return at;
}

static unsigned char *buf_at(const struct job *j, uint32_t i)
{
	return j->bufs + (size_t)i * j->work->bytes;
}

/* ---- by hand */

static int ask_by_hand(struct job *j, uint32_t i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&j->ring);

	if (!sqe)
		return -EAGAIN;
	if (j->work->is_socket) {
		io_uring_prep_recv_multishot(sqe, j->fd, NULL, 0, 0);
	} else if (j->group) {
		io_uring_prep_read(sqe, j->fd, NULL, j->work->bytes, next_offset(j));
	} else {
		io_uring_prep_read(sqe, j->fd, buf_at(j, i), j->work->bytes, next_offset(j));
	}
	if (j->group) {
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = 0;
	}
	sqe->user_data = i;
	return 0;
}

static int reap_by_hand(struct job *j, const struct io_uring_cqe *cqe)
{
	if (cqe->res < 0)
		return cqe->res;
	if (j->group) {
		int bid = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

		io_uring_buf_ring_add(j->group, buf_at(j, (uint32_t)bid), j->work->bytes,
				      (uint16_t)bid, mask(j), 0);
		io_uring_buf_ring_advance(j->group, 1);
	}
	j->done++;
	if (!(cqe->flags & IORING_CQE_F_MORE))
		return ask_by_hand(j, (uint32_t)cqe->user_data);
	return 0;
}

/* ---- with a pool */

static int ask_pool(struct job *j, struct bs_op *op)
{
	op->fd = j->fd;
	if (j->work->is_socket) {
		op->flags = BS_OP_MULTISHOT;
		return bs_recv_managed(j->pool, op);
	}
	op->offset = next_offset(j);
	return bs_read_managed_at(j->pool, op);
}

static int reap_pool(struct job *j, const struct io_uring_cqe *cqe)
{
	struct bs_op *op = io_uring_cqe_get_data(cqe);
	struct bs_buf buf;
	int nr = bs_op_done(op, cqe, &buf, 1);

	if (nr != 1)
		return nr < 0 ? nr : -EIO;
	j->done++;
	nr = bs_pool_give(j->pool, &buf, 1);
	if (!nr && !op->armed)
		nr = ask_pool(j, op);
	return nr;
}

/* ---- the loop */

static int fill_socket(struct job *j)
{
	static const char data[4096];
	ssize_t bytes = (ssize_t)j->work->bytes;

	for (uint32_t i = 0; i < j->work->depth; i++) {
		if (send(j->in, data, j->work->bytes, 0) != bytes)
			return -EIO;
	}
	return 0;
}

static int reap_one(struct job *j, const struct io_uring_cqe *cqe)
{
	return j->pool ? reap_pool(j, cqe) : reap_by_hand(j, cqe);
}

static int reap_batch(struct job *j)
{
	struct io_uring_cqe *cqe;
	unsigned int head, nr = 0;
	int err = io_uring_submit_and_wait(&j->ring, 1);

	if (err < 0)
		return err;
	err = 0;
	io_uring_for_each_cqe (&j->ring, head, cqe) {
		err = reap_one(j, cqe);
		nr++;
		if (err)
			break;
	}
	io_uring_cq_advance(&j->ring, nr);
	return err;
}

static int reap_without_ring(struct job *j)
{
	struct io_uring_cqe cqe;
	int err = bs_pool_next(j->pool, &cqe, -1);

	return err < 0 ? err : reap_pool(j, &cqe);
}

static int go_on(struct job *j, uint64_t until)
{
	int err = 0;

	while (j->done < until && !err) {
		uint64_t batch = j->done + j->work->depth;

		if (j->work->is_socket)
			err = fill_socket(j);
		while (!err && j->done < (j->work->is_socket ? batch : until))
			err = j->pool && !bs_pool_ring(j->pool) ? reap_without_ring(j)
								: reap_batch(j);
	}
	return err;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int start(struct job *j)
{
	uint32_t nr = j->work->is_socket ? 1 : j->work->depth;
	int err = 0;

	for (uint32_t i = 0; i < nr && !err; i++) {
		if (j->pool)
			err = ask_pool(j, &j->ops[i]);
		else
			err = ask_by_hand(j, i);
	}
	return err;
}

static int measure(struct job *j, uint32_t ops, struct bench_result *result)
{
	uint64_t wall, cpu, from;
	int err = start(j);

	if (!err)
		err = go_on(j, ops / WARM_UP);
	from = j->done;
	wall = clock_ns(CLOCK_MONOTONIC);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (!err)
		err = go_on(j, from + ops);
	if (err)
		return err;
	result->cpu_ns =
		(double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)(j->done - from);
	result->wall_ns = (double)(clock_ns(CLOCK_MONOTONIC) - wall) / (double)(j->done - from);
	return 0;
}

/* ---- before and after */

static int open_source(struct job *j)
{
	int fds[2];

	if (j->work->is_socket) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
			return -errno;
		j->fd = fds[0];
		j->in = fds[1];
		return 0;
	}
	j->fd = (int)syscall(SYS_memfd_create, "bench", 0);
	if (j->fd < 0 || ftruncate(j->fd, FILE_BYTES))
		return -errno;
	for (uint32_t at = 0; at < FILE_BYTES; at += 4096) {
		if (pwrite(j->fd, "x", 1, at) != 1)
			return -errno;
	}
	return 0;
}

static size_t hand_bytes(const struct job *j)
{
	return (size_t)2 * j->work->depth * j->work->bytes;
}

static int open_by_hand(struct job *j, bool has_group)
{
	uint32_t nr = 2 * j->work->depth;
	struct io_uring_buf_reg reg = {.ring_entries = nr};
	int err;

	j->bufs = mmap(NULL, hand_bytes(j), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (j->bufs == MAP_FAILED)
		return -ENOMEM;
	if (!has_group)
		return 0;
	j->group = mmap(NULL, nr * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (j->group == MAP_FAILED)
		return -ENOMEM;
	reg.ring_addr = (uintptr_t)j->group;
	err = io_uring_register_buf_ring(&j->ring, &reg, 0);
	for (uint32_t i = 0; i < nr; i++)
		io_uring_buf_ring_add(j->group, buf_at(j, i), j->work->bytes, (uint16_t)i, mask(j),
				      (int)i);
	io_uring_buf_ring_advance(j->group, (int)nr);
	return err;
}

static int open_pool(struct job *j, int kind)
{
	struct bs_pool_opts opts = {.size = sizeof(opts),
				    .kind = (enum bs_pool_kind)kind,
				    .buffers = 2 * j->work->depth,
				    .buf_bytes = j->work->bytes};

	j->pool = bs_pool_open(&j->ring, &opts);
	return j->pool ? 0 : -errno;
}

static void close_job(struct job *j)
{
	struct io_uring_cqe cqe;
	struct bs_buf buf;

	if (j->pool)
		bs_pool_cancel(j->pool);
	while (j->pool && bs_pool_close(j->pool) == -EBUSY) {
		struct bs_op *op;

		if (j->pool && bs_pool_ring(j->pool)) {
			struct io_uring_cqe *seen;

			if (io_uring_submit_and_wait(&j->ring, 1) < 0 ||
			    io_uring_peek_cqe(&j->ring, &seen))
				break;
			cqe.user_data = seen->user_data;
			cqe.res = seen->res;
			cqe.flags = seen->flags;
			io_uring_cqe_seen(&j->ring, seen);
		} else if (bs_pool_next(j->pool, &cqe, -1) < 0) {
			break;
		}
		op = io_uring_cqe_get_data(&cqe);
		if (bs_op_done(op, &cqe, &buf, 1) == 1)
			bs_pool_give(j->pool, &buf, 1);
	}
	io_uring_queue_exit(&j->ring);
	if (j->bufs)
		munmap(j->bufs, hand_bytes(j));
	if (j->group)
		munmap(j->group, 2 * j->work->depth * sizeof(struct io_uring_buf));
	close(j->fd);
	if (j->in >= 0)
		close(j->in);
}

int bench_run(const struct bench_case *work, const struct bench_strategy *strategy, uint32_t ops,
	      struct bench_result *result)
{
	struct job *j = calloc(1, sizeof(*j));
	int err;

	if (!j)
		return -ENOMEM;
	j->work = work;
	j->fd = j->in = -1;
	err = io_uring_queue_init(2 * MAX_DEPTH, &j->ring, 0);
	if (err) {
		free(j);
		return err;
	}
	err = open_source(j);
	if (!err)
		err = strategy->kind < 0 ? open_by_hand(j, strategy->kind == BENCH_BY_HAND)
					 : open_pool(j, strategy->kind);
	if (!err)
		err = measure(j, ops, result);
	close_job(j);
	free(j);
	return err;
}

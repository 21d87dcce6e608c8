/* SPDX-License-Identifier: MIT */
/*
 * A ring, a pool on it and a socket pair or pipe to receive from. Bytes sent are those of one
 * endless sequence, so that a byte that is lost, doubled or in the wrong place is seen at once.
 */
#ifndef BUFSCOPE_POOL_RIG_H
#define BUFSCOPE_POOL_RIG_H

#include <errno.h>
#include <liburing.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "bufscope.h"
#include "caps.h"
#include "needs.h"
#include "uapi.h"

#define RIG_MULTISHOT 1u
#define RIG_BUNDLE    2u

struct rig {
	struct io_uring ring;
	struct bs_pool *pool;
	struct bs_pool_opts opts;
	int in;  /* written to */
	int out; /* received from */
	uint64_t sent;
	uint64_t seen;
	bool is_armed; /* the last completion was not its request's last */
};

/* A test for each kind of pool; its state is the kind. */
#define RIG_TEST(test, of)                                                                         \
	{                                                                                          \
#test "_" #of, test, NULL, NULL, &(enum bs_pool_kind)                              \
		{                                                                                  \
			BS_POOL_##of                                                               \
		}                                                                                  \
	}
#define RIG_EACH_RING(test) RIG_TEST(test, RING), RIG_TEST(test, MMAP), RIG_TEST(test, INC)
#define RIG_EACH_KIND(test) RIG_EACH_RING(test), RIG_TEST(test, LEGACY)

/* Where the kernel has no such ability the test is skipped, which is said. */
static inline void rig_need(const char *ability)
{
	needs(caps_can(ability), ability);
}

static inline void rig_need_kind(enum bs_pool_kind kind)
{
	static const char *const abilities[] = {"pbuf_ring", "pbuf_ring.mmap", "pbuf_ring.inc",
						"pbuf_legacy"};

	rig_need(abilities[kind]);
}

/* How often a test does the same again: less where each step is slow, as in emulation. */
static inline unsigned int rig_times(unsigned int times)
{
	const char *slow = getenv("SLOW");
	unsigned int by = slow ? (unsigned int)strtoul(slow, NULL, 10) : 1;

	return by > 1 ? times / by : times;
}

static inline unsigned char rig_byte(uint64_t i)
{
	return (unsigned char)((i * 2654435761u) >> 13);
}

/* What closed rings were charged to RLIMIT_MEMLOCK comes back some milliseconds later. */
static inline int rig_setup(struct rig *rig, struct io_uring_params *params)
{
	int err, tries = 0;

	while ((err = io_uring_queue_init_params(64, &rig->ring, params)) == -ENOMEM &&
	       tries++ < 100)
		usleep(5000);
	return err;
}

static inline void rig_open_with(struct rig *rig, const struct bs_pool_opts *opts,
				 struct io_uring_params *params)
{
	int fds[2];

	rig_need_kind(opts->kind);
	memset(rig, 0, sizeof(*rig));
	assert_int_equal(rig_setup(rig, params), 0);
	rig->opts = *opts;
	rig->opts.size = sizeof(rig->opts);
	rig->pool = bs_pool_open(&rig->ring, &rig->opts);
	if (!rig->pool)
		fail_msg("open: %s", strerror(errno));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	rig->in = fds[0];
	rig->out = fds[1];
}

static inline void rig_open(struct rig *rig, enum bs_pool_kind kind, uint32_t buffers,
			    uint32_t buf_bytes)
{
	struct bs_pool_opts opts = {
		.kind = kind, .buffers = buffers, .buf_bytes = buf_bytes, .bgid = 3};
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 1024};

	rig_open_with(rig, &opts, &params);
}

static inline uint32_t rig_kernel_head(struct rig *rig)
{
	struct bs_buf_status status = {.buf_group = rig->opts.bgid};

	assert_int_equal(syscall(__NR_io_uring_register, rig->ring.ring_fd,
				 IORING_REGISTER_PBUF_STATUS, &status, 1),
			 0);
	return status.head;
}

/*
 * The pool's account agrees with itself and, all completions being taken, with the kernel's,
 * where that can be asked for.
 */
static inline struct bs_pool_stats rig_check(struct rig *rig)
{
	struct bs_pool_stats stats;

	assert_int_equal(bs_pool_read_stats(rig->pool, &stats), 0);
	if (rig->opts.kind != BS_POOL_LEGACY && caps_can("pbuf_status")) /* legacy has no head */
		assert_int_equal(rig_kernel_head(rig), stats.taken & 0xffff);
	assert_int_equal(bs_pool_available(rig->pool), stats.returned - stats.taken);
	assert_true(stats.peak >= stats.in_use);
	if (rig->opts.kind != BS_POOL_INC)
		assert_int_equal(stats.in_use + stats.returned - stats.taken, rig->opts.buffers);
	return stats;
}

/* Closes everything; so many buffers are expected to be out. */
static inline void rig_close(struct rig *rig, int out)
{
	rig_check(rig);
	assert_int_equal(bs_pool_close(rig->pool), out);
	io_uring_queue_exit(&rig->ring);
	close(rig->in);
	close(rig->out);
}

static inline void rig_send(struct rig *rig, size_t bytes)
{
	unsigned char *data = malloc(bytes);
	size_t i;

	assert_non_null(data);
	for (i = 0; i < bytes; i++)
		data[i] = rig_byte(rig->sent + i);
	assert_int_equal(write(rig->in, data, bytes), bytes);
	rig->sent += bytes;
	free(data);
}

static inline struct io_uring_sqe *rig_sqe(struct rig *rig, int op, uint32_t len)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);

	assert_non_null(sqe);
	io_uring_prep_rw(op, sqe, rig->out, NULL, len, 0);
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = rig->opts.bgid;
	return sqe;
}

static inline void rig_recv(struct rig *rig, unsigned int flags)
{
	struct io_uring_sqe *sqe = rig_sqe(rig, IORING_OP_RECV, 0);

	if (flags & RIG_MULTISHOT)
		sqe->ioprio |= IORING_RECV_MULTISHOT;
	if (flags & RIG_BUNDLE)
		sqe->ioprio |= IORING_RECVSEND_BUNDLE;
	/* What a polling thread has not fetched yet counts again. */
	assert_true(io_uring_submit(&rig->ring) >= 1);
}

static inline void rig_next(struct rig *rig, struct io_uring_cqe *cqe)
{
	struct __kernel_timespec patience = {.tv_sec = 30};
	struct io_uring_cqe *seen;

	assert_int_equal(io_uring_wait_cqe_timeout(&rig->ring, &seen, &patience), 0);
	*cqe = *seen;
	rig->is_armed = cqe->flags & IORING_CQE_F_MORE;
	io_uring_cqe_seen(&rig->ring, seen);
}

static inline void rig_expect_data(struct rig *rig, const struct bs_buf *buf)
{
	const unsigned char *data = buf->addr;
	uint32_t i;

	for (i = 0; i < buf->len; i++)
		if (data[i] != rig_byte(rig->seen + i))
			fail_msg("byte %llu is not in bid %u at %u",
				 (unsigned long long)rig->seen + i, buf->bid, i);
	rig->seen += buf->len;
}

/* Some kernels end a multishot request of bundles though there are buffers: once more, then. */
static inline void rig_stay_armed(struct rig *rig)
{
	if (!rig->is_armed)
		rig_recv(rig, RIG_MULTISHOT | RIG_BUNDLE);
	rig->is_armed = true;
}

/* Takes what the completion names and looks at every byte. Number of buffers. */
static inline int rig_take(struct rig *rig, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
			   unsigned int max)
{
	uint64_t before = rig->seen;
	int nr = bs_pool_take(rig->pool, cqe, bufs, max);
	int i;

	assert_true(nr >= 0);
	for (i = 0; i < nr; i++)
		rig_expect_data(rig, &bufs[i]);
	assert_int_equal(rig->seen - before, cqe->res > 0 ? cqe->res : 0);
	return nr;
}

static inline int rig_take_next(struct rig *rig, struct bs_buf *bufs, unsigned int max)
{
	struct io_uring_cqe cqe;

	rig_next(rig, &cqe);
	return rig_take(rig, &cqe, bufs, max);
}

static inline void rig_give(struct rig *rig, const struct bs_buf *bufs, unsigned int nr)
{
	assert_int_equal(bs_pool_give(rig->pool, bufs, nr), 0);
}

#endif

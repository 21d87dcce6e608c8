// SPDX-License-Identifier: MIT
/*
 * Which options does a pool refuse, before it asks the kernel for anything?
 *
 * The "ring" is no ring: options that pass get as far as the kernel, which answers EOPNOTSUPP.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "bufscope.h"

#define PASSED EOPNOTSUPP

static struct io_uring no_ring;

static int open_errno(const struct bs_pool_opts *opts)
{
	errno = 0;
	assert_null(bs_pool_open(&no_ring, opts));
	return errno;
}

/* Good options, with what the arguments change in them. */
#define EXPECT(err, ...)                                                                           \
	do {                                                                                       \
		struct bs_pool_opts opts = {.size = sizeof(opts), .buffers = 4, .buf_bytes = 10};  \
                                                                                                   \
		__VA_ARGS__;                                                                       \
		assert_int_equal(open_errno(&opts), err);                                          \
	} while (0)

static void kinds(void **state)
{
	(void)state;
	EXPECT(PASSED, opts.kind = BS_POOL_RING);
	EXPECT(PASSED, opts.kind = BS_POOL_MMAP);
	EXPECT(PASSED, opts.kind = BS_POOL_INC);
	EXPECT(PASSED, opts.kind = BS_POOL_LEGACY);
	EXPECT(EINVAL, opts.kind = (enum bs_pool_kind)99);
	EXPECT(EINVAL, opts.kind = (enum bs_pool_kind) - 1);
}

static void buffers(void **state)
{
	(void)state;
	EXPECT(EINVAL, opts.buffers = 0);
	EXPECT(PASSED, opts.buffers = 1);
	EXPECT(PASSED, opts.buffers = 32768);
	EXPECT(EINVAL, opts.buffers = 32769);
	EXPECT(EINVAL, opts.buffers = UINT32_MAX);
	EXPECT(EINVAL, opts.buf_bytes = 0);
	EXPECT(PASSED, opts.buf_bytes = 1);
	EXPECT(PASSED, opts.buf_bytes = 1u << 30);
	EXPECT(EINVAL, opts.buf_bytes = (1u << 30) + 1);
	EXPECT(EINVAL, opts.buf_bytes = UINT32_MAX);
}

static void entries(void **state)
{
	(void)state;
	EXPECT(PASSED, opts.entries = 4);
	EXPECT(PASSED, opts.entries = 32768);
	EXPECT(EINVAL, opts.entries = 2);
	EXPECT(EINVAL, opts.entries = 5);
	EXPECT(EINVAL, opts.entries = 65536);
	EXPECT(EINVAL, opts.entries = 1u << 31);
	EXPECT(EINVAL, opts.entries = 4; opts.kind = BS_POOL_LEGACY);
}

static void flags(void **state)
{
	(void)state;
	EXPECT(PASSED, opts.flags = BS_POOL_SINGLE);
	EXPECT(PASSED, opts.flags = BS_POOL_SINGLE; opts.kind = BS_POOL_MMAP);
	EXPECT(EINVAL, opts.flags = BS_POOL_SINGLE; opts.kind = BS_POOL_INC);
	EXPECT(EINVAL, opts.flags = 4);
}

static void min_left(void **state)
{
	(void)state;
	EXPECT(EINVAL, opts.min_left = 1);
	EXPECT(EINVAL, opts.min_left = 1; opts.kind = BS_POOL_MMAP);
	EXPECT(EINVAL, opts.min_left = 1; opts.kind = BS_POOL_LEGACY);
	EXPECT(PASSED, opts.min_left = 10; opts.kind = BS_POOL_INC);
	EXPECT(EINVAL, opts.min_left = 11; opts.kind = BS_POOL_INC);
}

/* What only the kernel's groups, or only a shared pool, can have. */
static void of_some_kinds(void **state)
{
	(void)state;
	EXPECT(EINVAL, opts.kind = BS_POOL_LOCAL; opts.bgid = 1);
	EXPECT(EINVAL, opts.kind = BS_POOL_LOCAL; opts.entries = 4);
	EXPECT(EINVAL, opts.kind = BS_POOL_HEAP; opts.min_left = 1);
	EXPECT(EINVAL, opts.kind = BS_POOL_GLOBAL; opts.flags = BS_POOL_SINGLE);
	EXPECT(EINVAL, opts.kind = BS_POOL_LOCAL; opts.max_buffers = 8);
	EXPECT(EINVAL, opts.max_buffers = 8);
	EXPECT(EINVAL, opts.kind = BS_POOL_GLOBAL; opts.max_buffers = 3);
	EXPECT(EINVAL, opts.kind = BS_POOL_GLOBAL; opts.max_buffers = 32769);
	EXPECT(EINVAL, opts.zero = 1);
}

/* A program built with an earlier header has fewer fields, one with a later header more. */
static void size(void **state)
{
	struct {
		struct bs_pool_opts opts;
		char more[8];
	} newer = {.opts = {.size = sizeof(newer), .buffers = 4, .buf_bytes = 10}};

	(void)state;
	EXPECT(EINVAL, opts.size = 0);
	EXPECT(EINVAL, opts.size = 4);
	EXPECT(EINVAL, opts.size = 8);
	EXPECT(PASSED, opts.size = offsetof(struct bs_pool_opts, min_left); opts.min_left = 9);
	assert_int_equal(open_errno(&newer.opts), PASSED);
	newer.more[7] = 1;
	assert_int_equal(open_errno(&newer.opts), EINVAL);
}

static void nothing(void **state)
{
	struct bs_pool_opts opts = {.size = sizeof(opts), .buffers = 4, .buf_bytes = 10};
	struct io_uring_cqe cqe = {.flags = IORING_CQE_F_BUFFER};
	struct bs_pool_stats stats;
	struct bs_buf buf = {0};

	(void)state;
	assert_int_equal(open_errno(NULL), EINVAL);
	assert_null(bs_pool_open(NULL, &opts));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(bs_pool_take(NULL, &cqe, &buf, 1), -EBADF);
	assert_int_equal(bs_pool_give(NULL, &buf, 1), -EBADF);
	assert_int_equal(bs_pool_available(NULL), -EBADF);
	assert_int_equal(bs_pool_read_stats(NULL, &stats), -EBADF);
	assert_int_equal(bs_pool_close(NULL), -EBADF);
	bs_buf_drop(&buf);
	assert_null(buf.pool);
}

static int setup(void **state)
{
	(void)state;
	no_ring.ring_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return no_ring.ring_fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	return close(no_ring.ring_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),    cmocka_unit_test(buffers),
		cmocka_unit_test(entries),  cmocka_unit_test(flags),
		cmocka_unit_test(min_left), cmocka_unit_test(size),
		cmocka_unit_test(nothing),  cmocka_unit_test(of_some_kinds),
	};

	return cmocka_run_group_tests_name("pool", tests, setup, teardown);
}

// SPDX-License-Identifier: MIT
/*
 * Is a preflight right around the edge of what fits? Each plan is also done here, by the test's
 * own calls, as a user that a memlock limit binds.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <liburing.h>

#include "limits_preflight.h"
#include "needs.h"
#include "uapi.h"

#define LIMIT (1U << 20)

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int do_register(int fd, unsigned int op, const void *arg, unsigned int nr)
{
	return syscall(__NR_io_uring_register, fd, op, arg, nr) < 0 ? errno : 0;
}

/* 0 or errno. */
static int build(const struct limits_plan *plan)
{
	struct iovec *iov = calloc(plan->buffers + 1, sizeof(*iov));
	struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)map((size_t)plan->entries * 16 + 4096),
		.ring_entries = plan->entries,
	};
	int err = 0;

	for (uint32_t i = 0; i < plan->buffers; i++)
		iov[i] = (struct iovec){map(plan->buf_bytes), plan->buf_bytes};
	for (uint32_t i = 0; i < plan->rings && !err; i++) {
		struct io_uring ring;

		err = -io_uring_queue_init(plan->sq_entries, &ring, 0);
		if (!err && plan->entries)
			err = do_register(ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
		if (!err && plan->buffers)
			err = do_register(ring.ring_fd, IORING_REGISTER_BUFFERS, iov,
					  plan->buffers);
	}
	free(iov);
	return err;
}

/* What becomes of a plan, as a user of its own: `found` NULL does it, else asks. */
static int as_user(const struct limits_plan *plan, struct limits_preflight *found)
{
	static uid_t uid;
	int status;
	pid_t pid;

	uid = uid ? uid + 1 : 0x62000000U + 1000 * ((uid_t)getpid() % 10000);
	pid = fork();
	if (pid == 0) {
		const struct rlimit limit = {LIMIT, LIMIT};
		const struct limits_opts opts = {.max_bytes = 64U << 20};

		setrlimit(RLIMIT_MEMLOCK, &limit);
		if (setgid(uid) || setuid(uid))
			_exit(255);
		_exit(found ? -limits_preflight(plan, &opts, found) : build(plan));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 255;
	return WEXITSTATUS(status);
}

static struct limits_preflight *shared(void)
{
	return mmap(NULL, sizeof(struct limits_preflight), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void check(const struct limits_plan *plan, struct limits_preflight *p)
{
	int err = as_user(plan, NULL);

	assert_int_equal(as_user(plan, p), 0);
	if (p->forecast.fits != (err == 0) || p->outcome.err != err)
		fail_msg("bufs=%u rings=%u entries=%u: forecast %d, outcome %d, really %d",
			 plan->buffers, plan->rings, plan->entries, p->forecast.fits,
			 p->outcome.err, err);
}

static void test_edge_of_buffers(void **state)
{
	struct limits_plan plan = {
		.rings = 4,
		.sq_entries = 8,
		.groups = 1,
		.entries = 256,
		.buffers = 4096,
		.buf_bytes = 8192,
	};
	struct limits_preflight *p = shared();
	uint32_t edge;

	(void)state;
	needs(geteuid() == 0, "root");
	check(&plan, p);
	assert_false(p->forecast.fits);
	assert_true(p->has_largest);
	edge = p->largest.buffers;
	assert_true(edge > 1 && edge < LIMIT / 8192);
	for (uint32_t n = edge - 1; n <= edge + 1; n++) {
		plan.buffers = n;
		check(&plan, p);
		assert_int_equal(p->forecast.fits, n <= edge);
	}
	plan.buffers = 1;
	check(&plan, p);
	assert_true(p->forecast.fits);
}

static void test_edge_of_rings(void **state)
{
	struct limits_plan plan = {.rings = 400, .sq_entries = 8, .groups = 1, .entries = 16};
	struct limits_preflight *p = shared();

	(void)state;
	needs(geteuid() == 0, "root");
	check(&plan, p);
	needs(!p->forecast.fits, "a kernel that charges rings");
	plan.rings = p->largest.rings;
	check(&plan, p);
	assert_true(p->forecast.fits);
	plan.rings++;
	check(&plan, p);
	assert_false(p->forecast.fits);
}

/* What the kernel refuses to anyone is no question of limits. */
static void test_refused_by_kernel(void **state)
{
	const struct limits_plan plans[] = {
		{.rings = 1, .sq_entries = 8, .groups = 1, .entries = 3},
		{.rings = 1, .sq_entries = 1U << 20},
		{.rings = 1, .sq_entries = 8, .buffers = 1U << 20, .buf_bytes = 1},
	};
	const struct limits_opts opts = {.max_bytes = 64U << 20};
	struct limits_preflight *p = shared();

	(void)state;
	for (size_t i = 0; i < sizeof(plans) / sizeof(*plans); i++) {
		assert_int_equal(limits_preflight(&plans[i], &opts, p), 0);
		assert_false(p->forecast.fits);
		assert_int_equal(p->forecast.err, EINVAL);
		if (geteuid() != 0)
			continue;
		assert_int_equal(as_user(&plans[i], p), 0);
		assert_false(p->forecast.fits);
		assert_int_equal(p->outcome.err, EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edge_of_buffers),
		cmocka_unit_test(test_edge_of_rings),
		cmocka_unit_test(test_refused_by_kernel),
	};

	if (limits_can_ask()) {
		puts("ok 1 - limits_preflight # SKIP no io_uring for this user\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

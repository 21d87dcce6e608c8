// SPDX-License-Identifier: MIT
/*
 * Does a user's ledger explain all that is charged to the user? A process of a user of its own
 * puts up rings, groups and fixed buffers of known sizes one after the other; what is charged it
 * finds out by lowering its limit until that binds, which no iterator has a part in.
 */
#include <errno.h>
#include <grp.h>
#include <linux/if_xdp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "limits_meter.h"
#include "memlock.h"
#include "observe.h"

#define HUGE_BYTES (2U << 20)

/* What the child puts up, in this order; each stays. */
enum step { NOTHING, A_RING, A_GROUP, MAPPED_GROUP, PAGES, HUGE_PIECE, CLONE, OTHER, STEPS };

static const char *const names[STEPS] = {
	"nothing", "a ring of 256",       "a group of 4096", "a group of 1024, mmap",
	"pages",   "part of a huge page", "a clone",         "memory of AF_XDP",
};

struct report {
	int err; /* of the step; the kernel may not have what it wants */
	uint64_t charged;
};

struct site {
	struct io_uring rings[4];
	int xdp;
	struct limits_meter meter;
};

static int put_up_group(struct site *s, uint32_t entries, uint16_t flags)
{
	struct bs_buf_reg reg = {.ring_entries = entries, .flags = flags, .bgid = flags};

	if (!(flags & IOU_PBUF_RING_MMAP))
		reg.ring_addr = (uintptr_t)limits_map_filled(entries * 16, false);
	return limits_register(s->rings[0].ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

/* Three pages, one across two, one twice, and slots without any. */
static int put_up_pages(struct site *s)
{
	size_t page = limits_page_size();
	char *at = limits_map_filled(8 * page, false);
	const struct iovec iov[] = {
		{at, 3 * page},        {NULL, 0},          {at + 3 * page + page / 2, page},
		{at + 6 * page, page}, {at + 6 * page, 1}, {NULL, 0},
	};

	return limits_register(s->rings[1].ring_fd, IORING_REGISTER_BUFFERS, iov, 6);
}

/* Two pieces of the same huge page, one of them a single page. */
static int put_up_huge(struct site *s)
{
	char *at = limits_map(2 * HUGE_BYTES);
	struct iovec iov[2];

	at += HUGE_BYTES - (uintptr_t)at % HUGE_BYTES;
	limits_fill(at, HUGE_BYTES, true);
	iov[0] = (struct iovec){at + 65536, 3 * limits_page_size()};
	iov[1] = (struct iovec){at, limits_page_size()};
	return limits_register(s->rings[2].ring_fd, IORING_REGISTER_BUFFERS, iov, 2);
}

static int put_up_clone(struct site *s)
{
	struct bs_clone_buffers clone = {.src_fd = (uint32_t)s->rings[1].ring_fd};

	return limits_register(s->rings[3].ring_fd, IORING_REGISTER_CLONE_BUFFERS, &clone, 1);
}

static int put_up_other(struct site *s)
{
	struct xdp_umem_reg reg = {.len = 16 * limits_page_size(), .chunk_size = 4096};

	reg.addr = (uintptr_t)limits_map_filled(reg.len, false);
	return setsockopt(s->xdp, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) ? -errno : 0;
}

static int put_up(struct site *s, enum step step)
{
	switch (step) {
	case A_RING:
		return io_uring_queue_init(256, &s->rings[0], 0);
	case A_GROUP:
		return put_up_group(s, 4096, 0);
	case MAPPED_GROUP:
		return put_up_group(s, 1024, IOU_PBUF_RING_MMAP);
	case PAGES:
		return put_up_pages(s);
	case HUGE_PIECE:
		return put_up_huge(s);
	case CLONE:
		return put_up_clone(s);
	case OTHER:
		return put_up_other(s);
	default:
		return 0;
	}
}

static void live(uid_t uid, int out, int in)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct report report = {0};
	struct site s = {0};
	char go;

	s.xdp = socket(AF_XDP, SOCK_RAW, 0); /* takes a privilege */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ||
	    limits_meter_open(&s.meter))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i < 4; i++) {
		if (io_uring_queue_init(4, &s.rings[i], 0))
			_exit(1);
	}
	for (enum step step = NOTHING; step < STEPS; step++) {
		report.err = put_up(&s, step);
		if (limits_meter_read(&s.meter, &report.charged) ||
		    write(out, &report, sizeof(report)) != sizeof(report) || read(in, &go, 1) != 1)
			break;
	}
	_exit(0);
}

struct child {
	uid_t uid;
	pid_t pid;
	int from;
	int to;
};

static struct child start(void)
{
	struct child child = {.uid = 0x63000000U + (uid_t)getpid()};
	int up[2], down[2];

	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		close(down[1]);
		live(child.uid, up[1], down[0]);
	}
	close(up[1]);
	close(down[0]);
	child.from = up[0];
	child.to = down[1];
	return child;
}

static struct observe *observe_all(void)
{
	const struct observe_opts opts = {.bgid = -1, .scan_entries = 32768};
	struct observe_err err = {0};
	struct observe *o = observe_open(&opts, &err);

	if (!o)
		fail_msg("%s", err.what);
	return o;
}

static void check_parts(enum step step, const struct memlock_account *account,
			const uint64_t *before, const uint64_t *part)
{
	const uint64_t page = limits_page_size();
	const struct memlock_charging *c = &account->charging;

	if (step == A_GROUP)
		assert_int_equal(part[MEMLOCK_GROUPS] - before[MEMLOCK_GROUPS],
				 c->groups ? 65536 : 0);
	if (step == MAPPED_GROUP)
		assert_int_equal(part[MEMLOCK_GROUPS] - before[MEMLOCK_GROUPS],
				 c->groups ? 16384 : 0);
	if (step == A_RING)
		assert_int_equal(part[MEMLOCK_QUEUES] > before[MEMLOCK_QUEUES], c->queues);
	if (step == PAGES)
		assert_int_equal(part[MEMLOCK_TABLES] - before[MEMLOCK_TABLES], 7 * page);
	if (step == OTHER)
		assert_memory_equal(part, before, MEMLOCK_PARTS * sizeof(*part));
}

static void test_everything_is_explained(void **state)
{
	struct memlock_account account = {0};
	struct memlock_ledger ledger = {0}, last = {0};
	struct observe *o = observe_all();
	struct child child = start();
	struct sample sample = {0};
	struct report report;

	(void)state;
	account.uid = child.uid;
	assert_int_equal(memlock_charging_learn(&account.charging), 0);
	assert_true(account.charging.known);
	for (enum step step = NOTHING; step < STEPS; step++) {
		uint64_t rest;

		assert_int_equal(read(child.from, &report, sizeof(report)), sizeof(report));
		if (report.err)
			print_message("%s: %s\n", names[step], strerror(-report.err));
		assert_int_equal(observe_sample(o, &sample), 0);
		memlock_count(&sample, &account, &ledger);
		if (ledger.locked_bytes != report.charged)
			fail_msg("%s: %llu locked, really %llu", names[step],
				 (unsigned long long)ledger.locked_bytes,
				 (unsigned long long)report.charged);
		rest = step == OTHER && !report.err ? 16 * limits_page_size() : 0;
		if (ledger.rest_bytes != rest)
			fail_msg("%s: %llu of %llu not explained", names[step],
				 (unsigned long long)ledger.rest_bytes,
				 (unsigned long long)ledger.locked_bytes);
		if (!report.err)
			check_parts(step, &account, last.part, ledger.part);
		last = ledger;
		assert_int_equal(write(child.to, "", 1), 1);
	}
	waitpid(child.pid, NULL, 0);
	sample_done(&sample);
	observe_close(o);
}

/* Once all of it is gone, a witness tells so; and of root, whom rings usually charge nothing. */
static void test_witness(void **state)
{
	const uid_t uids[] = {0x64000000U + (uid_t)getpid(), 0};
	struct observe *o = observe_all();
	struct sample sample = {0};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct memlock_account account = {.uid = uids[i]};
		struct memlock_ledger ledger;
		pid_t pid = memlock_witness(uids[i]);

		assert_true(pid > 0);
		account.witness = (uint32_t)pid;
		assert_int_equal(memlock_charging_learn(&account.charging), 0);
		assert_int_equal(observe_sample(o, &sample), 0);
		memlock_witness_end(pid);
		memlock_count(&sample, &account, &ledger);
		assert_true(ledger.locked_bytes != COUNT_UNKNOWN);
		if (uids[i] == 0)
			continue;
		assert_int_equal(ledger.locked_bytes, 0);
		assert_int_equal(ledger.nr_rings, 0);
	}
	sample_done(&sample);
	observe_close(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_is_explained),
		cmocka_unit_test(test_witness),
	};

	if (geteuid() != 0) {
		puts("ok 1 - memlock # SKIP needs root, to be other users\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

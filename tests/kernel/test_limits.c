// SPDX-License-Identifier: MIT
/*
 * Is what the prober says what the kernel does? Each edge is tried again here, by the test's own
 * calls; and whatever happens to a probe, the asker lives and nothing stays behind.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <liburing.h>

#include "limits.h"
#include "needs.h"
#include "uapi.h"

/* 65536 registrations take long on a busy emulated processor. */
static const struct limits_opts quick = {.level = LIMITS_QUICK, .patience_ms = 120000};

static const struct limits_probe *find_probe(const char *key)
{
	const struct limits_section *const *sections = limits_sections();

	for (size_t s = 0; sections[s]; s++) {
		for (size_t i = 0; i < sections[s]->nr; i++) {
			if (strcmp(sections[s]->probes[i].key, key) == 0)
				return &sections[s]->probes[i];
		}
	}
	fail_msg("no probe '%s'", key);
	return NULL;
}

static struct limits_answer ask(const char *key)
{
	struct limits_answer answer;

	assert_int_equal(limits_ask(find_probe(key), &quick, &answer), 0);
	return answer;
}

static int do_register(int fd, unsigned int op, const void *arg, unsigned int nr)
{
	return syscall(__NR_io_uring_register, fd, op, arg, nr) < 0 ? errno : 0;
}

static void open_ring(struct io_uring *ring)
{
	assert_int_equal(io_uring_queue_init(2, ring, 0), 0);
}

static int register_group(int fd, struct bs_buf_reg reg)
{
	return do_register(fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void check_entries(const char *key, uint16_t flags)
{
	struct limits_answer a = ask(key);
	struct bs_buf_reg reg = {.flags = flags, .ring_entries = (uint32_t)a.value};
	struct io_uring ring;

	open_ring(&ring);
	if (!(flags & IOU_PBUF_RING_MMAP))
		reg.ring_addr = (uintptr_t)map(2 * a.value * sizeof(struct io_uring_buf) + 4096);
	if (a.how == LIMITS_ABSENT) {
		reg.ring_entries = 1;
		assert_int_equal(register_group(ring.ring_fd, reg), a.errno_past);
	} else {
		assert_int_equal(a.how, LIMITS_TRIED);
		assert_true(a.has_value);
		assert_int_equal(register_group(ring.ring_fd, reg), 0);
		reg.bgid = 1;
		reg.ring_entries *= 2;
		assert_int_equal(register_group(ring.ring_fd, reg), a.errno_past);
	}
	io_uring_queue_exit(&ring);
}

static void test_entries(void **state)
{
	(void)state;
	check_entries("pbuf_ring.max_entries", 0);
	check_entries("pbuf_ring_mmap.max_entries", IOU_PBUF_RING_MMAP);
	check_entries("pbuf_ring_inc.max_entries", IOU_PBUF_RING_INC);
}

/* All that are said to fit do fit at once; bgid is 16 bit, so that no more can be asked for. */
static void test_groups(void **state)
{
	struct limits_answer a = ask("pbuf_ring.max_groups");
	struct bs_buf_reg reg = {.ring_addr = (uintptr_t)map(4096), .ring_entries = 1};
	struct io_uring ring;

	(void)state;
	assert_true(a.has_value);
	open_ring(&ring);
	for (uint64_t i = 0; i < a.value; i++) {
		reg.bgid = (uint16_t)i;
		assert_int_equal(register_group(ring.ring_fd, reg), 0);
	}
	if (a.value == 65536)
		assert_int_equal(a.bound_by, LIMITS_BY_ABI);
	io_uring_queue_exit(&ring);
}

static int map_group(int fd, uint64_t bgid)
{
	struct bs_buf_reg reg = {
		.ring_entries = 1,
		.bgid = (uint16_t)bgid,
		.flags = IOU_PBUF_RING_MMAP,
	};
	void *p;

	assert_int_equal(register_group(fd, reg), 0);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 (off_t)(BS_OFF_PBUF_RING | bgid << BS_OFF_PBUF_RING_SHIFT));
	if (p == MAP_FAILED)
		return errno;
	munmap(p, 4096);
	return 0;
}

static void test_mapping(void **state)
{
	struct limits_answer a = ask("pbuf_ring_mmap.max_bgid");
	struct io_uring ring;

	(void)state;
	needs(a.how != LIMITS_ABSENT, "buffer rings in the kernel's memory");
	open_ring(&ring);
	assert_int_equal(map_group(ring.ring_fd, a.value), 0);
	if (a.errno_past)
		assert_int_equal(map_group(ring.ring_fd, a.value + 1), a.errno_past);
	else
		assert_int_equal(a.value, 65535);
	io_uring_queue_exit(&ring);
}

static void test_fixed_count(void **state)
{
	struct limits_answer a = ask("fixed.max_count");
	struct iovec *iov = calloc(a.value + 1, sizeof(*iov));
	void *page = map(4096);
	struct io_uring ring;

	(void)state;
	assert_true(a.has_value);
	for (uint64_t i = 0; i <= a.value; i++)
		iov[i] = (struct iovec){page, 4096};
	open_ring(&ring);
	assert_int_equal(do_register(ring.ring_fd, IORING_REGISTER_BUFFERS, iov,
				     (unsigned int)a.value + 1),
			 a.errno_past);
	assert_int_equal(
		do_register(ring.ring_fd, IORING_REGISTER_BUFFERS, iov, (unsigned int)a.value), 0);
	io_uring_queue_exit(&ring);
	free(iov);
}

/* Memory that is really there: the prober's own trick of mapping the same pages is not used. */
static void test_fixed_bytes(void **state)
{
	struct limits_answer a = ask("fixed.max_bytes");
	struct iovec iov;
	struct io_uring ring;

	(void)state;
	needs(a.how != LIMITS_LATE, "more time");
	assert_true(a.has_value);
	needs(a.errno_past && limits_budget() >= a.value / 2, "memory to go past the limit");
	iov = (struct iovec){map(a.value + 4096), a.value + 1};
	madvise(iov.iov_base, a.value + 4096, MADV_HUGEPAGE);
	open_ring(&ring);
	assert_int_equal(do_register(ring.ring_fd, IORING_REGISTER_BUFFERS, &iov, 1), a.errno_past);
	iov.iov_len = a.value;
	assert_int_equal(do_register(ring.ring_fd, IORING_REGISTER_BUFFERS, &iov, 1), 0);
	io_uring_queue_exit(&ring);
	munmap(iov.iov_base, a.value + 4096);
}

static int provide(struct io_uring *ring, void *memory, unsigned int nr)
{
	struct io_uring_cqe *cqe;
	int res;

	io_uring_prep_provide_buffers(io_uring_get_sqe(ring), memory, 1, (int)nr, 7, 0);
	assert_int_equal(io_uring_submit_and_wait(ring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

static void test_legacy(void **state)
{
	struct limits_answer a = ask("legacy.max_buffers");
	void *memory = map(1 << 20);
	struct io_uring ring;

	(void)state;
	assert_true(a.has_value);
	open_ring(&ring);
	for (uint64_t i = 0; i < a.value; i++)
		assert_true(provide(&ring, memory, 1) >= 0);
	if (a.errno_past)
		assert_int_equal(provide(&ring, memory, 1), -a.errno_past);
	io_uring_queue_exit(&ring);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *key;
		struct bs_buf_reg reg;
	} cases[] = {
		{"pbuf_ring.zero_entries", {.ring_entries = 0}},
		{"pbuf_ring.not_power_of_two", {.ring_entries = 24}},
		{"pbuf_ring.unknown_flags", {.ring_entries = 8, .flags = 0x4000}},
		{"pbuf_ring.reserved", {.ring_entries = 8, .resv = {1}}},
		{"pbuf_ring.min_left_without_inc", {.ring_entries = 8, .min_left = 9}},
	};
	void *page = map(4096);
	struct io_uring ring;

	(void)state;
	open_ring(&ring);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct limits_answer a = ask(cases[i].key);
		struct bs_buf_reg reg = cases[i].reg;

		reg.ring_addr = (uintptr_t)page;
		reg.bgid = (uint16_t)i;
		assert_int_equal(a.errno_past, register_group(ring.ring_fd, reg));
		assert_int_equal(a.verdict, a.errno_past ? LIMITS_REFUSED : LIMITS_ACCEPTED);
	}
	io_uring_queue_exit(&ring);
}

static void test_curves_ascend(void **state)
{
	struct limits_answer a = ask("cost.pbuf_ring");

	(void)state;
	assert_int_equal(a.how, LIMITS_MEASURED);
	assert_true(a.nr_points >= 2);
	for (size_t i = 0; i < a.nr_points; i++) {
		assert_true(a.points[i].y[0] > 0 && a.points[i].y[1] > 0);
		if (i > 0)
			assert_true(a.points[i].at > a.points[i - 1].at);
	}
}

/* The rest of a buffer in which a short file read of an incremental ring ended. */
static unsigned int used_by_short_read(void)
{
	struct io_uring_buf *slots = map(4096);
	struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)slots,
		.ring_entries = 1,
		.flags = IOU_PBUF_RING_INC,
	};
	int fd = memfd_create("test", 0);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	open_ring(&ring);
	assert_int_equal(register_group(ring.ring_fd, reg), 0);
	slots[0].addr = (uintptr_t)map(4096);
	slots[0].len = 4096;
	__atomic_store_n(&slots[0].resv, 1, __ATOMIC_RELEASE);
	assert_int_equal(write(fd, "short", 5), 5);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, fd, NULL, 100, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(&ring, &cqe), 0);
	assert_int_equal(cqe->res, 5);
	io_uring_queue_exit(&ring);
	close(fd);
	return 4096 - slots[0].len;
}

/* The verdict is what the test sees, too. */
static void test_judges(void **state)
{
	struct limits_answer a = ask("behaviour.inc_short_file");

	(void)state;
	if (a.how == LIMITS_ABSENT) {
		assert_int_equal(ask("pbuf_ring_inc.max_entries").how, LIMITS_ABSENT);
		return;
	}
	assert_int_equal(a.verdict, used_by_short_read() == 5 ? LIMITS_BEHAVES : LIMITS_MISBEHAVES);
	assert_true(a.note[0]);
}

static int die(const struct limits_env *env, struct limits_answer *answer)
{
	(void)env;
	answer->how = LIMITS_TRIED;
	answer->has_value = true;
	raise(SIGKILL);
	return 0;
}

static int leave(const struct limits_env *env, struct limits_answer *answer)
{
	(void)env;
	(void)answer;
	_exit(5);
}

static int hang(const struct limits_env *env, struct limits_answer *answer)
{
	(void)env;
	(void)answer;
	for (;;)
		pause();
	return 0;
}

static int give_up(const struct limits_env *env, struct limits_answer *answer)
{
	(void)env;
	(void)answer;
	return -ENOSPC;
}

static void test_unlucky_probes(void **state)
{
	static const struct {
		int (*ask)(const struct limits_env *, struct limits_answer *);
		const char *note;
		enum limits_how how;
		int errno_past;
	} cases[] = {
		{die, "signal 9", LIMITS_DIED, 0},
		{leave, "status 5", LIMITS_DIED, 0},
		{hang, "", LIMITS_LATE, 0},
		{give_up, "", LIMITS_FAILED, ENOSPC},
	};
	const struct limits_opts opts = {.level = LIMITS_QUICK, .patience_ms = 100};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct limits_probe probe = {.key = "x", .ask = cases[i].ask};
		struct limits_answer a;

		assert_int_equal(limits_ask(&probe, &opts, &a), 0);
		assert_int_equal(a.how, cases[i].how);
		assert_int_equal(a.errno_past, cases[i].errno_past);
		assert_false(a.has_value);
		assert_non_null(strstr(a.note, cases[i].note));
	}
	/* No child is left, waiting or running. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* How many one-page fixed buffers a user without privileges may register now. */
static int room_of_user(uid_t uid)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit limit = {65536, 65536};
		struct iovec iov[32];
		struct io_uring ring;
		int nr = 32;

		setrlimit(RLIMIT_MEMLOCK, &limit);
		if (setgid(uid) || setuid(uid) || io_uring_queue_init(1, &ring, 0))
			_exit(200);
		for (int i = 0; i < 32; i++)
			iov[i] = (struct iovec){map(4096), 4096};
		while (nr > 0 && do_register(ring.ring_fd, IORING_REGISTER_BUFFERS, iov, nr))
			nr--;
		_exit(nr);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* All that does not measure, which takes time and no other objects. */
static void ask_all_as(uid_t uid)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct limits_section *const *sections = limits_sections();
		struct limits_answer a;

		if (setgid(uid) || setuid(uid))
			_exit(1);
		for (size_t s = 0; sections[s]; s++) {
			for (size_t i = 0; !sections[s]->measures && i < sections[s]->nr; i++)
				limits_ask(&sections[s]->probes[i], &quick, &a);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_leaves_nothing(void **state)
{
	const struct timespec pause = {.tv_nsec = 200000000};
	uid_t uid = 0x60000000U + (uid_t)getpid();
	int fds = count_fds(), room;

	(void)state;
	needs(geteuid() == 0, "root");
	room = room_of_user(uid);
	assert_true(room > 0 && room <= 16);
	ask_all_as(uid);
	nanosleep(&pause, NULL); /* closed rings give memory back a little later */
	assert_int_equal(room_of_user(uid), room);
	assert_int_equal(count_fds(), fds);
}

static int ask_as(uid_t uid, const char *key, struct limits_answer *shared)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit limit = {65536, 65536};

		setrlimit(RLIMIT_MEMLOCK, &limit);
		if (setgid(uid) || setuid(uid))
			_exit(1);
		_exit(limits_ask(find_probe(key), &quick, shared) ? 2 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Where a user's memlock ends before the kernel's own limits, that is the answer, exactly. */
static void test_blames_memlock(void **state)
{
	static const struct {
		const char *key;
		uint64_t unit;
	} cases[] = {
		{"fixed.max_count", 1},
		{"fixed.max_bytes", 4096},
	};
	struct limits_answer *a =
		mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uid_t uid = 0x61000000U + (uid_t)getpid();

	(void)state;
	needs(geteuid() == 0, "root");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* Another uid each time: no charge of the one before is in the way. */
		uint64_t room = (uint64_t)room_of_user(uid + 2 * i);

		assert_int_equal(ask_as(uid + 2 * i + 1, cases[i].key, a), 0);
		assert_int_equal(a->value, room * cases[i].unit);
		assert_int_equal(a->bound_by, LIMITS_BY_MEMLOCK);
		assert_int_equal(a->errno_past, ENOMEM);
	}
}

/* What fits under 64 KiB, counted here, too. */
static void test_capacity(void **state)
{
	struct limits_answer a = ask("memlock.capacity");

	(void)state;
	needs(geteuid() == 0, "root");
	assert_true(a.nr_points > 0);
	assert_int_equal(a.points[0].at, 65536);
	assert_int_equal(a.points[0].y[2], room_of_user(0x63000000U + (uid_t)getpid()));
}

static void refuse_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		_exit(77);
}

/* The same errno as kernel.io_uring_disabled gives, without disturbing the machine. */
static void test_disabled(void **state)
{
	const char *bufscope = getenv("BUFSCOPE");
	char text[256] = "";
	int out[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		refuse_io_uring();
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		if (bufscope)
			execl(bufscope, "bufscope", "limits", "--quick", NULL);
		_exit(127);
	}
	close(out[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	needs(WEXITSTATUS(status) != 77, "seccomp filters");
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "bufscope: io_uring is disabled"));
	close(out[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),        cmocka_unit_test(test_groups),
		cmocka_unit_test(test_mapping),        cmocka_unit_test(test_fixed_count),
		cmocka_unit_test(test_fixed_bytes),    cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_refusals),       cmocka_unit_test(test_curves_ascend),
		cmocka_unit_test(test_judges),         cmocka_unit_test(test_unlucky_probes),
		cmocka_unit_test(test_leaves_nothing), cmocka_unit_test(test_blames_memlock),
		cmocka_unit_test(test_capacity),       cmocka_unit_test(test_disabled),
	};

	if (limits_can_ask()) {
		puts("ok 1 - limits # SKIP no io_uring for this user\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Does load notice when it miscounts, and say so when it may not use io_uring? */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd.h"
#include "load_ring.h"
#include "needs.h"

/* ---- what is counted */

struct bench {
	struct load_opts opts;
	struct load_ring ring;
	struct load_ring_truth ring_truth;
	struct load_group_truth group_truth;
	struct load_fault fault;
};

/* A ring that did some work and is at rest. */
static void work(struct bench *b)
{
	static const uint16_t bgid = 7;

	*b = (struct bench){
		.opts =
			{
				.op = load_op_find("recv-multishot"),
				.buffers = 16,
				.buf_bytes = 64,
				.message_bytes = 64,
				.bgids = &bgid,
				.nr_groups = 1,
				.nr_rings = 1,
				.nr_procs = 1,
				.count = 1000,
			},
	};
	b->ring.opts = &b->opts;
	b->ring.fault = &b->fault;
	if (load_ring_open(&b->ring, &b->ring_truth, &b->group_truth) < 0) {
		load_ring_close(&b->ring);
		needs(0, "this kind of ring; tests of the program say why");
	}
	while (!load_ring_is_done(&b->ring))
		assert_true(load_ring_round(&b->ring, 0) >= 0);
	assert_int_equal(load_ring_rest(&b->ring, false), 0);
}

static void test_agreement(void **state)
{
	struct bench b;

	(void)state;
	work(&b);
	assert_int_equal(load_ring_check(&b.ring), 0);
	assert_int_equal(b.group_truth.counts.selected, 1000);
	load_ring_close(&b.ring);
}

/* Counts one too many. */
static void test_miscount(void **state)
{
	struct bench b;

	(void)state;
	work(&b);
	b.ring.groups[0].counts.taken++;
	assert_int_equal(load_ring_check(&b.ring), -EIO);
	assert_int_equal(b.fault.exit_code, EXIT_FAILED);
	if (b.group_truth.check == CHECK_DIFFERS)
		assert_string_equal(b.fault.what,
				    "group 7: the kernel's head is 1000, counted 1001 "
				    "(1001 in 16 bits)");
	b.ring.groups[0].counts.taken--;
	b.ring.groups[0].counts.starved++;
	assert_int_equal(load_ring_check(&b.ring), -EIO);
	assert_string_equal(b.fault.what, "group 7: the pool's starved is 0, counted 1");
	load_ring_close(&b.ring);
}

/* ---- what is not permitted */

static void deny_setup(int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(99);
}

/* Runs load where io_uring_setup() fails like that. Returns its exit code; what it said. */
static int run_denied(int err, const char *procs, char *said, size_t size)
{
	const char *path = getenv("BUFSCOPE");
	int fds[2], status;
	size_t nr = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		deny_setup(err);
		execl(path ? path : "build/bufscope", "bufscope", "load", "--procs", procs, NULL);
		_exit(98);
	}
	close(fds[1]);
	while ((got = read(fds[0], said + nr, size - 1 - nr)) > 0)
		nr += (size_t)got;
	said[nr] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	needs(!WIFEXITED(status) || WEXITSTATUS(status) != 99, "seccomp filters");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_denied(void **state)
{
	static const char *const procs[] = {"1", "2"};
	char said[4096];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(run_denied(EPERM, procs[i], said, sizeof(said)), EXIT_UNSUPPORTED);
		assert_string_equal(said, "bufscope: io_uring is disabled for this user\n"
					  "hint: see sysctl kernel.io_uring_disabled and "
					  "kernel.io_uring_group\n");
	}
}

static void test_absent(void **state)
{
	char said[4096];

	(void)state;
	assert_int_equal(run_denied(ENOSYS, "1", said, sizeof(said)), EXIT_UNSUPPORTED);
	assert_string_equal(said, "bufscope: this kernel has no io_uring\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_miscount),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

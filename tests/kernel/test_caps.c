// SPDX-License-Identifier: MIT
/*
 * Are the answers about abilities true? They are compared with what the real programs achieve,
 * and asked again where a right was taken away.
 */
#include <errno.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "caps.h"
#include "needs.h"
#include "observe.h"
#include "uapi.h"

#define NOBODY 65534

static const struct caps_answer *ask(const char *key)
{
	static const struct caps_answer none;
	const struct caps_answer *answer = caps_ask(key);

	if (!answer)
		fail_msg("no ability %s", key);
	return answer ? answer : &none;
}

/* Runs a part in a child, where rights can be dropped. */
static void in_child(void (*part)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		part();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a child an assertion cannot jump back. */
#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void every_ability(void **state)
{
	const struct caps_section *const *section = caps_sections();
	size_t nr = 0;

	(void)state;
	for (; *section; section++) {
		for (size_t i = 0; i < (*section)->nr; i++, nr++) {
			const struct ability *ability = &(*section)->abilities[i];
			const struct caps_answer *answer = ask(ability->key);

			assert_true(*ability->what && *ability->if_missing);
			if (answer->state == CAPS_YES)
				assert_int_equal(answer->error, 0);
			if (answer->state == CAPS_UNKNOWN)
				assert_true(answer->error || answer->detail[0]);
		}
	}
	assert_true(nr > 50);
	assert_null(caps_ask("nonsense"));
	assert_false(caps_can("nonsense"));
	assert_ptr_equal(ask("btf"), ask("btf"));
}

/* One attempt of each registration, made here and not by the table. */
static void groups(void **state)
{
	static const struct {
		const char *key;
		unsigned int flags, min_left;
	} cases[] = {
		{"pbuf_ring", 0, 0},
		{"pbuf_ring.mmap", IOU_PBUF_RING_MMAP, 0},
		{"pbuf_ring.inc", IOU_PBUF_RING_INC, 0},
		{"pbuf_ring.inc.min_left", IOU_PBUF_RING_INC, 4},
	};
	void *page = aligned_alloc(4096, 4096);
	struct io_uring ring;

	(void)state;
	assert_int_equal(io_uring_queue_init(1, &ring, 0), 0);
	for (unsigned int i = 0; i < 4; i++) {
		struct bs_buf_reg reg = {.ring_entries = 8,
					 .bgid = (uint16_t)i,
					 .flags = (uint16_t)cases[i].flags,
					 .min_left = cases[i].min_left};
		long err;

		if (!(cases[i].flags & IOU_PBUF_RING_MMAP))
			reg.ring_addr = (uintptr_t)page;
		err = syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg,
			      1);
		assert_int_equal(err == 0, caps_can(cases[i].key));
		if (err)
			assert_int_equal(ask(cases[i].key)->error, errno);
	}
	io_uring_queue_exit(&ring);
	free(page);
}

static bool opens(enum observe_depth depth)
{
	struct observe_opts opts = {.bgid = -1, .depth = depth, .tick_ns = 10000000};
	struct observe_err err;
	struct observe *o = observe_open(&opts, &err);

	if (!o)
		return false;
	observe_close(o);
	return true;
}

/* What can be watched is what really can be opened. */
static void backend(void **state)
{
	int best = caps_backend();

	(void)state;
	assert_int_equal(opens(OBSERVE_ONCE), best >= BACKEND_ITER);
	assert_int_equal(opens(OBSERVE_LIGHT), best >= BACKEND_ITER_TICK);
	assert_int_equal(opens(OBSERVE_FULL), best >= BACKEND_ITER_TP);
	assert_int_equal(best < 0, caps_hindrance() != NULL);
}

static void become_nobody(void)
{
	EXPECT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static void as_nobody(void)
{
	become_nobody();
	EXPECT(ask("cap.bpf")->state == CAPS_NO);
	EXPECT(ask("cap.perfmon")->state == CAPS_NO);
	EXPECT(ask("io_uring")->state == CAPS_YES);
	EXPECT(ask("pbuf_ring")->state == CAPS_YES);
	EXPECT(ask("iter.task_file")->state == CAPS_UNKNOWN);
	EXPECT(ask("iter.task_file")->error == EPERM);
	EXPECT(strstr(ask("iter.task_file")->detail, "cap_bpf") != NULL);
	EXPECT(ask("perf.cpu_clock")->state == CAPS_UNKNOWN);
	EXPECT(caps_backend() == -EOPNOTSUPP && caps_hindrance());
}

static void unprivileged(void **state)
{
	(void)state;
	needs(geteuid() == 0, "root");
	in_child(as_nobody);
}

/*
 * The two capabilities that the manual asks for are enough to watch; for more than snapshots
 * where perf events want no third.
 */
static void with_two_capabilities(void)
{
	cap_value_t needed[] = {CAP_BPF, CAP_PERFMON};
	cap_t caps = cap_init();

	EXPECT(caps && cap_set_flag(caps, CAP_PERMITTED, 2, needed, CAP_SET) == 0);
	EXPECT(cap_set_flag(caps, CAP_EFFECTIVE, 2, needed, CAP_SET) == 0);
	EXPECT(prctl(PR_SET_KEEPCAPS, 1) == 0);
	become_nobody();
	EXPECT(cap_set_proc(caps) == 0);
	cap_free(caps);
	EXPECT(ask("cap.sys_admin")->state == CAPS_NO);
	EXPECT(ask("cap.bpf")->state == CAPS_YES);
	EXPECT(caps_backend() >= BACKEND_ITER);
	EXPECT(opens(OBSERVE_LIGHT) == (caps_backend() >= BACKEND_ITER_TICK));
	EXPECT(opens(OBSERVE_FULL) == (caps_backend() >= BACKEND_ITER_TP));
	EXPECT(caps_can("perf.cpu_clock") || strstr(ask("perf.cpu_clock")->detail, "paranoid"));
}

static void two_capabilities(void **state)
{
	(void)state;
	needs(geteuid() == 0, "root");
	in_child(with_two_capabilities);
}

/* Rings that are charged to a limit without room do not turn into a no. */
static void without_memlock(void)
{
	const struct rlimit none = {0, 0};

	become_nobody();
	EXPECT(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
	EXPECT(ask("memlock")->state == CAPS_NO);
	EXPECT(ask("pbuf_ring")->state != CAPS_NO);
	EXPECT(ask("fixed")->state == CAPS_UNKNOWN);
}

static void memlock(void **state)
{
	(void)state;
	needs(geteuid() == 0, "root");
	in_child(without_memlock);
}

static void under_seccomp(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = 4, .filter = code};

	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
	EXPECT(ask("io_uring")->state == CAPS_NO);
	EXPECT(ask("io_uring")->error == EPERM);
	EXPECT(strstr(ask("io_uring")->detail, "seccomp") != NULL);
	EXPECT(ask("pbuf_ring")->state == CAPS_UNKNOWN);
	EXPECT(ask("query")->state == CAPS_UNKNOWN);
	EXPECT(ask("btf")->state == CAPS_YES);
}

static void seccomp(void **state)
{
	(void)state;
	in_child(under_seccomp);
}

int main(void)
{
	/* a child has the answers that were had before: those with a child come first */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unprivileged),  cmocka_unit_test(two_capabilities),
		cmocka_unit_test(memlock),       cmocka_unit_test(seccomp),
		cmocka_unit_test(every_ability), cmocka_unit_test(groups),
		cmocka_unit_test(backend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

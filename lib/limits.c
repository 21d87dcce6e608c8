// SPDX-License-Identifier: MIT
/*
 * How is a question put to the kernel without risk to the asker? A child asks and leaves its
 * answer in shared memory; the parent waits, for so long, and reports what became of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limits_kernel.h"
#include "limits_table.h"

/* No single answer may take longer when the asker does not say, in milliseconds. */
static const unsigned int patience_ms[] = {
	[LIMITS_QUICK] = 10000,
	[LIMITS_DEFAULT] = 30000,
	[LIMITS_FULL] = 90000,
};

struct mailbox {
	struct limits_answer answer;
	int err;
	int delivered; /* written last, by the child */
};

const struct limits_section *const *limits_sections(void)
{
	static const struct limits_section *const sections[] = {
		&limits_setup_section,  &limits_ring_section,    &limits_legacy_section,
		&limits_fixed_section,  &limits_request_section, &limits_multishot_section,
		&limits_bundle_section, &limits_inc_section,     &limits_account_section,
		&limits_cost_section,   &limits_memory_section,  NULL,
	};

	return sections;
}

uint64_t limits_budget(void)
{
	const uint64_t most = 1ULL << 30;
	unsigned long long available_kb;
	uint64_t budget = most;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return most;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu", &available_kb) == 1)
			budget = available_kb * 1024 / 4;
	}
	fclose(f);
	return budget < most ? budget : most;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0) {
		/* Only less polite, not wrong. */
	}
	close(fd);
}

/* Dies with the parent, yields to others, is the first to go when memory runs out. */
static void be_expendable(pid_t parent)
{
	const struct rlimit no_core = {0};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_CORE, &no_core);
	setpriority(PRIO_PROCESS, 0, 10);
	write_file("/proc/self/oom_score_adj", "1000");
}

static void run_child(const struct limits_probe *probe, const struct limits_env *env,
		      struct mailbox *box)
{
	box->err = probe->ask(env, &box->answer);
	__atomic_store_n(&box->delivered, 1, __ATOMIC_RELEASE);
	_exit(0);
}

/* True if the child ended by itself. */
static bool wait_child(pid_t pid, unsigned int patience, int *status)
{
	int pidfd = pidfd_open(pid, 0);
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	uint64_t deadline = limits_now_ns() + patience * 1000000ULL;
	bool in_time = true;
	int ready;

	do {
		uint64_t now = limits_now_ns();

		ready = pidfd < 0 ? 1
				  : poll(&fd, 1,
					 now < deadline ? (int)((deadline - now) / 1000000) : 0);
	} while (ready < 0 && errno == EINTR);
	if (ready == 0) {
		kill(pid, SIGKILL);
		in_time = false;
	}
	if (pidfd >= 0)
		close(pidfd);
	*status = 0;
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return in_time;
}

static void read_mail(const struct mailbox *box, int status, struct limits_answer *answer)
{
	if (__atomic_load_n(&box->delivered, __ATOMIC_ACQUIRE)) {
		*answer = box->answer;
		if (box->err) {
			answer->how = LIMITS_FAILED;
			answer->errno_past = -box->err;
		}
		return;
	}
	answer->how = LIMITS_DIED;
	if (WIFSIGNALED(status))
		snprintf(answer->note, sizeof(answer->note),
			 "the probe was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(answer->note, sizeof(answer->note), "the probe exited with status %d",
			 WEXITSTATUS(status));
}

static int ask_once(const struct limits_probe *probe, const struct limits_opts *opts,
		    struct limits_answer *answer)
{
	struct limits_env env = {
		.level = opts->level,
		.max_bytes = opts->max_bytes ? opts->max_bytes : limits_budget(),
		.arg = probe->arg,
	};
	struct mailbox *box =
		mmap(NULL, sizeof(*box), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), pid;
	int status;

	memset(answer, 0, sizeof(*answer));
	if (box == MAP_FAILED)
		return -errno;
	pid = fork();
	if (pid == 0) {
		be_expendable(parent);
		run_child(probe, &env, box);
	}
	if (pid < 0) {
		int err = -errno;

		munmap(box, sizeof(*box));
		return err;
	}
	if (wait_child(pid, opts->patience_ms ? opts->patience_ms : patience_ms[opts->level],
		       &status))
		read_mail(box, status, answer);
	else
		answer->how = LIMITS_LATE;
	munmap(box, sizeof(*box));
	return 0;
}

/*
 * Where rings are charged to RLIMIT_MEMLOCK, those of probes that are over stay charged for a
 * while, and a tight limit may be used up by the dead. An edge sees to that by itself.
 */
static bool is_crowded_out(const struct limits_answer *answer, int round)
{
	const int rounds = answer->how == LIMITS_FAILED ? 3 : 1;

	return answer->errno_past == ENOMEM && !answer->has_value && round < rounds;
}

int limits_ask(const struct limits_probe *probe, const struct limits_opts *opts,
	       struct limits_answer *answer)
{
	int err = ask_once(probe, opts, answer);

	for (int round = 0; !err && is_crowded_out(answer, round); round++) {
		limits_settle();
		err = ask_once(probe, opts, answer);
	}
	return err;
}

static int ask_ring(const struct limits_env *env, struct limits_answer *answer)
{
	struct io_uring ring;

	(void)env;
	answer->how = LIMITS_TRIED;
	return limits_ring_open(&ring);
}

int limits_can_ask(void)
{
	static const struct limits_probe probe = {.key = "ring", .ask = ask_ring};
	const struct limits_opts opts = {.level = LIMITS_QUICK, .max_bytes = 1};
	struct limits_answer answer;
	int err = limits_ask(&probe, &opts, &answer);

	if (err)
		return err;
	if (answer.how == LIMITS_TRIED)
		return 0;
	/* Seccomp may kill instead of refusing. */
	return answer.how == LIMITS_FAILED ? -answer.errno_past : -EPERM;
}

static const char *name_in(const char *const *names, size_t nr, unsigned int i)
{
	return i < nr ? names[i] : NULL;
}

#define NAME_IN(names, i) name_in(names, LIMITS_NR(names), i)

const char *limits_bound_name(enum limits_bound bound)
{
	static const char *const names[] = {
		[LIMITS_BY_UNKNOWN] = NULL,           [LIMITS_BY_KERNEL] = "kernel",
		[LIMITS_BY_ABI] = "field width",      [LIMITS_BY_MEMLOCK] = "RLIMIT_MEMLOCK",
		[LIMITS_BY_NOFILE] = "RLIMIT_NOFILE", [LIMITS_BY_MEMORY] = "memory",
		[LIMITS_BY_PRIVILEGE] = "privilege",  [LIMITS_BY_BUDGET] = "memory budget",
		[LIMITS_BY_PROBE] = "not tried past",
	};

	return NAME_IN(names, bound);
}

const char *limits_how_name(enum limits_how how)
{
	static const char *const names[] = {
		[LIMITS_NOT_ASKED] = "not asked", [LIMITS_TRIED] = "tried",
		[LIMITS_MEASURED] = "measured",   [LIMITS_ABSENT] = "absent",
		[LIMITS_FAILED] = "failed",       [LIMITS_DIED] = "died",
		[LIMITS_LATE] = "too slow",
	};

	return NAME_IN(names, how);
}

const char *limits_verdict_name(enum limits_verdict verdict)
{
	static const char *const names[] = {
		[LIMITS_NO_VERDICT] = NULL,         [LIMITS_ACCEPTED] = "accepted",
		[LIMITS_REFUSED] = "refused",       [LIMITS_BEHAVES] = "behaves",
		[LIMITS_MISBEHAVES] = "misbehaves", [LIMITS_CANNOT_TELL] = "cannot tell",
		[LIMITS_HOLDS] = "holds",           [LIMITS_HOLDS_NOT] = "holds not",
	};

	return NAME_IN(names, verdict);
}

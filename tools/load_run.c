// SPDX-License-Identifier: MIT
/*
 * Who works when: processes, their threads, the phases that all of them pass together, and the
 * signals that end them.
 *
 * One controller leads: a thread of its own if there is one process, so that rings belong to the
 * main thread as they do in most programs; else the parent of all. It moves the phase, workers
 * follow and tell through a pipe, one byte each, when they are ready and when they are done.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/text.h"
#include "cmd.h"
#include "load.h"
#include "load_ring.h"

#define NS_PER_S   1000000000ull
#define NAP_MIN_NS 50000ull

enum phase {
	PHASE_OPEN, /* workers open their rings */
	PHASE_WORK,
	PHASE_STOP,  /* workers come to rest, even if there is more to do */
	PHASE_LEAVE, /* workers close everything and end */
};

/* What workers tell: one byte. */
enum word { WORD_READY = 'r', WORD_DONE = 'd', WORD_FAILED = 'f' };

/* In memory that all processes share. */
struct shared {
	uint32_t phase;    /* enum phase; a futex */
	int32_t exit_code; /* of the first fault; atomic */
	struct load_truth truth;
};

struct run {
	const struct load_opts *opts;
	struct shared *shared;
	size_t shared_bytes;
	uint16_t *bids; /* room for leaked bids, opts->leak for each group */
	int told[2];    /* the workers' pipe */
	int signal_fd;
	sigset_t old_mask;
	pid_t *children; /* of more than one process; those not started or gone are 0 */
	int ended_by;    /* signal, 0: none */
	bool has_reported;
	uint64_t next_tick_ns;
};

struct worker {
	struct run *run;
	uint32_t proc, thread;
	pthread_t handle;
	struct load_ring *rings;
	uint32_t nr_rings;
	struct load_fault fault;
};

/* Of several faults the first is said. */
static void say_fault(struct run *run, const struct load_fault *fault)
{
	int32_t none = EXIT_OK;

	if (!__atomic_compare_exchange_n(&run->shared->exit_code, &none, fault->exit_code, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	cmd_error("%s", fault->what);
	cmd_hint(fault->hint);
}

/* ---- phases */

static enum phase get_phase(const struct run *run)
{
	return __atomic_load_n(&run->shared->phase, __ATOMIC_ACQUIRE);
}

static void set_phase(struct run *run, enum phase phase)
{
	__atomic_store_n(&run->shared->phase, phase, __ATOMIC_RELEASE);
	syscall(SYS_futex, &run->shared->phase, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Sleeps as long as the phase is this one, at most timeout_ns; 0: without end. */
static void sleep_in_phase(const struct run *run, enum phase phase, uint64_t timeout_ns)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + timeout_ns;

	while (get_phase(run) == phase) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);
		struct timespec left;

		if (timeout_ns && now >= end)
			return;
		left.tv_sec = (time_t)((end - now) / NS_PER_S);
		left.tv_nsec = (long)((end - now) % NS_PER_S);
		syscall(SYS_futex, &run->shared->phase, FUTEX_WAIT, phase,
			timeout_ns ? &left : NULL, NULL, 0);
	}
}

/* ---- workers */

static void tell(const struct worker *w, enum word word)
{
	char byte = (char)word;

	while (write(w->run->told[1], &byte, 1) < 0 && errno == EINTR)
		;
}

static int open_rings(struct worker *w)
{
	const struct load_opts *opts = w->run->opts;
	struct load_truth *truth = &w->run->shared->truth;

	w->rings = calloc(opts->nr_rings / opts->nr_threads + 1, sizeof(*w->rings));
	if (!w->rings)
		return load_fault(&w->fault, EXIT_FAILED, NULL, "out of memory");
	for (uint32_t i = w->thread; i < opts->nr_rings; i += opts->nr_threads) {
		size_t ordinal = (size_t)w->proc * opts->nr_rings + i;
		struct load_ring *r = &w->rings[w->nr_rings++];

		r->opts = opts;
		r->fault = &w->fault;
		if (load_ring_open(r, &truth->rings[ordinal],
				   &truth->groups[ordinal * opts->nr_groups]) < 0)
			return -EIO;
		if (opts->paused && opts->arm_first && load_ring_arm(r) < 0)
			return -EIO;
	}
	return 0;
}

/* Nothing is due: sleeps until something is, or the work ends. */
static void nap(struct worker *w, uint64_t elapsed_ns)
{
	uint64_t end = w->run->opts->duration_ns;
	uint64_t next = end ? end : elapsed_ns + NS_PER_S;

	for (uint32_t i = 0; i < w->nr_rings; i++) {
		uint64_t due = load_ring_next_ns(&w->rings[i]);

		if (due < next)
			next = due;
	}
	next = next > elapsed_ns ? next - elapsed_ns : 0;
	sleep_in_phase(w->run, PHASE_WORK, next > NAP_MIN_NS ? next : NAP_MIN_NS);
}

/* One round of all rings. Returns what moved or a fault; *busy: there is more to do. */
static int64_t work_round(struct worker *w, uint64_t elapsed_ns, bool *busy)
{
	int64_t moved = 0;

	*busy = false;
	for (uint32_t i = 0; i < w->nr_rings; i++) {
		int64_t nr;

		if (load_ring_is_done(&w->rings[i]))
			continue;
		*busy = true;
		nr = load_ring_round(&w->rings[i], elapsed_ns);
		if (nr < 0)
			return nr;
		moved += nr;
	}
	return moved;
}

static int work(struct worker *w)
{
	const struct load_opts *opts = w->run->opts;
	bool busy = true;

	while (busy && get_phase(w->run) == PHASE_WORK) {
		uint64_t elapsed = clock_ns(CLOCK_MONOTONIC) - w->run->shared->truth.start_ns;
		int64_t moved;

		if (opts->duration_ns && elapsed >= opts->duration_ns)
			break;
		moved = work_round(w, elapsed, &busy);
		if (moved < 0)
			return -EIO;
		if (busy && !moved)
			nap(w, elapsed);
	}
	for (uint32_t i = 0; i < w->nr_rings; i++) {
		/* After a signal nobody waits. */
		if (load_ring_rest(&w->rings[i], opts->wait && get_phase(w->run) == PHASE_WORK) < 0)
			return -EIO;
	}
	return 0;
}

/* Says the first difference; the others stand in the report. */
static void check_rings(struct worker *w)
{
	for (uint32_t i = 0; i < w->nr_rings; i++) {
		if (load_ring_check(&w->rings[i]) < 0)
			say_fault(w->run, &w->fault);
	}
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	int err = open_rings(w);

	if (!err) {
		tell(w, WORD_READY);
		sleep_in_phase(w->run, PHASE_OPEN, 0);
		if (get_phase(w->run) != PHASE_LEAVE)
			err = work(w);
	}
	if (err)
		say_fault(w->run, &w->fault);
	else
		check_rings(w);
	tell(w, err ? WORD_FAILED : WORD_DONE);
	while (get_phase(w->run) != PHASE_LEAVE)
		sleep_in_phase(w->run, get_phase(w->run), 0);
	for (uint32_t i = 0; i < w->nr_rings; i++)
		load_ring_close(&w->rings[i]);
	free(w->rings);
	return NULL;
}

static void fail_worker(struct worker *w, const char *what, int err)
{
	load_fault(&w->fault, EXIT_FAILED, NULL, "cannot %s: %s", what, strerror(err));
	say_fault(w->run, &w->fault);
	tell(w, WORD_FAILED);
}

/* The calling thread is the first worker of its process. */
static void run_process(struct run *run, uint32_t proc)
{
	uint32_t nr = run->opts->nr_threads, started = 1;
	struct worker first = {.run = run, .proc = proc};
	struct worker *others = calloc(nr, sizeof(*others));

	if (!others)
		fail_worker(&first, "start threads", ENOMEM);
	for (; others && started < nr; started++) {
		struct worker *w = &others[started];
		int err;

		*w = (struct worker){.run = run, .proc = proc, .thread = started};
		err = pthread_create(&w->handle, NULL, run_worker, w);
		if (err) {
			fail_worker(w, "start a thread", err);
			break;
		}
	}
	run_worker(&first);
	for (uint32_t i = 1; others && i < started; i++)
		pthread_join(others[i].handle, NULL);
	free(others);
}

/* ---- the controller */

static void show_progress(const struct run *run, uint64_t elapsed_ns)
{
	const struct load_truth *truth = &run->shared->truth;
	size_t nr = (size_t)truth->nr_rings * run->opts->nr_groups;
	uint64_t selected = 0;
	char count[16], rate[16];

	for (size_t i = 0; i < nr; i++) {
		struct load_counts counts;

		load_truth_read(&truth->groups[i], &counts);
		selected += counts.selected;
	}
	text_count(count, sizeof(count), (double)selected);
	text_count(rate, sizeof(rate), (double)selected * NS_PER_S / (double)elapsed_ns);
	fprintf(stderr, "\r%4llu s  %5s selected, %5s/s ",
		(unsigned long long)(elapsed_ns / NS_PER_S), count, rate);
}

static void report(const struct run *run, bool is_final)
{
	const struct load_truth *truth = &run->shared->truth;

	(run->opts->json ? load_report_json
			 : load_report_text)(stdout, truth, clock_ns(CLOCK_MONOTONIC), is_final);
	fflush(stdout);
}

static void tick(struct run *run, uint64_t now)
{
	if (run->opts->verbose)
		report(run, false);
	else if (isatty(STDERR_FILENO))
		show_progress(run, now - run->shared->truth.start_ns);
	run->next_tick_ns += NS_PER_S;
}

static void end_progress(const struct run *run)
{
	if (!run->opts->verbose && isatty(STDERR_FILENO) && run->next_tick_ns)
		fprintf(stderr, "\r%40s\r", "");
}

/* A child that is gone before it was told to leave takes its truth with it. */
static bool lost_a_child(struct run *run)
{
	struct load_fault fault;

	for (uint32_t i = 0; run->children && i < run->opts->nr_procs; i++) {
		pid_t pid = run->children[i];
		int status;

		if (!pid || waitpid(pid, &status, WNOHANG) != pid)
			continue;
		run->children[i] = 0;
		if (WIFSIGNALED(status))
			load_fault(&fault, EXIT_FAILED, NULL, "process %d was killed by signal %d",
				   pid, WTERMSIG(status));
		else
			load_fault(&fault, EXIT_FAILED, NULL, "process %d ended too early", pid);
		say_fault(run, &fault);
		return true;
	}
	return false;
}

/* Returns the signal, 0: none of interest; -ECHILD: a process was lost. */
static int read_signal(struct run *run)
{
	struct signalfd_siginfo info;

	if (read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGCHLD)
		return lost_a_child(run) ? -ECHILD : 0;
	return (int)info.ssi_signo;
}

static int poll_timeout_ms(struct run *run)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (!run->next_tick_ns)
		return -1;
	if (now >= run->next_tick_ns)
		tick(run, now);
	now = clock_ns(CLOCK_MONOTONIC);
	return run->next_tick_ns > now ? (int)((run->next_tick_ns - now) / 1000000 + 1) : 0;
}

/* Next word or signal: one of them is set, the other 0. */
static void next_event(struct run *run, int *word, int *signo)
{
	struct pollfd fds[] = {
		{.fd = run->told[0], .events = POLLIN},
		{.fd = run->signal_fd, .events = POLLIN},
	};
	unsigned char byte;

	*word = *signo = 0;
	if (poll(fds, 2, poll_timeout_ms(run)) <= 0)
		return;
	if (fds[1].revents)
		*signo = read_signal(run);
	else if (fds[0].revents && read(run->told[0], &byte, 1) == 1)
		*word = byte;
}

/* Waits until every worker said this word. False: it is over, one failed or a signal came. */
static bool await_workers(struct run *run, enum word wanted)
{
	uint32_t left = run->opts->nr_procs * run->opts->nr_threads;

	while (left) {
		int word, signo;

		next_event(run, &word, &signo);
		if (word == (int)wanted)
			left--;
		if (word == WORD_FAILED || signo == -ECHILD)
			return false;
		if (signo == SIGINT || signo == SIGTERM) {
			run->ended_by = signo;
			if (wanted == WORD_READY)
				return false;
			set_phase(run, PHASE_STOP);
		}
	}
	return true;
}

/* False: another signal came first, or a process was lost. */
static bool await_signal(struct run *run, int wanted)
{
	int word, signo;

	do {
		next_event(run, &word, &signo);
		if (signo == SIGINT || signo == SIGTERM)
			run->ended_by = signo;
	} while (signo == 0 || (signo == SIGUSR1 && wanted != SIGUSR1));
	return signo == wanted;
}

static void say_pids(const struct run *run)
{
	const struct load_opts *opts = run->opts;

	for (uint32_t i = 0; i < opts->nr_procs; i++)
		fprintf(stderr, "pid %u\n",
			run->shared->truth.rings[(size_t)i * opts->nr_rings].tgid);
	if (opts->paused)
		fputs("waiting for SIGUSR1\n", stderr);
}

static void control(struct run *run)
{
	if (!await_workers(run, WORD_READY))
		return;
	say_pids(run);
	if (run->opts->paused && !await_signal(run, SIGUSR1))
		return;
	run->shared->truth.start_ns = clock_ns(CLOCK_MONOTONIC);
	run->next_tick_ns = run->shared->truth.start_ns + NS_PER_S;
	set_phase(run, PHASE_WORK);
	if (!await_workers(run, WORD_DONE))
		return;
	end_progress(run);
	run->next_tick_ns = 0;
	report(run, true);
	run->has_reported = true;
	if (run->opts->wait && !run->ended_by) {
		fputs("waiting for SIGTERM or SIGINT\n", stderr);
		await_signal(run, SIGTERM);
	}
}

static void *run_controller(void *arg)
{
	struct run *run = arg;

	control(run);
	set_phase(run, PHASE_LEAVE);
	return NULL;
}

/* ---- processes */

static void run_child(struct run *run, uint32_t proc, pid_t parent)
{
	sigset_t deadly;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	/* Ctrl-C reaches the parent, too: that one ends the work. */
	sigemptyset(&deadly);
	sigaddset(&deadly, SIGTERM);
	pthread_sigmask(SIG_UNBLOCK, &deadly, NULL);
	run_process(run, proc);
	_exit(EXIT_OK);
}

static int fork_processes(struct run *run)
{
	struct load_fault fault;
	pid_t parent = getpid();

	run->children = calloc(run->opts->nr_procs, sizeof(*run->children));
	for (uint32_t i = 0; run->children && i < run->opts->nr_procs; i++) {
		pid_t pid = fork();

		if (pid == 0)
			run_child(run, i, parent);
		if (pid < 0)
			goto fail;
		run->children[i] = pid;
	}
	if (run->children)
		return 0;
fail:
	load_fault(&fault, EXIT_FAILED, NULL, "cannot start a process: %s", strerror(errno));
	say_fault(run, &fault);
	return -EIO;
}

static void run_processes(struct run *run)
{
	if (fork_processes(run) == 0)
		control(run);
	set_phase(run, PHASE_LEAVE);
	for (uint32_t i = 0; run->children && i < run->opts->nr_procs; i++) {
		while (run->children[i] && waitpid(run->children[i], NULL, 0) < 0 && errno == EINTR)
			;
	}
	free(run->children);
}

static void run_alone(struct run *run)
{
	struct load_fault fault;
	pthread_t controller;
	int err = pthread_create(&controller, NULL, run_controller, run);

	if (err) {
		load_fault(&fault, EXIT_FAILED, NULL, "cannot start a thread: %s", strerror(err));
		say_fault(run, &fault);
		return;
	}
	run_process(run, 0);
	pthread_join(controller, NULL);
}

/* ---- before and after */

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* One mapping for everything; it costs memory only where it is used. */
static int map_shared(struct run *run)
{
	const struct load_opts *opts = run->opts;
	size_t rings = (size_t)opts->nr_procs * opts->nr_rings;
	size_t groups = rings * opts->nr_groups;
	struct load_truth *truth;
	void *mem;

	run->shared_bytes = sizeof(*run->shared) + rings * sizeof(*truth->rings) +
			    groups * sizeof(*truth->groups) +
			    groups * opts->leak * sizeof(*run->bids);
	mem = mmap(NULL, run->shared_bytes, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return -errno;
	run->shared = mem;
	truth = &run->shared->truth;
	truth->opts = opts;
	truth->nr_rings = (uint32_t)rings;
	truth->groups = (void *)(run->shared + 1);
	truth->rings = (void *)(truth->groups + groups);
	run->bids = (void *)(truth->rings + rings);
	for (size_t i = 0; i < groups; i++)
		truth->groups[i].leaked_bids = run->bids + i * opts->leak;
	return 0;
}

static int catch_signals(struct run *run)
{
	sigset_t wanted;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGUSR1);
	sigaddset(&wanted, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &wanted, &run->old_mask);
	run->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	return run->signal_fd < 0 ? -errno : 0;
}

static int prepare(struct run *run)
{
	int err;

	raise_file_limit();
	err = map_shared(run);
	if (!err && pipe2(run->told, O_CLOEXEC) < 0)
		err = -errno;
	return err ? err : catch_signals(run);
}

static void clean_up(struct run *run)
{
	if (run->signal_fd >= 0) {
		close(run->signal_fd);
		pthread_sigmask(SIG_SETMASK, &run->old_mask, NULL);
	}
	if (run->told[0] >= 0) {
		close(run->told[0]);
		close(run->told[1]);
	}
	if (run->shared)
		munmap(run->shared, run->shared_bytes);
}

int load_run(const struct load_opts *opts)
{
	struct run run = {.opts = opts, .told = {-1, -1}, .signal_fd = -1};
	int code = EXIT_FAILED, err = prepare(&run);

	if (err) {
		cmd_error("cannot start: %s", strerror(-err));
	} else {
		(opts->nr_procs > 1 ? run_processes : run_alone)(&run);
		code = run.shared->exit_code;
	}
	clean_up(&run);
	/* Interrupted before there was anything to report: as if the signal had not been caught. */
	if (run.ended_by && !run.has_reported && code == EXIT_OK)
		raise(run.ended_by);
	return code;
}

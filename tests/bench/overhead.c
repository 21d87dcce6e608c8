// SPDX-License-Identifier: MIT
/*
 * What does being watched cost? The same `bufscope load` runs again and again, its CPU time per
 * selection measured while one observer after the other watches it: rounds are interleaved, so
 * that what else the machine does hits all alike. Prints medians, and ratios within the run.
 *
 *   overhead BUFSCOPE OP SELECTIONS ROUNDS [OBSERVER...]
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROUNDS 99

struct observer {
	const char *name;
	const char *command; /* for sh; %s is the program under test; NULL: see below */
	double warm_s;       /* until it certainly watches */
	double cost_ns[MAX_ROUNDS];
	double self_pct[MAX_ROUNDS]; /* CPU of the observer itself */
	bool is_missing;
};

static struct observer observers[] = {
	{"none", NULL, 0.2},
	{"empty", NULL, 0.2},
	{"list", "while :; do %s list >/dev/null; sleep 1; done", 1},
	{"light", "exec %s top -b -i 1 --light >/dev/null", 1},
	{"full", "exec %s top -b -i 1 --full >/dev/null", 1},
	{"bpftrace",
	 "exec bpftrace -e 'tracepoint:io_uring:io_uring_complete"
	 "{ @[pid, args->cflags & 0xffff] = count(); }' >/dev/null 2>&1",
	 3},
	{"perf stat", "exec perf stat -a -e 'io_uring:*' sleep 60 >/dev/null 2>&1", 1},
	{"perf record", "exec perf record -a -o /dev/null -e 'io_uring:*' sleep 60 >/dev/null 2>&1",
	 1.5},
};

#define NR_OBSERVERS (sizeof(observers) / sizeof(observers[0]))

struct empty {
	int progs[2], links[2];
};

static void pause_s(double s)
{
	struct timespec ts = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};

	nanosleep(&ts, NULL);
}

static int attach_empty(const struct btf *btf, const char *tracepoint, int *prog)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct bpf_prog_load_opts opts;
	char name[64];

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.expected_attach_type = BPF_TRACE_RAW_TP;
	opts.attach_btf_id = (unsigned int)btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	*prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "empty", "GPL", insns, 2, &opts);
	return *prog < 0 ? -1 : bpf_raw_tracepoint_open(NULL, *prog);
}

/* The floor: programs that do nothing, where a full account needs programs. */
static void open_empty(struct empty *empty)
{
	struct btf *btf = btf__load_vmlinux_btf();

	empty->links[0] = attach_empty(btf, "io_uring_complete", &empty->progs[0]);
	empty->links[1] = attach_empty(btf, "io_uring_submit_req", &empty->progs[1]);
	if (empty->links[1] < 0)
		empty->links[1] = attach_empty(btf, "io_uring_submit_sqe", &empty->progs[1]);
	btf__free(btf);
}

static void close_empty(struct empty *empty)
{
	for (int i = 0; i < 2; i++) {
		close(empty->links[i]);
		close(empty->progs[i]);
	}
}

static pid_t start_shell(const struct observer *observer, const char *bufscope)
{
	char command[512];
	pid_t pid = fork();

	if (pid)
		return pid;
	setpgid(0, 0);
	snprintf(command, sizeof(command), observer->command, bufscope);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static pid_t start_load(const char *bufscope, const char *op, const char *selections)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execl(bufscope, bufscope, "load", "--paused", "--size", "64", "--op", op, "-n", selections,
	      (char *)NULL);
	_exit(127);
}

static double cpu_s(const struct rusage *usage)
{
	return (double)usage->ru_utime.tv_sec + (double)usage->ru_stime.tv_sec +
	       ((double)usage->ru_utime.tv_usec + (double)usage->ru_stime.tv_usec) / 1e6;
}

/* CPU seconds of one load, or a negative number if it failed. */
static double time_load(char **argv)
{
	pid_t pid = start_load(argv[1], argv[2], argv[3]);
	struct rusage usage;
	int status;

	pause_s(0.3);
	kill(pid, SIGUSR1);
	if (wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		return -1;
	return cpu_s(&usage);
}

static int run_round(struct observer *observer, char **argv, int round)
{
	struct empty empty = {{-1, -1}, {-1, -1}};
	struct rusage usage = {0};
	pid_t pid = 0;
	double cpu;

	if (observer->command)
		pid = start_shell(observer, argv[1]);
	else if (strcmp(observer->name, "empty") == 0)
		open_empty(&empty);
	pause_s(observer->warm_s);
	cpu = time_load(argv);
	if (pid && waitpid(pid, NULL, WNOHANG) == pid) {
		observer->is_missing = true;
	} else if (pid) {
		kill(-pid, SIGINT);
		pause_s(0.3);
		kill(-pid, SIGKILL);
		wait4(pid, NULL, 0, &usage);
	} else if (observer != &observers[0]) {
		close_empty(&empty);
	}
	observer->cost_ns[round] = cpu * 1e9 / atof(argv[3]);
	observer->self_pct[round] = cpu_s(&usage) / cpu * 100;
	return cpu < 0 ? -1 : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int nr)
{
	qsort(values, (size_t)nr, sizeof(*values), by_value);
	return nr % 2 ? values[nr / 2] : (values[nr / 2 - 1] + values[nr / 2]) / 2;
}

static bool is_chosen(int argc, char **argv, size_t i)
{
	bool chosen = argc <= 5 || i == 0;

	for (int k = 5; k < argc; k++)
		chosen |= strcmp(argv[k], observers[i].name) == 0;
	return chosen && !observers[i].is_missing;
}

static void report(int argc, char **argv, int rounds)
{
	double base = median(observers[0].cost_ns, rounds), floor = 0;

	printf("%s: CPU per selection, median of %d rounds\n", argv[2], rounds);
	printf("%-12s %8s %8s %7s %8s %9s\n", "observer", "ns", "added", "ratio", "x empty",
	       "self %");
	for (size_t i = 0; i < NR_OBSERVERS; i++) {
		double ns;

		if (!is_chosen(argc, argv, i))
			continue;
		ns = i ? median(observers[i].cost_ns, rounds) : base;
		if (i == 1)
			floor = ns - base;
		printf("%-12s %8.1f %8.1f %7.3f ", observers[i].name, ns, ns - base, ns / base);
		if (i >= 1 && floor > 0)
			printf("%8.2f", (ns - base) / floor);
		else
			printf("%8s", "-");
		printf(" %9.1f\n", median(observers[i].self_pct, rounds));
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 4 ? atoi(argv[4]) : 0;

	if (rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: overhead BUFSCOPE OP SELECTIONS ROUNDS [OBSERVER...]\n");
		return 2;
	}
	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < NR_OBSERVERS; i++) {
			if (is_chosen(argc, argv, i) && run_round(&observers[i], argv, round)) {
				fprintf(stderr, "overhead: the load failed\n");
				return 1;
			}
		}
	}
	report(argc, argv, rounds);
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * What does being watched cost? The same `bufscope load` runs again and again, its CPU time per
 * completion measured while one observer after the other watches it. Rounds are interleaved and
 * begin with another observer each time, so that what else the machine does hits all alike.
 * Prints medians and quartiles, the ratio to the unwatched run of the same round, and how what
 * that adds compares with what programs that do nothing add: by ratios, as a machine that others
 * use, too, is now faster and now slower, for longer than a round.
 *
 *   overhead [-r ROUNDS] [-s SECONDS] BUFSCOPE [WORKLOAD|OBSERVER...]
 *
 * -s: what takes longer is given up (30).
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROUNDS 99
#define NR(array)  (sizeof(array) / sizeof((array)[0]))

/* A tracefs instance of its own: what others trace, and whether, is not touched. */
#define TRACING  "/sys/kernel/tracing"
#define INSTANCE TRACING "/instances/bufscope-overhead"

struct workload {
	const char *name;
	const char *options;
	long groups;
	long completions; /* per group */
	bool only_light;  /* what follows events costs the same as with one group */
	bool is_chosen;
};

static struct workload workloads[] = {
	{"multishot", "--op recv-multishot --size 64 --buf-bytes 64", 1, 1000000, false, false},
	{"one-shot", "--op recv --size 64 --buf-bytes 64", 1, 1000000, false, false},
	{"bundle", "--op recv-multishot-bundle --size 4096 --buf-bytes 64", 1, 100000, false,
	 false},
	{"1000-groups", "--op recv-multishot --size 64 --buf-bytes 64 --groups 1000 --entries 16",
	 1000, 2000, true, false},
};

struct observer {
	const char *name;
	const char *tool;    /* skipped where it is not found */
	const char *command; /* for sh, B is the program under test; NULL: none or empty */
	const char *cleanup;
	const char *program; /* of BPF: it watches from when this is attached on; NULL: not known */
	double warm_s; /* until it certainly watches, or from that sign on until all else is done */
	long slow;     /* the load is divided by this */
	bool is_chosen; /* for this run */
	bool is_light;
	const char *why_not; /* NULL: it could be measured */
	char last_words[160];
	double cost_ns[MAX_ROUNDS];
	double ratio[MAX_ROUNDS];
	double self_pct[MAX_ROUNDS]; /* CPU of the observer itself, of the load's */
};

static struct observer observers[] = {
	{.name = "none", .warm_s = 0.1, .slow = 1, .is_light = true},
	{.name = "empty", .warm_s = 0.1, .slow = 1, .is_light = true},
	{.name = "list",
	 .command = "while :; do $B list >/dev/null; sleep 1; done",
	 .warm_s = 0.5,
	 .slow = 1,
	 .is_light = true},
	{.name = "light",
	 .command = "exec $B top -b -i 1 --light",
	 .program = "on_tick",
	 .warm_s = 0.5,
	 .slow = 1,
	 .is_light = true},
	{.name = "full",
	 .command = "exec $B top -b -i 1 --full",
	 .program = "on_complete",
	 .warm_s = 0.5,
	 .slow = 1},
	{.name = "elsewhere",
	 .command = "exec $B top -b -i 1 -p $$",
	 .program = "on_complete",
	 .warm_s = 0.5,
	 .slow = 1},
	/* asked each second, by as little as can ask */
	{.name = "export",
	 .tool = "bash",
	 .command = "$B export --listen 127.0.0.1:10424 & exec bash -c '"
		    "while sleep 1; do exec 3<>/dev/tcp/127.0.0.1/10424; "
		    "printf \"GET /metrics HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n"
		    "\\r\\n\" >&3; "
		    "cat <&3 >/dev/null; done'",
	 .warm_s = 2.5,
	 .slow = 1,
	 .is_light = true},
	{.name = "doctor",
	 .command = "exec $B doctor -d 100",
	 .program = "on_complete",
	 .warm_s = 0.5,
	 .slow = 1},
	{.name = "trace",
	 .command = "exec $B trace",
	 .program = "on_complete",
	 .warm_s = 0.5,
	 .slow = 4},
	{.name = "bpftrace",
	 .tool = "bpftrace",
	 .command = "exec bpftrace -e 'tracepoint:io_uring:io_uring_complete"
		    "{ @[pid, args->cflags & 0xffff] = count(); }'",
	 .warm_s = 2.5,
	 .slow = 1},
	{.name = "perf stat",
	 .tool = "perf",
	 .command = "exec perf stat -a -e 'io_uring:*' sleep 100",
	 .warm_s = 0.7,
	 .slow = 1},
	{.name = "perf record",
	 .tool = "perf",
	 .command = "exec perf record -a -o /dev/null -e 'io_uring:*' sleep 100",
	 .warm_s = 1,
	 .slow = 2},
	{.name = "perf trace",
	 .tool = "perf",
	 .command = "exec perf trace -a -e 'io_uring:*' -o /dev/null",
	 .warm_s = 1.5,
	 .slow = 50},
	{.name = "ftrace",
	 .command = "mkdir " INSTANCE " && echo 1 >" INSTANCE "/events/io_uring/enable && "
		    "exec sleep 100",
	 .cleanup = "[ ! -d " INSTANCE " ] || { echo 0 >" INSTANCE "/events/io_uring/enable; "
		    "rmdir " INSTANCE "; }",
	 .warm_s = 0.5,
	 .slow = 1},
};

static const char *bufscope;
static double limit_s = 30; /* for one run under one observer */
static volatile sig_atomic_t is_stopped;

/* ---- children */

static void pause_s(double s)
{
	struct timespec ts = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};

	nanosleep(&ts, NULL);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu_s(const struct rusage *usage)
{
	return (double)usage->ru_utime.tv_sec + (double)usage->ru_stime.tv_sec +
	       ((double)usage->ru_utime.tv_usec + (double)usage->ru_stime.tv_usec) / 1e6;
}

/* A process group of its own, no output; errors to a file, if that is not negative. */
static pid_t start(const char *command, int errors)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setpgid(0, 0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(errors < 0 ? null : errors, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int run(const char *command)
{
	pid_t pid = start(command, -1);
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

static bool has_tool(const char *tool)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s", tool);
	return run(command) == 0;
}

/* What runs for longer than the limit is killed. 0, -ETIME, or -ECHILD: it did not end well. */
static int wait_for(pid_t pid, double limit, struct rusage *usage)
{
	double end = now_s() + limit;
	int status = -1;
	pid_t got;

	while ((got = wait4(pid, &status, WNOHANG, usage)) == 0) {
		if (now_s() > end || is_stopped) {
			kill(-pid, SIGKILL);
			wait4(pid, &status, 0, usage);
			return -ETIME;
		}
		pause_s(0.01);
	}
	return got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

/* A load that has said that it waits for a signal. */
static pid_t start_load(const char *command)
{
	char said[256];
	size_t used = 0;
	ssize_t got = 1;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = start(command, ends[1]);
	close(ends[1]);
	while (got > 0 && used < sizeof(said) - 1) {
		got = read(ends[0], said + used, sizeof(said) - 1 - used);
		used += got > 0 ? (size_t)got : 0;
		said[used] = '\0';
		if (strstr(said, "SIGUSR1"))
			break;
	}
	close(ends[0]); /* what else it has to say is lost, and so is the reader: it ignores that */
	return pid;
}

/* CPU seconds of one load, or -errno as wait_for() has it. */
static double time_load(const struct workload *work, long completions)
{
	struct rusage usage = {0};
	char command[512];
	pid_t pid;
	int err;

	snprintf(command, sizeof(command), "exec $B load --paused %s -n %ld", work->options,
		 completions);
	pid = start_load(command);
	if (pid < 0)
		return -ECHILD;
	kill(pid, SIGUSR1);
	err = wait_for(pid, limit_s, &usage);
	return err ? err : cpu_s(&usage);
}

/* ---- the floor: programs that do nothing, where a full account needs programs */

struct empty {
	int progs[2], links[2];
};

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

/*
 * The peers need a tracefs. Where none is mounted they get one that nobody else sees, else they say
 * what they miss.
 */
static void mount_tracefs(void)
{
	struct statfs fs;

	if (statfs(TRACING, &fs) == 0 && fs.f_type == TRACEFS_MAGIC)
		return;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tracefs", TRACING, "tracefs", 0, NULL))
		fprintf(stderr, "overhead: no tracefs at " TRACING ": %s\n", strerror(errno));
}

/* ---- one observer */

struct watching {
	struct empty empty;
	pid_t pid;  /* 0: no process */
	int errors; /* what it says, -1: nobody hears it */
};

static bool is_empty(const struct observer *observer)
{
	return observer == &observers[1];
}

static bool is_named(__u32 id, const char *name)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	bool is_it = fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
		     strcmp(info.name, name) == 0;

	if (fd >= 0)
		close(fd);
	return is_it;
}

/* Whether one of the files of a process is a link to such a program. */
static bool holds_link(pid_t pid, const char *program)
{
	char path[64], text[1024];
	bool is_found = false;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = opendir(path);
	while (dir && !is_found && (entry = readdir(dir))) {
		int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
		ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		const char *id;

		text[got > 0 ? got : 0] = '\0';
		id = strstr(text, "link_type:") ? strstr(text, "prog_id:") : NULL;
		is_found = id && is_named((__u32)strtoul(id + 8, NULL, 10), program);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
	return is_found;
}

/* To load programs takes long, and longer where the machine has other things to do. */
static void wait_for_link(pid_t pid, const char *program)
{
	double end = now_s() + limit_s;
	siginfo_t ended = {0};

	while (!holds_link(pid, program) && now_s() < end && !is_stopped && !ended.si_pid) {
		pause_s(0.02);
		waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT);
	}
}

static void begin(const struct observer *observer, struct watching *watching)
{
	*watching = (struct watching){.empty = {.links = {-1, -1}, .progs = {-1, -1}}};
	watching->errors = memfd_create("errors", MFD_CLOEXEC);
	if (observer->command)
		watching->pid = start(observer->command, watching->errors);
	else if (is_empty(observer))
		open_empty(&watching->empty);
	if (observer->program)
		wait_for_link(watching->pid, observer->program);
	pause_s(observer->warm_s);
}

/*
 * The last line that it said. An error comes before that where a tool shows what it does not like:
 * bpftrace shows the program, and underlines it.
 */
static void hear(const struct watching *watching, char *words, size_t size)
{
	char said[2048];
	off_t length = lseek(watching->errors, 0, SEEK_END);
	off_t from = length >= (off_t)sizeof(said) ? length - (off_t)sizeof(said) + 1 : 0;
	ssize_t got = pread(watching->errors, said, sizeof(said) - 1, from);
	bool has_error = false;
	char *rest = said, *line;

	said[got > 0 ? got : 0] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		bool is_error = strstr(line, "ERROR") || strstr(line, "error");

		if (!*line || (has_error && !is_error))
			continue;
		has_error = is_error;
		snprintf(words, size, "%s", line);
	}
}

/* False: it ended before its time, and so may not have watched. */
static bool end(const struct observer *observer, struct watching *watching, struct rusage *usage)
{
	bool was_there = true;

	if (is_empty(observer))
		close_empty(&watching->empty);
	if (watching->pid) {
		was_there = waitpid(watching->pid, NULL, WNOHANG) == 0;
		if (was_there) {
			kill(-watching->pid, SIGINT);
			wait_for(watching->pid, 1, usage);
		}
		kill(-watching->pid, SIGKILL);
	}
	if (observer->cleanup)
		run(observer->cleanup);
	return was_there;
}

static void clean_up(void)
{
	for (size_t i = 0; i < NR(observers); i++)
		if (observers[i].cleanup)
			run(observers[i].cleanup);
}

/* Where bufscope watches, or nobody, the load has to be done. 0 or -1. */
static int explain(struct observer *observer, double cpu)
{
	bool is_late = cpu == (double)-ETIME;

	if (is_stopped)
		return 0;
	if (observer->tool) {
		observer->why_not = is_late ? "the load was not done in time" : "the load failed";
		return 0;
	}
	if (is_late)
		fprintf(stderr, "overhead: the load took more than %g s under '%s' (see -s)\n",
			limit_s, observer->name);
	else
		fprintf(stderr, "overhead: the load failed under '%s'\n", observer->name);
	return -1;
}

static int measure(struct observer *observer, const struct workload *work, int round)
{
	long completions = work->completions / observer->slow;
	struct watching watching;
	struct rusage usage = {0};
	double cpu, fixed = 0;

	begin(observer, &watching);
	/* what starting and ending it takes, and that those who watch look at it, too */
	cpu = time_load(work, 1);
	if (cpu >= 0) {
		fixed = cpu;
		cpu = time_load(work, completions);
	}
	if (!end(observer, &watching, &usage)) {
		observer->why_not = "it ended by itself";
		hear(&watching, observer->last_words, sizeof(observer->last_words));
	}
	close(watching.errors);
	if (observer->why_not || is_stopped)
		return 0;
	if (cpu < 0)
		return explain(observer, cpu);
	observer->self_pct[round] = cpu_s(&usage) / cpu * 100;
	observer->cost_ns[round] = (cpu - fixed) * 1e9 / (double)(completions * work->groups);
	return 0;
}

/* ---- what is printed */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the values. */
static double quantile(double *values, int nr, double q)
{
	double at = q * (nr - 1);
	int low = (int)at;

	qsort(values, (size_t)nr, sizeof(*values), by_value);
	if (low + 1 >= nr)
		return values[nr - 1];
	return values[low] + (values[low + 1] - values[low]) * (at - low);
}

static bool is_measured(const struct observer *observer, const struct workload *work)
{
	return observer->is_chosen && (observer->is_light || !work->only_light);
}

static void report(const struct workload *work, int rounds)
{
	double base = quantile(observers[0].cost_ns, rounds, 0.5), floor = 0;

	printf("\n%s: CPU per completion, median of %d rounds\n", work->name, rounds);
	printf("%-12s %8s %15s %8s %7s %8s %7s\n", "observer", "ns", "quartiles", "added", "ratio",
	       "x empty", "self %");
	for (struct observer *o = observers; o < observers + NR(observers); o++) {
		double ns = quantile(o->cost_ns, rounds, 0.5);
		double ratio = quantile(o->ratio, rounds, 0.5);

		if (!is_measured(o, work) || o->why_not)
			continue;
		if (is_empty(o))
			floor = ratio - 1;
		printf("%-12s %8.1f %7.1f-%7.1f %8.1f %7.3f ", o->name, ns,
		       quantile(o->cost_ns, rounds, 0.25), quantile(o->cost_ns, rounds, 0.75),
		       ns - base, ratio);
		if (floor > 0)
			printf("%8.2f", (ratio - 1) / floor);
		else
			printf("%8s", "-");
		printf(" %7.1f\n", quantile(o->self_pct, rounds, 0.5));
	}
	for (struct observer *o = observers; o < observers + NR(observers); o++)
		if (is_measured(o, work) && o->why_not)
			printf("%-12s skipped: %s%s%s\n", o->name, o->why_not,
			       *o->last_words ? ": " : "", o->last_words);
}

static int compare(struct workload *work, int rounds)
{
	for (int round = 0; round < rounds && !is_stopped; round++) {
		fprintf(stderr, "%s, round %d of %d\n", work->name, round + 1, rounds);
		for (size_t i = 0; i < NR(observers) && !is_stopped; i++) {
			struct observer *o = &observers[(i + (size_t)round) % NR(observers)];

			if (is_measured(o, work) && !o->why_not && measure(o, work, round))
				return -1;
		}
		for (size_t i = 0; i < NR(observers); i++)
			observers[i].ratio[round] =
				observers[i].cost_ns[round] / observers[0].cost_ns[round];
	}
	if (!is_stopped)
		report(work, rounds);
	return 0;
}

/* ---- nanoseconds per run, as the kernel measures them */

static __u32 newest_program(void)
{
	__u32 id = 0, next;

	while (bpf_prog_get_next_id(id, &next) == 0)
		id = next;
	return id;
}

static void print_runs(const struct observer *observer, __u32 id, long completions)
{
	while (bpf_prog_get_next_id(id, &id) == 0) {
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.run_cnt >= 100)
			printf("%-12s %-16s %9llu runs %8.1f ns%s\n", observer->name, info.name,
			       (unsigned long long)info.run_cnt,
			       (double)info.run_time_ns / (double)info.run_cnt,
			       observer->program && strcmp(info.name, "on_complete") == 0 &&
					       info.run_cnt < (__u64)completions
				       ? " (it did not see all)"
				       : "");
		if (fd >= 0)
			close(fd);
	}
}

/* The kernel stops counting when the file is closed, so also when this program dies. */
static int count_runs(const struct workload *work)
{
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (stats < 0) {
		fprintf(stderr, "overhead: no statistics of programs: %s\n", strerror(errno));
		return -1;
	}
	printf("\n%s: time per run of each program\n", work->name);
	for (size_t i = 1; i < NR(observers) && !is_stopped; i++) {
		struct watching watching;
		struct rusage usage;
		__u32 before = newest_program();

		if (!is_measured(&observers[i], work) || observers[i].tool)
			continue;
		begin(&observers[i], &watching);
		time_load(work, work->completions / observers[i].slow);
		print_runs(&observers[i], before,
			   work->completions * work->groups / observers[i].slow);
		end(&observers[i], &watching, &usage);
		close(watching.errors);
	}
	close(stats);
	return 0;
}

/* ---- what was asked for */

static int choose(const char *name)
{
	for (size_t i = 0; i < NR(workloads); i++)
		if (strcmp(workloads[i].name, name) == 0)
			return workloads[i].is_chosen = true, 0;
	for (size_t i = 0; i < NR(observers); i++)
		if (strcmp(observers[i].name, name) == 0)
			return observers[i].is_chosen = true, 0;
	fprintf(stderr, "overhead: no workload or observer '%s'\n", name);
	return -1;
}

/* What is not named at all is all meant. */
static void complete_choice(void)
{
	bool has_work = false, has_observer = false;

	for (size_t i = 0; i < NR(workloads); i++)
		has_work |= workloads[i].is_chosen;
	for (size_t i = 0; i < NR(observers); i++)
		has_observer |= observers[i].is_chosen;
	for (size_t i = 0; i < NR(workloads); i++)
		workloads[i].is_chosen |= !has_work;
	for (size_t i = 0; i < NR(observers); i++) {
		observers[i].is_chosen |= !has_observer || i == 0;
		if (observers[i].tool && !has_tool(observers[i].tool))
			observers[i].why_not = "it is not installed";
	}
}

static void stop(int unused)
{
	(void)unused;
	is_stopped = true;
}

static int usage(void)
{
	fprintf(stderr, "usage: overhead [-r ROUNDS] [-s SECONDS] BUFSCOPE "
			"[WORKLOAD|OBSERVER...]\n");
	return 2;
}

int main(int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = stop};
	int c, rounds = 5, err = 0;

	while ((c = getopt(argc, argv, "r:s:")) != -1) {
		if (c == 'r')
			rounds = atoi(optarg);
		else if (c == 's')
			limit_s = atof(optarg);
		else
			return usage();
	}
	if (optind == argc || rounds < 1 || rounds > MAX_ROUNDS || limit_s <= 0)
		return usage();
	bufscope = argv[optind++];
	for (; optind < argc; optind++)
		if (choose(argv[optind]))
			return 2;
	setenv("B", bufscope, 1);
	complete_choice();
	mount_tracefs();
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	clean_up();
	for (size_t i = 0; i < NR(workloads) && !err && !is_stopped; i++)
		if (workloads[i].is_chosen)
			err = compare(&workloads[i], rounds) || count_runs(&workloads[i]);
	clean_up();
	return err || is_stopped;
}

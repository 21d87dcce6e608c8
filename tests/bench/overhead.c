// SPDX-License-Identifier: MIT
/*
 * What does being watched cost? One `bufscope load` runs for long, on one processor, and is watched
 * and not watched by turns: its CPU time per completion under each observer is compared with that
 * of the unwatched turns just before and after. So what else the machine does, now faster and
 * now slower, and what one process has of luck with its memory, hit both alike; 'none' watches
 * nothing in its turns and tells what the rest is worth. Prints medians over the rounds, quartiles
 * of the ratio, and how what an observer adds compares with what programs that do nothing add.
 *
 *   overhead [-r ROUNDS] [-s SECONDS] BUFSCOPE [WORKLOAD|OBSERVER...]
 *
 * -s: of a turn (1).
 */
#include "observers.h"
#include "steady_load.h"

struct workload {
	const char *name;
	const char *options;
	bool only_light; /* what follows events costs the same as with one group */
	bool is_chosen;
};

static struct workload workloads[] = {
	{"multishot", "--op recv-multishot --size 64 --buf-bytes 64", false, false},
	{"one-shot", "--op recv --size 64 --buf-bytes 64", false, false},
	{"bundle", "--op recv-multishot-bundle --size 4096 --buf-bytes 64", false, false},
	{"paced", "--op recv-multishot --size 64 --buf-bytes 64 --rate 100000", false, false},
	{"1000-groups", "--op recv-multishot --size 64 --buf-bytes 64 --groups 1000 --entries 16",
	 true, false},
};

static const char *bufscope;
static int turn_s = 1;
static volatile sig_atomic_t is_stopped;

/* The load must go on whoever watches. 0 or -1. */
static int explain(const char *observer, double err)
{
	if (is_stopped)
		return 0;
	fprintf(stderr, "overhead: the load %s under '%s'\n",
		err == (double)-EIO ? "ended" : "did nothing, or told nothing,", observer);
	return -1;
}

static int measure(struct observer *observer, struct load *load, int round)
{
	struct watching watching;
	double watched, after, self_s, from_s;

	begin(observer, &watching);
	self_s = group_cpu_s(watching.pid);
	from_s = now_s();
	watched = take_turn(load);
	observer->watched_s += now_s() - from_s;
	observer->self_s += group_cpu_s(watching.pid) - self_s;
	if (!end(observer, &watching) && !is_stopped) {
		observer->why_not = "it ended by itself";
		hear(&watching, observer->last_words, sizeof(observer->last_words));
	}
	close(watching.errors);
	after = watched > 0 ? take_turn(load) : watched;
	if (after <= 0)
		return explain(observer->name, after);
	observer->cost_ns[round] = watched;
	observer->ratio[2 * round] = watched / load->unwatched_ns;
	observer->ratio[2 * round + 1] = watched / after;
	load->unwatched_ns = after;
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

static void report_observer(struct observer *o, int rounds, double floor)
{
	double ratio = quantile(o->ratio, 2 * rounds, 0.5);

	printf("%-12s %8.1f %7.3f  %6.3f-%6.3f ", o->name, quantile(o->cost_ns, rounds, 0.5), ratio,
	       quantile(o->ratio, 2 * rounds, 0.25), quantile(o->ratio, 2 * rounds, 0.75));
	if (floor > 0)
		printf("%8.2f", (ratio - 1) / floor);
	else
		printf("%8s", "-");
	if (o->command)
		printf(" %7.1f\n", o->self_s / o->watched_s * 100);
	else
		printf(" %7s\n", "-");
}

static void report(const struct workload *work, int rounds)
{
	double floor = 0;

	if (is_measured(&observers[1], work))
		floor = quantile(observers[1].ratio, 2 * rounds, 0.5) - 1;
	printf("\n%s: CPU per completion, medians of %d turns of %d s, against those beside them\n",
	       work->name, rounds, turn_s);
	printf("%-12s %8s %7s %14s %8s %7s\n", "observer", "ns", "ratio", "quartiles", "x empty",
	       "self %");
	for (struct observer *o = observers; o < observers + NR(observers); o++)
		if (is_measured(o, work) && !o->why_not)
			report_observer(o, rounds, floor);
	for (struct observer *o = observers; o < observers + NR(observers); o++)
		if (is_measured(o, work) && o->why_not)
			printf("%-12s skipped: %s%s%s\n", o->name, o->why_not,
			       *o->last_words ? ": " : "", o->last_words);
}

static int compare(const struct workload *work, struct load *load, int rounds)
{
	for (size_t i = 0; i < NR(observers); i++)
		observers[i].self_s = observers[i].watched_s = 0;
	for (int round = 0; round < rounds; round++) {
		fprintf(stderr, "%s, round %d of %d\n", work->name, round + 1, rounds);
		for (size_t i = 0; i < NR(observers) && !is_stopped; i++) {
			struct observer *o = &observers[(i + (size_t)round) % NR(observers)];

			if (is_measured(o, work) && !o->why_not && measure(o, load, round))
				return -1;
		}
		if (is_stopped)
			return 0;
	}
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

/* Of the programs newer than `id`; the load had so many completions while all of them ran. */
static void print_runs(const struct observer *observer, __u32 id, double completions)
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
					       (double)info.run_cnt < completions
				       ? " (it did not see all)"
				       : "");
		if (fd >= 0)
			close(fd);
	}
}

/* The kernel stops counting when the file is closed, so also when this program dies. */
static int count_runs(const struct workload *work, struct load *load)
{
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	int err = 0;

	if (stats < 0) {
		fprintf(stderr, "overhead: no statistics of programs: %s\n", strerror(errno));
		return -1;
	}
	printf("\n%s: time per run of each program\n", work->name);
	for (size_t i = 1; i < NR(observers) && !is_stopped && !err; i++) {
		struct watching watching;
		__u32 before = newest_program();
		double cost;

		if (!is_measured(&observers[i], work) || observers[i].tool)
			continue;
		begin(&observers[i], &watching);
		cost = take_turn(load);
		print_runs(&observers[i], before, load->in_turn);
		end(&observers[i], &watching);
		close(watching.errors);
		err = cost > 0 ? 0 : explain(observers[i].name, cost);
	}
	close(stats);
	return err;
}

/* With one load for all. */
static int watch(const struct workload *work, int rounds)
{
	struct load load = {.reports = -1};
	int err = open_load(&load, work->options, turn_s);

	if (err)
		fprintf(stderr, "overhead: no load '%s'\n", work->name);
	else
		err = compare(work, &load, rounds) || count_runs(work, &load);
	close_load(&load);
	return err;
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
			turn_s = atoi(optarg);
		else
			return usage();
	}
	if (optind == argc || rounds < 1 || rounds > MAX_ROUNDS || turn_s < 1)
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
			err = watch(&workloads[i], rounds);
	clean_up();
	return err || is_stopped;
}

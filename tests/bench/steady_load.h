/* SPDX-License-Identifier: MIT */
/* One `bufscope load` that runs for long, and its CPU time per completion turn by turn. */
#ifndef BUFSCOPE_STEADY_LOAD_H
#define BUFSCOPE_STEADY_LOAD_H

#include <errno.h>
#include <poll.h>
#include <sched.h>

#include "processes.h"

#define REPORT_MARK " selected in "
#define REPORT_MS   10000 /* it reports each second */

struct load {
	pid_t pid;
	int reports;
	int turn_s;
	char said[8192]; /* since the last report */
	size_t used;
	double completions;  /* as last reported */
	double in_turn;      /* of them */
	double unwatched_ns; /* CPU per completion in the last turn that nobody watched */
};

/* Its threads stay as long as itself. */
static double load_cpu_ns(const struct load *load)
{
	char path[64], text[128];
	struct dirent *thread;
	double ns = 0;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", load->pid);
	threads = opendir(path);
	while (threads && (thread = readdir(threads))) {
		if (thread->d_name[0] == '.')
			continue; /* ".." has the first thread's once more */
		snprintf(path, sizeof(path), "%.20s/schedstat", thread->d_name);
		read_text(dirfd(threads), path, text, sizeof(text));
		ns += strtod(text, NULL);
	}
	if (threads)
		closedir(threads);
	return ns;
}

/* Takes the newest report of what was said. What follows it, or may become one, is kept. */
static bool take_report(struct load *load)
{
	char *mark = NULL, *next = load->said, *line;
	size_t keep = sizeof(load->said) / 4;

	load->said[load->used] = '\0';
	while ((next = strstr(next, REPORT_MARK)))
		mark = next++;
	if (mark) {
		for (line = mark; line > load->said && line[-1] != '\n'; line--)
			;
		load->completions = strtod(line, NULL);
		keep = strlen(mark + 1);
	}
	if (keep < load->used) {
		memmove(load->said, load->said + load->used - keep, keep);
		load->used = keep;
	}
	return mark;
}

/* 0: it reported, -ETIME: not yet, -EIO: it ended. */
static int hear_report(struct load *load, int limit_ms)
{
	struct pollfd fd = {.fd = load->reports, .events = POLLIN};
	ssize_t got;

	do {
		if (poll(&fd, 1, limit_ms) <= 0)
			return -ETIME;
		got = read(fd.fd, load->said + load->used, sizeof(load->said) - 1 - load->used);
		if (got <= 0)
			return -EIO;
		load->used += (size_t)got;
	} while (!take_report(load));
	return 0;
}

/* CPU ns per completion, from the next report on for a turn, or -errno. */
static double take_turn(struct load *load)
{
	double completions, cpu_ns;
	int err;

	while ((err = hear_report(load, 0)) == 0)
		; /* those of before */
	if (err == -ETIME)
		err = hear_report(load, REPORT_MS);
	completions = load->completions;
	cpu_ns = load_cpu_ns(load);
	for (int i = 0; i < load->turn_s && !err; i++)
		err = hear_report(load, REPORT_MS);
	load->in_turn = load->completions - completions;
	if (!err && load->in_turn == 0)
		err = -ENODATA;
	return err ? err : (load_cpu_ns(load) - cpu_ns) / load->in_turn;
}

static int first_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

/* Its reports must not make it wait while nobody reads them: those of many groups are long. */
static int open_load(struct load *load, const char *options, int turn_s)
{
	char command[512];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
	snprintf(command, sizeof(command), "exec taskset -c %d $B load -v %s -d 1000000",
		 first_cpu(), options);
	*load = (struct load){
		.pid = start(command, ends[1], -1), .reports = ends[0], .turn_s = turn_s};
	close(ends[1]);
	if (load->pid > 0 && take_turn(load) > 0)
		load->unwatched_ns = take_turn(load);
	return load->unwatched_ns > 0 ? 0 : -EIO;
}

static void close_load(const struct load *load)
{
	if (load->pid > 0)
		end_group(load->pid);
	close(load->reports);
}

#endif

/* SPDX-License-Identifier: MIT */
/* Programs that a benchmark starts, and what they took. */
#ifndef BUFSCOPE_PROCESSES_H
#define BUFSCOPE_PROCESSES_H

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* A process group of its own that does not outlive this. Its output goes to files, nowhere if they
 * are negative. */
static pid_t start(const char *command, int output, int errors)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	dup2(output < 0 ? null : output, STDOUT_FILENO);
	dup2(errors < 0 ? null : errors, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int run(const char *command)
{
	pid_t pid = start(command, -1, -1);
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

/* It is told to end, and killed if it does not. */
static void end_group(pid_t pid)
{
	double limit = now_s() + 1;

	kill(-pid, SIGINT);
	while (waitpid(pid, NULL, WNOHANG) == 0 && now_s() < limit)
		pause_s(0.01);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The text of a file of /proc; empty: it is gone. */
static void read_text(int dir, const char *path, char *text, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	text[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* CPU seconds of the processes of a group and of the children that they had. */
static double group_cpu_s(pid_t group)
{
	unsigned long ticks[4], all = 0;
	char path[300], text[1024];
	struct dirent *process;
	DIR *proc = opendir("/proc");
	int pgrp;

	while (proc && group && (process = readdir(proc))) {
		const char *rest;

		snprintf(path, sizeof(path), "%s/stat", process->d_name);
		read_text(dirfd(proc), path, text, sizeof(text));
		rest = strrchr(text, ')'); /* the name of a program may hold anything */
		if (rest &&
		    sscanf(rest, ") %*c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu",
			   &pgrp, &ticks[0], &ticks[1], &ticks[2], &ticks[3]) == 5 &&
		    pgrp == group)
			all += ticks[0] + ticks[1] + ticks[2] + ticks[3];
	}
	if (proc)
		closedir(proc);
	return (double)all / (double)sysconf(_SC_CLK_TCK);
}

#endif

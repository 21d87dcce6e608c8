// SPDX-License-Identifier: MIT
/*
 * What does the dashboard cost, and how soon does a key show? Runs `bufscope top` on a terminal of
 * its own over a load of many groups that stand still.
 *
 * usage: top BUFSCOPE GROUPS SECONDS
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEYS     20
#define QUIET_MS 60 /* a frame is over when nothing comes for so long */

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "top: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Its output says when all groups are registered. */
static pid_t start_load(const char *program, const char *groups)
{
	char line[256];
	int ends[2];
	pid_t pid;

	if (pipe(ends))
		die("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		execl(program, program, "load", "--op", "none", "--wait", "--entries", "2",
		      "--buf-bytes", "64", "--groups", groups, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	if (pid < 0 || read(ends[0], line, sizeof(line)) <= 0)
		die("load");
	return pid;
}

static char home[] = "/tmp/bufscope-bench-XXXXXX";

/* Sorted by something that differs from group to group. */
static void make_config(void)
{
	char path[64];
	FILE *file;

	if (!mkdtemp(home))
		die("mkdtemp");
	snprintf(path, sizeof(path), "%s/bufscope", home);
	if (mkdir(path, 0700))
		die(path);
	strcat(path, "/config");
	file = fopen(path, "we");
	if (!file || fputs("sort = bgid\n", file) < 0 || fclose(file))
		die(path);
}

static void remove_config(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/bufscope/config", home);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(home);
}

static pid_t start_top(const char *program, pid_t load, int *fd)
{
	struct winsize size = {.ws_row = 50, .ws_col = 200};
	char pid_text[16];
	pid_t pid;

	snprintf(pid_text, sizeof(pid_text), "%d", (int)load);
	pid = forkpty(fd, NULL, NULL, &size);
	if (pid == 0) {
		setenv("TERM", "xterm-256color", 1);
		setenv("XDG_CONFIG_HOME", home, 1);
		execl(program, program, "top", "--light", "-p", pid_text, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		die("forkpty");
	return pid;
}

/* Reads what is drawn for so long; when the last of it came, or -1 if nothing did. */
static double drain(int fd, double seconds, int quiet_ms)
{
	double end = now_s() + seconds, last = -1;
	char text[65536];

	while (now_s() < end) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int ready = poll(&wait, 1, last < 0 ? (int)((end - now_s()) * 1000) + 1 : quiet_ms);

		if (ready == 0 && last >= 0 && quiet_ms > 0)
			break;
		if (ready > 0 && read(fd, text, sizeof(text)) > 0)
			last = now_s();
		else if (ready != 0)
			break;
	}
	return last;
}

static double cpu_seconds(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file ||
	    fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		   &system) != 2)
		die(path);
	fclose(file);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double resident_mb(pid_t pid, const char *what)
{
	char path[64], line[256];
	unsigned long kb = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, what, strlen(what)) == 0)
			kb = strtoul(line + strlen(what), NULL, 10);
	if (file)
		fclose(file);
	return (double)kb / 1024;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Paused, so that a key does not wait for a look: how long it takes to be on the screen. */
static void measure_keys(int fd, const char *what, const char *const *keys, size_t nr)
{
	double took[KEYS];

	for (size_t i = 0; i < KEYS; i++) {
		const char *key = keys[i % nr];
		double sent = now_s(), shown;

		if (write(fd, key, strlen(key)) < 0)
			die("write");
		shown = drain(fd, 5, QUIET_MS);
		took[i] = shown < 0 ? 5 : shown - sent;
	}
	qsort(took, KEYS, sizeof(took[0]), by_value);
	printf("  %-28s median %6.1f ms  worst %6.1f ms\n", what, took[KEYS / 2] * 1e3,
	       took[KEYS - 1] * 1e3);
}

int main(int argc, char **argv)
{
	static const char *const moves[] = {"\033OB", "\033OA", "G", "g"};
	static const char *const sorts[] = {"I"}, *const trees[] = {"t"};
	double seconds, cpu, start;
	pid_t load, top;
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: top BUFSCOPE GROUPS SECONDS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	seconds = atof(argv[3]);
	make_config();
	load = start_load(argv[1], argv[2]);
	top = start_top(argv[1], load, &fd);
	drain(fd, 5, 0);
	start = now_s();
	cpu = cpu_seconds(top);
	drain(fd, seconds, 0);
	cpu = (cpu_seconds(top) - cpu) / (now_s() - start);
	printf("%s groups at 1 Hz: %.2f%% of a core, %.1f MB resident, of these %.1f MB its own\n",
	       argv[2], cpu * 100, resident_mb(top, "VmRSS:"), resident_mb(top, "RssAnon:"));
	measure_keys(fd, "move, while it looks", moves, 4);
	if (write(fd, " ", 1) < 0)
		die("write");
	drain(fd, 5, 500);
	measure_keys(fd, "move, paused", moves, 4);
	measure_keys(fd, "sort the other way, paused", sorts, 1);
	measure_keys(fd, "tree and back, paused", trees, 1);
	fflush(stdout);
	kill(top, SIGTERM);
	drain(fd, 5, 500);
	kill(load, SIGKILL); /* nobody reads its report */
	waitpid(top, NULL, 0);
	waitpid(load, NULL, 0);
	remove_config();
	return 0;
}

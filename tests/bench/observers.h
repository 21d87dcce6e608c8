/* SPDX-License-Identifier: MIT */
/* Who watches: bufscope, others of its kind, programs that do nothing, and nobody. */
#ifndef BUFSCOPE_OBSERVERS_H
#define BUFSCOPE_OBSERVERS_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "processes.h"

#define MAX_ROUNDS 99
#define NR(array)  (sizeof(array) / sizeof((array)[0]))

/* A tracefs instance of its own: what others trace, and whether, is not touched. */
#define TRACING  "/sys/kernel/tracing"
#define INSTANCE TRACING "/instances/bufscope-overhead"

struct observer {
	const char *name;
	const char *tool;    /* skipped where it is not found */
	const char *command; /* for sh, B is the program under test; NULL: none or empty */
	const char *cleanup;
	const char *program; /* of BPF: it watches from when this is attached on; NULL: not known */
	double warm_s; /* until it certainly watches, or from that sign on until all else is done */
	bool is_chosen; /* for this run */
	bool is_light;
	const char *why_not; /* NULL: it could be measured */
	char last_words[160];
	double cost_ns[MAX_ROUNDS];
	double ratio[2 * MAX_ROUNDS]; /* to the turn before and to the one after */
	double self_s, watched_s;     /* CPU of the observer itself, in so much time */
};

static struct observer observers[] = {
	{.name = "none", .warm_s = 0.1, .is_light = true},
	{.name = "empty", .warm_s = 0.1, .is_light = true},
	{.name = "list",
	 .command = "while :; do $B list >/dev/null; sleep 1; done",
	 .warm_s = 0.5,
	 .is_light = true},
	{.name = "light",
	 .command = "exec $B top -b -i 1 --light",
	 .program = "on_tick",
	 .warm_s = 0.5,
	 .is_light = true},
	{
		.name = "full",
		.command = "exec $B top -b -i 1 --full",
		.program = "on_complete",
		.warm_s = 0.5,
	},
	{
		.name = "elsewhere",
		.command = "exec $B top -b -i 1 -p $$",
		.program = "on_complete",
		.warm_s = 0.5,
	},
	/* asked each second, by as little as can ask */
	{.name = "export",
	 .tool = "bash",
	 .command = "$B export --listen 127.0.0.1:10424 & exec bash -c '"
		    "while sleep 1; do exec 3<>/dev/tcp/127.0.0.1/10424; "
		    "printf \"GET /metrics HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n"
		    "\\r\\n\" >&3; "
		    "cat <&3 >/dev/null; done'",
	 .warm_s = 2.5,
	 .is_light = true},
	{
		.name = "doctor",
		.command = "exec $B doctor -d 100",
		.program = "on_complete",
		.warm_s = 0.5,
	},
	{
		.name = "trace",
		.command = "exec $B trace",
		.program = "on_complete",
		.warm_s = 0.5,
	},
	{
		.name = "bpftrace",
		.tool = "bpftrace",
		.command = "exec bpftrace -e 'tracepoint:io_uring:io_uring_complete"
			   "{ @[pid, args->cflags & 0xffff] = count(); }'",
		.warm_s = 2.5,
	},
	{
		.name = "perf stat",
		.tool = "perf",
		.command = "exec perf stat -a -e 'io_uring:*' sleep 100",
		.warm_s = 0.7,
	},
	{
		.name = "perf record",
		.tool = "perf",
		.command = "exec perf record -a -o /dev/null -e 'io_uring:*' sleep 100",
		.warm_s = 1,
	},
	{
		.name = "perf trace",
		.tool = "perf",
		.command = "exec perf trace -a -e 'io_uring:*' -o /dev/null",
		.warm_s = 1.5,
	},
	{
		.name = "ftrace",
		.command = "mkdir " INSTANCE " && echo 1 >" INSTANCE "/events/io_uring/enable && "
			   "exec sleep 100",
		.cleanup =
			"[ ! -d " INSTANCE " ] || { echo 0 >" INSTANCE "/events/io_uring/enable; "
			"rmdir " INSTANCE "; }",
		.warm_s = 0.5,
	},
};

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

/* ---- one at work */

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
		read_text(dirfd(dir), entry->d_name, text, sizeof(text));
		const char *id = strstr(text, "link_type:") ? strstr(text, "prog_id:") : NULL;

		is_found = id && is_named((__u32)strtoul(id + 8, NULL, 10), program);
	}
	if (dir)
		closedir(dir);
	return is_found;
}

/* To load programs takes long, and longer where the machine has other things to do. */
static void wait_for_link(pid_t pid, const char *program)
{
	double limit = now_s() + 30;
	siginfo_t ended = {0};

	while (!holds_link(pid, program) && now_s() < limit && !ended.si_pid) {
		pause_s(0.02);
		waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT);
	}
}

static void begin(const struct observer *observer, struct watching *watching)
{
	*watching = (struct watching){.empty = {.links = {-1, -1}, .progs = {-1, -1}}};
	watching->errors = memfd_create("errors", MFD_CLOEXEC);
	if (observer->command)
		watching->pid = start(observer->command, -1, watching->errors);
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
static bool end(const struct observer *observer, struct watching *watching)
{
	bool was_there = true;

	if (is_empty(observer))
		close_empty(&watching->empty);
	if (watching->pid) {
		siginfo_t ended = {0};

		waitid(P_PID, (id_t)watching->pid, &ended, WEXITED | WNOHANG | WNOWAIT);
		was_there = !ended.si_pid;
		end_group(watching->pid);
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

#endif

// SPDX-License-Identifier: MIT
/*
 * Which ways to watch does this kernel offer? Programs of two instructions are loaded, attached
 * and detached: what the kernel says of these it will say of the real ones.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "caps_table.h"
#include "kbtf.h"

/* ---- BTF, read once, kept until the program ends */

static struct btf *kernel_btf(int *error)
{
	static struct btf *btf;
	static int err;

	if (!btf && !err) {
		libbpf_print_fn_t print = libbpf_set_print(NULL);

		btf = kbtf_load();
		err = btf ? 0 : -errno;
		libbpf_set_print(print);
	}
	*error = err;
	return btf;
}

/* Its BTF, or the answer that there is none. */
static struct btf *btf_for(struct caps_answer *answer)
{
	int err;
	struct btf *btf = kernel_btf(&err);

	if (!btf)
		caps_remark(answer, "no BTF to look it up in");
	return btf;
}

static void ask_btf(const struct ability *ability, struct caps_answer *answer)
{
	int err;

	(void)ability;
	kernel_btf(&err);
	caps_settle(answer, err);
	if (err == -ENOENT || err == -ESRCH)
		caps_remark(answer, "a kernel with CONFIG_DEBUG_INFO_BTF is needed");
}

/* subject: STRUCTURE.MEMBER; arg: the member's presence is what one wants, or its absence. */
static void ask_layout(const struct ability *ability, struct caps_answer *answer)
{
	struct btf *btf = btf_for(answer);
	char structure[64];
	const char *dot = strchr(ability->subject, '.');

	if (!btf)
		return;
	snprintf(structure, sizeof(structure), "%.*s", (int)(dot - ability->subject),
		 ability->subject);
	answer->state =
		kbtf_has_member(btf, structure, dot + 1) == ability->arg ? CAPS_YES : CAPS_NO;
}

/* ---- programs */

static const struct bpf_insn nothing[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
	{.code = BPF_JMP | BPF_EXIT},
};

/* bpf_probe_read_kernel(fp - 8, 8, NULL) */
static const struct bpf_insn reader[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10},
	{.code = BPF_ALU64 | BPF_ADD, .dst_reg = BPF_REG_1, .imm = -8},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 8},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3},
	{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
	{.code = BPF_JMP | BPF_EXIT},
};

static int load(enum bpf_prog_type type, enum bpf_attach_type attach_type, int btf_id)
{
	struct bpf_prog_load_opts opts;
	int fd;

	/* libbpf wants the padding zero, too, which an initialiser does not promise */
	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.expected_attach_type = attach_type;
	opts.attach_btf_id = (uint32_t)btf_id;
	fd = bpf_prog_load(type, "caps", "GPL", nothing, CAPS_NR(nothing), &opts);
	return fd < 0 ? -errno : fd;
}

/* Beyond 2, where Debian starts, perf events want CAP_SYS_ADMIN; others know no such level. */
static int perf_paranoia(void)
{
	FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int level = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%d", &level) != 1)
		level = 0;
	fclose(file);
	return level;
}

/* A refusal says nothing of the kernel where a capability is missing. */
static void settle(struct caps_answer *answer, int result)
{
	const char *missing = NULL;

	caps_settle(answer, result < 0 ? result : 0);
	if (result != -EPERM && result != -EACCES)
		return;
	if (!caps_can("cap.perfmon"))
		missing = "cap_perfmon";
	if (!caps_can("cap.bpf"))
		missing = "cap_bpf";
	if (!missing)
		return;
	answer->state = CAPS_UNKNOWN;
	caps_remark(answer, "%s is missing", missing);
}

static void settle_event(struct caps_answer *answer, int result)
{
	settle(answer, result);
	if (result != -EACCES || caps_can("cap.sys_admin") || perf_paranoia() <= 2)
		return;
	answer->state = CAPS_UNKNOWN;
	caps_remark(answer, "perf_event_paranoid=%d", perf_paranoia());
}

static void ask_read_kernel(const struct ability *ability, struct caps_answer *answer)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "caps", "GPL", reader, CAPS_NR(reader),
			       NULL);

	(void)ability;
	settle(answer, fd < 0 ? -errno : 0);
	if (fd >= 0)
		close(fd);
}

/* Over our own process: all tasks are not needed to know that it works. */
static int try_iterator(int program)
{
	union bpf_iter_link_info info = {.task.pid = (uint32_t)getpid()};
	struct bpf_link_create_opts opts;
	int link, iterator, err;
	char byte;

	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.iter_info = &info;
	opts.iter_info_len = sizeof(info);
	link = bpf_link_create(program, 0, BPF_TRACE_ITER, &opts);
	if (link < 0)
		return -errno;
	iterator = bpf_iter_create(link);
	err = iterator < 0 || read(iterator, &byte, 1) < 0 ? -errno : 0;
	if (iterator >= 0)
		close(iterator);
	close(link);
	return err;
}

/* subject: the function that stands for the iterator. */
static void ask_iterator(const struct ability *ability, struct caps_answer *answer)
{
	struct btf *btf = btf_for(answer);
	int id, program;

	if (!btf)
		return;
	id = btf__find_by_name_kind(btf, ability->subject, BTF_KIND_FUNC);
	program = id < 0 ? id : load(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, id);
	settle(answer, program < 0 ? program : try_iterator(program));
	if (program >= 0)
		close(program);
}

/* ---- tracepoints */

/* Loads and attaches by BTF id of a tracepoint or, for a trampoline, of a function. */
static int try_attach(enum bpf_attach_type attach_type, int btf_id)
{
	int program = load(BPF_PROG_TYPE_TRACING, attach_type, btf_id);
	int link;

	if (program < 0)
		return program;
	link = bpf_raw_tracepoint_open(NULL, program);
	if (link < 0)
		link = -errno;
	else
		close(link);
	close(program);
	return link < 0 ? link : 0;
}

static void try_tracepoint(const struct btf *btf, const char *tracepoint,
			   struct caps_answer *answer)
{
	char name[80];
	int id;

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	settle(answer, id < 0 ? id : try_attach(BPF_TRACE_RAW_TP, id));
}

/* arg: how many arguments BTF shall give it, the hidden first one included. */
static void ask_tracepoint(const struct ability *ability, struct caps_answer *answer)
{
	struct btf *btf = btf_for(answer);
	int args;

	if (!btf)
		return;
	args = kbtf_tracepoint_args(btf, ability->subject);
	if (args < 0 || args == ability->arg) {
		try_tracepoint(btf, ability->subject, answer);
		return;
	}
	answer->state = CAPS_NO;
	caps_remark(answer, "%s has %d arguments", ability->subject, args - 1);
}

/* io_uring_submit_req; up to 6.4 io_uring_submit_sqe, of which 5.19 had another shape. */
static void ask_submit(const struct ability *ability, struct caps_answer *answer)
{
	struct ability either = *ability;
	struct btf *btf = btf_for(answer);

	if (!btf)
		return;
	if (kbtf_tracepoint_args(btf, ability->subject) < 0) {
		either.subject = "io_uring_submit_sqe";
		either.arg = 3;
	}
	ask_tracepoint(&either, answer);
	if (!answer->detail[0])
		caps_remark(answer, "%s", either.subject);
}

/* ring, request, completion; up to 6.12 the parts of the completion one by one. */
static void ask_complete(const struct ability *ability, struct caps_answer *answer)
{
	struct ability either = *ability;
	struct btf *btf = btf_for(answer);
	bool old;

	if (!btf)
		return;
	old = kbtf_tracepoint_args(btf, ability->subject) == 8;
	if (old)
		either.arg = 8;
	ask_tracepoint(&either, answer);
	if (!answer->detail[0])
		caps_remark(answer, old ? "by value" : "by reference");
}

/* ---- perf events */

static int open_event(struct perf_event_attr *attr, int pid, int cpu)
{
	long fd;

	attr->size = sizeof(*attr);
	fd = syscall(__NR_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

static int run_at(int event, enum bpf_prog_type type)
{
	int program = load(type, 0, 0);
	int err;

	if (program < 0)
		return program;
	err = ioctl(event, PERF_EVENT_IOC_SET_BPF, program) ||
	      ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
	err = err ? -errno : 0;
	close(program);
	return err;
}

static void ask_cpu_clock(const struct ability *ability, struct caps_answer *answer)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
	};
	int cpu = sched_getcpu();
	int event = open_event(&attr, -1, cpu < 0 ? 0 : cpu);

	(void)ability;
	settle_event(answer, event < 0 ? event : run_at(event, BPF_PROG_TYPE_PERF_EVENT));
	if (event >= 0)
		close(event);
}

/* One store must be one hit. */
static int try_breakpoint(int event, volatile uint16_t *watched)
{
	uint64_t hits = 0;
	int err = run_at(event, BPF_PROG_TYPE_PERF_EVENT);

	if (err)
		return err;
	*watched = 1;
	if (read(event, &hits, sizeof(hits)) != sizeof(hits))
		return -EIO;
	return hits == 1 ? 0 : -ENODATA;
}

static void ask_breakpoint(const struct ability *ability, struct caps_answer *answer)
{
	uint16_t watched = 0;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&watched,
		.bp_len = HW_BREAKPOINT_LEN_2,
		.sample_period = 1,
		.exclude_kernel = 1,
	};
	int event = open_event(&attr, 0, -1);

	(void)ability;
	settle_event(answer, event < 0 ? event : try_breakpoint(event, &watched));
	if (event >= 0)
		close(event);
}

/* ---- functions */

static void ask_fentry(const struct ability *ability, struct caps_answer *answer)
{
	struct btf *btf = btf_for(answer);
	int id;

	if (!btf)
		return;
	id = btf__find_by_name_kind(btf, ability->subject, BTF_KIND_FUNC);
	settle(answer, id < 0 ? id : try_attach(BPF_TRACE_FENTRY, id));
	if (id < 0)
		caps_remark(answer, "no such function in BTF");
	else if (answer->state == CAPS_NO &&
		 kbtf_function_returns(btf, ability->subject) == BTF_KIND_STRUCT)
		caps_remark(answer, "it returns a structure");
}

static int kprobe_type(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/kprobe/type", "re");
	int type = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &type) != 1)
		type = -1;
	fclose(file);
	return type;
}

static void ask_kprobe(const struct ability *ability, struct caps_answer *answer)
{
	struct perf_event_attr attr = {.kprobe_func = (uintptr_t)ability->subject};
	int type = kprobe_type();
	int event;

	if (type < 0) {
		caps_settle(answer, -EOPNOTSUPP);
		caps_remark(answer, "built without kprobes");
		return;
	}
	attr.type = (uint32_t)type;
	event = open_event(&attr, -1, 0);
	settle_event(answer, event < 0 ? event : run_at(event, BPF_PROG_TYPE_KPROBE));
	if (event == -ENOENT)
		caps_remark(answer, "no such symbol");
	if (event >= 0)
		close(event);
}

static const struct ability watch_abilities[] = {
	{"btf", "read the kernel's types", "nothing can be watched", ask_btf},
	{"bpf.read_kernel", "read kernel memory by BPF", "nothing can be watched", ask_read_kernel},
	{"iter.task_file", "iterate over all open files", "nothing can be watched", ask_iterator,
	 "bpf_iter_task_file"},
	{"iter.task", "iterate over all tasks", "nothing can be watched", ask_iterator,
	 "bpf_iter_task"},
	{"layout.ring_memory", "read large buffer rings whole",
	 "held unknown in rings over 256 entries", ask_layout, "io_ring_ctx.io_bl", 0},
	{"layout.legacy_count", "read how many legacy buffers there are", "their list is walked",
	 ask_layout, "io_buffer_list.nbufs", 1},
	{"layout.table_refs", "read which registered buffers are in use", "in_flight is unknown",
	 ask_layout, "io_ring_ctx.buf_table", 1},
	{"perf.cpu_clock", "run BPF at a tick", "no light watching", ask_cpu_clock},
	{"tp.create", "see rings made", "no watching of events", ask_tracepoint, "io_uring_create",
	 6},
	{"tp.register", "see groups registered", "no watching of events", ask_tracepoint,
	 "io_uring_register", 6},
	{"tp.submit", "see requests submitted", "no watching of events", ask_submit,
	 "io_uring_submit_req", 2},
	{"tp.complete", "see completions", "no watching of events", ask_complete,
	 "io_uring_complete", 4},
	{"tp.cqe_overflow", "see completions that overflow", "no watching of events",
	 ask_tracepoint, "io_uring_cqe_overflow", 6},
	{"tp.req_failed", "see requests refused", "no watching of events", ask_tracepoint,
	 "io_uring_req_failed", 4},
	{"tp.poll_arm", "see requests wait", "no watching of events", ask_tracepoint,
	 "io_uring_poll_arm", 4},
	{"perf.breakpoint", "see single stores to memory", "no exact moments of returns",
	 ask_breakpoint},
};

const struct caps_section caps_watch_section = {"watching", watch_abilities,
						CAPS_NR(watch_abilities)};

#define FUNCTION(name, what, cost)                                                                 \
	{"fentry." name, what, cost, ask_fentry, name},                                            \
	{                                                                                          \
		"kprobe." name, what, cost, ask_kprobe, name                                       \
	}

static const struct ability function_abilities[] = {
	FUNCTION("io_buffer_select", "see a buffer chosen", "completions tell"),
	FUNCTION("io_provided_buffer_select", "see a legacy buffer taken", "completions tell"),
	FUNCTION("io_buffers_select", "see a send take its buffers", "completions tell"),
	FUNCTION("io_buffers_peek", "see a bundle take its buffers", "completions tell"),
	FUNCTION("io_ring_buffers_peek", "see what is chosen from a ring", "completions tell"),
	FUNCTION("io_kbuf_commit", "see the head move", "head is read at completions"),
	FUNCTION("__io_put_kbuf", "see a buffer named", "completions tell"),
	FUNCTION("__io_put_kbufs", "see buffers named", "completions tell"),
	FUNCTION("io_kbuf_drop_legacy", "see a buffer let go of", "it is not counted"),
	FUNCTION("io_kbuf_recycle_legacy", "see a buffer put back unused", "it is not counted"),
	FUNCTION("io_req_post_cqe", "see a completion's request", "the ring's memory tells"),
	FUNCTION("io_uring_cmd_buffer_select", "see a driver choose a buffer", "completions tell"),
	FUNCTION("io_register_pbuf_ring", "see a group registered", "the tracepoint tells"),
	FUNCTION("io_unregister_pbuf_ring", "see a group go", "the tracepoint tells"),
	FUNCTION("io_ring_ctx_wait_and_kill", "see a ring go", "the next look tells"),
};

const struct caps_section caps_function_section = {"functions", function_abilities,
						   CAPS_NR(function_abilities), true};

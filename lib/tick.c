// SPDX-License-Identifier: MIT
/* On which CPU does the tick run? On one of ours that has nothing better to do. */
#include "tick.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CPUS      CPU_SETSIZE
#define LEAST_JIFFIES 20 /* between two comparisons; less tells nothing */

struct cpu_use {
	uint64_t busy, all; /* jiffies since boot */
};

struct tick {
	const struct bpf_program *program;
	struct bpf_link *link;
	uint64_t ns;
	int fd;
	int cpu;
	struct cpu_use *uses; /* MAX_CPUS, when they were last compared */
	uint64_t count;       /* of ticks, then */
	bool stays;
};

/*
 * It goes on firing while that CPU is idle, and an interrupt, unlike a softirq, comes in time under
 * load.
 */
static int open_event(const struct tick *tick, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = tick->ns,
		.disabled = 1, /* until the program is attached */
	};
	int fd = (int)syscall(__NR_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A link closes its event. */
static int start_on(struct tick *tick, int cpu)
{
	int fd = open_event(tick, cpu);
	struct bpf_link *link;

	if (fd < 0)
		return fd;
	/* two at a time would get into each other's way */
	if (tick->link)
		ioctl(tick->fd, PERF_EVENT_IOC_DISABLE, 0);
	link = bpf_program__attach_perf_event(tick->program, fd);
	if (!link) {
		int err = -errno;

		close(fd);
		if (tick->link)
			ioctl(tick->fd, PERF_EVENT_IOC_ENABLE, 0);
		return err;
	}
	bpf_link__destroy(tick->link);
	tick->link = link;
	tick->fd = fd;
	tick->cpu = cpu;
	return 0;
}

/* "cpuN user nice system idle iowait irq softirq steal ...". Those that are offline are left out.
 */
static void read_uses(struct cpu_use *uses)
{
	FILE *stat = fopen("/proc/stat", "re");
	char line[512];

	memset(uses, 0, MAX_CPUS * sizeof(*uses));
	while (stat && fgets(line, sizeof(line), stat)) {
		unsigned long long t[8];
		unsigned int cpu;

		if (sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &t[0],
			   &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) != 9 ||
		    cpu >= MAX_CPUS)
			continue;
		uses[cpu].busy = t[0] + t[1] + t[2] + t[5] + t[6] + t[7];
		uses[cpu].all = uses[cpu].busy + t[3] + t[4];
	}
	if (stat)
		fclose(stat);
}

/* Of 100; -1: not known, or too little time has passed. */
static int busy_pct(const struct cpu_use *was, const struct cpu_use *is)
{
	uint64_t all = is->all - was->all;

	if (!was->all || is->all < was->all + LEAST_JIFFIES || is->busy < was->busy)
		return -1;
	return (int)((is->busy - was->busy) * 100 / all);
}

/* The one that did least, or the present one where none did clearly less. Of others we keep off. */
static int idlest_cpu(const struct tick *tick, const struct cpu_use *uses)
{
	int least = busy_pct(&tick->uses[tick->cpu], &uses[tick->cpu]) - 25;
	int best = tick->cpu;
	cpu_set_t ours;

	if (sched_getaffinity(0, sizeof(ours), &ours))
		return best;
	for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
		int pct = CPU_ISSET(cpu, &ours) ? busy_pct(&tick->uses[cpu], &uses[cpu]) : -1;

		if (pct >= 0 && pct < least) {
			least = pct;
			best = cpu;
		}
	}
	return best;
}

/*
 * Whether a third of the ticks or more did not come: virtual CPUs that are idle may sleep through
 * them.
 */
static bool is_late(const struct tick *tick, const struct cpu_use *uses, uint64_t count)
{
	const uint64_t jiffy_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t all = uses[tick->cpu].all - tick->uses[tick->cpu].all;

	return tick->uses[tick->cpu].all &&
	       (count - tick->count) * tick->ns * 3 < all * jiffy_ns * 2;
}

void tick_settle(struct tick *tick, uint64_t count)
{
	struct cpu_use uses[MAX_CPUS];
	int cpu;

	if (!tick || tick->stays)
		return;
	read_uses(uses);
	if (uses[tick->cpu].all < tick->uses[tick->cpu].all + LEAST_JIFFIES && uses[tick->cpu].all)
		return;
	cpu = idlest_cpu(tick, uses);
	if (is_late(tick, uses, count)) {
		tick->stays = true;
		cpu = sched_getcpu();
	}
	if (cpu >= 0 && cpu != tick->cpu)
		start_on(tick, cpu); /* else it stays where it is */
	memcpy(tick->uses, uses, sizeof(uses));
	tick->count = count;
}

struct tick *tick_open(const struct bpf_program *program, uint64_t ns)
{
	struct tick *tick = calloc(1, sizeof(*tick));
	int cpu = sched_getcpu();
	int err;

	if (!tick)
		return NULL;
	tick->program = program;
	tick->ns = ns;
	tick->uses = calloc(MAX_CPUS, sizeof(*tick->uses));
	err = tick->uses ? start_on(tick, cpu < 0 ? 0 : cpu) : -ENOMEM;
	if (!err)
		return tick;
	tick_close(tick);
	errno = -err;
	return NULL;
}

void tick_close(struct tick *tick)
{
	if (!tick)
		return;
	bpf_link__destroy(tick->link);
	free(tick->uses);
	free(tick);
}

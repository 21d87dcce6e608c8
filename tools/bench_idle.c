// SPDX-License-Identifier: MIT
/* What do connections occupy on which nothing arrives? */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "bench_job.h"

#define SPARED 64u /* descriptors for all else */
#define FEWEST 50u /* of fewer the rest is no small part */

static uint64_t read_kib(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	unsigned long long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) == 0 &&
		    sscanf(line + strlen(key), " %llu", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kib * 1024;
}

/* The roll-up walks the page tables: it is exact where the counters of status are not. */
void bench_read_memory(uint64_t *resident, uint64_t *pinned)
{
	*resident = read_kib("/proc/self/smaps_rollup", "Anonymous:");
	*pinned = read_kib("/proc/self/status", "VmPin:");
}

uint32_t bench_idle_connections(uint32_t wanted)
{
	struct rlimit limit;
	uint32_t most = wanted < BENCH_MOST_IDLE ? wanted : BENCH_MOST_IDLE;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= 2ull * most + SPARED)
		return most;
	most = limit.rlim_cur > SPARED ? (uint32_t)(limit.rlim_cur - SPARED) / 2 : 0;
	return most >= FEWEST ? most : 0;
}

int bench_idle(struct bench_job *j)
{
	int err = 0;

	for (uint32_t i = 0; i < j->nr_slots && err >= 0; i++) {
		struct bench_slot *slot = &j->slots[i];
		int fds[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
			return -errno;
		slot->op.fd = fds[0];
		slot->to = fds[1];
		err = bench_job_ask(j, slot);
		if (!err && j->has_ring && io_uring_sq_space_left(&j->ring) < 2)
			err = io_uring_submit(&j->ring);
	}
	if (err >= 0 && j->has_ring)
		err = io_uring_submit(&j->ring);
	j->done = j->nr_slots;
	return err < 0 ? err : 0;
}

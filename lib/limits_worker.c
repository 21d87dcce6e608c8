// SPDX-License-Identifier: MIT
/*
 * What does each of several workers get that have a ring of their own and register all at once, as
 * much as they can? Some limits are a ring's, some are the user's, and nobody divides those.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "limits_child.h"
#include "limits_meter.h"
#include "limits_table.h"
#include "limits_worker.h"

#define MOST_SLOTS   16384
#define MOST_GROUPS  256
#define GROUP_SLOTS  4096
#define ROOT_MEMLOCK (8U << 20) /* when root asks as a user */

struct worker {
	struct team *team;
	pthread_t thread;
	struct io_uring ring;
	void *memory;
	uint64_t nr;
	uint64_t ns;
	int err; /* that ended it */
};

struct team {
	const struct limits_team *how;
	struct worker *workers;
	uint32_t nr;
	pthread_barrier_t start;
};

static int put_up_buffer(struct worker *w, uint64_t i)
{
	const struct iovec iov = {w->memory, limits_page_size()};
	const struct io_uring_rsrc_update2 update = {
		.offset = (uint32_t)i,
		.data = (uintptr_t)&iov,
		.nr = 1,
	};
	int done = limits_register(w->ring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE, &update,
				   sizeof(update));

	return done < 0 ? done : 0;
}

static int put_up_group(struct worker *w, uint64_t i)
{
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)w->memory,
		.ring_entries = GROUP_SLOTS,
		.bgid = (uint16_t)i,
	};

	return limits_register(w->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	bool groups = w->team->how->what == TEAM_GROUPS;
	uint64_t most = groups ? MOST_GROUPS : MOST_SLOTS, start;

	pthread_barrier_wait(&w->team->start);
	start = limits_now_ns();
	while (w->nr < most && !w->err) {
		w->err = groups ? put_up_group(w, w->nr) : put_up_buffer(w, w->nr);
		w->nr += !w->err;
	}
	w->ns = limits_now_ns() - start;
	return NULL;
}

static int ready(struct worker *w)
{
	const struct io_uring_rsrc_register table = {
		.nr = MOST_SLOTS,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};
	int err = limits_ring_open(&w->ring);

	w->memory = limits_map_filled(GROUP_SLOTS * sizeof(struct io_uring_buf), false);
	if (err || !w->memory)
		return err ? err : -ENOMEM;
	if (w->team->how->what == TEAM_GROUPS)
		return 0;
	return limits_register(w->ring.ring_fd, IORING_REGISTER_BUFFERS2, &table, sizeof(table));
}

static int start_all(struct team *team)
{
	for (uint32_t i = 0; i < team->nr; i++) {
		int err;

		team->workers[i].team = team;
		err = ready(&team->workers[i]);
		if (err)
			return err;
	}
	for (uint32_t i = 0; i < team->nr; i++) {
		int err = pthread_create(&team->workers[i].thread, NULL, work, &team->workers[i]);

		if (err) /* those that wait for the others go with this process */
			return -err;
	}
	for (uint32_t i = 0; i < team->nr; i++)
		pthread_join(team->workers[i].thread, NULL);
	return 0;
}

static void sum_up(const struct team *team, struct limits_team *how)
{
	uint64_t ns = 0;

	how->least = UINT64_MAX;
	for (uint32_t i = 0; i < team->nr; i++) {
		const struct worker *w = &team->workers[i];

		how->total += w->nr;
		how->least = w->nr < how->least ? w->nr : how->least;
		how->most = w->nr > how->most ? w->nr : how->most;
		ns += w->ns;
		if (w->err)
			how->err = -w->err;
	}
	how->each_ns = how->total ? ns / how->total : 0;
}

static int run_team(void *box)
{
	struct limits_team *how = box;
	struct team team = {.how = how, .nr = how->workers};
	int err = how->memlock_bytes ? limits_drop_privileges() : 0;
	struct rlimit limit;

	if (!err && getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		err = -errno;
	if (!err && how->memlock_bytes) {
		limit.rlim_cur = how->memlock_bytes;
		err = setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ? -errno : 0;
	}
	if (err)
		return err;
	team.workers = calloc(team.nr, sizeof(*team.workers));
	if (!team.workers)
		return -ENOMEM;
	pthread_barrier_init(&team.start, NULL, team.nr);
	err = start_all(&team);
	if (!err)
		sum_up(&team, how);
	return err;
}

int limits_team_run(struct limits_team *team)
{
	struct limits_child child = {
		.run = run_team,
		.box = team,
		.box_bytes = sizeof(*team),
		.patience_ms = 20000,
	};
	int err = limits_child_run(&child);

	if (err)
		return err;
	return child.fate == FATE_DONE ? child.result : -ECHILD;
}

uint64_t limits_team_memlock(void)
{
	struct rlimit limit;

	if (geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return ROOT_MEMLOCK;
	return limit.rlim_cur < ROOT_MEMLOCK ? limit.rlim_cur : ROOT_MEMLOCK;
}

struct question {
	enum limits_team_what what;
	bool as_user; /* under a memlock limit, whoever asks */
};

static void tell_bound(struct limits_answer *answer, const struct limits_team *team)
{
	char limit[48] = "";

	answer->errno_past = team->err;
	answer->bound_by = team->err == ENOMEM ? LIMITS_BY_MEMLOCK : LIMITS_BY_KERNEL;
	if (team->memlock_bytes)
		snprintf(limit, sizeof(limit), "one limit of %llu KiB for all; ",
			 (unsigned long long)team->memlock_bytes >> 10);
	else if (team->err != ENOMEM)
		snprintf(limit, sizeof(limit), "a limit of each ring; ");
	snprintf(answer->note, sizeof(answer->note), "%sall start at once and take what they get",
		 limit);
}

static int ask_workers(const struct limits_env *env, struct limits_answer *answer)
{
	static const uint32_t most[] = {4, 16, 64};
	const struct question *q = env->arg;
	int err = 0;

	for (uint32_t nr = 1; nr <= most[env->level] && !err; nr *= 2) {
		struct limits_point *p = &answer->points[answer->nr_points];
		struct limits_team team = {.what = q->what, .workers = nr};

		team.memlock_bytes = q->as_user ? limits_team_memlock() : 0;
		err = limits_team_run(&team);
		for (int i = 0; i < 3; i++)
			limits_settle();
		if (err)
			break;
		*p = (struct limits_point){nr, {team.least, team.most, team.total, team.each_ns}};
		answer->nr_points++;
		tell_bound(answer, &team);
	}
	answer->how = LIMITS_MEASURED;
	return answer->nr_points ? 0 : err;
}

#define ASK(...)                                                                                   \
	.ask = ask_workers, .weight = 700, .arg = &(const struct question)                         \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define COLUMNS                                                                                    \
	{                                                                                          \
		"least", "most", "total", "each_ns"                                                \
	}

static const struct limits_probe probes[] = {
	{"workers.buffers", "registered buffers of 4K", "workers", ASK(.what = TEAM_BUFFERS),
	 .columns = COLUMNS, .level = LIMITS_DEFAULT,
	 .detail = "workers with a ring each register buffers: what the least and the luckiest "
		   "got, all together, and the time of one registration"},
	{"workers.buffers_memlock", "the same by a user under RLIMIT_MEMLOCK", "workers",
	 ASK(.what = TEAM_BUFFERS, .as_user = true), .columns = COLUMNS, .level = LIMITS_DEFAULT},
	{"workers.groups_memlock", "groups of 4096 entries under RLIMIT_MEMLOCK", "workers",
	 ASK(.what = TEAM_GROUPS, .as_user = true), .columns = COLUMNS, .level = LIMITS_DEFAULT},
};

const struct limits_section limits_worker_section = {
	.name = "workers",
	.title = "1 ... N workers, a ring each: what each of them gets",
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.measures = true,
};

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

#include "clock.h"
#include "limits_child.h"
#include "limits_meter.h"
#include "limits_table.h"
#include "limits_worker.h"

#define MOST_SLOTS   16384
#define MOST_GROUPS  256
#define GROUP_SLOTS  4096
#define ROOT_MEMLOCK (8U << 20) /* when root asks as a user */

/* What a worker takes: ring, empty table and memory to register; and each thing it registers. */
#define WORKER_BYTES (320U << 10)
#define THING_BYTES  1100

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
	uint64_t most; /* things of one worker */
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
	uint64_t start;

	pthread_barrier_wait(&w->team->start);
	start = clock_ns(CLOCK_MONOTONIC);
	while (w->nr < w->team->most && !w->err) {
		w->err = groups ? put_up_group(w, w->nr) : put_up_buffer(w, w->nr);
		w->nr += !w->err;
	}
	w->ns = clock_ns(CLOCK_MONOTONIC) - start;
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

static uint64_t most_of(const struct limits_team *how)
{
	return how->what == TEAM_GROUPS ? MOST_GROUPS : MOST_SLOTS;
}

static void sum_up(const struct team *team, struct limits_team *how)
{
	uint64_t ns = 0;

	how->least = UINT64_MAX;
	how->budgeted = team->most < most_of(how);
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

/* What the budget leaves each of them; 0 or -EFBIG. */
static int share_budget(struct team *team)
{
	uint64_t share = team->how->max_bytes / team->nr;

	if (share < WORKER_BYTES + THING_BYTES)
		return -EFBIG;
	team->most = (share - WORKER_BYTES) / THING_BYTES;
	if (team->most > most_of(team->how))
		team->most = most_of(team->how);
	return 0;
}

static int run_team(void *box)
{
	struct limits_team *how = box;
	struct team team = {.how = how, .nr = how->workers};
	int err = share_budget(&team);
	struct rlimit limit;

	if (!err && how->memlock_bytes)
		err = limits_drop_privileges();
	how->alone = limits_is_alone();
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

	/* What a user of its own was charged with is in nobody's way. */
	for (int i = 0; i < 3 && !team->alone; i++)
		limits_settle();
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
	answer->bound_by = team->err == ENOMEM ? LIMITS_BY_MEMLOCK
			   : team->budgeted    ? LIMITS_BY_BUDGET
					       : LIMITS_BY_KERNEL;
	if (team->memlock_bytes)
		snprintf(limit, sizeof(limit), "one limit of %llu KiB for all; ",
			 (unsigned long long)team->memlock_bytes >> 10);
	else if (team->err != ENOMEM && !team->budgeted)
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
		struct limits_team team = {
			.what = q->what,
			.workers = nr,
			.memlock_bytes = q->as_user ? limits_team_memlock() : 0,
			.max_bytes = env->max_bytes,
		};

		err = limits_team_run(&team);
		if (err)
			break;
		*p = (struct limits_point){nr, {team.least, team.most, team.total, team.each_ns}};
		answer->nr_points++;
		tell_bound(answer, &team);
	}
	answer->how = LIMITS_MEASURED;
	if (err == -EFBIG)
		answer->bound_by = LIMITS_BY_BUDGET;
	return answer->nr_points || err == -EFBIG ? 0 : err;
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

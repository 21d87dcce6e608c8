// SPDX-License-Identifier: MIT
/* What happens to the groups while the doctor looks, and what lies in the memory of their rings? */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../lib/memlock.h"
#include "child.h"
#include "doctor.h"

#define LOOK_NS     100000000U
#define HURRY_NS    25000000U
#define LOOK_SLOTS  65536U /* read at one look, at most; then it is the next group's turn */
#define MOST_SLOTS  32768U
#define TRACE_BYTES (16U << 20)
#define GATHER_US   2000
#define MOST_RANGES 65536U

struct ranges {
	struct lint_range *at;
	size_t nr;
};

struct maps {
	uint32_t tgid;
	struct ranges writable; /* those that touch are one */
	struct ranges queues;   /* of rings; and rings of buffers that the kernel has mapped */
};

struct watching {
	struct doctor_opts *opts;
	struct consultation *out;
	struct observe *observe;
	struct sample sample;
	struct child child;
	int timer, signals;
	struct ring_slot *slots;
	struct maps maps; /* of the process looked at last */
	size_t nr_known;  /* groups that were looked at, or soon will be */
	uint32_t hurries; /* looks that are not to wait for their turn */
	size_t turn;      /* group whose memory is read next */
	uint64_t start_ns;
	uint64_t looked_ns;
	bool is_over;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* ---- memory of a process */

static int add_range(struct ranges *ranges, uint64_t start, uint64_t end)
{
	struct lint_range *more;

	if (ranges->nr == MOST_RANGES)
		return -E2BIG;
	if (!(ranges->nr & (ranges->nr - 1))) {
		more = realloc(ranges->at, (ranges->nr ? ranges->nr * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		ranges->at = more;
	}
	ranges->at[ranges->nr++] = (struct lint_range){start, end};
	return 0;
}

static int add_writable(struct ranges *ranges, uint64_t start, uint64_t end)
{
	if (!ranges->nr || ranges->at[ranges->nr - 1].end != start)
		return add_range(ranges, start, end);
	ranges->at[ranges->nr - 1].end = end;
	return 0;
}

/* One line of the file. */
static int add_mapping(struct maps *maps, const char *line)
{
	uint64_t start, end;
	char mode[5];
	int err;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, mode) != 3 || mode[1] != 'w')
		return 0;
	err = add_writable(&maps->writable, start, end);
	if (!err && strstr(line, " anon_inode:[io_uring]"))
		err = add_range(&maps->queues, start, end);
	return err;
}

/* A process that has gone has no ranges. 0 or -errno. */
static int read_maps(struct maps *maps, uint32_t tgid)
{
	char path[32], *line = NULL;
	size_t size = 0;
	FILE *file;
	int err = 0;

	maps->tgid = tgid;
	maps->writable.nr = maps->queues.nr = 0;
	snprintf(path, sizeof(path), "/proc/%u/maps", tgid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!err && getline(&line, &size, file) > 0)
		err = add_mapping(maps, line);
	free(line);
	fclose(file);
	if (err)
		maps->writable.nr = maps->queues.nr = 0;
	return err;
}

static int by_start(const void *a, const void *b)
{
	const struct lint_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Queues that lie in the program's own memory, of rings that are there now. */
static void add_own_queues(struct watching *w)
{
	const struct casebook *book = &w->out->book;
	struct ranges *queues = &w->maps.queues;

	for (size_t i = 0; i < book->nr_queues; i++) {
		const struct case_queues *own = &book->queues[i];

		for (size_t j = 0; j < w->sample.nr_rings; j++) {
			if (w->sample.rings[j].ring_id != own->ring_id ||
			    w->sample.rings[j].tgid != w->maps.tgid)
				continue;
			add_range(queues, own->sq, own->sq + own->sq_bytes);
			add_range(queues, own->cq, own->cq + own->cq_bytes);
		}
	}
	if (queues->nr)
		qsort(queues->at, queues->nr, sizeof(*queues->at), by_start);
}

static void read_limit(struct watching *w, uint32_t tgid)
{
	struct consultation *out = w->out;
	struct diagnose_limit *more;

	for (size_t i = 0; i < out->nr_limits; i++) {
		if (out->limits[i].tgid == tgid)
			return;
	}
	more = realloc(out->limits, (out->nr_limits + 1) * sizeof(*more));
	if (!more)
		return;
	out->limits = more;
	more[out->nr_limits] = (struct diagnose_limit){tgid, UINT64_MAX};
	memlock_limit_of((pid_t)tgid, &more[out->nr_limits].bytes);
	out->nr_limits++;
}

/* 0: not known. */
static uint64_t read_memory(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return (uint64_t)kib * 1024;
}

/* ---- memory of a ring */

static void look_at_memory(struct watching *w, struct case_group *group)
{
	struct observe_slots slots = {.at = w->slots, .max = MOST_SLOTS};
	struct lint_view view = {0};

	if (observe_slots(w->observe, &group->rec, &slots) || !slots.nr)
		return;
	if (w->maps.tgid != group->tgid) {
		if (read_maps(&w->maps, group->tgid))
			w->out->blind.maps_unread |= errno != ENOENT && errno != ESRCH;
		else
			add_own_queues(w);
	}
	view.slots = w->slots;
	view.entries = slots.nr;
	view.head = slots.head_after;
	view.tail = slots.tail_before;
	/* read one after the other, they may have crossed */
	if ((int16_t)(view.tail - view.head) < 0)
		view.head = view.tail;
	view.is_incremental = group->kind == GROUP_INC || group->kind == GROUP_INC_MMAP;
	view.ring_addr = group->ring_addr;
	view.ranges = w->maps.writable.at;
	view.nr_ranges = w->maps.writable.nr;
	view.queues = w->maps.queues.at;
	view.nr_queues = w->maps.queues.nr;
	if (lint_look(&group->lint, &view))
		w->out->blind.out_of_memory = true;
}

static void look_at_memories(struct watching *w)
{
	const struct casebook *book = &w->out->book;
	uint32_t budget = LOOK_SLOTS;

	w->maps.tgid = 0;
	for (size_t i = 0; i < book->nr_groups; i++) {
		struct case_group *group = book->groups[w->turn++ % book->nr_groups];

		if (!group->is_live || group->kind == GROUP_LEGACY)
			continue;
		if (group->entries > budget)
			break;
		budget -= group->entries;
		look_at_memory(w, group);
	}
}

/* ---- files that starved */

#define MOST_FILES 256 /* asked for at one look */

static bool is_open(uint32_t tgid, int32_t fd)
{
	char path[48], to[2];

	snprintf(path, sizeof(path), "/proc/%u/fd/%d", tgid, fd);
	return readlink(path, to, sizeof(to)) >= 0 || errno != ENOENT;
}

/* Closed without anything having been asked of them since? Of a process that ends all are gone. */
static void look_at_files(struct watching *w)
{
	const struct casebook *book = &w->out->book;
	uint32_t asked = 0;

	for (size_t i = 0; i < book->nr_groups; i++) {
		struct case_group *group = book->groups[i];
		const struct ring_rec *ring = casebook_ring(book, group->ring_id);

		for (uint32_t at = 0; group->is_live && ring && at < group->nr_streams; at++) {
			const struct case_stream *stream = &group->streams[at];

			if (!stream->starved_ns || stream->is_fixed || stream->fd < 0 ||
			    ring->fd < 0 || asked++ >= MOST_FILES)
				continue;
			if (!is_open(group->tgid, stream->fd) && is_open(group->tgid, ring->fd))
				casebook_closed(group, at, w->sample.at_ns);
		}
	}
}

/* ---- looks */

static void take(void *context, const struct trace_rec *rec)
{
	casebook_take(context, rec);
}

/* Whoever makes events as fast as they are taken must not keep us from all else. */
#define MOST_TAKES 8
#define ALL_TAKES  4096 /* the buffer of the trace is smaller: who is gone makes no more */

static int take_events(struct watching *w, unsigned int most)
{
	int more = 1;

	for (unsigned int i = 0; i < most && more > 0; i++)
		more = observe_trace(w->observe, take, &w->out->book);
	if (more < 0)
		cmd_error("cannot read the events: %s", strerror(-more));
	return more < 0 ? EXIT_FAILED : EXIT_OK;
}

/* What is new is looked at soon, and again: a program may end before its turn would come. */
static void hurry(const struct watching *w)
{
	const struct itimerspec timer = {.it_interval = {.tv_nsec = LOOK_NS},
					 .it_value = {.tv_nsec = HURRY_NS}};

	timerfd_settime(w->timer, 0, &timer, NULL);
}

static void hurry_if_new(struct watching *w)
{
	if (w->out->book.nr_groups <= w->nr_known)
		return;
	w->nr_known = w->out->book.nr_groups;
	if (!w->hurries)
		hurry(w);
	w->hurries = 2;
}

static int look(struct watching *w)
{
	uint64_t ticks;
	int code;

	if (read(w->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		return EXIT_FAILED;
	code = target_sample(w->observe, &w->sample);
	code = code ? code : take_events(w, MOST_TAKES);
	if (code)
		return code;
	if (w->looked_ns && w->sample.at_ns - w->looked_ns > w->out->blind.gap_ns)
		w->out->blind.gap_ns = w->sample.at_ns - w->looked_ns;
	w->looked_ns = w->sample.at_ns;
	casebook_sample(&w->out->book, &w->sample);
	for (size_t i = 0; i < w->sample.nr_rings; i++) {
		if (w->sample.rings[i].locked_bytes)
			read_limit(w, w->sample.rings[i].tgid);
	}
	look_at_memories(w);
	look_at_files(w);
	if (w->hurries && --w->hurries)
		hurry(w);
	w->out->backend = w->sample.backend;
	return EXIT_OK;
}

/* ---- begin, go on, end */

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_all(struct watching *w)
{
	struct target *target = &w->opts->target;
	int code = EXIT_FAILED, err;

	if (w->opts->command) {
		err = child_fork(&w->child, w->opts->command);
		if (err) {
			cmd_error("cannot start a process: %s", strerror(-err));
			return EXIT_FAILED;
		}
		target->tgids[target->nr_tgids++] = (uint32_t)w->child.pid;
		target->trace.is_tree = true;
	}
	target->depth = OBSERVE_FULL;
	target->depth_given = true;
	target->trace.kinds = CASEBOOK_KINDS;
	target->trace.bytes = TRACE_BYTES;
	w->observe = target_open(target, w->opts->verbose, &code);
	if (!w->observe)
		return code;
	w->slots = calloc(MOST_SLOTS, sizeof(*w->slots));
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	w->signals = open_signals();
	if (w->slots && w->timer >= 0 && w->signals >= 0)
		return EXIT_OK;
	cmd_error("cannot begin: %s", strerror(errno));
	return EXIT_FAILED;
}

static int begin(struct watching *w)
{
	const struct itimerspec timer = {.it_interval = {.tv_nsec = LOOK_NS},
					 .it_value = {.tv_nsec = LOOK_NS}};
	int code, err;

	w->start_ns = now_ns();
	casebook_init(&w->out->book, w->start_ns);
	code = look(w);
	if (code)
		return code;
	for (size_t i = 0; i < w->out->book.nr_groups; i++)
		w->out->blind.early_groups += w->out->book.groups[i]->is_live;
	err = w->child.pid ? child_start(&w->child) : 0;
	if (err) {
		cmd_error("cannot run '%s': %s", w->opts->command[0], strerror(-err));
		return EXIT_FAILED;
	}
	return timerfd_settime(w->timer, 0, &timer, NULL) ? EXIT_FAILED : EXIT_OK;
}

static bool targets_are_gone(const struct watching *w)
{
	for (size_t i = 0; i < w->opts->target.nr_tgids; i++) {
		if (!kill((pid_t)w->opts->target.tgids[i], 0) || errno != ESRCH)
			return false;
	}
	return w->opts->target.nr_tgids > 0;
}

static int follow(struct watching *w)
{
	struct pollfd waits[] = {
		{.fd = observe_trace_fd(w->observe), .events = POLLIN},
		{.fd = w->timer, .events = POLLIN},
		{.fd = w->signals, .events = POLLIN},
		{.fd = w->child.pidfd, .events = POLLIN},
	};
	int code = EXIT_OK;

	while (!code && !w->is_over) {
		if (poll(waits, 4, -1) < 0 && errno != EINTR)
			return EXIT_FAILED;
		if (waits[0].revents) {
			usleep(GATHER_US);
			code = take_events(w, MOST_TAKES);
			hurry_if_new(w);
		}
		if (!code && waits[1].revents)
			code = look(w);
		w->is_over = waits[2].revents || waits[3].revents ||
			     (!w->child.pid && targets_are_gone(w)) ||
			     now_ns() - w->start_ns >= w->opts->duration_ns;
	}
	return code;
}

static void note_blind(struct watching *w)
{
	struct doctor_blind *blind = &w->out->blind;

	blind->records_lost = observe_trace_lost(w->observe);
	observe_losses(w->observe, blind->losses);
	w->out->book.may_miss = blind->records_lost || blind->losses[LOSS_EVENTS];
	blind->out_of_memory |= w->out->book.out_of_memory;
	for (size_t i = 0; i < w->out->book.nr_groups; i++) {
		const struct case_group *group = w->out->book.groups[i];

		blind->legacy_groups += group->is_sampled && group->kind == GROUP_LEGACY;
		blind->unread_groups +=
			group->is_sampled && group->kind != GROUP_LEGACY && !group->lint.looks;
	}
}

static void end_command(struct watching *w)
{
	struct pollfd ended = {.fd = w->child.pidfd, .events = POLLIN};
	char how[64];

	if (!w->child.pid)
		return;
	if (poll(&ended, 1, 0) == 0 && child_stop(&w->child)) {
		fprintf(stderr, "'%s' goes on as process %d\n", w->opts->command[0],
			(int)w->child.pid);
		return;
	}
	fprintf(stderr, "'%s' %s\n", w->opts->command[0], child_wait(&w->child, how, sizeof(how)));
}

static int conclude(struct watching *w)
{
	const struct diagnose_case what = {.book = &w->out->book,
					   .limits = w->out->limits,
					   .nr_limits = w->out->nr_limits,
					   .memory_bytes = read_memory()};

	w->out->book.ended_ns = now_ns();
	note_blind(w);
	if (!diagnose(&what, &w->out->diagnosis))
		return EXIT_OK;
	cmd_error("out of memory");
	return EXIT_FAILED;
}

static void close_all(struct watching *w)
{
	child_done(&w->child);
	observe_close(w->observe);
	sample_done(&w->sample);
	free(w->slots);
	free(w->maps.writable.at);
	free(w->maps.queues.at);
	if (w->timer >= 0)
		close(w->timer);
	if (w->signals >= 0)
		close(w->signals);
}

int doctor_watch(struct doctor_opts *opts, struct consultation *consultation)
{
	struct watching w = {
		.opts = opts, .out = consultation, .child = CHILD_NONE, .timer = -1, .signals = -1};
	int code;

	memset(consultation, 0, sizeof(*consultation));
	code = open_all(&w);
	code = code ? code : begin(&w);
	code = code ? code : follow(&w);
	if (!code && !w.child.pid)
		code = look(&w);
	if (!code) {
		end_command(&w);
		code = take_events(&w, w.child.pid ? ALL_TAKES : MOST_TAKES);
	}
	code = code ? code : conclude(&w);
	close_all(&w);
	return code;
}

void doctor_done(struct consultation *consultation)
{
	diagnosis_done(&consultation->diagnosis);
	casebook_done(&consultation->book);
	free(consultation->limits);
}

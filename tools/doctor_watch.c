// SPDX-License-Identifier: MIT
/* What happens to the groups while the doctor looks? */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "child.h"
#include "doctor.h"
#include "inspection.h"
#include "signals.h"

#define LOOK_NS     100000000U
#define HURRY_NS    25000000U
#define TRACE_BYTES (1U << 20)
#define GATHER_US   2000

struct watching {
	struct doctor_opts *opts;
	struct consultation *out;
	struct observe *observe;
	struct sample sample;
	struct child child;
	int timer, signals;
	struct inspection inspection;
	size_t nr_known;  /* groups that were looked at, or soon will be */
	uint32_t hurries; /* looks that are not to wait for their turn */
	uint64_t start_ns;
	uint64_t looked_ns;
	uint64_t said_s; /* of the time that is left, on the terminal; 0: nothing */
	bool is_over;
};

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
	uint64_t from_ns = clock_ns(CLOCK_MONOTONIC);
	int more = 1;

	for (unsigned int i = 0; i < most && more > 0; i++)
		more = observe_trace(w->observe, take, &w->out->book);
	if (!more)
		w->out->book.told_ns = from_ns;
	if (more < 0)
		cmd_error("cannot read the events: %s", strerror(-more));
	return more < 0 ? EXIT_FAILED : EXIT_OK;
}

/* All else is booked by the programs. */
static void read_books(struct watching *w, bool is_end)
{
	struct book_view view;

	if (!observe_books(w->observe, &view))
		casebook_read(&w->out->book, &view, is_end);
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
	read_books(w, false);
	casebook_sample(&w->out->book, &w->sample);
	inspection_look(&w->inspection, w->observe, &w->out->book, &w->sample);
	if (w->hurries && --w->hurries)
		hurry(w);
	w->out->backend = w->sample.backend;
	return EXIT_OK;
}

/* ---- what a terminal is told meanwhile */

static uint64_t count_starved(const struct casebook *book)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < book->nr_groups; i++)
		for (int cause = 0; cause < STARVE_CAUSES; cause++)
			nr += book->groups[i]->sums.causes[cause];
	return nr;
}

/* A command has the terminal for itself. */
static void show_progress(struct watching *w)
{
	uint64_t past = clock_ns(CLOCK_MONOTONIC) - w->start_ns;
	size_t groups = w->sample.nr_groups;
	uint64_t left_s;

	if (w->child.pid || past >= w->opts->duration_ns || !isatty(STDERR_FILENO))
		return;
	left_s = (w->opts->duration_ns - past) / 1000000000 + 1;
	if (left_s == w->said_s)
		return;
	w->said_s = left_s;
	fprintf(stderr,
		"\r%zu group%s, %" PRIu64 " starved; %" PRIu64 " s left, Ctrl-C ends it\033[K",
		groups, groups == 1 ? "" : "s", count_starved(&w->out->book), left_s);
}

static void end_progress(const struct watching *w)
{
	if (w->said_s)
		fputs("\r\033[K", stderr);
}

/* ---- begin, go on, end */

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
	target->trace.is_booked = true;
	target->trace.bytes = TRACE_BYTES;
	w->observe = target_open(target, w->opts->verbose, &code);
	if (!w->observe)
		return code;
	err = inspection_begin(&w->inspection);
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	w->signals = signals_open(NULL);
	if (!err && w->timer >= 0 && w->signals >= 0)
		return EXIT_OK;
	cmd_error("cannot begin: %s", strerror(errno));
	return EXIT_FAILED;
}

static int begin(struct watching *w)
{
	const struct itimerspec timer = {.it_interval = {.tv_nsec = LOOK_NS},
					 .it_value = {.tv_nsec = LOOK_NS}};
	int code, err;

	w->start_ns = clock_ns(CLOCK_MONOTONIC);
	casebook_init(&w->out->book, w->start_ns);
	w->out->book.from_birth = w->child.pid != 0;
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
		show_progress(w);
		w->is_over = waits[2].revents || waits[3].revents ||
			     (!w->child.pid && targets_are_gone(w)) ||
			     clock_ns(CLOCK_MONOTONIC) - w->start_ns >= w->opts->duration_ns;
	}
	return code;
}

static void note_blind(struct watching *w)
{
	struct doctor_blind *blind = &w->out->blind;

	blind->records_lost = observe_trace_lost(w->observe);
	observe_losses(w->observe, blind->losses);
	blind->maps_unread = w->inspection.maps_unread;
	blind->out_of_memory = w->inspection.out_of_memory || w->out->book.out_of_memory;
	for (size_t i = 0; i < w->out->book.nr_groups; i++) {
		const struct case_group *group = w->out->book.groups[i];

		blind->legacy_groups += group->is_sampled && group->sums.kind == GROUP_LEGACY;
		blind->unread_groups +=
			group->is_sampled && group->sums.kind != GROUP_LEGACY && !group->lint.looks;
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
	note_blind(w);
	if (!inspection_conclude(&w->inspection, w->observe, &w->out->book, &w->out->diagnosis))
		return EXIT_OK;
	cmd_error("out of memory");
	return EXIT_FAILED;
}

static void close_all(struct watching *w)
{
	child_done(&w->child);
	observe_close(w->observe);
	sample_done(&w->sample);
	inspection_done(&w->inspection);
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
	end_progress(&w);
	if (!code && !w.child.pid && targets_are_gone(&w))
		fputs("what was watched has ended\n", stderr);
	if (!code && !w.child.pid)
		code = look(&w);
	if (!code) {
		end_command(&w);
		code = take_events(&w, w.child.pid ? ALL_TAKES : MOST_TAKES);
		w.out->book.told_ns = UINT64_MAX;
		read_books(&w, true);
	}
	code = code ? code : conclude(&w);
	close_all(&w);
	return code;
}

void doctor_done(struct consultation *consultation)
{
	diagnosis_done(&consultation->diagnosis);
	casebook_done(&consultation->book);
}

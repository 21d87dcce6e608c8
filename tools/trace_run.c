// SPDX-License-Identifier: MIT
/* What is waited for while a trace runs, where do its events go, when does it end? */
#include "trace_run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/trace.h"
#include "child.h"
#include "out.h"
#include "signals.h"
#include "trace_line.h"
#include "trace_timeline.h"

#define NS_PER_MS UINT64_C(1000000)

/*
 * How long events may gather: waking this program up for each of them would cost the watched
 * one more than the events themselves.
 */
#define GATHER_US 5000

/* Machines that are slow or busy throttle the tick. Also of what --watch could not find yet. */
#define LOOK_MS 50

struct run {
	struct trace_opts *opts;
	struct observe *observe;
	struct trace *trace;
	struct trace_lines lines;
	struct timeline *timeline;
	struct utsname uts;
	struct child child;
	int signals;
	struct pollfd waits[3 + OBSERVE_MAX_TGIDS]; /* records, signals, child or processes */
	nfds_t nr_waits;
	uint32_t nr_alive; /* of the child or the processes; 0: it ends with none of them */
	uint64_t start_ns;
	uint64_t looked_ns;
	uint64_t taken_ns; /* when the last record was made */
	uint64_t events;
	int err; /* -errno of what cannot go on */
};

/* ---- events */

static void take(void *context, const struct trace_rec *rec)
{
	struct run *run = context;
	struct trace_event event;
	int is_event;

	run->taken_ns = rec->at_ns;
	if (run->events >= run->opts->count || run->err)
		return;
	is_event = trace_read(run->trace, rec, &event);
	if (is_event < 0)
		run->err = is_event;
	if (is_event <= 0)
		return;
	trace_watch_note(&run->opts->watch, run->observe, &event);
	if (!(run->opts->shown >> rec->kind & 1))
		return;
	run->events++;
	if (run->timeline)
		run->err = timeline_add(run->timeline, &event);
	else if (run->opts->json)
		trace_line_json(&run->lines, &event);
	else
		trace_line_text(&run->lines, &event);
	if (!run->err && ferror_unlocked(run->lines.file))
		run->err = -errno;
}

/* What is there is written, for others to read. Whether there may be more. */
static bool take_all(struct run *run)
{
	int more = observe_trace(run->observe, take, run);

	if (!run->err && more < 0)
		run->err = more;
	if (!run->err && fflush(run->lines.file))
		run->err = -errno;
	return more > 0 && !run->err;
}

/* What is there now. Where events come faster than they are written, there always is more. */
static void take_rest(struct run *run)
{
	uint64_t end_ns = clock_ns(CLOCK_MONOTONIC);

	while (take_all(run) && run->taken_ns <= end_ns)
		;
}

/* ---- waiting */

static void add_wait(struct run *run, int fd)
{
	run->waits[run->nr_waits++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

/*
 * The trace ends with the command, or with the last of the processes that were named. They are
 * held on to before all else: a number may soon be another's.
 */
static void add_processes(struct run *run)
{
	const struct target *target = &run->opts->target;

	if (run->child.pid) {
		add_wait(run, run->child.pidfd);
		run->nr_alive = 1;
		return;
	}
	for (size_t i = 0; i < target->nr_tgids; i++) {
		int fd = (int)syscall(SYS_pidfd_open, target->tgids[i], 0);

		if (fd < 0)
			continue;
		add_wait(run, fd);
		run->nr_alive++;
	}
}

/* Whether all are gone. */
static bool note_ended(struct run *run)
{
	bool has_ended = false;

	for (nfds_t i = 2; i < run->nr_waits; i++) {
		if (run->waits[i].fd < 0 || !run->waits[i].revents)
			continue;
		if (!run->opts->command)
			close(run->waits[i].fd);
		run->waits[i].fd = -1;
		run->nr_alive--;
		has_ended = true;
	}
	return has_ended && run->nr_alive == 0;
}

/* What is left of the duration or until the next look, for poll(); 0: it is over. */
static int time_left_ms(const struct run *run)
{
	uint64_t passed = clock_ns(CLOCK_MONOTONIC) - run->start_ns;
	uint64_t left;

	if (passed >= run->opts->duration_ns)
		return 0;
	left = (run->opts->duration_ns - passed - 1) / NS_PER_MS + 1;
	return left < LOOK_MS ? (int)left : LOOK_MS;
}

/* With --tick 0 returns are told when an event follows, and not before. */
static void look(struct run *run)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (now - run->looked_ns < LOOK_MS * NS_PER_MS)
		return;
	run->looked_ns = now;
	if (run->opts->target.tick_ns)
		observe_look(run->observe);
	if (trace_watch_is_due(&run->opts->watch))
		trace_watch_retry(&run->opts->watch, run->observe);
}

static void follow(struct run *run)
{
	bool more = false;

	while (run->events < run->opts->count && !run->err) {
		int timeout = time_left_ms(run);

		if (timeout == 0)
			return;
		if (poll(run->waits, run->nr_waits, more ? 0 : timeout) < 0 && errno != EINTR)
			run->err = -errno;
		if (run->waits[1].revents || note_ended(run))
			return;
		if (run->waits[0].revents && !more)
			usleep(GATHER_US);
		look(run);
		more = take_all(run);
	}
}

/* ---- beginning and end */

static int fork_command(struct run *run)
{
	struct trace_opts *opts = run->opts;
	int err = child_fork(&run->child, opts->command);

	if (err) {
		cmd_error("cannot start a process: %s", strerror(-err));
		return EXIT_FAILED;
	}
	opts->target.tgids[opts->target.nr_tgids++] = (uint32_t)run->child.pid;
	opts->target.trace.is_tree = true;
	return EXIT_OK;
}

/* Rings that are there already. */
static int meet_rings(struct run *run)
{
	struct sample sample = {0};
	int code = target_sample(run->observe, &sample);

	if (!code && trace_meet(run->trace, &sample)) {
		cmd_error("out of memory");
		code = EXIT_FAILED;
	}
	if (!code)
		code = trace_watch_begin(&run->opts->watch, run->observe, &sample);
	if (!code)
		fprintf(stderr, "tracing, with %zu ring%s and %zu group%s at the beginning\n",
			sample.nr_rings, sample.nr_rings == 1 ? "" : "s", sample.nr_groups,
			sample.nr_groups == 1 ? "" : "s");
	sample_done(&sample);
	return code;
}

static int open_output(struct run *run)
{
	const struct trace_opts *opts = run->opts;
	uint64_t wall_ns = clock_ns(CLOCK_REALTIME);

	run->start_ns = clock_ns(CLOCK_MONOTONIC);
	uname(&run->uts);
	run->lines.file = out_open(opts->timeline ? opts->timeline : opts->file);
	if (!run->lines.file)
		return EXIT_FAILED;
	run->lines.kernel = run->uts.release;
	run->lines.start_ns = run->start_ns;
	run->lines.wall_ns = opts->clock ? wall_ns - run->start_ns : 0;
	if (opts->timeline) {
		run->timeline = timeline_open(run->lines.file, run->start_ns);
		if (run->timeline)
			return EXIT_OK;
		cmd_error("out of memory");
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

static int start(struct run *run)
{
	int err;

	signal(SIGPIPE, SIG_IGN);
	run->signals = signals_open(NULL);
	if (run->signals < 0) {
		cmd_error("cannot catch signals: %s", strerror(errno));
		return EXIT_FAILED;
	}
	run->waits[0].fd = observe_trace_fd(run->observe);
	run->waits[1].fd = run->signals;
	if (!run->timeline && !run->opts->json)
		trace_line_titles(&run->lines);
	err = run->child.pid ? child_start(&run->child) : 0;
	if (err) {
		cmd_error("cannot run '%s': %s", run->opts->command[0], strerror(-err));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

static void report(struct run *run)
{
	struct trace_end end = {.at_ns = clock_ns(CLOCK_MONOTONIC),
				.events = run->events,
				.shown = run->opts->shown};

	observe_trace_losses(run->observe, end.lost);
	observe_losses(run->observe, end.losses);
	if (run->opts->json && !run->err)
		trace_line_json_end(&run->lines, &end);
	trace_line_end(stderr, &end);
}

static void end_command(struct run *run)
{
	char how[64];

	if (!run->child.pid)
		return;
	if (run->nr_alive && child_stop(&run->child)) {
		fprintf(stderr, "'%s' goes on as process %d\n", run->opts->command[0],
			(int)run->child.pid);
		return;
	}
	fprintf(stderr, "'%s' %s\n", run->opts->command[0],
		child_wait(&run->child, how, sizeof(how)));
}

/*
 * What went wrong on the way. What could not be written is said by whoever closes the file, and a
 * reader that has seen enough is not to blame.
 */
static int judge(struct run *run)
{
	if (run->err == -EPIPE) {
		__fpurge(run->lines.file);
		clearerr(run->lines.file);
		return EXIT_OK;
	}
	if (run->err && !ferror(run->lines.file))
		cmd_error("cannot go on: %s", strerror(-run->err));
	return run->err ? EXIT_FAILED : EXIT_OK;
}

static int run_to_end(struct run *run)
{
	const struct trace_opts *opts = run->opts;
	int code = open_output(run);

	code = code ? code : meet_rings(run);
	code = code ? code : start(run);
	if (!code) {
		follow(run);
		run->looked_ns = 0;
		look(run);
		take_rest(run);
		end_command(run);
		report(run);
		code = judge(run);
	}
	timeline_close(run->timeline, clock_ns(CLOCK_MONOTONIC), observe_trace_lost(run->observe));
	if (run->lines.file &&
	    out_close(run->lines.file, opts->timeline ? opts->timeline : opts->file))
		code = EXIT_FAILED;
	return code;
}

int trace_run(struct trace_opts *opts)
{
	struct run run = {.opts = opts, .child = CHILD_NONE, .signals = -1};
	int code = opts->command ? fork_command(&run) : EXIT_OK;

	add_wait(&run, -1); /* records */
	add_wait(&run, -1); /* signals */
	add_processes(&run);
	if (!code)
		run.observe = target_open(&opts->target, opts->verbose, &code);
	run.trace = trace_new();
	if (!code && !run.trace) {
		cmd_error("out of memory");
		code = EXIT_FAILED;
	}
	if (!code)
		code = run_to_end(&run);
	for (nfds_t i = 2; i < run.nr_waits && !opts->command; i++)
		if (run.waits[i].fd >= 0)
			close(run.waits[i].fd);
	child_done(&run.child);
	trace_free(run.trace);
	observe_close(run.observe);
	if (run.signals >= 0)
		close(run.signals);
	return code;
}

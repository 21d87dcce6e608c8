// SPDX-License-Identifier: MIT
/* What wakes us, and what is done then? */
#include "tui.h"

#include <errno.h>
#include <fcntl.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "errand.h"
#include "out.h"
#include "signals.h"
#include "tui_draw.h"
#include "tui_state.h"
#include "tui_term.h"
#include "tui_view.h"

#define LIMITS_BYTES 65536

/* What is still to be done beside the keys, the first one first. */
enum due {
	DUE_EXAM = 1,
	DUE_MOMENT = 2,
	DUE_LOOK = 4,
};

struct tui {
	const struct tui_opts *opts;
	struct watch watch;
	struct tui_state state;
	struct utsname uts;
	struct detail detail;   /* of the group whose page is open */
	struct closeup closeup; /* or of the ring, or the process */
	struct errand errand;   /* owns parts of the watch while it is out, see watch.h */
	enum due out;           /* what it does; 0: nothing */
	unsigned int due;       /* enum due, or-ed */
	uint64_t rest_ns; /* no look before: looking takes a part of the time, not all of it */
	/* What an errand is about: the state may change while it is out. */
	uint32_t exam_tgid; /* 0: of nothing, any more */
	int exam_bgid;
	char exam_why[EXAM_WHY];
	size_t moment;
	uint32_t asked_ordinal; /* ring whose slots the look tells; 0: none */
	FILE *record;           /* NULL: none is written */
	pid_t limits_pid;       /* child that asks; 0: none */
	int limits_fd;          /* what it says; -1: none */
	size_t limits_used;
	char *limits;      /* so far */
	uint64_t first_ns; /* stamp of the first look */
	uint64_t looks;
	int signals;
	int code;
	bool is_over;
};

static void end(struct tui *tui, int code)
{
	tui->is_over = true;
	tui->code = code;
}

static void end_on_error(struct tui *tui, int err)
{
	cmd_error("cannot go on: %s", strerror(-err));
	end(tui, EXIT_FAILED);
}

/* What the page of a group shows besides its model: of the present, and as it was when held. */
static int follow_group(struct tui *tui)
{
	const struct tui_place *place = tui_state_here(&tui->state);
	const struct watch *watch = &tui->watch;
	const struct detail_source source = {
		.observe = watch->observe,
		.exam = &watch->exam,
		.at_ns = watch->model->at_ns,
		.stuck_ns = watch->target->stuck_ns,
	};

	/* While somebody looks it is not ours to ask; it will be told after the look. */
	if (place->page != PAGE_GROUP || watch->is_held || tui->out == DUE_LOOK ||
	    tui->out == DUE_EXAM)
		return 0;
	return detail_collect(&tui->detail, &source,
			      model_find(watch->model, place->subject.ordinal,
					 place->subject.bgid));
}

/* Of the ring whose page is open; 0: none is. */
static uint32_t page_ordinal(const struct tui *tui)
{
	const struct tui_place *place = tui_state_here(&tui->state);

	return place->page == PAGE_RING ? place->subject.ordinal : 0;
}

/* After a look: of what the page is about, and has not changed since the look began. */
static int follow_closeup(struct tui *tui)
{
	const struct tui_place *place = tui_state_here(&tui->state);
	const struct watch *watch = &tui->watch;
	uint32_t tgid = place->page == PAGE_PROCESS ? place->subject.tgid : 0;
	uint32_t ordinal = page_ordinal(tui);

	closeup_process(&tui->closeup, &watch->sample, tgid, watch->target->nr_tgids == 0);
	return closeup_ring(&tui->closeup, watch->observe,
			    ordinal && ordinal == tui->asked_ordinal
				    ? model_find_ring(watch->model, ordinal)
				    : NULL);
}

static void follow(struct tui *tui)
{
	int err = tui_state_follow(&tui->state, watch_model(&tui->watch));

	err = err ? err : follow_group(tui);
	if (err)
		end_on_error(tui, err);
}

/* ---- recording */

static void stop_recording(struct tui *tui)
{
	if (tui->record && fclose(tui->record))
		tui_state_say(&tui->state, "cannot write '%s': %s", tui->state.record,
			      strerror(errno));
	tui->record = NULL;
	tui->state.is_recording = false;
}

/* What is there already is never written over. */
static void change_recording(struct tui *tui)
{
	if (!tui->state.is_recording) {
		stop_recording(tui);
		return;
	}
	tui->record = fopen(tui->state.record, "wxe");
	tui->state.is_recording = tui->record != NULL;
	if (!tui->record)
		tui_state_say(&tui->state, "cannot write '%s': %s", tui->state.record,
			      strerror(errno));
}

static void record(struct tui *tui)
{
	const struct out_head head = {.schema = "bufscope.top/1", .kernel = tui->watch.kernel};

	if (!tui->record)
		return;
	out_json(tui->record, tui->watch.model, &head);
	if (fflush(tui->record) == 0)
		return;
	tui_state_say(&tui->state, "the recording ends: %s", strerror(errno));
	stop_recording(tui);
}

/* ---- limits: another command is asked, so that this one stays awake */

static void exec_limits(int out)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execl("/proc/self/exe", "bufscope", "--no-color", "limits", "--quick", (char *)NULL);
	_exit(EXIT_FAILED);
}

static void ask_limits(struct tui *tui)
{
	int ends[2];

	if (tui->limits_pid || tui->limits_used)
		return;
	if (!tui->limits)
		tui->limits = calloc(1, LIMITS_BYTES);
	if (!tui->limits || pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return;
	tui->limits_pid = fork();
	if (tui->limits_pid == 0)
		exec_limits(ends[1]);
	close(ends[1]);
	/* what it registers to try the kernel is nobody's trouble */
	if (tui->watch.observe && tui->limits_pid > 0)
		observe_ignore(tui->watch.observe, (uint32_t)tui->limits_pid);
	tui->limits_fd = ends[0];
	if (tui->limits_pid < 0) {
		tui->limits_pid = 0;
		close(ends[0]);
		tui->limits_fd = -1;
		tui_state_say(&tui->state, "cannot ask: %s", strerror(errno));
	}
}

static void forget_limits(struct tui *tui)
{
	if (tui->limits_fd >= 0)
		close(tui->limits_fd);
	tui->limits_fd = -1;
	if (tui->limits_pid > 0) {
		kill(tui->limits_pid, SIGTERM);
		waitpid(tui->limits_pid, NULL, 0);
	}
	tui->limits_pid = 0;
}

static void take_limits(struct tui *tui)
{
	size_t room = LIMITS_BYTES - 1 - tui->limits_used;
	ssize_t got = read(tui->limits_fd, tui->limits + tui->limits_used, room);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		forget_limits(tui);
		return;
	}
	tui->limits_used += (size_t)got;
	tui->limits[tui->limits_used] = '\0';
}

/* ---- time */

static void know_moments(struct tui *tui)
{
	struct tui_state *state = &tui->state;

	state->nr_moments = watch_nr_moments(&tui->watch);
	if (tui->watch.replay)
		state->moment = tui->watch.at;
}

static void count_look(struct tui *tui)
{
	const struct tui_opts *opts = tui->opts;
	const struct model *model = tui->watch.model;

	if (tui->looks++ == 0)
		tui->first_ns = model->at_ns;
	record(tui);
	know_moments(tui);
	/* The rows are those of the model that changed, unless a moment is shown. */
	if (!tui->watch.moment)
		follow(tui);
	if (tui->looks >= opts->count || model->at_ns - tui->first_ns >= opts->duration_ns)
		end(tui, EXIT_OK);
}

/* A recording that is over stands still, so that one can step back in it. */
static void play(struct tui *tui)
{
	int code = watch_look(&tui->watch);

	if (code) {
		end(tui, code);
		return;
	}
	count_look(tui);
	if (watch_is_over(&tui->watch))
		tui->state.is_held = tui->watch.is_held = true;
	watch_start(&tui->watch);
}

/* ---- what takes long is done beside the keys, one thing at a time */

#define SHARE 10 /* of the time at most one part of so many is spent with looking */

static void run_look(void *context)
{
	struct tui *tui = context;

	watch_fetch(&tui->watch);
}

static void run_moment(void *context)
{
	struct tui *tui = context;

	watch_build(&tui->watch, tui->moment);
}

static void run_exam(void *context)
{
	struct tui *tui = context;

	tui->exam_why[0] = '\0';
	if (tui->exam_tgid == 0)
		exam_end(&tui->watch.exam);
	else
		watch_examine(&tui->watch, tui->exam_tgid, tui->exam_bgid, tui->exam_why);
}

static void start_errand(struct tui *tui)
{
	const struct tui_state *state = &tui->state;

	tui->out = tui->due & -tui->due;
	tui->due &= ~(unsigned int)tui->out;
	tui->exam_tgid = state->is_exam ? state->exam_tgid : 0;
	tui->exam_bgid = state->exam_bgid;
	tui->moment = state->moment;
	if (tui->out == DUE_LOOK) {
		tui->asked_ordinal = page_ordinal(tui);
		closeup_ask(tui->watch.observe,
			    model_find_ring(tui->watch.model, tui->asked_ordinal));
	}
	errand_begin(&tui->errand,
		     tui->out == DUE_EXAM     ? run_exam
		     : tui->out == DUE_MOMENT ? run_moment
					      : run_look,
		     tui);
}

static void want(struct tui *tui, enum due what)
{
	tui->due |= what;
	if (!tui->out)
		start_errand(tui);
}

static void end_look(struct tui *tui)
{
	uint64_t cost_ns = tui->errand.cpu_ns * SHARE;
	int code = watch_take(&tui->watch);

	if (!tui->limits_pid)
		observe_ignore(tui->watch.observe, 0);
	if (code) {
		end(tui, code);
		return;
	}
	tui->state.slowed_ns = cost_ns > tui->state.interval_ns ? cost_ns : 0;
	tui->rest_ns = clock_ns(CLOCK_MONOTONIC) + cost_ns - tui->errand.cpu_ns;
	count_look(tui);
	if (follow_closeup(tui))
		end_on_error(tui, -ENOMEM);
}

static void end_moment(struct tui *tui)
{
	int err = watch_show_built(&tui->watch);

	if (err)
		end_on_error(tui, err);
	else
		follow(tui);
}

/* There is something to see of it at once, not at the next look. */
static void end_exam(struct tui *tui)
{
	if (tui->exam_why[0]) {
		tui->state.is_exam = false;
		tui_state_say(&tui->state, "%s", tui->exam_why);
	}
	tui->due |= DUE_LOOK;
}

static void end_errand(struct tui *tui)
{
	enum due was = tui->out;

	errand_end(&tui->errand);
	tui->out = 0;
	if (was == DUE_LOOK)
		end_look(tui);
	else if (was == DUE_MOMENT)
		end_moment(tui);
	else
		end_exam(tui);
	if (tui->due && !tui->is_over)
		start_errand(tui);
}

static void take_tick(struct tui *tui)
{
	if (tui->watch.replay) {
		play(tui);
		return;
	}
	watch_acknowledge(&tui->watch);
	if (clock_ns(CLOCK_MONOTONIC) >= tui->rest_ns)
		want(tui, DUE_LOOK);
}

/* ---- time under the user's control */

static void change_hold(struct tui *tui)
{
	struct tui_state *state = &tui->state;

	know_moments(tui);
	if (!state->is_held) {
		watch_go_on(&tui->watch);
		follow(tui);
		return;
	}
	watch_hold(&tui->watch);
	if (tui->watch.replay)
		return;
	state->moment = state->nr_moments - 1;
	want(tui, DUE_MOMENT);
}

static void change_moment(struct tui *tui)
{
	int err;

	if (!tui->watch.replay) {
		want(tui, DUE_MOMENT);
		return;
	}
	err = watch_show(&tui->watch, tui->state.moment);
	if (err)
		end_on_error(tui, err);
	else
		follow(tui);
}

static void change_pace(struct tui *tui)
{
	tui->watch.interval_ns = tui->state.interval_ns;
	tui->watch.speed = tui->state.speed;
	watch_start(&tui->watch);
}

/* ---- the screen and the keys */

static struct tui_frame frame_of(struct tui *tui)
{
	struct tui_frame frame = {
		.state = &tui->state,
		.model = watch_model(&tui->watch),
		.host = tui->watch.replay ? "recording" : tui->uts.nodename,
		.kernel = tui->watch.kernel,
		.limits = tui->limits,
	};
	const struct tui_state *state = &tui->state;

	if (!state->is_held || state->moment + 1 == state->nr_moments)
		frame.detail = &tui->detail;
	if (!state->is_held)
		frame.closeup = &tui->closeup;
	getmaxyx(stdscr, frame.rows, frame.cols);
	frame.age_ns = tui->watch.replay ? 0 : clock_ns(CLOCK_MONOTONIC) - frame.model->at_ns;
	return frame;
}

static void draw(struct tui *tui)
{
	struct tui_frame frame = frame_of(tui);

	tui_state_fit(&tui->state, view_list_height(&frame), view_text_lines(&frame));
	view_draw(&frame);
}

/* A page that tells more than the model does has it at once, not with the next look. */
static void look_for_page(struct tui *tui)
{
	const struct tui_place *place = tui_state_here(&tui->state);
	bool has_it = (place->page != PAGE_RING || tui->closeup.ordinal == page_ordinal(tui)) &&
		      (place->page != PAGE_PROCESS || tui->closeup.tgid == place->subject.tgid);

	if (!has_it && !tui->watch.replay && !tui->state.is_held)
		want(tui, DUE_LOOK);
}

static enum draw_theme theme_of(const struct tui_state *state)
{
	static const enum draw_theme themes[] = {
		[THEME_DARK] = DRAW_DARK, [THEME_LIGHT] = DRAW_LIGHT, [THEME_MONO] = DRAW_MONO};

	return themes[state->likes.theme];
}

static void obey(struct tui *tui, unsigned int effects)
{
	if (effects & EFFECT_QUIT)
		end(tui, EXIT_OK);
	if (effects & EFFECT_REDRAW)
		clearok(curscr, TRUE);
	if (effects & EFFECT_THEME)
		draw_use_theme(theme_of(&tui->state));
	if (effects & EFFECT_PACE)
		change_pace(tui);
	if (effects & EFFECT_RECORD)
		change_recording(tui);
	if (effects & EFFECT_EXAM)
		want(tui, DUE_EXAM);
	if (effects & EFFECT_LIMITS)
		ask_limits(tui);
	if (effects & EFFECT_HOLD)
		change_hold(tui);
	if (effects & EFFECT_MOMENT)
		change_moment(tui);
	if (effects & EFFECT_ROWS) {
		follow(tui);
		look_for_page(tui);
	}
}

static unsigned int take_mouse(struct tui *tui)
{
	struct tui_state *state = &tui->state;
	struct term_mouse mouse = term_read_mouse();
	struct tui_frame frame = frame_of(tui);
	struct view_hit hit;

	if (mouse.what == MOUSE_WHEEL_UP || mouse.what == MOUSE_WHEEL_DOWN)
		return tui_state_key(state,
				     mouse.what == MOUSE_WHEEL_UP ? TUI_KEY_UP : TUI_KEY_DOWN);
	if (mouse.what == MOUSE_NOTHING)
		return 0;
	hit = view_at(&frame, mouse.y, mouse.x);
	switch (hit.what) {
	case HIT_ROW:
		return tui_state_click_row(state, hit.row);
	case HIT_COLUMN:
		return tui_state_click_column(state, hit.column);
	case HIT_KEY:
		return tui_state_act(state, hit.action);
	default:
		return 0;
	}
}

static void take_keys(struct tui *tui)
{
	uint32_t key;

	while (!tui->is_over && (key = term_read_key()) != 0)
		obey(tui, key == TUI_KEY_MOUSE ? take_mouse(tui) : tui_state_key(&tui->state, key));
}

static void take_signal(struct tui *tui)
{
	struct signalfd_siginfo info;

	while (!tui->is_over && read(tui->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			term_resize();
		else
			end(tui, EXIT_OK);
	}
}

#define REFRESH_MS 1000 /* the age on the screen grows at least so often */

static void wake(struct tui *tui, const struct pollfd *waits)
{
	/* looks may be seldom, and the room for records is limited */
	if (tui->out != DUE_EXAM && tui->out != DUE_LOOK)
		exam_take(&tui->watch.exam);
	if (waits[2].revents)
		take_signal(tui);
	if (waits[4].revents && !tui->is_over)
		end_errand(tui);
	if (waits[1].revents && !tui->is_over)
		take_tick(tui);
	if (waits[3].revents)
		take_limits(tui);
	if (waits[0].revents & POLLIN)
		take_keys(tui);
	else if (waits[0].revents)
		end(tui, EXIT_OK); /* the terminal is gone */
}

/* The first look is waited for: without it there is nothing to see. */
static void loop(struct tui *tui)
{
	if (tui->watch.replay) {
		play(tui);
	} else {
		want(tui, DUE_LOOK);
		end_errand(tui);
		watch_start(&tui->watch);
	}
	while (!tui->is_over) {
		/* poll() passes over an fd of -1. */
		struct pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN},
					 {.fd = tui->watch.timer, .events = POLLIN},
					 {.fd = tui->signals, .events = POLLIN},
					 {.fd = tui->limits_fd, .events = POLLIN},
					 {.fd = tui->errand.over, .events = POLLIN}};

		draw(tui);
		if (poll(waits, 5, REFRESH_MS) >= 0)
			wake(tui, waits);
		else if (errno != EINTR)
			end(tui, EXIT_FAILED);
	}
	errand_end(&tui->errand);
}

int tui_run(const struct tui_opts *opts)
{
	/* SIGWINCH not to curses: a change of size cannot slip in before a poll(). */
	static const int others[] = {SIGQUIT, SIGWINCH, 0};
	struct tui tui = {.opts = opts, .signals = -1, .limits_fd = -1, .code = EXIT_FAILED};
	char why[CONFIG_WHY];
	bool keeps_likes = true;
	int code = watch_open(&tui.watch, &opts->watch);

	if (code)
		return code;
	uname(&tui.uts);
	tui_state_init(&tui.state);
	tui.state.interval_ns = opts->watch.interval_ns;
	tui.state.is_replay = opts->watch.replay != NULL;
	if (config_load(&tui.state.likes, why)) {
		tui_state_say(&tui.state, "%s", why);
		keeps_likes = false;
	}
	tui.signals = signals_open(others);
	code = tui.signals < 0 || errand_open(&tui.errand) ? EXIT_FAILED
							   : term_begin(opts->has_color);
	if (!code) {
		draw_use_theme(theme_of(&tui.state));
		loop(&tui);
		stop_recording(&tui);
		forget_limits(&tui);
		term_end();
		code = tui.code;
		if (keeps_likes && tui.state.is_changed && config_save(&tui.state.likes, why))
			cmd_error("%s", why);
	}
	if (tui.signals >= 0)
		close(tui.signals);
	errand_close(&tui.errand);
	tui_state_done(&tui.state);
	watch_close(&tui.watch);
	detail_done(&tui.detail);
	closeup_done(&tui.closeup);
	free(tui.limits);
	return code;
}

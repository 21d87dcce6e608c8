// SPDX-License-Identifier: MIT
/* Who owns the terminal, what wakes us, and how is everything put back? */
#include "tui.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tui_draw.h"
#include "tui_state.h"
#include "tui_view.h"
#include "watch.h"

#include <term.h> /* last: it makes macros of common words */

/* ---- the terminal, and putting it back even while dying */

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

#define NR_FATAL (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

/* All that a signal handler needs lies here, prepared. */
static struct {
	SCREEN *screen;
	struct termios before;
	char farewell[256]; /* what makes the terminal as it was */
	size_t farewell_length;
	struct sigaction old_actions[NR_FATAL];
	int old_stderr;    /* -1: stderr was not parked */
	int parked_stderr; /* what was said meanwhile */
} terminal = {.old_stderr = -1, .parked_stderr = -1};

/* Async-signal-safe. Chains to whoever was there before: the signal is raised again. */
static void on_fatal_signal(int signal_nr)
{
	ssize_t written;

	for (size_t i = 0; i < NR_FATAL; i++)
		sigaction(fatal_signals[i], &terminal.old_actions[i], NULL);
	written = write(STDOUT_FILENO, terminal.farewell, terminal.farewell_length);
	(void)written;
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
	if (terminal.old_stderr >= 0)
		dup2(terminal.old_stderr, STDERR_FILENO);
	raise(signal_nr);
}

static void add_farewell(const char *capability)
{
	const char *text = tigetstr(capability);
	size_t length;

	/* -1: no such string. A padding mark would be printed, not waited for. */
	if (!text || (intptr_t)text == -1 || strstr(text, "$<"))
		return;
	length = strlen(text);
	if (terminal.farewell_length + length > sizeof(terminal.farewell))
		return;
	memcpy(terminal.farewell + terminal.farewell_length, text, length);
	terminal.farewell_length += length;
}

static void catch_fatal_signals(void)
{
	static char stack[64 * 1024]; /* also a stack overflow must find room */
	const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_fatal_signal, .sa_flags = SA_ONSTACK};

	add_farewell("sgr0");
	add_farewell("cnorm");
	add_farewell("rmkx");
	add_farewell("rmcup");
	sigemptyset(&action.sa_mask);
	sigaltstack(&alternative, NULL);
	for (size_t i = 0; i < NR_FATAL; i++)
		sigaction(fatal_signals[i], &action, &terminal.old_actions[i]);
}

/* Messages would be drawn into the picture: they wait until the end. */
static void park_stderr(void)
{
	if (!isatty(STDERR_FILENO))
		return;
	terminal.parked_stderr = memfd_create("stderr", MFD_CLOEXEC);
	terminal.old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (terminal.parked_stderr >= 0 && terminal.old_stderr >= 0)
		dup2(terminal.parked_stderr, STDERR_FILENO);
}

static void replay_stderr(void)
{
	char text[4096];
	ssize_t got;

	if (terminal.old_stderr < 0)
		return;
	fflush(stderr);
	dup2(terminal.old_stderr, STDERR_FILENO);
	close(terminal.old_stderr);
	terminal.old_stderr = -1;
	if (terminal.parked_stderr < 0)
		return;
	lseek(terminal.parked_stderr, 0, SEEK_SET);
	while ((got = read(terminal.parked_stderr, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)got, stderr);
	close(terminal.parked_stderr);
	terminal.parked_stderr = -1;
}

static int terminal_begin(bool has_color)
{
	bool is_utf8;

	setlocale(LC_CTYPE, "");
	is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	tcgetattr(STDIN_FILENO, &terminal.before);
	set_escdelay(25);
	terminal.screen = newterm(NULL, stdout, stdin);
	if (!terminal.screen) {
		const char *term = getenv("TERM");

		cmd_error("cannot use a terminal of type '%s'", term ? term : "");
		cmd_hint("bufscope top -b");
		return EXIT_USAGE;
	}
	catch_fatal_signals();
	park_stderr();
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	draw_init(has_color, is_utf8);
	return EXIT_OK;
}

static void terminal_end(void)
{
	endwin();
	delscreen(terminal.screen);
	for (size_t i = 0; i < NR_FATAL; i++)
		sigaction(fatal_signals[i], &terminal.old_actions[i], NULL);
	replay_stderr();
}

/* ---- keys */

/* 0: none waits. */
static uint32_t read_key(void)
{
	static const struct {
		int curses;
		uint32_t key;
	} keys[] = {
		{KEY_UP, TUI_KEY_UP},         {KEY_DOWN, TUI_KEY_DOWN},
		{KEY_LEFT, TUI_KEY_LEFT},     {KEY_RIGHT, TUI_KEY_RIGHT},
		{KEY_PPAGE, TUI_KEY_PAGE_UP}, {KEY_NPAGE, TUI_KEY_PAGE_DOWN},
		{KEY_HOME, TUI_KEY_HOME},     {KEY_END, TUI_KEY_END},
		{KEY_ENTER, TUI_KEY_ENTER},   {KEY_A1, TUI_KEY_HOME},
		{KEY_C1, TUI_KEY_END},
	};
	wint_t wide;
	int kind = get_wch(&wide);

	if (kind == ERR)
		return 0;
	if (kind == OK) {
		if (wide == '\r' || wide == '\n')
			return TUI_KEY_ENTER;
		return wide == 27 ? TUI_KEY_ESCAPE : (uint32_t)wide;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if ((int)wide == keys[i].curses)
			return keys[i].key;
	if (wide >= KEY_F(1) && wide <= KEY_F(10))
		return TUI_KEY_F1 + (uint32_t)(wide - KEY_F(1));
	return TUI_KEY_F10 + 1; /* some key, bound to nothing */
}

/* ---- the loop */

struct tui {
	const struct tui_opts *opts;
	struct watch watch;
	struct tui_state state;
	struct utsname uts;
	uint64_t first_ns; /* stamp of the first look */
	uint64_t looks;
	int signals;
	int code;
	bool is_over;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void end(struct tui *tui, int code)
{
	tui->is_over = true;
	tui->code = code;
}

static void end_without_memory(struct tui *tui)
{
	cmd_error("out of memory");
	end(tui, EXIT_FAILED);
}

static void follow(struct tui *tui)
{
	if (tui_state_follow(&tui->state, watch_model(&tui->watch)))
		end_without_memory(tui);
}

static void look(struct tui *tui)
{
	const struct tui_opts *opts = tui->opts;
	const struct model *model;
	int code = watch_look(&tui->watch);

	if (code) {
		end(tui, code);
		return;
	}
	model = tui->watch.model;
	if (tui->looks++ == 0)
		tui->first_ns = model->at_ns;
	if (!tui->state.is_paused)
		follow(tui);
	if (tui->watch.replay)
		watch_start(&tui->watch);
	if (tui->looks >= opts->count || model->at_ns - tui->first_ns >= opts->duration_ns)
		end(tui, EXIT_OK);
}

/* The state counts looks back from the last moment there is. */
static void change_moment(struct tui *tui)
{
	struct tui_state *state = &tui->state;
	size_t nr = watch_nr_moments(&tui->watch);
	int err = 0;

	if (!state->is_paused) {
		watch_go_on(&tui->watch);
	} else if (!tui->watch.is_held) {
		err = watch_hold(&tui->watch);
		state->most_back = nr - 1;
		state->back = tui->watch.replay ? nr - 1 - tui->watch.at : 0;
	} else {
		err = watch_show(&tui->watch, nr - 1 - state->back);
	}
	if (err)
		end_without_memory(tui);
	else
		follow(tui);
}

static void draw(struct tui *tui)
{
	struct tui_frame frame = {
		.state = &tui->state,
		.model = watch_model(&tui->watch),
		.host = tui->watch.replay ? "recording" : tui->uts.nodename,
		.kernel = tui->watch.kernel,
	};

	getmaxyx(stdscr, frame.rows, frame.cols);
	frame.age_ns = tui->watch.replay ? 0 : now_ns() - frame.model->at_ns;
	tui->state.help.nr = view_help_lines(frame.cols);
	tui_state_fit(&tui->state, view_list_height(&tui->state, frame.rows, frame.cols));
	view_draw(&frame);
}

static void obey(struct tui *tui, enum tui_effect effect)
{
	switch (effect) {
	case EFFECT_QUIT:
		end(tui, EXIT_OK);
		break;
	case EFFECT_REDRAW:
		clearok(curscr, TRUE);
		break;
	case EFFECT_INTERVAL:
		tui->watch.interval_ns = tui->state.interval_ns;
		watch_start(&tui->watch);
		break;
	case EFFECT_MOMENT:
		change_moment(tui);
		break;
	case EFFECT_NONE:
		break;
	}
}

static void take_keys(struct tui *tui)
{
	uint32_t key;

	while (!tui->is_over && (key = read_key()) != 0)
		obey(tui, tui_state_act(&tui->state, tui_action(key, tui_state_mode(&tui->state))));
}

static void resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
		resizeterm(size.ws_row, size.ws_col);
}

static void take_signal(struct tui *tui)
{
	struct signalfd_siginfo info;

	while (!tui->is_over && read(tui->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			resize();
		else
			end(tui, EXIT_OK);
	}
}

/* SIGWINCH comes here, not to curses: a change of size cannot slip in before a poll(). */
static int open_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

#define REFRESH_MS 1000 /* the age on the screen grows at least so often */

static void loop(struct tui *tui)
{
	struct pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN},
				 {.fd = tui->watch.timer, .events = POLLIN},
				 {.fd = tui->signals, .events = POLLIN}};

	look(tui);
	watch_start(&tui->watch);
	while (!tui->is_over) {
		draw(tui);
		if (poll(waits, 3, REFRESH_MS) < 0) {
			if (errno != EINTR)
				end(tui, EXIT_FAILED);
			continue;
		}
		if (waits[2].revents)
			take_signal(tui);
		if (waits[1].revents && !tui->is_over)
			look(tui);
		if (waits[0].revents & POLLIN)
			take_keys(tui);
		else if (waits[0].revents)
			end(tui, EXIT_OK); /* the terminal is gone */
	}
}

int tui_run(const struct tui_opts *opts)
{
	struct tui tui = {.opts = opts, .signals = -1, .code = EXIT_FAILED};
	int code = watch_open(&tui.watch, &opts->watch);

	if (code)
		return code;
	uname(&tui.uts);
	tui.state.interval_ns = opts->watch.interval_ns;
	tui.signals = open_signals();
	code = tui.signals < 0 ? EXIT_FAILED : terminal_begin(opts->has_color);
	if (!code) {
		loop(&tui);
		terminal_end();
		code = tui.code;
	}
	if (tui.signals >= 0)
		close(tui.signals);
	tui_state_done(&tui.state);
	watch_close(&tui.watch);
	return code;
}

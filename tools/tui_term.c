// SPDX-License-Identifier: MIT
/* How is the terminal taken, read and put back, whatever the end is? */
#include "tui_term.h"

#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "cmd.h"
#include "tui_draw.h"
#include "tui_keys.h"

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

static void append_farewell(const char *text)
{
	size_t length = strlen(text);

	if (terminal.farewell_length + length > sizeof(terminal.farewell))
		return;
	memcpy(terminal.farewell + terminal.farewell_length, text, length);
	terminal.farewell_length += length;
}

static void add_farewell(const char *capability)
{
	const char *text = tigetstr(capability);

	/* -1: no such string. A padding mark would be printed, not waited for. */
	if (text && (intptr_t)text != -1 && !strstr(text, "$<"))
		append_farewell(text);
}

static void catch_fatal_signals(void)
{
	static char stack[64 * 1024]; /* also a stack overflow must find room */
	const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_fatal_signal, .sa_flags = SA_ONSTACK};

	/* Mouse reports, wherever they were switched on; ncurses has no name for that. */
	if (tigetstr("kmous") && (intptr_t)tigetstr("kmous") != -1)
		append_farewell("\033[?1006l\033[?1002l\033[?1000l");
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

/* Whether the terminal can write elsewhere than behind what was written: curses does not ask. */
static bool can_move(void)
{
	const char *move_to = tigetstr("cup");

	return move_to && (intptr_t)move_to != -1;
}

static void refuse_terminal(void)
{
	const char *term = getenv("TERM");

	if (terminal.screen) {
		endwin();
		delscreen(terminal.screen);
		terminal.screen = NULL;
	}
	cmd_error("cannot use a terminal of type '%s'", term ? term : "");
	cmd_hint("bufscope top -b");
}

int term_begin(bool has_color)
{
	bool is_utf8;

	setlocale(LC_CTYPE, "");
	is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	tcgetattr(STDIN_FILENO, &terminal.before);
	set_escdelay(25);
	terminal.screen = newterm(NULL, stdout, stdin);
	if (!terminal.screen || !can_move()) {
		refuse_terminal();
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
	mouseinterval(0); /* else a click waits for a second one */
	mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
	draw_init(has_color, is_utf8);
	return EXIT_OK;
}

void term_end(void)
{
	endwin();
	delscreen(terminal.screen);
	for (size_t i = 0; i < NR_FATAL; i++)
		sigaction(fatal_signals[i], &terminal.old_actions[i], NULL);
	replay_stderr();
}

/* ---- keys */

uint32_t term_read_key(void)
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
		{KEY_C1, TUI_KEY_END},        {KEY_BACKSPACE, TUI_KEY_BACKSPACE},
	};
	wint_t wide;
	int kind = get_wch(&wide);

	if (kind == ERR)
		return 0;
	if (kind == OK) {
		if (wide == '\r' || wide == '\n')
			return TUI_KEY_ENTER;
		if (wide == 127 || wide == 8)
			return TUI_KEY_BACKSPACE;
		return wide == 27 ? TUI_KEY_ESCAPE : (uint32_t)wide;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if ((int)wide == keys[i].curses)
			return keys[i].key;
	if (wide == KEY_MOUSE)
		return TUI_KEY_MOUSE;
	if (wide >= KEY_F(1) && wide <= KEY_F(10))
		return TUI_KEY_F1 + (uint32_t)(wide - KEY_F(1));
	return TUI_KEY_OTHER;
}

struct term_mouse term_read_mouse(void)
{
	struct term_mouse mouse = {MOUSE_NOTHING, 0, 0};
	MEVENT event;

	if (getmouse(&event) != OK)
		return mouse;
	mouse.y = event.y;
	mouse.x = event.x;
	if (event.bstate & BUTTON1_PRESSED)
		mouse.what = MOUSE_CLICK;
	else if (event.bstate & BUTTON4_PRESSED)
		mouse.what = MOUSE_WHEEL_UP;
	else if (event.bstate & BUTTON5_PRESSED)
		mouse.what = MOUSE_WHEEL_DOWN;
	return mouse;
}

void term_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
		resizeterm(size.ws_row, size.ws_col);
}

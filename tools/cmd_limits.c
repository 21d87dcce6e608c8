// SPDX-License-Identifier: MIT
/* bufscope limits: what this kernel lets you register, what lies past it, what it costs. */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/text.h"
#include "cmd.h"
#include "memlock_view.h"
#include "limits_report.h"
#include "target.h"

struct options {
	struct limits_opts limits;
	struct limits_choice choice;
	bool json;
	bool verbose;
	const char *file; /* NULL: standard output */
	int explain;      /* errno to explain; 0: none */
	const char *from; /* read the answers there instead of asking */
	const char *diff; /* compare with this saved run */
	const char *plot; /* draw the curves there */
	bool has_plan;
	struct limits_plan plan;
	bool has_memlock;
	uint32_t uid; /* whose ledger */
};

enum {
	OPT_QUICK = 256,
	OPT_FULL,
	OPT_MAX_MEMORY,
	OPT_EXPLAIN,
	OPT_PLAN,
	OPT_MEMLOCK,
	OPT_FROM,
	OPT_DIFF,
	OPT_PLOT
};

static const char help[] =
	"usage: bufscope limits [options] [KEY...]\n"
	"       bufscope limits [options] --explain ERRNO CALL\n"
	"       bufscope limits [options] --plan PLAN\n"
	"       bufscope limits [options] --memlock USER\n"
	"\n"
	"Asks the running kernel what it lets you register, what lies past each limit\n"
	"and what it costs, by doing it. KEY selects by the beginning of the key:\n"
	"pbuf_ring.max_entries, legacy, fixed, cost. Needs no privilege; RLIMIT_MEMLOCK\n"
	"and the like bound the answers as they bound your programs.\n"
	"\n"
	"      --explain ERRNO   the reasons that this kernel has for ERRNO (EINVAL, 22)\n"
	"                        on CALL, each reproduced; CALL is pbuf-ring, buffers,\n"
	"                        select...\n"
	"      --plan PLAN       does rings=8,entries=4096,bufs=16384x64K fit this user,\n"
	"                        this limit and this memory? Also sq=, groups= and\n"
	"                        kind=ring|mmap|inc; all of it per ring. Forecast, then\n"
	"                        done; exit 1 if it does not\n"
	"      --memlock USER    what of a user's RLIMIT_MEMLOCK is used, by what and\n"
	"                        which processes; a name or a number (needs CAP_BPF,\n"
	"                        CAP_PERFMON)\n"
	"      --diff FILE       only what differs from a run saved with -j; exit 1 if\n"
	"                        anything does\n"
	"      --plot FILE       draw the curves as SVG, too\n"
	"      --from FILE       take the answers of a saved run instead of asking\n"
	"      --quick           under 3 seconds\n"
	"      --full            up to 3 minutes; without either, up to 20 seconds\n"
	"      --max-memory SIZE what one question may occupy (suffix M, G), at least\n"
	"                        32M; by default a quarter of the memory available, at\n"
	"                        most 1G\n"
	"  -j, --json            one JSON document\n"
	"  -o, --output FILE     write there instead of standard output\n"
	"  -v, --verbose         show keys and remarks\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 ok, 1 failed, 2 usage, 3 io_uring is not available to you.";

/* "EINVAL" or "22"; 0 if it is neither. */
static int parse_errno(const char *text)
{
	uint64_t number;

	if (text_parse_u64(text, 1, 4095, &number) == 0)
		return (int)number;
	for (int err = 1; err < 134; err++) {
		if (strcmp(text_errno(err), text) == 0)
			return err;
	}
	return 0;
}

static int parse_plan(char **argv, struct options *o)
{
	const char *bad = optarg;

	o->has_plan = true;
	if (!*optarg)
		return 1 + cmd_usage(argv[0], "--plan takes a plan, such as rings=8,bufs=64x4K");
	if (limits_plan_parse(optarg, &o->plan, &bad) == 0)
		return 0;
	return 1 + cmd_usage(argv[0], "no part of a plan: '%.*s'", (int)strcspn(bad, ","), bad);
}

static int parse_user(char **argv, struct options *o)
{
	const struct passwd *user = getpwnam(optarg);
	uint64_t uid;

	o->has_memlock = true;
	/* the last number is nobody's: it means "no change" to the kernel */
	if (text_parse_u64(optarg, 0, UINT32_MAX - 1, &uid) == 0)
		o->uid = (uint32_t)uid;
	else if (user)
		o->uid = user->pw_uid;
	else
		return 1 + cmd_usage(argv[0], "there is no user '%s'", optarg);
	return 0;
}

static int parse_errno_option(char **argv, struct options *o)
{
	o->explain = parse_errno(optarg);
	if (o->explain)
		return 0;
	return 1 + cmd_usage(argv[0], "no errno is called '%s'", optarg);
}

static int parse_max_memory(char **argv, struct options *o)
{
	if (text_parse_size(optarg, LIMITS_LEAST_BYTES, UINT64_MAX / 2, &o->limits.max_bytes) == 0)
		return 0;
	return 1 + cmd_usage(argv[0], "--max-memory takes 32M or more, not '%s'", optarg);
}

/* Where an option's word is kept as it is; NULL: it is none of those. */
static const char **word_of(int c, struct options *o)
{
	switch (c) {
	case 'o':
		return &o->file;
	case OPT_FROM:
		return &o->from;
	case OPT_DIFF:
		return &o->diff;
	case OPT_PLOT:
		return &o->plot;
	default:
		return NULL;
	}
}

/* 0 to go on, else 1 + the exit code. */
static int parse_option(int c, char **argv, struct options *o)
{
	switch (c) {
	case 'h':
		puts(help);
		return 1 + EXIT_OK;
	case 'j':
		o->json = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case OPT_QUICK:
		o->limits.level = LIMITS_QUICK;
		return 0;
	case OPT_FULL:
		o->limits.level = LIMITS_FULL;
		return 0;
	case OPT_EXPLAIN:
		return parse_errno_option(argv, o);
	case OPT_PLAN:
		return parse_plan(argv, o);
	case OPT_MEMLOCK:
		return parse_user(argv, o);
	case OPT_MAX_MEMORY:
		return parse_max_memory(argv, o);
	default:
		return 1 + cmd_bad_option(argv);
	}
}

#define MOST_CALLS 64

/* The names of the calls that questions are about, each once. Returns how many. */
static size_t list_calls(const char *names[MOST_CALLS])
{
	const struct limits_section *const *sections = limits_sections();
	size_t nr = 0;

	for (size_t s = 0; sections[s]; s++) {
		for (size_t p = 0; p < sections[s]->nr; p++) {
			const char *call = sections[s]->probes[p].call;
			size_t i = 0;

			while (call && i < nr && strcmp(names[i], call) != 0)
				i++;
			if (call && i == nr && nr < MOST_CALLS)
				names[nr++] = call;
		}
	}
	return nr;
}

static bool is_call(const char *name)
{
	const char *names[MOST_CALLS];
	size_t nr = list_calls(names);

	for (size_t i = 0; i < nr; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static void hint_calls(void)
{
	const char *names[MOST_CALLS];
	size_t nr = list_calls(names);
	char line[512] = "the calls are";

	for (size_t i = 0; i < nr; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s", names[i]);
	cmd_hint(line);
}

static int parse_operands(int argc, char **argv, struct options *o)
{
	if (o->from && (o->explain || o->has_plan || o->has_memlock))
		return 1 + cmd_usage(argv[0], "--from does not go with what asks the kernel");
	if (!!o->explain + o->has_plan + o->has_memlock > 1)
		return 1 + cmd_usage(argv[0], "--explain, --plan and --memlock exclude each other");
	if ((o->has_plan || o->has_memlock) && (argc > optind || o->diff || o->plot))
		return 1 +
		       cmd_usage(argv[0], "--plan and --memlock take no keys, --diff or --plot");
	if (!o->explain) {
		o->choice.prefixes = argv + optind;
		o->choice.nr_prefixes = argc - optind;
		return 0;
	}
	if (argc - optind == 1 && is_call(argv[optind])) {
		o->choice.call = argv[optind];
		return 0;
	}
	cmd_error("--explain takes an errno and one call");
	hint_calls();
	return 1 + EXIT_USAGE;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		{"explain", required_argument, NULL, OPT_EXPLAIN},
		{"plan", required_argument, NULL, OPT_PLAN},
		{"memlock", required_argument, NULL, OPT_MEMLOCK},
		{"diff", required_argument, NULL, OPT_DIFF},
		{"plot", required_argument, NULL, OPT_PLOT},
		{"from", required_argument, NULL, OPT_FROM},
		{"quick", no_argument, NULL, OPT_QUICK},
		{"full", no_argument, NULL, OPT_FULL},
		{"max-memory", required_argument, NULL, OPT_MAX_MEMORY},
		{"json", no_argument, NULL, 'j'},
		{"output", required_argument, NULL, 'o'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "jo:vh", table, NULL)) != -1) {
		const char **word = word_of(c, o);
		int stop = word ? 0 : parse_option(c, argv, o);

		if (word)
			*word = optarg;
		if (stop)
			return stop;
	}
	o->choice.level = o->limits.level;
	return parse_operands(argc, argv, o);
}

/* io_uring is not to be had: one line, and what can be done. */
static int explain_absence(int err)
{
	switch (-err) {
	case EPERM:
	case EACCES:
		cmd_error("io_uring is disabled for this user");
		cmd_hint("see sysctl kernel.io_uring_disabled and kernel.io_uring_group");
		return EXIT_UNSUPPORTED;
	case ENOSYS:
		cmd_error("this kernel has no io_uring");
		return EXIT_UNSUPPORTED;
	case ENOMEM:
		cmd_error("not even one ring can be created: %s", strerror(ENOMEM));
		cmd_hint("this kernel charges rings to RLIMIT_MEMLOCK: see ulimit -l");
		return EXIT_UNSUPPORTED;
	default:
		cmd_error("cannot create a ring: %s", strerror(-err));
		return EXIT_FAILED;
	}
}

static uint64_t sum_weights(const struct limits_report *report, size_t from, size_t to)
{
	uint64_t sum = 0;

	for (size_t i = from; i < to; i++)
		sum += 2 + report->rows[i].probe->weight;
	return sum;
}

static uint64_t elapsed_ms(const struct limits_report *report)
{
	return (clock_ns(CLOCK_MONOTONIC) - report->at_ns) / 1000000;
}

/*
 * By what the rest weighs against what is done; no guess when little is. What only measures is left
 * out when the level's time is up: until then no more is left than that, then none of it.
 */
static uint64_t guess_left_ms(const struct limits_report *report, size_t done, uint64_t ms)
{
	uint64_t past = sum_weights(report, 0, done), rest = 0, left;
	uint64_t most = limits_time_ms(report->level);

	for (size_t i = done; i < report->nr; i++) {
		if (ms < most || !report->rows[i].section->measures)
			rest += sum_weights(report, i, i + 1);
	}
	if (ms < 1000 || past == 0)
		return 0;
	left = ms * rest / past;
	return ms < most && left > most - ms ? most - ms : left;
}

static void show_progress(const struct limits_report *report, size_t done)
{
	enum { COLUMNS = 24, EVERY_MS = 50 };
	static uint64_t shown_ms;
	uint64_t past = sum_weights(report, 0, done), rest = sum_weights(report, done, report->nr);
	int filled = (int)(past * COLUMNS / (past + rest + 1));
	uint64_t ms = elapsed_ms(report), left_ms;
	char left[32] = "";

	if (done == report->nr)
		fputs("\r\033[K", stderr);
	if (done == report->nr || (done > 0 && ms < shown_ms + EVERY_MS))
		return;
	shown_ms = ms;
	left_ms = guess_left_ms(report, done, ms);
	if (left_ms)
		snprintf(left, sizeof(left), ", %u s left", (unsigned int)(left_ms / 1000) + 1);
	fprintf(stderr, "\r[%.*s%*s] %zu/%zu%s %s\033[K", filled, "########################",
		COLUMNS - filled, "", done, report->nr, left, report->rows[done].probe->key);
	fflush(stderr);
}

/* Keeps the rows where this errno was seen. */
static void keep_errno(struct limits_report *report, int err)
{
	size_t kept = 0;

	for (size_t i = 0; i < report->nr; i++) {
		if (report->rows[i].answer.errno_past == err)
			report->rows[kept++] = report->rows[i];
	}
	report->nr = kept;
}

static void print_reasons(const struct limits_report *report, const struct options *o, FILE *out)
{
	fprintf(out, "%s on %s, kernel %s: %zu reason%s reproduced\n", text_errno(o->explain),
		o->choice.call, report->kernel, report->nr, report->nr == 1 ? "" : "s");
	for (size_t i = 0; i < report->nr; i++) {
		const struct limits_row *row = &report->rows[i];
		const char *bound = limits_bound_name(row->answer.bound_by);

		if (row->answer.has_value)
			fprintf(out, "  more than %llu %s (%s; %s)\n",
				(unsigned long long)row->answer.value, row->probe->unit,
				row->probe->question, bound ? bound : "cause unknown");
		else
			fprintf(out, "  %s\n",
				row->probe->detail ? row->probe->detail : row->probe->question);
		if (o->verbose)
			fprintf(out, "    %s\n", row->probe->key);
	}
}

/* Where a result goes, NULL: standard output. NULL if that cannot be written. */
static FILE *open_output(const char *file)
{
	FILE *out = file ? fopen(file, "we") : stdout;

	if (!out)
		cmd_error("cannot write '%s': %s", file, strerror(errno));
	return out;
}

static int close_output(const char *file, FILE *out)
{
	bool ok = fflush(out) == 0;

	if (!file || (fclose(out) == 0 && ok))
		return EXIT_OK;
	cmd_error("cannot write '%s': %s", file, strerror(errno));
	return EXIT_FAILED;
}

static int write_plot(const struct options *o, const struct limits_report *report)
{
	FILE *out = open_output(o->plot);
	int err, code;

	if (!out)
		return EXIT_FAILED;
	err = limits_report_plot(report, out);
	code = close_output(o->plot, out);
	if (!err)
		return code;
	if (err == -ENODATA)
		cmd_error("nothing to plot: no question with a curve was answered");
	else
		cmd_error("cannot plot: %s", strerror(-err));
	return EXIT_FAILED;
}

static int write_report(const struct options *o, const struct limits_report *report)
{
	FILE *out = open_output(o->file);

	if (!out)
		return EXIT_FAILED;
	if (o->json)
		limits_report_json(report, out);
	else if (o->explain)
		print_reasons(report, o, out);
	else
		limits_report_text(report, o->verbose, out);
	return close_output(o->file, out);
}

static int run_plan(const struct options *o)
{
	struct limits_preflight preflight;
	int err = limits_can_ask(), code;
	FILE *out;

	if (err)
		return explain_absence(err);
	err = limits_preflight(&o->plan, &o->limits, &preflight);
	if (err) {
		cmd_error("cannot try the plan: %s",
			  err == -ECHILD ? "the process that did was killed" : strerror(-err));
		return EXIT_FAILED;
	}
	out = open_output(o->file);
	if (!out)
		return EXIT_FAILED;
	if (o->json)
		limits_preflight_json(&preflight, out);
	else
		limits_preflight_text(&preflight, out);
	code = close_output(o->file, out);
	if (code == EXIT_OK && (!preflight.forecast.fits || preflight.outcome.err))
		code = EXIT_FAILED;
	return code;
}

/* ---- --memlock */

/* Exit code. */
static int start_witness(struct memlock_account *account)
{
	pid_t pid = memlock_witness(account->uid);

	account->witness = pid > 0 ? (uint32_t)pid : 0;
	if (pid > 0)
		return EXIT_OK;
	cmd_error("user %u has no ring that is charged, and none can be made: %s", account->uid,
		  strerror(-pid));
	cmd_hint(pid == -EPERM ? "to become that user takes CAP_SETUID" : NULL);
	return pid == -EPERM ? EXIT_UNSUPPORTED : EXIT_FAILED;
}

/* Without a ring nothing shows the user's number: then one is made for the time of the look. */
static int look(const struct options *o, struct memlock_view *view, struct sample *sample)
{
	const struct target all = TARGET_ALL;
	struct observe *observe;
	int code, err;

	observe = target_open(&all, o->verbose, &code);
	if (!observe)
		return code;
	code = target_sample(observe, sample);
	memlock_count(sample, &view->account, &view->ledger);
	if (!code && view->ledger.locked_bytes == COUNT_UNKNOWN) {
		code = start_witness(&view->account);
		code = code ? code : target_sample(observe, sample);
		memlock_witness_end((pid_t)view->account.witness);
	}
	observe_close(observe);
	err = code ? 0 : memlock_view_fill(view, sample);
	if (err)
		cmd_error("cannot make the ledger: %s", strerror(-err));
	return err ? EXIT_FAILED : code;
}

static int write_ledger(const struct options *o, const struct memlock_view *view,
			const struct sample *sample)
{
	FILE *out = open_output(o->file);

	if (!out)
		return EXIT_FAILED;
	if (o->json)
		memlock_json(view, sample, out);
	else
		memlock_text(view, out);
	return close_output(o->file, out);
}

static int run_memlock(const struct options *o)
{
	struct memlock_view view = {.account.uid = o->uid};
	struct sample sample = {0};
	int code;

	/* what cannot be learnt is told as unknown */
	memlock_charging_learn(&view.account.charging);
	code = look(o, &view, &sample);
	if (!code)
		code = write_ledger(o, &view, &sample);
	memlock_view_done(&view);
	sample_done(&sample);
	return code;
}

/* ---- questions */

static int read_saved(const char *path, struct limits_report *report)
{
	int err = limits_report_read(report, path);

	if (!err)
		return EXIT_OK;
	if (err == -EBADMSG)
		cmd_error("'%s' is no saved run of limits", path);
	else
		cmd_error("cannot read '%s': %s", path, strerror(-err));
	return EXIT_FAILED;
}

static int ask_all(const struct options *o, struct limits_report *report)
{
	int err = limits_report_plan(report, &o->choice);

	if (!err && report->nr == 0)
		return cmd_usage("limits", "limits: no key begins like that");
	if (!err)
		err = limits_can_ask();
	if (err)
		return explain_absence(err);
	err = limits_report_ask(report, &o->limits, isatty(STDERR_FILENO) ? show_progress : NULL);
	if (!err)
		return EXIT_OK;
	cmd_error("cannot start a probe: %s", strerror(-err));
	return EXIT_FAILED;
}

static int write_diff(const struct options *o, const struct limits_report *old,
		      const struct limits_report *report)
{
	FILE *out = open_output(o->file);
	size_t differences;
	int code;

	if (!out)
		return EXIT_FAILED;
	differences = limits_report_diff(old, report, out);
	code = close_output(o->file, out);
	return code == EXIT_OK && differences ? EXIT_FAILED : code;
}

/* What it is compared with is read first: nobody waits for answers that cannot be used. */
static int run(const struct options *o, struct limits_report *old, struct limits_report *report)
{
	int code = o->diff ? read_saved(o->diff, old) : EXIT_OK;

	if (code)
		return code;
	code = o->from ? read_saved(o->from, report) : ask_all(o, report);
	if (!code && o->plot)
		code = write_plot(o, report);
	if (code)
		return code;
	if (o->diff)
		return write_diff(o, old, report);
	if (o->explain)
		keep_errno(report, o->explain);
	code = write_report(o, report);
	return o->explain && report->nr == 0 && code == EXIT_OK ? EXIT_FAILED : code;
}

int cmd_limits(int argc, char **argv, const struct globals *globals)
{
	struct options o = {
		.limits.level = LIMITS_DEFAULT,
		.verbose = globals->verbose,
	};
	struct limits_report old = {0}, report = {0};
	int code = parse_options(argc, argv, &o);

	if (code)
		return code - 1;
	if (o.has_memlock)
		code = run_memlock(&o);
	else
		code = o.has_plan ? run_plan(&o) : run(&o, &old, &report);
	limits_report_done(&old);
	limits_report_done(&report);
	return code;
}

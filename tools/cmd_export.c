// SPDX-License-Identifier: MIT
/* bufscope export: the same numbers as metrics, for those who gather them from many machines. */
#include <errno.h>
#include <getopt.h>
#include <linux/limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/text.h"
#include "cmd.h"
#include "endpoint.h"
#include "gzip.h"
#include "metrics.h"
#include "out.h"
#include "server.h"
#include "signals.h"
#include "watch.h"

#define NS_PER_S UINT64_C(1000000000)
/* 425 is io_uring_setup(2); the ports that exporters share, 9100 to 9999, are all given away. */
#define DEFAULT_ENDPOINT "127.0.0.1:10425"
#define DEFAULT_LIMIT    1000
/* Without a scrape the kernel is looked at so often, to let go of what has ended. */
#define UNASKED_NS (10 * NS_PER_S)

struct options {
	struct target target;
	struct endpoint endpoint;
	bool has_endpoint;
	uint64_t interval_ns; /* at least, from one look to the next */
	uint64_t limit;
	bool once;
	bool verbose;
	const char *file; /* NULL: standard output */
};

enum { OPT_LISTEN = OPT_OWN, OPT_ONCE, OPT_LIMIT };

static void print_help(void)
{
	puts("usage: bufscope export [options]\n"
	     "\n"
	     "Serves every ring and buffer group as metrics: OpenMetrics or Prometheus's text\n"
	     "format over HTTP, at /metrics.\n"
	     "\n"
	     "      --listen ADDRESS  where: ADDRESS:PORT with a numeric address, or\n"
	     "                       [ADDRESS]:PORT of IPv6, :PORT (any), unix:PATH\n"
	     "                       (default " DEFAULT_ENDPOINT ")\n" TARGET_HELP DEPTH_HELP
	     "  -i, --interval SECONDS  scrapes within so long after a look get the same\n"
	     "                       numbers, 0.01 or more (default 1)\n"
	     "      --limit COUNT    tell of so many rings and so many groups at most (default\n"
	     "                       1000); how many were left out is told\n"
	     "      --once           print one snapshot in the text format, and end: for\n"
	     "                       node_exporter's textfile collector\n"
	     "  -o, --output FILE    with --once: put it there instead, whole or not at all\n"
	     "  -v, --verbose        show what libbpf and the kernel say\n"
	     "  -h, --help\n"
	     "\n"
	     "What is named by -p or -g is followed in full, else the whole system lightly.\n"
	     "Needs CAP_BPF and CAP_PERFMON. What is not known is left out, never 0. A scrape\n"
	     "looks at the kernel at that moment. Ends by SIGINT or SIGTERM.\n"
	     "\n"
	     "Exit status: 0 ok, 1 failed, 2 usage, 3 not permitted or not supported.");
}

/* 0 to go on, else 1 + the exit code. */
static int parse_value(struct options *o, int c, const char *command)
{
	switch (c) {
	case OPT_LISTEN:
		o->has_endpoint = true;
		if (endpoint_parse(optarg, &o->endpoint) == 0)
			return 0;
		return 1 + cmd_usage(command,
				     "--listen takes ADDRESS:PORT with a numeric address, "
				     "[ADDRESS]:PORT, :PORT or unix:PATH, not '%s'",
				     optarg);
	case OPT_LIMIT:
		if (text_parse_u64(optarg, 1, 1000000, &o->limit) == 0)
			return 0;
		return 1 + cmd_usage(command, "--limit takes 1 ... 1000000, not '%s'", optarg);
	default:
		if (text_parse_seconds(optarg, WATCH_MIN_NS, WATCH_MAX_NS, &o->interval_ns) == 0)
			return 0;
		return 1 + cmd_usage(command, "-i takes 0.01 ... 86400 seconds, not '%s'", optarg);
	}
}

static int parse_option(struct options *o, int c, char **argv)
{
	if (target_owns(c))
		return target_option(&o->target, c, optarg, argv[0]);
	switch (c) {
	case 'i':
	case OPT_LISTEN:
	case OPT_LIMIT:
		return parse_value(o, c, argv[0]);
	case OPT_ONCE:
		o->once = true;
		return 0;
	case 'o':
		o->file = optarg;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'h':
		print_help();
		return 1 + EXIT_OK;
	default:
		return 1 + cmd_bad_option(argv);
	}
}

/* What does not go together, and what follows from the rest. */
static int check_options(struct options *o, const char *command)
{
	struct target *target = &o->target;

	if (o->file && !o->once)
		return 1 + cmd_usage(command, "-o goes with --once");
	if (o->once && (o->has_endpoint || target->depth_given))
		return 1 + cmd_usage(command, "--once is a snapshot: %s does not go with it",
				     o->has_endpoint ? "--listen" : "a depth");
	if (o->once)
		target->depth = OBSERVE_ONCE;
	else if (!target->depth_given)
		target->depth =
			target->nr_tgids || target->bgid >= 0 ? OBSERVE_FULL : OBSERVE_LIGHT;
	if (!o->has_endpoint)
		endpoint_parse(DEFAULT_ENDPOINT, &o->endpoint);
	return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {
		TARGET_LONG,
		DEPTH_LONG,
		{"listen", required_argument, NULL, OPT_LISTEN},
		{"interval", required_argument, NULL, 'i'},
		{"limit", required_argument, NULL, OPT_LIMIT},
		{"once", no_argument, NULL, OPT_ONCE},
		{"output", required_argument, NULL, 'o'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, TARGET_SHORT "i:o:vh", table, NULL)) != -1) {
		int stop = parse_option(o, c, argv);

		if (stop)
			return stop;
	}
	if (optind < argc)
		return 1 + cmd_usage(argv[0], "%s takes no argument: '%s'", argv[0], argv[optind]);
	return check_options(o, argv[0]);
}

/* ---- a page of metrics */

struct exporter {
	const struct options *options;
	struct watch watch;
	struct server *server;
	struct metrics_self self;
	struct MHD_Response *home;
	struct page {                                /* of the last look */
		struct MHD_Response *plain, *packed; /* NULL: not made yet */
	} pages[METRICS_FORMATS];
};

static uint64_t ns_of(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_usec * 1000;
}

static void measure_self(struct metrics_self *self)
{
	struct rusage usage = {0};
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	getrusage(RUSAGE_SELF, &usage);
	self->cpu_ns = ns_of(&usage.ru_utime) + ns_of(&usage.ru_stime);
	if (file && fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	self->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void forget_pages(struct exporter *exporter)
{
	for (int i = 0; i < METRICS_FORMATS; i++) {
		server_page_drop(exporter->pages[i].plain);
		server_page_drop(exporter->pages[i].packed);
	}
	memset(exporter->pages, 0, sizeof(exporter->pages));
}

/* 0 or an exit code, after saying what failed. */
static int look(struct exporter *exporter)
{
	uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
	int code = watch_look(&exporter->watch);

	exporter->self.look_ns = clock_ns(CLOCK_MONOTONIC) - began_ns;
	exporter->self.looks++;
	forget_pages(exporter);
	return code;
}

/* A page of this moment, or of one within the interval. */
static int look_if_due(struct exporter *exporter)
{
	const struct model *model = watch_model(&exporter->watch);

	if (model->samples > 0 &&
	    clock_ns(CLOCK_MONOTONIC) - model->at_ns < exporter->options->interval_ns)
		return EXIT_OK;
	return look(exporter);
}

static int read_detail(void *context, const struct group_rec *group, struct observe_detail *detail)
{
	return observe_detail(context, group, detail);
}

static int write_page(const struct exporter *exporter, enum metrics_format format, FILE *file)
{
	const struct metrics_opts opts = {
		.format = format,
		.limit = exporter->options->limit,
		.version = VERSION,
		.kernel = exporter->watch.kernel,
		/* node_exporter has metrics of these names, of itself */
		.self = exporter->options->once ? NULL : &exporter->self,
		.detail = read_detail,
		.context = exporter->watch.observe,
	};

	return metrics_write(file, watch_model(&exporter->watch), &opts);
}

/* As it is if packing fails. */
static struct MHD_Response *pack_page(const struct server_text *plain)
{
	struct server_text text = *plain;
	char *packed = gzip_pack(plain->at, plain->length, &text.length);
	struct MHD_Response *page;

	if (!packed)
		return server_page(plain);
	text.at = packed;
	text.is_gzipped = true;
	page = server_page(&text);
	free(packed);
	return page;
}

/* NULL: no memory. */
static struct MHD_Response *make_page(const struct exporter *exporter, enum metrics_format format,
				      bool is_packed)
{
	struct server_text text = {.type = metrics_content_type(format)};
	struct MHD_Response *page = NULL;
	char *written = NULL;
	FILE *file = open_memstream(&written, &text.length);
	int err;

	if (!file)
		return NULL;
	err = write_page(exporter, format, file);
	if (fclose(file) == 0 && !err) {
		text.at = written;
		page = is_packed ? pack_page(&text) : server_page(&text);
	}
	free(written);
	return page;
}

static void answer_metrics(struct exporter *exporter, const struct http_wants *wants,
			   struct server_answer *answer)
{
	enum metrics_format format = wants->openmetrics ? METRICS_OPEN : METRICS_TEXT;
	struct page *page = &exporter->pages[format];
	struct MHD_Response **wanted;

	exporter->self.scrapes++;
	if (look_if_due(exporter)) {
		answer->status = 503;
		return;
	}
	wanted = wants->gzip ? &page->packed : &page->plain;
	if (!*wanted) {
		measure_self(&exporter->self);
		*wanted = make_page(exporter, format, wants->gzip);
	}
	answer->page = *wanted;
	if (!answer->page)
		answer->status = 500;
}

static struct MHD_Response *home_page(struct exporter *exporter)
{
	static const char home[] = "<!doctype html>\n"
				   "<html lang=\"en\"><head><title>bufscope</title></head>\n"
				   "<body><h1>bufscope " VERSION "</h1>\n"
				   "<p><a href=\"/metrics\">Metrics</a> of io_uring's buffer "
				   "pools on this machine.</p></body></html>\n";

	if (!exporter->home)
		exporter->home = server_page(
			&(struct server_text){home, strlen(home), "text/html; charset=utf-8"});
	return exporter->home;
}

static void answer_request(void *context, const struct server_request *request,
			   struct server_answer *answer)
{
	if (strcmp(request->path, "/metrics") == 0) {
		answer_metrics(context, &request->wants, answer);
	} else if (strcmp(request->path, "/") == 0) {
		answer->page = home_page(context);
		answer->status = answer->page ? 200 : 500;
	} else {
		answer->status = 404;
	}
}

/* ---- once */

/* Whoever reads the file meanwhile must not see a half of it. */
static int write_file(const struct exporter *exporter, const char *path)
{
	char beside[PATH_MAX];
	FILE *file;
	int err;

	if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside)) {
		cmd_error("cannot write '%s': %s", path, strerror(ENAMETOOLONG));
		return EXIT_FAILED;
	}
	file = out_open(beside);
	if (!file)
		return EXIT_FAILED;
	err = write_page(exporter, METRICS_TEXT, file);
	if (out_close(file, beside) || err) {
		unlink(beside);
		return EXIT_FAILED;
	}
	if (rename(beside, path) == 0)
		return EXIT_OK;
	cmd_error("cannot write '%s': %s", path, strerror(errno));
	unlink(beside);
	return EXIT_FAILED;
}

static int run_once(struct exporter *exporter)
{
	const char *path = exporter->options->file;
	int code = look(exporter);

	if (code)
		return code;
	if (path)
		return write_file(exporter, path);
	return write_page(exporter, METRICS_TEXT, stdout) ? EXIT_FAILED : EXIT_OK;
}

/* ---- for as long as it is wanted */

enum { WAIT_SIGNAL, WAIT_TIMER, WAIT_SERVER, WAITS };

static int serve(struct exporter *exporter, int signals)
{
	struct pollfd waits[WAITS] = {
		[WAIT_SIGNAL] = {.fd = signals, .events = POLLIN},
		[WAIT_TIMER] = {.fd = exporter->watch.timer, .events = POLLIN},
		[WAIT_SERVER] = {.fd = server_fd(exporter->server), .events = POLLIN},
	};

	for (;;) {
		if (poll(waits, WAITS, server_timeout_ms(exporter->server)) < 0) {
			if (errno == EINTR)
				continue;
			cmd_error("cannot wait: %s", strerror(errno));
			return EXIT_FAILED;
		}
		if (waits[WAIT_SIGNAL].revents)
			return EXIT_OK;
		if (waits[WAIT_TIMER].revents) {
			watch_acknowledge(&exporter->watch);
			look_if_due(exporter);
		}
		server_serve(exporter->server);
	}
}

/* -errno, after saying why not. */
static int open_listener(struct endpoint *endpoint)
{
	bool is_local = endpoint->address.any.sa_family == AF_UNIX;
	char text[ENDPOINT_TEXT];
	int fd = endpoint_listen(endpoint);

	if (fd >= 0)
		return fd;
	cmd_error("cannot listen on %s: %s", endpoint_text(endpoint, text), strerror(-fd));
	if (fd == -EADDRINUSE)
		cmd_hint("what is there already? --listen chooses another place");
	else if (fd == -EACCES && !is_local)
		cmd_hint("low ports take CAP_NET_BIND_SERVICE; --listen chooses another one");
	return fd;
}

static int run_server(struct exporter *exporter, const struct endpoint *endpoint)
{
	char text[ENDPOINT_TEXT];
	int signals = signals_open(NULL);
	int code = look(exporter);

	signal(SIGPIPE, SIG_IGN); /* libmicrohttpd asks for it: a client may leave at any time */
	if (!code && (signals < 0 || watch_start(&exporter->watch))) {
		cmd_error("cannot start a timer: %s", strerror(errno));
		code = EXIT_FAILED;
	}
	if (!code) {
		fprintf(stderr, "metrics at %s%s\n", endpoint_text(endpoint, text),
			endpoint->address.any.sa_family == AF_UNIX ? ", /metrics" : "/metrics");
		code = serve(exporter, signals);
	}
	if (signals >= 0)
		close(signals);
	return code;
}

/* `endpoint`: NULL for once. */
static int run_watching(struct exporter *exporter, const struct endpoint *endpoint)
{
	const struct options *o = exporter->options;
	const struct watch_opts opts = {
		.target = &o->target,
		.interval_ns = o->interval_ns > UNASKED_NS ? o->interval_ns : UNASKED_NS,
		.verbose = o->verbose,
	};
	int code = watch_open(&exporter->watch, &opts);

	if (code)
		return code;
	exporter->self.started_ns = clock_ns(CLOCK_REALTIME);
	watch_hold(&exporter->watch); /* what was is not to be shown: it need not be kept */
	code = endpoint ? run_server(exporter, endpoint) : run_once(exporter);
	forget_pages(exporter);
	server_page_drop(exporter->home);
	watch_close(&exporter->watch);
	return code;
}

static int no_server(void)
{
	if (errno == ENOTSUP) {
		cmd_error("cannot serve HTTP: a program without shared libraries loads none");
		cmd_hint("--once does without");
		return EXIT_UNSUPPORTED;
	}
	if (errno != ELIBACC) {
		cmd_error("cannot serve HTTP: %s", strerror(errno));
		return EXIT_FAILED;
	}
	cmd_error("cannot serve HTTP: " SERVER_LIBRARY " cannot be loaded");
	cmd_hint("Debian's package libmicrohttpd12 has it; --once does without");
	return EXIT_UNSUPPORTED;
}

/* Whether the address is free is known soon; loading programs takes longer. */
static int run_listening(struct exporter *exporter)
{
	struct endpoint endpoint = exporter->options->endpoint;
	int listener = open_listener(&endpoint), code;

	if (listener < 0)
		return listener == -EACCES || listener == -EPERM ? EXIT_UNSUPPORTED : EXIT_FAILED;
	exporter->server = server_new(listener, answer_request, exporter);
	if (exporter->server) {
		code = run_watching(exporter, &endpoint);
		server_free(exporter->server);
	} else {
		code = no_server();
		close(listener);
	}
	endpoint_remove(&endpoint);
	return code;
}

static int run_export(const struct options *o)
{
	struct exporter *exporter = calloc(1, sizeof(*exporter));
	int code;

	if (!exporter) {
		cmd_error("cannot begin: %s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	exporter->options = o;
	code = o->once ? run_watching(exporter, NULL) : run_listening(exporter);
	free(exporter);
	return code;
}

int cmd_export(int argc, char **argv, const struct globals *globals)
{
	struct options o = {
		.target = TARGET_ALL,
		.interval_ns = NS_PER_S,
		.limit = DEFAULT_LIMIT,
		.verbose = globals->verbose,
	};
	int stop = parse_options(argc, argv, &o);

	return stop ? stop - 1 : run_export(&o);
}

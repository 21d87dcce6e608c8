// SPDX-License-Identifier: MIT
/* bufscope load: a workload that knows the exact truth about itself. */
#include <errno.h>
#include <getopt.h>
#include <liburing.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../lib/sample.h"
#include "../lib/text.h"
#include "../lib/uapi.h"
#include "cmd.h"
#include "load.h"
#include "load_scenario.h"

#define NS_PER_S      1000000000ull
#define MAX_BUFFERS   32768u
#define MAX_BUF_BYTES (1u << 30)
#define MAX_GROUPS    65536u
#define MAX_MMAP_BGID 2047u
#define MAX_RINGS     100000u
#define MAX_PROCS     1024u
#define DEFAULT_COUNT 1000000u
#define DEFAULT_BYTES 1024u

/* What liburing can set up and the workload can live with. */
#define SETUP_FLAGS                                                                                \
	(IORING_SETUP_SQPOLL | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |               \
	 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SQE128 | IORING_SETUP_CQE32 |                    \
	 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

enum {
	OPT_KIND = 256,
	OPT_ENTRIES,
	OPT_BUF_BYTES,
	OPT_GROUPS,
	OPT_RINGS,
	OPT_THREADS,
	OPT_PROCS,
	OPT_OP,
	OPT_RATE,
	OPT_SIZE,
	OPT_HOLD,
	OPT_LEAK,
	OPT_STARVE,
	OPT_BATCH,
	OPT_ARM_FIRST,
	OPT_ASYNC,
	OPT_LINK,
	OPT_CQ_ENTRIES,
	OPT_SETUP,
	OPT_MEASURE_HOLD,
	OPT_WAIT,
	OPT_PAUSED,
	OPT_SCENARIO,
	OPT_NAME,
};

/* As typed: 0 is "not given" where a default depends on other options. */
struct request {
	struct load_opts load;
	uint16_t *bgids;   /* room for all 65536 */
	uint32_t nr_bgids; /* given one by one; 0: the first load.nr_groups */
	bool has_count;
	const char *scenario;
};

static const char help[] =
	"usage: bufscope load [options]\n"
	"\n"
	"Sends data to itself and receives it into selected buffers, counting exactly\n"
	"what happens to every buffer group. Needs no privilege.\n"
	"\n"
	"      --op OP             recv, recv-multishot (default), recv-bundle,\n"
	"                          recv-multishot-bundle, recvmsg-multishot (unix\n"
	"                          sockets); read-pipe, read-multishot (pipes);\n"
	"                          read-file (an unnamed file); none\n"
	"      --kind KIND         ring (default), mmap, inc, legacy\n"
	"      --name NAME         what the pools are called, as list and top show it\n"
	"      --entries N         buffers per group (256), at most 32768\n"
	"      --buf-bytes SIZE    of a buffer (1K); suffix K, M, G\n"
	"      --size SIZE         of a message (as a buffer; inc: an eighth of it;\n"
	"                          bundles: half the group)\n"
	"      --groups N          per ring, with the ids 0, 1, ... (1)\n"
	"  -g, --bgid LIST         instead: these ids, separated by commas\n"
	"      --rings N           per process (one per thread)\n"
	"      --threads N         per process (1); a ring belongs to one of them\n"
	"      --procs N           (1)\n"
	"      --cq-entries N      of each ring (room for all); completions overflow\n"
	"                          beyond\n"
	"      --setup LIST        ring setup flags: sqpoll, defer-taskrun, ...\n"
	"  -n, --count N           completions with a buffer, per group (1000000)\n"
	"  -d, --duration SECONDS  instead, or whichever comes first\n"
	"      --rate N            messages a second, per group (as fast as it goes)\n"
	"      --hold N            buffers kept before the oldest is returned (0)\n"
	"      --leak N            the first N buffers of a group are never returned (0)\n"
	"      --starve            return buffers only after the group ran dry\n"
	"      --batch N           buffers per publication (all there are)\n"
	"      --arm-first         requests wait for data instead of data for requests;\n"
	"                          with --paused the first ones wait before the pause\n"
	"      --async             worker threads of the kernel run the requests\n"
	"      --link N            chains of N requests, each waits for the one before\n"
	"      --measure-hold      tell for how long buffers were held\n"
	"      --paused            wait for SIGUSR1 before the work\n"
	"      --wait              keep everything as it is until SIGTERM or SIGINT\n"
	"      --scenario NAME     instead: a program in miniature that makes one\n"
	"                          mistake, for bufscope doctor; 'list' names them.\n"
	"                          --entries: with this many instead of its own, where\n"
	"                          it fills its groups\n"
	"  -j, --json              one JSON document\n"
	"  -v, --verbose           report each second, too\n"
	"  -h, --help\n"
	"\n"
	"SIGINT and SIGTERM end the work early; the report is exact all the same.\n"
	"Requests still armed are cancelled at the end. With --wait one request per\n"
	"group is armed again: it waits for data and has no buffer.\n"
	"\n"
	"Exit status: 0 ok, 1 failed, or the kernel counted differently, 2 usage,\n"
	"3 io_uring or what was asked for is not available.";

/* ---- single options */

/* Options that are a number, or a size in bytes. */
static const struct amount {
	const char *name;
	size_t offset; /* of an uint32_t in struct load_opts */
	uint32_t min, max;
	int c;
	bool is_size;
} amounts[] = {
	{"entries", offsetof(struct load_opts, buffers), 1, MAX_BUFFERS, OPT_ENTRIES, false},
	{"buf-bytes", offsetof(struct load_opts, buf_bytes), 1, MAX_BUF_BYTES, OPT_BUF_BYTES, true},
	{"size", offsetof(struct load_opts, message_bytes), 1, LOAD_MESSAGE_MAX, OPT_SIZE, true},
	{"groups", offsetof(struct load_opts, nr_groups), 1, MAX_GROUPS, OPT_GROUPS, false},
	{"rings", offsetof(struct load_opts, nr_rings), 1, MAX_RINGS, OPT_RINGS, false},
	{"threads", offsetof(struct load_opts, nr_threads), 1, MAX_PROCS, OPT_THREADS, false},
	{"procs", offsetof(struct load_opts, nr_procs), 1, MAX_PROCS, OPT_PROCS, false},
	{"hold", offsetof(struct load_opts, hold), 0, MAX_BUFFERS, OPT_HOLD, false},
	{"leak", offsetof(struct load_opts, leak), 0, MAX_BUFFERS, OPT_LEAK, false},
	{"link", offsetof(struct load_opts, link), 1, MAX_BUFFERS, OPT_LINK, false},
	{"cq-entries", offsetof(struct load_opts, cq_entries), 1, 65536, OPT_CQ_ENTRIES, false},
	{"batch", offsetof(struct load_opts, batch), 1, MAX_BUFFERS, OPT_BATCH, false},
};

/* Options without a value. */
static const struct toggle {
	int c;
	size_t offset; /* of a bool in struct load_opts */
} toggles[] = {
	{OPT_STARVE, offsetof(struct load_opts, starve)},
	{OPT_ARM_FIRST, offsetof(struct load_opts, arm_first)},
	{OPT_ASYNC, offsetof(struct load_opts, async)},
	{OPT_MEASURE_HOLD, offsetof(struct load_opts, measure_hold)},
	{OPT_WAIT, offsetof(struct load_opts, wait)},
	{OPT_PAUSED, offsetof(struct load_opts, paused)},
	{'j', offsetof(struct load_opts, json)},
	{'v', offsetof(struct load_opts, verbose)},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct amount *find_amount(int c)
{
	for (size_t i = 0; i < COUNT(amounts); i++) {
		if (amounts[i].c == c)
			return &amounts[i];
	}
	return NULL;
}

static const struct toggle *find_toggle(int c)
{
	for (size_t i = 0; i < COUNT(toggles); i++) {
		if (toggles[i].c == c)
			return &toggles[i];
	}
	return NULL;
}

static int parse_amount(const struct amount *amount, struct load_opts *o)
{
	char text[16];
	uint64_t value = 0;
	int err = (amount->is_size ? text_parse_size : text_parse_u64)(optarg, amount->min,
								       amount->max, &value);

	if (err && amount->is_size)
		return 1 + cmd_usage("load", "--%s takes 1 ... %s bytes, not '%s'", amount->name,
				     text_bytes(text, sizeof(text), amount->max), optarg);
	if (err)
		return 1 + cmd_usage("load", "--%s takes %u ... %u, not '%s'", amount->name,
				     amount->min, amount->max, optarg);
	*(uint32_t *)((char *)o + amount->offset) = (uint32_t)value;
	return 0;
}

static int parse_kind(enum bs_pool_kind *out)
{
	for (int kind = BS_POOL_RING; kind <= BS_POOL_LEGACY; kind++) {
		if (strcmp(optarg, load_kind_name(kind)) == 0) {
			*out = kind;
			return 0;
		}
	}
	return 1 + cmd_usage("load", "--kind takes ring, mmap, inc or legacy, not '%s'", optarg);
}

static int parse_op(const struct load_op **out)
{
	*out = load_op_find(optarg);
	return *out ? 0 : 1 + cmd_usage("load", "no operation '%s'", optarg);
}

static int parse_bgids(struct request *q)
{
	char *list = optarg, *word;
	bool seen[MAX_GROUPS] = {false};

	q->nr_bgids = 0;
	while ((word = strsep(&list, ",")) != NULL) {
		uint64_t bgid;

		if (text_parse_u64(word, 0, MAX_GROUPS - 1, &bgid) < 0)
			return 1 + cmd_usage("load", "--bgid takes ids 0 ... %u, not '%s'",
					     MAX_GROUPS - 1, word);
		if (seen[bgid])
			return 1 + cmd_usage("load", "--bgid names %s twice", word);
		seen[bgid] = true;
		q->bgids[q->nr_bgids++] = (uint16_t)bgid;
	}
	return 0;
}

/* "defer-taskrun" for DEFER_TASKRUN */
static bool is_flag_name(const char *word, const char *name)
{
	for (; *word && *name; word++, name++) {
		if (*name == '_' ? *word != '-' && *word != '_' : strncasecmp(word, name, 1) != 0)
			return false;
	}
	return !*word && !*name;
}

static int parse_setup(uint32_t *out)
{
	char *list = optarg, *word;

	while ((word = strsep(&list, ",")) != NULL) {
		unsigned int bit = 0;

		while (bit < 32 && !((SETUP_FLAGS >> bit & 1) &&
				     is_flag_name(word, sample_setup_flag_name(bit))))
			bit++;
		if (bit == 32)
			return 1 + cmd_usage("load", "no setup flag '%s'", word);
		*out |= 1u << bit;
	}
	return 0;
}

static int parse_count(struct request *q)
{
	q->has_count = true;
	if (text_parse_u64(optarg, 1, 1ull << 60, &q->load.count) == 0)
		return 0;
	return 1 + cmd_usage("load", "--count takes a number from 1 on, not '%s'", optarg);
}

static int parse_duration(uint64_t *out)
{
	if (text_parse_seconds(optarg, 1, UINT64_MAX / 2, out) == 0)
		return 0;
	return 1 + cmd_usage("load", "--duration takes seconds, not '%s'", optarg);
}

static int parse_rate(uint64_t *out)
{
	if (text_parse_u64(optarg, 1, NS_PER_S, out) == 0)
		return 0;
	return 1 + cmd_usage("load", "--rate takes 1 ... %llu, not '%s'", NS_PER_S, optarg);
}

/* ---- all options */

/* 0 to go on, else 1 + the exit code. */
static int parse_option(int c, char **argv, struct request *q)
{
	const struct amount *amount = find_amount(c);
	const struct toggle *toggle = find_toggle(c);

	if (amount)
		return parse_amount(amount, &q->load);
	if (toggle) {
		*(bool *)((char *)&q->load + toggle->offset) = true;
		return 0;
	}
	switch (c) {
	case 'h':
		puts(help);
		return 1 + EXIT_OK;
	case 'g':
		return parse_bgids(q);
	case 'n':
		return parse_count(q);
	case 'd':
		return parse_duration(&q->load.duration_ns);
	case OPT_KIND:
		return parse_kind(&q->load.kind);
	case OPT_OP:
		return parse_op(&q->load.op);
	case OPT_SETUP:
		return parse_setup(&q->load.setup_flags);
	case OPT_RATE:
		return parse_rate(&q->load.rate);
	case OPT_NAME:
		if (strlen(optarg) >= BS_NAME_BYTES)
			return 1 +
			       cmd_usage("load", "--name has at most %d bytes", BS_NAME_BYTES - 1);
		q->load.name = optarg;
		return 0;
	case OPT_SCENARIO:
		q->scenario = optarg;
		return 0;
	default:
		return 1 + cmd_bad_option(argv);
	}
}

static const struct option options[] = {
	{"op", required_argument, NULL, OPT_OP},
	{"kind", required_argument, NULL, OPT_KIND},
	{"entries", required_argument, NULL, OPT_ENTRIES},
	{"buf-bytes", required_argument, NULL, OPT_BUF_BYTES},
	{"size", required_argument, NULL, OPT_SIZE},
	{"groups", required_argument, NULL, OPT_GROUPS},
	{"bgid", required_argument, NULL, 'g'},
	{"rings", required_argument, NULL, OPT_RINGS},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"procs", required_argument, NULL, OPT_PROCS},
	{"setup", required_argument, NULL, OPT_SETUP},
	{"count", required_argument, NULL, 'n'},
	{"duration", required_argument, NULL, 'd'},
	{"rate", required_argument, NULL, OPT_RATE},
	{"hold", required_argument, NULL, OPT_HOLD},
	{"leak", required_argument, NULL, OPT_LEAK},
	{"starve", no_argument, NULL, OPT_STARVE},
	{"batch", required_argument, NULL, OPT_BATCH},
	{"arm-first", no_argument, NULL, OPT_ARM_FIRST},
	{"async", no_argument, NULL, OPT_ASYNC},
	{"link", required_argument, NULL, OPT_LINK},
	{"cq-entries", required_argument, NULL, OPT_CQ_ENTRIES},
	{"measure-hold", no_argument, NULL, OPT_MEASURE_HOLD},
	{"paused", no_argument, NULL, OPT_PAUSED},
	{"wait", no_argument, NULL, OPT_WAIT},
	{"scenario", required_argument, NULL, OPT_SCENARIO},
	{"name", required_argument, NULL, OPT_NAME},
	{"json", no_argument, NULL, 'j'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int parse_options(int argc, char **argv, struct request *q)
{
	int c;

	while ((c = getopt_long(argc, argv, "g:n:d:jvh", options, NULL)) != -1) {
		int stop = parse_option(c, argv, q);

		if (stop)
			return stop;
	}
	if (optind < argc)
		return 1 + cmd_usage("load", "load takes options only, not '%s'", argv[optind]);
	return 0;
}

/* ---- do they fit together? */

/* A message fills a buffer, a bundle half the group; no more than goes in one piece. */
static uint32_t default_message(const struct load_opts *o)
{
	uint64_t bytes = o->buf_bytes;
	uint32_t most = LOAD_STREAM_PIECE;

	if (o->op->bundle)
		bytes *= o->buffers > 1 ? o->buffers / 2 : 1;
	else if (o->kind == BS_POOL_INC)
		bytes = bytes >= 8 ? bytes / 8 : 1;
	if (o->op->header_bytes && bytes > o->op->header_bytes)
		bytes -= o->op->header_bytes;
	if (o->op->medium == MEDIUM_PIPE && (o->kind == BS_POOL_INC || bytes > most))
		most = LOAD_PIPE_PACKET;
	return bytes < most ? (uint32_t)bytes : most;
}

static void fill_in(struct request *q)
{
	struct load_opts *o = &q->load;

	if (!o->buffers)
		o->buffers = 256;
	if (!o->nr_threads)
		o->nr_threads = 1;
	if (!o->nr_rings)
		o->nr_rings = o->nr_threads;
	if (!q->has_count && !o->duration_ns)
		o->count = DEFAULT_COUNT;
	if (!o->message_bytes)
		o->message_bytes = default_message(o);
	if (q->nr_bgids)
		o->nr_groups = q->nr_bgids;
	for (uint32_t i = 0; !q->nr_bgids && i < o->nr_groups; i++)
		q->bgids[i] = (uint16_t)i;
	o->bgids = q->bgids;
}

static int check_sizes(const struct load_opts *o)
{
	if (!o->op->bundle && o->message_bytes + o->op->header_bytes > o->buf_bytes)
		return cmd_usage("load",
				 "--size is at most --buf-bytes%s: one buffer takes one message",
				 o->op->header_bytes ? " less the header's 16" : "");
	if (o->op->bundle && o->message_bytes > LOAD_STREAM_PIECE)
		return cmd_usage("load", "--size is at most %u for bundles", LOAD_STREAM_PIECE);
	if (o->op->medium == MEDIUM_PIPE && o->message_bytes > LOAD_PIPE_PACKET &&
	    (o->message_bytes != o->buf_bytes || o->kind == BS_POOL_INC))
		return cmd_usage("load",
				 "through a pipe, --size is at most %u or fills a whole buffer",
				 LOAD_PIPE_PACKET);
	if (o->starve ? o->hold >= o->buffers : o->hold + (o->batch ? o->batch : 1) > o->buffers)
		return cmd_usage("load", "--hold%s leave no buffer of --entries %u",
				 o->starve ? " does" : " and --batch", o->buffers);
	if (o->leak > o->buffers)
		return cmd_usage("load", "--leak is at most --entries %u", o->buffers);
	return 0;
}

static int check_requests(const struct load_opts *o)
{
	if (o->kind == BS_POOL_INC && o->op->header_bytes)
		return cmd_usage("load", "--kind inc does not go with --op %s", o->op->name);
	if (o->link > 1 && (o->op->multishot || o->op->bundle))
		return cmd_usage("load", "--link takes requests that end: --op recv, read-pipe or "
					 "read-file");
	if (o->arm_first && o->op->medium == MEDIUM_FILE)
		return cmd_usage("load", "--arm-first: nothing waits for the data of a file");
	return 0;
}

static int check_rings(const struct load_opts *o)
{
	if (o->nr_threads > o->nr_rings)
		return cmd_usage("load", "--threads is at most --rings: one thread has one ring");
	for (uint32_t i = 0; o->kind == BS_POOL_MMAP && i < o->nr_groups; i++) {
		if (o->bgids[i] > MAX_MMAP_BGID)
			return cmd_usage("load", "--kind mmap takes group ids 0 ... %u, not %u",
					 MAX_MMAP_BGID, o->bgids[i]);
	}
	if (o->setup_flags & IORING_SETUP_DEFER_TASKRUN &&
	    !(o->setup_flags & IORING_SETUP_SINGLE_ISSUER))
		return cmd_usage("load", "--setup defer-taskrun needs single-issuer, too");
	return 0;
}

int cmd_load(int argc, char **argv, const struct globals *globals)
{
	struct request q = {
		.load =
			{
				.op = load_op_find("recv-multishot"),
				.kind = BS_POOL_RING,
				.buf_bytes = DEFAULT_BYTES,
				.nr_groups = 1,
				.nr_procs = 1,
				.verbose = globals->verbose,
			},
	};
	int code;

	q.bgids = calloc(MAX_GROUPS, sizeof(*q.bgids));
	if (!q.bgids) {
		cmd_error("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	code = parse_options(argc, argv, &q);
	if (code) {
		code--;
	} else if (q.scenario) {
		code = load_scenario(q.scenario, q.load.buffers);
	} else {
		fill_in(&q);
		code = check_sizes(&q.load);
		if (!code)
			code = check_requests(&q.load);
		if (!code)
			code = check_rings(&q.load);
		if (!code)
			code = load_run(&q.load);
	}
	free(q.bgids);
	return code;
}

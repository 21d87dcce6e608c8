// SPDX-License-Identifier: MIT
/* Are metrics what the format promises: families in one piece, escaped, and silent where unknown?
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fields.h"
#include "hist.h"
#include "metrics.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static char *text;

static struct ring_rec rings[] = {
	{.ring_id = 0xffff888012345678,
	 .tgid = 7,
	 .tid = 8,
	 .uid = 1000,
	 .fd = 3,
	 .sq_entries = 8,
	 .cq_entries = 16,
	 .cq_overflow = 5,
	 .setup_flags = 1U << 12 | 1U << 3,
	 .table_entries = 64,
	 .table_registered = 5,
	 .table_in_flight = REC_UNKNOWN_U32,
	 .table_bytes = 20480,
	 .comm = "server",
	 .seen = SEEN_FD | SEEN_TASK,
	 .sightings = 1,
	 .nr_groups = 2},
	{.ring_id = 0xffff888012349abc,
	 .tgid = 9,
	 .tid = 9,
	 .fd = -1,
	 .comm = "a\n\\\"\x1b\xff\xe6\xbc\xa2",
	 .seen = SEEN_REGISTERED},
};

static const struct group_rec all_groups[] = {
	{.ring_id = 0xffff888012345678,
	 .bgid = 0,
	 .kind = GROUP_RING,
	 .entries = 256,
	 .head = 100,
	 .tail = 300,
	 .available = 200,
	 .held = 50,
	 .buf_bytes = 4096,
	 .mem_bytes = 4096},
	{.ring_id = 0xffff888012345678,
	 .bgid = 65535,
	 .kind = GROUP_LEGACY,
	 .available = 9,
	 .held = REC_UNKNOWN_U32,
	 .buf_bytes = REC_UNKNOWN_U32},
};

static struct group_counts counts[ROWS(all_groups)];

/* Of all groups nothing is known but what light watching tells of the first. */
static void reset_counts(void)
{
	memset(counts, 0, sizeof(counts));
	for (size_t i = 0; i < ROWS(counts); i++) {
		memset(counts[i].total, 0xff, sizeof(counts[i].total));
		memset(counts[i].gauge, 0xff, sizeof(counts[i].gauge));
	}
	counts[0].total[COUNT_TAKEN] = 9007199254740992; /* 2^53 */
	counts[0].total[COUNT_RETURNED] = 0;
	counts[0].total[COUNT_EMPTY_NS] = 1500000001;
	counts[0].gauge[GAUGE_LOW_WATER] = 3;
}

static struct model *look(enum sample_backend backend)
{
	struct group_rec groups[ROWS(all_groups)];
	struct sample sample = {.at_ns = 5000000000,
				.wall_ns = 1700000000000000000,
				.backend = backend,
				.rings = rings,
				.nr_rings = ROWS(rings),
				.groups = groups,
				.counts = counts,
				.nr_groups = ROWS(groups),
				.losses[LOSS_WALK] = 2};
	struct model *model = model_new();

	memcpy(groups, all_groups, sizeof(groups));
	assert_non_null(model);
	assert_int_equal(model_update(model, &sample), 0);
	return model;
}

static struct metrics_opts opts;

/* The first group has a ledger, holds of two lengths, and starved; of the other nothing is known.
 */
static int detail(void *context, const struct group_rec *group, struct observe_detail *out)
{
	(void)context;
	if (group->bgid)
		return -ENOENT;
	out->nr = out->max;
	out->hold[hist_bucket(1000)] = 3;
	out->hold[hist_bucket(1024)] = 4;
	out->hold[HOLD_BUCKETS - 1] = 1;
	out->causes[STARVE_EMPTY_AT_DATA] = 9;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	opts = (struct metrics_opts){
		.format = METRICS_OPEN, .limit = 1000, .version = "0.1", .kernel = "6.18"};
	reset_counts();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

static const char *write_model(struct model *model)
{
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	assert_int_equal(metrics_write(file, model, &opts), 0);
	assert_int_equal(fclose(file), 0);
	model_free(model);
	return text;
}

static void says(const char *line)
{
	const char *found = strstr(text, line);

	if (!found || (found > text && found[-1] != '\n') || found[strlen(line)] != '\n')
		fail_msg("no line '%s' in:\n%s", line, text);
}

static void says_nothing_of(const char *part)
{
	if (strstr(text, part))
		fail_msg("'%s' in:\n%s", part, text);
}

#define GROUP "{pid=\"7\",comm=\"server\",fd=\"3\",bgid=\"0\",kind=\"ring\"}"

static void values(void **state)
{
	(void)state;
	write_model(look(BACKEND_ITER_TICK));
	says("bufscope_group_available" GROUP " 200");
	says("bufscope_group_held" GROUP " 50");
	says("bufscope_group_taken_total" GROUP " 9007199254740992");
	says("bufscope_group_returned_total" GROUP " 0");
	says("bufscope_group_empty_seconds_total" GROUP " 1.500000001");
	says("bufscope_group_low_water" GROUP " 3");
	says("bufscope_ring_cq_overflow_total{pid=\"7\",comm=\"server\",fd=\"3\"} 5");
	says("bufscope_table_bytes{pid=\"7\",comm=\"server\",fd=\"3\"} 20480");
	says("bufscope_rings 2");
	says("bufscope_groups 2");
	says("bufscope_lost_total{what=\"walk\"} 2");
	says("bufscope_lost_total{what=\"accounts\"} 0");
	says("bufscope_lost_total{what=\"wraps\"} 0");
	says("bufscope_left_out{what=\"groups\"} 0");
}

static void unknown_is_absent(void **state)
{
	(void)state;
	write_model(look(BACKEND_ITER_TICK));
	says_nothing_of("bufscope_lost_total{what=\"unattributed\"");
	says_nothing_of("bufscope_group_starved");
	says_nothing_of("bufscope_group_hold_p99");
	says_nothing_of("bufscope_table_in_flight");
	says_nothing_of("bufscope_group_held{pid=\"7\",comm=\"server\",fd=\"3\",bgid=\"65535\"");
	says_nothing_of("bufscope_table_entries{pid=\"9\"");
	says_nothing_of("nan");
	counts[0].total[COUNT_STARVED] = 0;
	counts[0].gauge[GAUGE_HOLD_P99_NS] = 999;
	free(text);
	write_model(look(BACKEND_ITER_TP));
	says("bufscope_group_starved_total" GROUP " 0");
	says("bufscope_group_hold_p99_seconds" GROUP " 0.000000999");
}

/* Identities and rates are no metrics, nor is any address of the kernel. */
static void nothing_else(void **state)
{
	(void)state;
	write_model(look(BACKEND_ITER_TICK));
	says_nothing_of("per_s");
	says_nothing_of("_head");
	says_nothing_of("_tail");
	says_nothing_of("raw_flags");
	says_nothing_of("ffff8880");
	says_nothing_of("18446612682375615096"); /* the same in decimals */
}

static void identities(void **state)
{
	(void)state;
	write_model(look(BACKEND_ITER_TICK));
	says("bufscope_ring_info{pid=\"7\",comm=\"server\",fd=\"3\",tid=\"8\",uid=\"1000\","
	     "setup_flags=\"CQSIZE SINGLE_ISSUER\",seen=\"fd task\"} 1");
	/* without a descriptor, a number of the run; what is in the name is harmless */
	says("bufscope_ring_sq_entries{pid=\"9\",comm=\"a\\n\\\\\\\"\\\\x1b\\\\xff\xe6\xbc\xa2\","
	     "ring=\"2\"} 0");
}

static void depths(void **state)
{
	static const struct {
		enum sample_backend backend;
		const char *line;
	} all[] = {
		{BACKEND_ITER, "bufscope_watch_info{depth=\"snapshot\",backend=\"iter\"} 1"},
		{BACKEND_ITER_TICK, "bufscope_watch_info{depth=\"light\",backend=\"iter+tick\"} 1"},
		{BACKEND_ITER_TP, "bufscope_watch_info{depth=\"full\",backend=\"iter+tp\"} 1"},
		{BACKEND_ITER_TP_KBUF,
		 "bufscope_watch_info{depth=\"full\",backend=\"iter+tp+kbuf\"} 1"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(all); i++) {
		free(text);
		text = NULL;
		write_model(look(all[i].backend));
		says(all[i].line);
		says("bufscope_build_info{version=\"0.1\",kernel=\"6.18\"} 1");
	}
}

static void limited(void **state)
{
	(void)state;
	opts.limit = 1;
	write_model(look(BACKEND_ITER_TICK));
	says("bufscope_group_available" GROUP " 200");
	says_nothing_of("65535");
	says_nothing_of("pid=\"9\"");
	says("bufscope_rings 2");
	says("bufscope_groups 2");
	says("bufscope_left_out{what=\"rings\"} 1");
	says("bufscope_left_out{what=\"groups\"} 1");
}

/* A descriptor that was given to another ring during the look: no two series are the same. */
static void no_series_twice(void **state)
{
	const struct ring_rec was = rings[1];

	(void)state;
	rings[1].tgid = 7;
	rings[1].fd = 3;
	memcpy(rings[1].comm, "other", 6);
	write_model(look(BACKEND_ITER_TICK));
	rings[1] = was;
	says("bufscope_ring_sq_entries{pid=\"7\",comm=\"server\",fd=\"3\"} 8");
	says_nothing_of("other");
	says("bufscope_left_out{what=\"rings\"} 1");
}

static void of_itself(void **state)
{
	const struct metrics_self self = {.looks = 3,
					  .scrapes = 2,
					  .look_ns = 1000000,
					  .cpu_ns = 2000000000,
					  .resident_bytes = 4096,
					  .started_ns = 1700000000500000000};

	(void)state;
	opts.self = &self;
	write_model(look(BACKEND_ITER_TICK));
	says("bufscope_looks_total 3");
	says("bufscope_scrapes_total 2");
	says("bufscope_look_seconds 0.001");
	says("process_cpu_seconds_total 2");
	says("process_resident_memory_bytes 4096");
	says("process_start_time_seconds 1700000000.5");
}

#define LE(end)                                                                                    \
	"bufscope_group_hold_seconds_bucket{pid=\"7\",comm=\"server\",fd=\"3\",bgid=\"0\",kind="   \
	"\"ring\",le=\"" end "\"}"

static void detailed(void **state)
{
	(void)state;
	opts.detail = detail;
	write_model(look(BACKEND_ITER_TP));
	says("# TYPE bufscope_group_hold_seconds histogram");
	says(LE("0.000001024") " 3");
	says(LE("0.000004096") " 7");
	says(LE("68.719476736") " 7");
	says(LE("+Inf") " 8");
	says("bufscope_group_starved_by_cause_total{pid=\"7\",comm=\"server\",fd=\"3\",bgid=\"0\","
	     "kind=\"ring\",cause=\"empty-at-data\"} 9");
	says_nothing_of("no-group");
	says_nothing_of("hold_seconds_bucket{pid=\"7\",comm=\"server\",fd=\"3\",bgid=\"65535\"");
}

/* ---- the grammar of both formats, line by line */

struct grammar {
	char family[128]; /* the one that is open, without what its type adds to a sample */
	char type[16];
	bool has_samples;
	char families[64][128];
	size_t nr_families;
};

static void open_family(struct grammar *grammar, const char *name)
{
	for (size_t i = 0; i < grammar->nr_families; i++)
		assert_string_not_equal(grammar->families[i], name);
	assert_true(grammar->nr_families < ROWS(grammar->families));
	strcpy(grammar->families[grammar->nr_families++], name);
	strcpy(grammar->family, name);
	grammar->type[0] = '\0';
	grammar->has_samples = false;
}

static void check_about(struct grammar *grammar, const char *line)
{
	char what[8], name[128], rest[256];

	assert_int_equal(sscanf(line, "# %7s %127s %255[^\n]", what, name, rest), 3);
	if (strcmp(what, "HELP") == 0)
		open_family(grammar, name);
	assert_string_equal(name, grammar->family);
	assert_false(grammar->has_samples);
	if (strcmp(what, "TYPE") == 0)
		snprintf(grammar->type, sizeof(grammar->type), "%.15s", rest);
	if (strcmp(what, "UNIT") == 0) {
		assert_true(strlen(name) > strlen(rest) + 1);
		assert_string_equal(name + strlen(name) - strlen(rest), rest);
	}
}

/* Behind the labels: they may hold anything in quotes. */
static const char *skip_labels(const char *at)
{
	bool is_quoted = false;

	if (*at != '{')
		return at;
	for (at++; *at && (*at != '}' || is_quoted); at++) {
		if (is_quoted && *at == '\\') {
			at++;
			assert_non_null(memchr("\\\"n", *at, 3));
		} else if (*at == '"') {
			is_quoted = !is_quoted;
		}
		assert_true((unsigned char)*at >= ' ');
	}
	assert_int_equal(*at, '}');
	return at + 1;
}

static void check_sample(struct grammar *grammar, const char *line)
{
	size_t length = strcspn(line, "{ ");
	const char *suffix = strcmp(grammar->type, "counter") == 0     ? "_total"
			     : strcmp(grammar->type, "info") == 0      ? "_info"
			     : strcmp(grammar->type, "histogram") == 0 ? "_bucket"
								       : "";
	char wanted[160];
	char *end;

	snprintf(wanted, sizeof(wanted), "%s%s", grammar->family,
		 opts.format == METRICS_OPEN || strcmp(suffix, "_bucket") == 0 ? suffix : "");
	assert_int_equal(length, strlen(wanted));
	assert_memory_equal(line, wanted, length);
	if (opts.format == METRICS_TEXT && strcmp(grammar->type, "counter") == 0)
		assert_string_equal(wanted + length - 6, "_total");
	line = skip_labels(line + length);
	assert_int_equal(*line, ' ');
	strtod(line + 1, &end);
	assert_true(end > line + 1);
	assert_int_equal(*end, '\0');
	grammar->has_samples = true;
}

static void check_grammar(void)
{
	struct grammar grammar = {.nr_families = 0};
	char *rest = text, *line;
	bool has_ended = false;

	assert_int_equal(text[strlen(text) - 1], '\n');
	while ((line = strsep(&rest, "\n")) && (*line || rest)) {
		assert_false(has_ended);
		if (strcmp(line, "# EOF") == 0)
			has_ended = true;
		else if (*line == '#')
			check_about(&grammar, line);
		else
			check_sample(&grammar, line);
	}
	assert_int_equal(has_ended, opts.format == METRICS_OPEN);
	assert_true(grammar.nr_families > 20);
}

static void grammar(void **state)
{
	const struct metrics_self self = {.looks = 1};

	(void)state;
	opts.self = &self;
	opts.detail = detail;
	for (int format = 0; format < METRICS_FORMATS; format++) {
		opts.format = (enum metrics_format)format;
		free(text);
		text = NULL;
		for (int c = 0; c < COUNT_MAX; c++)
			counts[0].total[c] = 1;
		for (int g = 0; g < GAUGE_MAX; g++)
			counts[1].gauge[g] = 2;
		write_model(look(BACKEND_ITER_TP_KBUF));
		check_grammar();
	}
}

/* Types that the older format does not know are not there, and each sample is its own family. */
static void older_format(void **state)
{
	(void)state;
	opts.format = METRICS_TEXT;
	write_model(look(BACKEND_ITER_TICK));
	says("# TYPE bufscope_group_taken_total counter");
	says("# TYPE bufscope_build_info gauge");
	says_nothing_of("# UNIT");
	says_nothing_of("# EOF");
}

static void empty_system(void **state)
{
	struct sample sample = {.at_ns = 1};
	struct model *model = model_new();

	(void)state;
	assert_int_equal(model_update(model, &sample), 0);
	write_model(model);
	says("bufscope_rings 0");
	says_nothing_of("bufscope_group_");
	says_nothing_of("bufscope_ring_");
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_is_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(identities, setup, teardown),
		cmocka_unit_test_setup_teardown(depths, setup, teardown),
		cmocka_unit_test_setup_teardown(limited, setup, teardown),
		cmocka_unit_test_setup_teardown(no_series_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(of_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(detailed, setup, teardown),
		cmocka_unit_test_setup_teardown(grammar, setup, teardown),
		cmocka_unit_test_setup_teardown(older_format, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_system, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

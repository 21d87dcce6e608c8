// SPDX-License-Identifier: MIT
/* Is what tables and JSON say whole, aligned and harmless? JSON is read back by json-c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "json_write.h"
#include "out.h"
#include "text.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct model *model;
static char *text;

/* Two rings, one of them with a hostile name, seen twice so that rates are known. */
static struct ring_rec rings[] = {
	{.ring_id = 0xa,
	 .tgid = 7,
	 .tid = 8,
	 .fd = 3,
	 .sq_entries = 8,
	 .cq_entries = 16,
	 .setup_flags = 1U << 12,
	 .table_entries = 64,
	 .table_registered = 5,
	 .table_in_flight = REC_UNKNOWN_U32,
	 .table_bytes = 20480,
	 .comm = "server",
	 .seen = SEEN_FD | SEEN_TASK,
	 .sightings = 1,
	 .nr_groups = 2},
	{.ring_id = 0xb,
	 .tgid = 123456,
	 .tid = 123456,
	 .fd = -1,
	 .sq_entries = 32768,
	 .cq_entries = 65536,
	 .setup_flags = 0x1fffff,
	 .comm = "\x1b[2J\"\\\xff\xe6\xbc\xa2",
	 .seen = SEEN_REGISTERED},
};

static const struct group_rec first_groups[] = {
	{.ring_id = 0xa,
	 .bgid = 0,
	 .kind = GROUP_RING,
	 .entries = 256,
	 .head = 100,
	 .tail = 300,
	 .available = 200,
	 .held = 50,
	 .buf_bytes = 4096,
	 .mem_bytes = 4096},
	{.ring_id = 0xa,
	 .bgid = 65535,
	 .kind = GROUP_LEGACY,
	 .available = 9,
	 .held = REC_UNKNOWN_U32,
	 .buf_bytes = REC_UNKNOWN_U32},
};

static int setup(void **state)
{
	struct group_rec groups[] = {first_groups[0], first_groups[1]};
	struct sample sample = {.at_ns = 5000000000,
				.wall_ns = 1700000000000000000,
				.rings = rings,
				.nr_rings = ROWS(rings),
				.groups = groups,
				.nr_groups = ROWS(groups)};

	(void)state;
	model = model_new();
	if (!model || model_update(model, &sample))
		return -1;
	sample.at_ns += 500000000;
	sample.losses[LOSS_WALK] = 2;
	groups[0].head = 110;
	groups[0].tail = 301;
	groups[0].available = 191;
	return model_update(model, &sample);
}

static int teardown(void **state)
{
	(void)state;
	model_free(model);
	free(text);
	text = NULL;
	return 0;
}

typedef void write_fn(FILE *file, const struct model *what);

static void write_json(FILE *file, const struct model *what)
{
	static const struct out_head head = {.schema = "bufscope.list/1", .kernel = "6.18"};

	out_json(file, what, &head);
}

static size_t capture(write_fn *write_it, const struct model *what)
{
	size_t size = 0;
	FILE *file;

	free(text);
	text = NULL;
	file = open_memstream(&text, &size);
	assert_non_null(file);
	write_it(file, what);
	assert_int_equal(fclose(file), 0);
	return size;
}

static struct json_object *get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(object, key, &value))
		fail_msg("no key '%s'", key);
	return value;
}

static bool is_null(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) && !value;
}

static int64_t number(struct json_object *object, const char *key)
{
	assert_int_equal(json_object_get_type(get(object, key)), json_type_int);
	return json_object_get_int64(get(object, key));
}

static const char *string(struct json_object *object, const char *key)
{
	return json_object_get_string(get(object, key));
}

static void check_group(struct json_object *group)
{
	assert_string_equal(string(group, "comm"), "server");
	assert_string_equal(string(group, "kind"), "ring");
	assert_int_equal(number(group, "available"), 191);
	assert_int_equal(number(group, "held"), 50);
	assert_int_equal(number(group, "taken_total"), 10);
	assert_int_equal(number(group, "returned_total"), 1);
	assert_int_equal(number(group, "low_water"), 191);
	assert_true(json_object_get_double(get(group, "taken_per_s")) == 20);
	assert_null(get(group, "starved_total"));
	assert_null(get(group, "hold_p99_ns"));
}

static void check_head(struct json_object *document)
{
	assert_string_equal(string(document, "schema"), "bufscope.list/1");
	assert_string_equal(string(document, "kernel"), "6.18");
	assert_string_equal(string(document, "backend"), "iter");
	assert_int_equal(number(document, "at_ns"), 5500000000);
	assert_int_equal(number(document, "wall_ns"), 1700000000000000000);
	assert_int_equal(number(get(document, "losses"), "walk"), 2);
	assert_int_equal(number(get(document, "losses"), "wraps"), 0);
	/* nobody watched what could have lost these */
	assert_true(is_null(get(document, "losses"), "unattributed"));
	assert_true(is_null(get(document, "losses"), "accounts"));
	assert_int_equal(json_object_array_length(get(document, "rings")), 2);
}

static void test_json_of_a_model(void **state)
{
	struct json_object *document, *ring, *group, *flags;

	(void)state;
	capture(write_json, model);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	document = json_tokener_parse(text);
	assert_non_null(document);
	check_head(document);

	ring = json_object_array_get_idx(get(document, "rings"), 0);
	assert_int_equal(number(ring, "tgid"), 7);
	assert_int_equal(number(ring, "tid"), 8);
	assert_int_equal(number(ring, "fd"), 3);
	assert_int_equal(number(ring, "ring"), 1);
	assert_int_equal(number(get(ring, "table"), "registered"), 5);
	assert_null(get(get(ring, "table"), "in_flight"));
	assert_int_equal(number(get(ring, "table"), "bytes"), 20480);
	flags = get(ring, "setup_flags");
	assert_int_equal(json_object_array_length(flags), 1);
	assert_string_equal(json_object_get_string(json_object_array_get_idx(flags, 0)),
			    "SINGLE_ISSUER");

	check_group(json_object_array_get_idx(get(ring, "groups"), 0));
	group = json_object_array_get_idx(get(ring, "groups"), 1);
	assert_null(get(group, "head"));
	assert_null(get(group, "held"));
	assert_int_equal(number(group, "available"), 9);

	ring = json_object_array_get_idx(get(document, "rings"), 1);
	assert_null(get(ring, "fd"));
	assert_int_equal(json_object_array_length(get(ring, "setup_flags")), 21);
	assert_string_equal(string(ring, "comm"), "\x1b[2J\"\\\xef\xbf\xbd\xe6\xbc\xa2");
	assert_null(strchr(text, '\x1b'));
	json_object_put(document);
}

/* Any byte string: valid JSON that means the same, up to bytes that mean nothing. */
static void test_json_text(void **state)
{
	(void)state;
	for (unsigned int byte = 1; byte < 256; byte++) {
		const char raw[] = {'a', (char)byte, 'b', '\0'};
		struct json_object *value;
		struct json json = {0};
		size_t size = 0;

		free(text);
		text = NULL;
		json.file = open_memstream(&text, &size);
		json_text(&json, NULL, raw);
		assert_int_equal(fclose(json.file), 0);
		for (size_t i = 0; i < size; i++)
			assert_true(text[i] >= 0x20 && text[i] < 0x7f);
		value = json_tokener_parse(text);
		assert_non_null(value);
		assert_string_equal(json_object_get_string(value), byte < 0x80 ? raw
									       : "a\xef\xbf\xbd"
										 "b");
		json_object_put(value);
	}
}

static size_t longest_line(const char *lines)
{
	size_t longest = 0;

	while (*lines) {
		char line[1024];
		size_t length = strcspn(lines, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)length, lines);
		if (text_width(line) > longest)
			longest = text_width(line);
		lines += length + (lines[length] == '\n');
	}
	return longest;
}

static void test_list(void **state)
{
	(void)state;
	capture(out_list, model);
	assert_string_equal(strtok(text, "\n"),
			    "RING      PROCESS              SQ     CQ  FIXED  FLAGS");
	assert_string_equal(strtok(NULL, "\n"),
			    "   BGID  KIND    ENTRIES  HEAD  TAIL  AVAIL  HELD  BUF  MEMORY");
	assert_string_equal(strtok(NULL, "\n"),
			    "7/3       server                8     16  5/64   SINGLE_ISSUER");
	assert_string_equal(strtok(NULL, "\n"),
			    "      0  ring        256   110   301    191    50   4K      4K");
	assert_string_equal(strtok(NULL, "\n"),
			    "  65535  legacy        -     -     -      9     -    -       0");
	assert_string_equal(strtok(NULL, "\n"),
			    "123456/-  \\x1b[2J\"\\\\\\xff\xe6\xbc\xa2  32768  65536  -");
	assert_memory_equal(strtok(NULL, "\n"), "  IOPOLL SQPOLL SQ_AFF", 22);
	assert_null(strtok(NULL, "\n"));
}

static void test_groups(void **state)
{
	(void)state;
	capture(out_groups, model);
	assert_true(longest_line(text) < OUT_COLUMNS);
	assert_string_equal(
		strtok(text, "\n"),
		"RING  PROCESS   BGID  KIND    AVAIL  ENTRIES  HELD  TAKE/s  RET/s  LOW");
	assert_string_equal(
		strtok(NULL, "\n"),
		"7/3   server       0  ring      191      256    50      20      2  191");
	assert_string_equal(
		strtok(NULL, "\n"),
		"7/3   server   65535  legacy      9        -     -       -      -    9");
	assert_null(strtok(NULL, "\n"));
}

static void test_summary(void **state)
{
	struct model *empty = model_new();
	char out[256], tiny[8];

	(void)state;
	assert_string_equal(out_summary(model, out, sizeof(out)),
			    "2 rings, 2 groups (iter); lost: 2 walks");
	assert_string_equal(out_summary(empty, out, sizeof(out)), "0 rings, 0 groups (iter)");
	assert_string_equal(out_summary(model, tiny, sizeof(tiny)), "2 rings");
	empty->live_rings = empty->live_groups = 1;
	empty->backend = BACKEND_ITER_TP;
	empty->losses[LOSS_RINGS] = 1;
	empty->losses[LOSS_GROUPS] = 3;
	empty->wraps = 1;
	assert_string_equal(out_summary(empty, out, sizeof(out)),
			    "1 ring, 1 group (iter+tp); lost: 1 ring, 3 groups; in doubt: 1 wrap");
	model_free(empty);
}

/* What is gone is not there: a document says what is. */
static void test_gone(void **state)
{
	struct sample nothing = {.at_ns = 6000000000, .losses = {[LOSS_WALK] = 2}};
	struct json_object *document;

	(void)state;
	assert_int_equal(model_update(model, &nothing), 0);
	assert_int_equal(model->nr_rings, 2);
	capture(write_json, model);
	document = json_tokener_parse(text);
	assert_int_equal(json_object_array_length(get(document, "rings")), 0);
	json_object_put(document);
	capture(out_list, model);
	assert_null(strstr(text, "server"));
}

static size_t count(char what)
{
	size_t nr = 0;

	for (const char *at = text; (at = strchr(at, what)); at++)
		nr++;
	return nr;
}

/* All groups that there can be: each has its line, and its object. */
static void test_many(void **state)
{
	const size_t nr = 65536;
	struct group_rec *groups = calloc(nr, sizeof(*groups));
	struct ring_rec one[] = {{.ring_id = 1, .tgid = 1, .comm = "many", .nr_groups = 65536}};
	struct sample sample = {
		.at_ns = 1, .rings = one, .nr_rings = 1, .groups = groups, .nr_groups = nr};
	struct model *large = model_new();
	size_t lines;

	(void)state;
	assert_non_null(groups);
	for (size_t i = 0; i < nr; i++)
		groups[i] = (struct group_rec){.ring_id = 1,
					       .bgid = (uint32_t)i,
					       .entries = 4096,
					       .tail = (uint16_t)i,
					       .available = (uint16_t)i};
	assert_int_equal(model_update(large, &sample), 0);
	capture(out_groups, model);
	lines = count('\n') - ROWS(first_groups);
	capture(out_groups, large);
	assert_int_equal(count('\n') - lines, nr);
	capture(write_json, large);
	assert_int_equal(count('{') - count('}'), 0);
	for (size_t i = 0; i < nr; i += 4095) {
		char key[32];

		snprintf(key, sizeof(key), "\"bgid\":%zu,", i);
		assert_non_null(strstr(text, key));
	}
	model_free(large);
	free(groups);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_json_of_a_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_summary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

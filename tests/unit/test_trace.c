// SPDX-License-Identifier: MIT
/* Are events told of the right ring, and are their lines what they should be? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "trace.h"
#include "trace_line.h"

/* ---- names */

static void names(void **state)
{
	(void)state;
	for (int kind = 0; kind < TRACE_CREATE; kind++)
		assert_int_equal(trace_kind_find(trace_kind_name((enum trace_kind)kind)), kind);
	assert_int_equal(trace_kind_find(""), -1);
	assert_int_equal(trace_kind_find("selec"), -1);
	assert_string_equal(trace_kind_name(TRACE_KINDS), "?");
	assert_string_equal(trace_cause_name(STARVE_EMPTY_AT_DATA), "empty-at-data");
	for (int cause = 0; cause < STARVE_CAUSES; cause++)
		assert_string_not_equal(trace_cause_name((enum starve_cause)cause), "?");
	assert_string_equal(trace_operation_name(27), "recv");
	assert_string_equal(trace_operation_name(49), "read-multishot");
	assert_null(trace_operation_name(0));
	assert_null(trace_operation_name(255));
}

/* ---- rings */

static void read_event(struct trace *trace, const struct trace_rec *rec, struct trace_event *event)
{
	memset(event, 0, sizeof(*event));
	assert_int_equal(trace_read(trace, rec, event), 1);
	assert_ptr_equal(event->rec, rec);
	assert_int_equal(event->ring->ring_id, rec->ring_id);
}

static void rings_of_a_sample(void **state)
{
	struct ring_rec rings[] = {{.ring_id = 1000, .tgid = 7, .fd = 3, .comm = "one"},
				   {.ring_id = 2000, .tgid = 8, .fd = -1, .comm = "two"}};
	struct sample sample = {.rings = rings, .nr_rings = 2};
	struct trace_rec rec = {.ring_id = 2000, .kind = TRACE_SELECT, .tgid = 9};
	struct trace *trace = trace_new();
	struct trace_event event;

	(void)state;
	assert_int_equal(trace_meet(trace, &sample), 0);
	read_event(trace, &rec, &event);
	assert_int_equal(event.ring->ordinal, 2);
	assert_int_equal(event.ring->tgid, 8);
	assert_int_equal(event.ring->fd, -1);
	assert_string_equal(event.ring->comm, "two");
	rec.ring_id = 1000;
	read_event(trace, &rec, &event);
	assert_int_equal(event.ring->ordinal, 1);
	trace_free(trace);
}

/* At the same address as a ring that was: another ring. */
static void a_ring_is_made(void **state)
{
	struct trace_rec made = {.ring_id = 1000, .kind = TRACE_CREATE, .tgid = 7, .fd = 5};
	struct trace_rec rec = {.ring_id = 1000, .kind = TRACE_RETURN};
	struct trace *trace = trace_new();
	struct trace_event event;

	(void)state;
	memset(made.comm, 'x', sizeof(made.comm)); /* as long as it can be, without an end */
	assert_int_equal(trace_read(trace, &made, &event), 0);
	read_event(trace, &rec, &event);
	assert_int_equal(event.ring->ordinal, 1);
	assert_int_equal(event.ring->fd, 5);
	assert_string_equal(event.ring->comm, "xxxxxxxxxxxxxxxx");
	made.tgid = 8;
	assert_int_equal(trace_read(trace, &made, &event), 0);
	read_event(trace, &rec, &event);
	assert_int_equal(event.ring->ordinal, 2);
	assert_int_equal(event.ring->tgid, 8);
	trace_free(trace);
}

static void a_ring_nobody_knows(void **state)
{
	struct trace_rec rec = {.ring_id = 1000, .kind = TRACE_RETURN};
	struct trace_rec alien = {.ring_id = 1000, .kind = TRACE_KINDS};
	struct trace_rec none = {.kind = TRACE_SELECT};
	struct trace *trace = trace_new();
	struct trace_event event;

	(void)state;
	read_event(trace, &rec, &event);
	assert_int_equal(event.ring->tgid, 0);
	assert_int_equal(event.ring->fd, -1);
	rec.tgid = 77;
	read_event(trace, &rec, &event);
	assert_int_equal(event.ring->tgid, 77);
	assert_int_equal(event.ring->ordinal, 1);
	assert_int_equal(trace_read(trace, &alien, &event), 0);
	assert_int_equal(trace_read(trace, &none, &event), 0);
	trace_free(trace);
}

static void many_rings(void **state)
{
	struct trace_rec rec = {.kind = TRACE_CREATE};
	struct trace *trace = trace_new();
	struct trace_event event;

	(void)state;
	for (uint32_t i = 1; i <= 10000; i++) {
		rec.ring_id = 0xffff888000000000 + i * 2048UL;
		rec.tgid = i;
		assert_int_equal(trace_read(trace, &rec, &event), 0);
	}
	rec.kind = TRACE_SELECT;
	for (uint32_t i = 1; i <= 10000; i++) {
		rec.ring_id = 0xffff888000000000 + i * 2048UL;
		read_event(trace, &rec, &event);
		assert_int_equal(event.ring->tgid, i);
		assert_int_equal(event.ring->ordinal, i);
	}
	trace_free(trace);
}

/* ---- lines */

static const struct trace_ring server = {
	.ring_id = 1000, .ordinal = 3, .tgid = 4711, .fd = 5, .comm = "server"};
static const struct trace_ring hostile = {
	.ring_id = 2000, .ordinal = 4, .fd = -1, .comm = "\x1b[2J\"\\\n"};

static const struct {
	struct trace_rec rec;
	const struct trace_ring *ring;
	const char *text;
	const char *json; /* behind at_ns */
} lines[] = {
	{{.kind = TRACE_SELECT,
	  .at_ns = 1002003999,
	  .bgid = 7,
	  .bid = 17,
	  .nr = 1,
	  .res = 1024,
	  .available = 255,
	  .fd = 9,
	  .opcode = 27,
	  .user_data = 0x1f,
	  .tid = 4712},
	 &server,
	 "   1.002003 server       4711/5        7 select     17            1024   255    4712"
	 "    9 recv           0x1f",
	 "\"event\":\"select\",\"tgid\":4711,\"tid\":4712,\"comm\":\"server\",\"fd\":5,\"ring\":3,"
	 "\"bgid\":7,\"available\":255,\"bid\":17,\"buffers\":1,\"bytes\":1024,\"error\":null,"
	 "\"operation\":\"recv\",\"request_fd\":9,\"request_file_index\":null,\"user_data\":31"},
	{{.kind = TRACE_BUNDLE,
	  .bid = 0,
	  .nr = 3,
	  .available = 1,
	  .fd = 2,
	  .opcode = 200,
	  .flags = TRACE_CONTINUED | TRACE_FIXED_FILE},
	 &server,
	 "   0.000000 server       4711/5        0 bundle     0-2              -     1       -"
	 "   #2 200 0x0 continued",
	 "\"event\":\"bundle\",\"tgid\":4711,\"tid\":null,\"comm\":\"server\",\"fd\":5,\"ring\":3,"
	 "\"bgid\":0,\"available\":1,\"bid\":0,\"buffers\":3,\"bytes\":null,\"error\":null,"
	 "\"operation\":200,\"request_fd\":null,\"request_file_index\":2,\"user_data\":0,"
	 "\"continued\":true"},
	{{.kind = TRACE_STARVE,
	  .bid = REC_UNKNOWN_U32,
	  .res = -105,
	  .fd = -1,
	  .tid = 1,
	  .user_data = UINT64_MAX,
	  .cause = STARVE_EMPTY_AT_DATA},
	 &hostile,
	 "   0.000000 \\x1b[2J\"\\\\\\x0a -/-           0 starve     -          ENOBUFS     0"
	 "       1    - -              0xffffffffffffffff empty-at-data",
	 "\"event\":\"starve\",\"tgid\":null,\"tid\":1,\"comm\":\"\\u001b[2J\\\"\\\\\\u000a\","
	 "\"fd\":null,\"ring\":4,\"bgid\":0,\"available\":0,\"bytes\":null,"
	 "\"error\":\"ENOBUFS\",\"operation\":null,\"request_fd\":null,"
	 "\"request_file_index\":null,\"user_data\":18446744073709551615,"
	 "\"cause\":\"empty-at-data\""},
	{{.kind = TRACE_RETURN, .bid = REC_UNKNOWN_U32, .nr = 12, .fd = -1, .available = 12},
	 &server,
	 "   0.000000 server       4711/5        0 return     12 of ?          -    12       -",
	 "\"event\":\"return\",\"tgid\":4711,\"tid\":null,\"comm\":\"server\",\"fd\":5,\"ring\":3,"
	 "\"bgid\":0,\"available\":12,\"bid\":null,\"buffers\":12,\"hold_max_ns\":null,"
	 "\"exact\":false"},
	{{.kind = TRACE_RETURN,
	  .bid = REC_UNKNOWN_U32,
	  .nr = 4,
	  .fd = -1,
	  .available = 12,
	  .flags = TRACE_BACK},
	 &server,
	 "   0.000000 server       4711/5        0 return     -                -    12       -"
	 " the tail went back by 4",
	 "\"event\":\"return\",\"tgid\":4711,\"tid\":null,\"comm\":\"server\",\"fd\":5,\"ring\":3,"
	 "\"bgid\":0,\"available\":12,\"bid\":null,\"buffers\":0,\"tail_back\":4,"
	 "\"hold_max_ns\":null,\"exact\":false"},
	{{.kind = TRACE_RETURN,
	  .bid = 3,
	  .nr = 1,
	  .fd = -1,
	  .available = 1,
	  .held_ns = 1234567,
	  .flags = TRACE_EXACT,
	  .tid = 9},
	 &server,
	 "   0.000000 server       4711/5        0 return     3                -     1       9"
	 " held for 1.2ms",
	 "\"event\":\"return\",\"tgid\":4711,\"tid\":9,\"comm\":\"server\",\"fd\":5,\"ring\":3,"
	 "\"bgid\":0,\"available\":1,\"bid\":3,\"buffers\":1,\"hold_max_ns\":1234567,"
	 "\"exact\":true"},
	{{.kind = TRACE_FILL, .bid = 65535, .nr = 1, .fd = -1, .flags = TRACE_EXACT, .tid = 2},
	 &server,
	 "   0.000000 server       4711/5        0 fill       65535            -     0       2",
	 "\"event\":\"fill\",\"tgid\":4711,\"tid\":2,\"comm\":\"server\",\"fd\":5,\"ring\":3,"
	 "\"bgid\":0,\"available\":0,\"bid\":65535,\"buffers\":1,\"exact\":true"},
	{{.kind = TRACE_REGISTER,
	  .bgid = 65535,
	  .bid = REC_UNKNOWN_U32,
	  .nr = 32768,
	  .group_kind = GROUP_INC_MMAP,
	  .fd = -1},
	 &server,
	 "   0.000000 server       4711/5    65535 register   -                -     0       -"
	 " inc-mmap 32768 entries",
	 "\"event\":\"register\",\"tgid\":4711,\"tid\":null,\"comm\":\"server\",\"fd\":5,"
	 "\"ring\":3,\"bgid\":65535,\"available\":0,\"error\":null,\"kind\":\"inc-mmap\","
	 "\"entries\":32768"},
	{{.kind = TRACE_REGISTER,
	  .bid = REC_UNKNOWN_U32,
	  .available = REC_UNKNOWN_U32,
	  .nr = 3,
	  .res = -22,
	  .fd = -1},
	 &server,
	 "   0.000000 server       4711/5        0 register   -           EINVAL     -       -"
	 " 3 entries",
	 "\"event\":\"register\",\"tgid\":4711,\"tid\":null,\"comm\":\"server\",\"fd\":5,"
	 "\"ring\":3,\"bgid\":0,\"available\":null,\"error\":\"EINVAL\",\"kind\":null,"
	 "\"entries\":3"},
	{{.kind = TRACE_UNREGISTER, .bid = REC_UNKNOWN_U32, .available = REC_UNKNOWN_U32, .fd = -1},
	 &server,
	 "   0.000000 server       4711/5        0 unregister -                -     -       -",
	 "\"event\":\"unregister\",\"tgid\":4711,\"tid\":null,\"comm\":\"server\",\"fd\":5,"
	 "\"ring\":3,\"bgid\":0,\"available\":null,\"error\":null"},
};

typedef void write_fn(const struct trace_lines *lines, const struct trace_event *event);

/* The line without its end. */
static char *line_of(write_fn *write, struct trace_lines *how, const struct trace_event *event)
{
	char *text = NULL;
	size_t size;

	how->file = open_memstream(&text, &size);
	write(how, event);
	fclose(how->file);
	assert_int_equal(text[size - 1], '\n');
	text[size - 1] = '\0';
	assert_null(strchr(text, '\n'));
	return text;
}

static void text_lines(void **state)
{
	struct trace_lines how = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct trace_event event = {.rec = &lines[i].rec, .ring = lines[i].ring};
		char *text = line_of(trace_line_text, &how, &event);

		assert_string_equal(text, lines[i].text);
		free(text);
	}
}

static void json_lines(void **state)
{
	struct trace_lines how = {.kernel = "6.1"};
	char expected[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct trace_event event = {.rec = &lines[i].rec, .ring = lines[i].ring};
		char *text = line_of(trace_line_json, &how, &event);
		struct json_object *object = json_tokener_parse(text);

		assert_non_null(object);
		json_object_put(object);
		snprintf(expected, sizeof(expected),
			 "{\"schema\":\"bufscope.trace/1\",\"kernel\":\"6.1\",\"at_ns\":%llu,%s}",
			 lines[i].rec.at_ns, lines[i].json);
		assert_string_equal(text, expected);
		free(text);
	}
}

/* Seconds count from the beginning and never backwards; the clock is that of the time zone. */
static void times(void **state)
{
	struct trace_rec rec = {.kind = TRACE_RETURN, .at_ns = 5000000999, .nr = 1};
	struct trace_event event = {.rec = &rec, .ring = &server};
	struct trace_lines how = {.start_ns = 3500000000};
	char *text = line_of(trace_line_text, &how, &event);

	(void)state;
	assert_memory_equal(text, "   1.500000 server", 18);
	free(text);
	how.start_ns = 6000000000;
	text = line_of(trace_line_text, &how, &event);
	assert_memory_equal(text, "   0.000000 server", 18);
	free(text);
	setenv("TZ", "UTC-1", 1);
	how.wall_ns = 86400000000000;
	text = line_of(trace_line_text, &how, &event);
	assert_memory_equal(text, "01:00:05.000000 server", 22);
	free(text);
}

static void end_line(void **state)
{
	const struct trace_end end = {
		.at_ns = 9,
		.events = 3,
		.shown = TRACE_SHOWN,
		.lost = {[TRACE_SELECT] = {4, 4}, [TRACE_RETURN] = {2, 9}, [TRACE_CREATE] = {1, 0}},
		.losses = {[LOSS_EVENTS] = 5}};
	struct trace_lines how = {.kernel = "6.1"};
	struct json_object *object, *losses;
	char *text = NULL;
	size_t size;

	(void)state;
	how.file = open_memstream(&text, &size);
	trace_line_json_end(&how, &end);
	fclose(how.file);
	object = json_tokener_parse(text);
	assert_non_null(object);
	assert_string_equal(json_object_get_string(json_object_object_get(object, "event")), "end");
	assert_int_equal(json_object_get_int(json_object_object_get(object, "events")), 3);
	assert_int_equal(json_object_get_int(json_object_object_get(object, "lost")), 6);
	assert_string_equal(
		json_object_to_json_string_ext(json_object_object_get(object, "lost_events"), 0),
		"{\"select\":4,\"return\":2}");
	assert_string_equal(
		json_object_to_json_string_ext(json_object_object_get(object, "lost_buffers"), 0),
		"{\"select\":4,\"return\":9}");
	losses = json_object_object_get(object, "losses");
	assert_int_equal(json_object_object_length(losses), LOSS_MAX);
	assert_int_equal(json_object_get_int(json_object_object_get(losses, "events")), 5);
	assert_null(json_object_object_get(losses, "calls")); /* no function is watched */
	json_object_put(object);
	free(text);
	how.file = open_memstream(&text, &size);
	trace_line_end(how.file, &end);
	fclose(how.file);
	assert_string_equal(text, "3 events, 6 lost (4 select, 2 return); not accounted for: "
				  "5 events\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),          cmocka_unit_test(rings_of_a_sample),
		cmocka_unit_test(a_ring_is_made), cmocka_unit_test(a_ring_nobody_knows),
		cmocka_unit_test(many_rings),     cmocka_unit_test(text_lines),
		cmocka_unit_test(json_lines),     cmocka_unit_test(times),
		cmocka_unit_test(end_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

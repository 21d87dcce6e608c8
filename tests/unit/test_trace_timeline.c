// SPDX-License-Identifier: MIT
/* Does a timeline hold each hold, once, on tracks where nothing overlaps? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "trace_timeline.h"

#define NR_GROUPS 3
#define STRIDE    65537 /* between the ids of groups: that of the events, and a lane per bid */
#define NR_BIDS   300
#define START_NS  1000000

/* What was done, for comparison. */
struct truth {
	uint64_t since[NR_GROUPS][NR_BIDS]; /* 0: not held */
	unsigned int holds;                 /* ended and not */
	uint64_t held_ns;                   /* of all of them together */
	uint64_t now;
};

static const struct trace_ring rings[NR_GROUPS] = {
	{.ordinal = 1, .tgid = 7, .fd = 3, .comm = "one"},
	{.ordinal = 2, .tgid = 7, .fd = 4, .comm = "\"two\n"},
	{.ordinal = 2, .tgid = 7, .fd = 4, .comm = "\"two\n"}};

static void tell(struct timeline *timeline, struct truth *truth, unsigned int group,
		 struct trace_rec rec)
{
	struct trace_event event = {.rec = &rec, .ring = &rings[group]};

	rec.bgid = (uint16_t)group;
	rec.at_ns = truth->now;
	assert_int_equal(timeline_add(timeline, &event), 0);
}

static void take(struct timeline *timeline, struct truth *truth, unsigned int group, uint32_t bid,
		 uint32_t nr)
{
	tell(timeline, truth, group,
	     (struct trace_rec){.kind = nr > 1 ? TRACE_BUNDLE : TRACE_SELECT,
				.bid = bid,
				.nr = nr,
				.opcode = 27,
				.fd = 9,
				.available = (uint32_t)(truth->now % 256)});
	for (uint32_t i = bid; i < bid + nr; i++) {
		if (truth->since[group][i])
			truth->held_ns += truth->now - truth->since[group][i];
		truth->since[group][i] = truth->now;
		truth->holds++;
	}
}

static void give_back(struct timeline *timeline, struct truth *truth, unsigned int group,
		      uint32_t bid)
{
	tell(timeline, truth, group,
	     (struct trace_rec){.kind = TRACE_RETURN,
				.bid = bid,
				.nr = 1,
				.fd = -1,
				.available = (uint32_t)(truth->now % 256)});
	if (truth->since[group][bid])
		truth->held_ns += truth->now - truth->since[group][bid];
	truth->since[group][bid] = 0;
}

static void play(struct timeline *timeline, struct truth *truth)
{
	truth->now = START_NS;
	for (int i = 0; i < 20000; i++) {
		unsigned int group = (unsigned int)rand() % NR_GROUPS;
		uint32_t bid = (uint32_t)rand() % (NR_BIDS - 4);

		truth->now += (uint64_t)rand() % 5000;
		switch (rand() % 5) {
		case 0:
			take(timeline, truth, group, bid, 1 + (uint32_t)rand() % 4);
			break;
		case 1:
			tell(timeline, truth, group,
			     (struct trace_rec){.kind = TRACE_STARVE,
						.bid = REC_UNKNOWN_U32,
						.available = REC_UNKNOWN_U32,
						.res = -105});
			break;
		case 2:
			take(timeline, truth, group, bid, 1);
			break;
		default:
			give_back(timeline, truth, group, bid);
		}
	}
	for (int group = 0; group < NR_GROUPS; group++)
		for (int bid = 0; bid < NR_BIDS; bid++)
			if (truth->since[group][bid])
				truth->held_ns += truth->now - truth->since[group][bid];
}

/* ---- reading it back */

static const char *text_of(struct json_object *event, const char *key)
{
	return json_object_get_string(json_object_object_get(event, key));
}

static uint64_t ns_of(struct json_object *event, const char *key)
{
	return (uint64_t)(json_object_get_double(json_object_object_get(event, key)) * 1000 + 0.5);
}

static int int_of(struct json_object *event, const char *key)
{
	struct json_object *value = json_object_object_get(event, key);

	assert_non_null(value);
	return json_object_get_int(value);
}

/* From 0, and no other group has the same ids: where readers look a thread up by its id alone. */
static int tid_of(struct json_object *event)
{
	int pid = int_of(event, "pid"), tid = int_of(event, "tid");

	assert_int_equal(tid / STRIDE, pid / STRIDE);
	return tid % STRIDE;
}

#define MAX_TIDS (NR_BIDS + 1)

struct reading {
	uint64_t lane_end[NR_GROUPS + 1][MAX_TIDS];
	bool is_named[NR_GROUPS + 1][MAX_TIDS];
	uint64_t counter_ns[NR_GROUPS + 1];
	unsigned int holds, starves, counters;
	uint64_t held_ns;
};

/* Slices are written as they end: on one track each begins after the one before has ended. */
static void read_slice(struct reading *reading, struct json_object *event)
{
	int pid = int_of(event, "pid") / STRIDE, tid = tid_of(event);
	uint64_t begin = ns_of(event, "ts"), duration = ns_of(event, "dur");

	assert_in_range(tid, 1, MAX_TIDS - 1);
	assert_true(reading->is_named[pid][tid]);
	assert_true(!reading->lane_end[pid][tid] || begin > reading->lane_end[pid][tid]);
	reading->lane_end[pid][tid] = begin + duration;
	reading->holds++;
	reading->held_ns += duration;
}

static void read_event(struct reading *reading, struct json_object *event)
{
	const char *phase = text_of(event, "ph");
	int pid = int_of(event, "pid") / STRIDE;

	assert_in_range(pid, 1, NR_GROUPS);
	assert_int_equal(int_of(event, "pid") % STRIDE, 0);
	assert_true(*text_of(event, "name"));
	switch (phase[0]) {
	case 'M':
		if (strcmp(text_of(event, "name"), "thread_name") == 0)
			reading->is_named[pid][tid_of(event)] = true;
		break;
	case 'X':
		read_slice(reading, event);
		break;
	case 'C':
		/* without a thread it is of the one that has the group's own id */
		assert_true(reading->is_named[pid][0]);
		assert_true(ns_of(event, "ts") >= reading->counter_ns[pid]);
		reading->counter_ns[pid] = ns_of(event, "ts");
		reading->counters++;
		break;
	default:
		assert_string_equal(phase, "i");
		assert_string_equal(text_of(event, "name"), "starve");
		assert_string_equal(text_of(event, "s"), "t");
		assert_int_equal(tid_of(event), 0);
		assert_true(reading->is_named[pid][0]);
		reading->starves++;
	}
}

static void read_back(const char *text, struct reading *reading)
{
	struct json_object *events = json_tokener_parse(text);

	memset(reading, 0, sizeof(*reading));
	assert_true(json_object_is_type(events, json_type_array));
	for (size_t i = 0; i < json_object_array_length(events); i++)
		read_event(reading, json_object_array_get_idx(events, i));
	json_object_put(events);
}

/* ---- tests */

static void holds(void **state)
{
	static struct reading reading;
	static struct truth truth;
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	struct timeline *timeline = timeline_open(file, START_NS);

	(void)state;
	srand(1);
	play(timeline, &truth);
	timeline_close(timeline, truth.now, 0);
	fclose(file);
	read_back(text, &reading);
	assert_int_equal(reading.holds, truth.holds);
	assert_int_equal(reading.held_ns, truth.held_ns);
	assert_true(reading.starves > 1000);
	assert_true(reading.counters > 1000);
	free(text);
}

/* Of a trace that was killed: an event a line, and whole lines lack nothing but the bracket. */
static void cut_short(void **state)
{
	static struct reading reading;
	static struct truth truth;
	char *text = NULL, *line_end;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	struct timeline *timeline = timeline_open(file, START_NS);

	(void)state;
	play(timeline, &truth);
	timeline_close(timeline, truth.now, 0);
	fclose(file);
	text[size / 2] = '\0';
	line_end = strrchr(text, '\n');
	assert_non_null(line_end);
	strcpy(line_end, "]");
	read_back(text, &reading);
	assert_true(reading.holds > 0 && reading.counters > 0);
	free(text);
}

/* A document that has no groups or not all events says so, in an event: some readers need one. */
static void nothing(void **state)
{
	(void)state;
	for (unsigned int lost = 0; lost < 2; lost++) {
		char *text = NULL;
		size_t size;
		FILE *file = open_memstream(&text, &size);
		struct json_object *events, *last;

		timeline_close(timeline_open(file, START_NS), START_NS + 1, lost * 57106);
		fclose(file);
		events = json_tokener_parse(text);
		assert_int_equal(json_object_array_length(events), 3);
		last = json_object_array_get_idx(events, 2);
		assert_string_equal(text_of(last, "name"), lost ? "lost" : "end");
		assert_int_equal(tid_of(last), 0);
		assert_int_equal(lost != 0, strstr(text, "\"events\":57106") != NULL);
		json_object_put(events);
		free(text);
	}
}

/* More groups than there is room for at first; and the highest bid. */
static void many_groups(void **state)
{
	struct trace_ring ring = {.tgid = 1, .fd = 1};
	struct trace_rec rec = {.kind = TRACE_SELECT, .bid = 65535, .nr = 1, .at_ns = START_NS};
	struct trace_event event = {.rec = &rec, .ring = &ring};
	struct json_object *document;
	char *text = NULL;
	size_t size, slices = 0;
	FILE *file = open_memstream(&text, &size);
	struct timeline *timeline = timeline_open(file, START_NS);

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		ring.ordinal = i / 10;
		rec.bgid = (uint16_t)(i % 10);
		assert_int_equal(timeline_add(timeline, &event), 0);
	}
	timeline_close(timeline, START_NS + 1, 0);
	fclose(file);
	document = json_tokener_parse(text);
	assert_non_null(document);
	for (const char *at = text; (at = strstr(at, "\"ph\":\"X\"")); at++)
		slices++;
	assert_int_equal(slices, 100);
	json_object_put(document);
	free(text);
}

/*
 * A record that was overtaken: it ends what was held at its time, not what has been taken since;
 * and its level is not what there is now.
 */
static void overtaken(void **state)
{
	struct trace_rec rec = {.kind = TRACE_SELECT, .nr = 1, .bid = 1, .available = 9};
	struct trace_ring ring = {.ordinal = 1, .tgid = 7, .fd = 3};
	const struct trace_event event = {.rec = &rec, .ring = &ring};
	char *text = NULL, *held;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	struct timeline *timeline = timeline_open(file, START_NS);

	(void)state;
	rec.at_ns = START_NS + 500;
	timeline_add(timeline, &event);
	rec.bid = 2;
	rec.available = 8;
	rec.at_ns = START_NS + 2000;
	timeline_add(timeline, &event);
	rec = (struct trace_rec){.kind = TRACE_RETURN, .bid = 1, .nr = 2, .available = 10};
	rec.at_ns = START_NS + 1000;
	timeline_add(timeline, &event);
	timeline_close(timeline, START_NS + 3000, 0);
	fclose(file);
	assert_non_null(strstr(text, "\"buffers\":8"));
	assert_null(strstr(text, "\"buffers\":10"));
	held = strstr(text, "still held");
	assert_non_null(held);
	assert_null(strstr(held + 1, "still held"));
	assert_non_null(strstr(strstr(text, "bid 1"), "bid 2"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overtaken),   cmocka_unit_test(holds),
		cmocka_unit_test(cut_short),   cmocka_unit_test(nothing),
		cmocka_unit_test(many_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

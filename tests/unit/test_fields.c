// SPDX-License-Identifier: MIT
/* Is every promised key there, does each cell say what the model knows, and nothing it does not? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fields.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct model_ring ring;
static struct model_group group;
static const struct field_row row = {&ring, &group};

static int reset(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof(ring));
	memset(&group, 0, sizeof(group));
	memset(group.total, 0xff, sizeof(group.total));
	memset(group.gauge, 0xff, sizeof(group.gauge));
	for (int c = 0; c < COUNT_MAX; c++)
		group.rate[c] = -1;
	ring.ordinal = 2;
	ring.rec = (struct ring_rec){
		.tgid = 4711,
		.tid = 4712,
		.fd = 7,
		.sq_entries = 128,
		.cq_entries = 256,
		.table_registered = REC_UNKNOWN_U32,
		.comm = "nginx",
	};
	group.ring = &ring;
	group.rec = (struct group_rec){.bgid = 65535,
				       .kind = GROUP_INC,
				       .entries = 256,
				       .head = 65530,
				       .tail = 100,
				       .available = 106,
				       .held = 150,
				       .buf_bytes = 4096,
				       .mem_bytes = 4096};
	return 0;
}

static const char *cell(enum field_set set, const char *key)
{
	static char out[FIELD_CELL_MAX];
	const struct field *field = field_find(set, key);

	assert_non_null(field);
	return field_cell(field, &row, out);
}

/* The contract with everyone who reads the JSON. */
static const char *const group_keys[] = {
	"tgid",
	"comm",
	"fd",
	"ring",
	"bgid",
	"kind",
	"entries",
	"head",
	"tail",
	"available",
	"held",
	"held_at_least",
	"buf_bytes",
	"taken_total",
	"returned_total",
	"starved_total",
	"selected_total",
	"bytes_total",
	"partial_total",
	"mshot_ended_total",
	"double_returned_total",
	"low_water",
	"empty_ns_total",
	"hold_p50_ns",
	"hold_p90_ns",
	"hold_p99_ns",
	"hold_max_ns",
	"stuck",
	"oldest_held_ns",
	"taken_per_s",
	"returned_per_s",
	"starved_per_s",
	"selected_per_s",
	"bytes_per_s",
	"partial_per_s",
	"mshot_ended_per_s",
};

static const char *const ring_keys[] = {
	"tgid",       "tid",        "comm",        "fd",          "ring",
	"sq_entries", "cq_entries", "cq_overflow", "setup_flags",
};

static const char *const table_keys[] = {"entries", "registered", "in_flight", "bytes"};

static void test_promised_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS(group_keys); i++)
		assert_non_null(field_find(FIELDS_GROUP, group_keys[i]));
	for (size_t i = 0; i < ROWS(ring_keys); i++)
		assert_non_null(field_find(FIELDS_RING, ring_keys[i]));
	for (size_t i = 0; i < ROWS(table_keys); i++)
		assert_non_null(field_find(FIELDS_TABLE, table_keys[i]));
	assert_null(field_find(FIELDS_GROUP, "nonsense"));
}

static void test_registry_is_whole(void **state)
{
	static const enum field_set sets[] = {FIELDS_GROUP, FIELDS_RING, FIELDS_TABLE, FIELDS_EYES};

	(void)state;
	for (size_t s = 0; s < ROWS(sets); s++) {
		size_t nr;
		const struct field *fields = fields_of(sets[s], &nr);

		for (size_t i = 0; i < nr; i++) {
			assert_non_null(fields[i].title);
			assert_non_null(fields[i].help);
			assert_true(fields[i].number || fields[i].text);
			assert_ptr_equal(field_find(sets[s], fields[i].key), &fields[i]);
			if (fields[i].type == FIELD_COUNTER)
				assert_non_null(fields[i].number);
		}
	}
}

static void test_cells(void **state)
{
	static const struct {
		const char *key, *want;
	} cases[] = {
		{"tgid", "4711"},        {"comm", "nginx"},    {"fd", "7"},
		{"ring", "2"},           {"bgid", "65535"},    {"kind", "inc"},
		{"entries", "256"},      {"head", "65530"},    {"tail", "100"},
		{"available", "106"},    {"held", "150"},      {"buf_bytes", "4K"},
		{"mem_bytes", "4K"},     {"taken_total", "-"}, {"starved_total", "-"},
		{"low_water", "-"},      {"hold_p99_ns", "-"}, {"taken_per_s", "-"},
		{"empty_ns_total", "-"},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		assert_string_equal(cell(FIELDS_GROUP, cases[i].key), cases[i].want);
	assert_string_equal(cell(FIELDS_TABLE, "registered"), "-");
	assert_string_equal(cell(FIELDS_TABLE, "entries"), "0");
}

static void test_known_counters(void **state)
{
	(void)state;
	group.total[COUNT_TAKEN] = 99999;
	assert_string_equal(cell(FIELDS_GROUP, "taken_total"), "99999");
	group.total[COUNT_TAKEN] = 1234567;
	assert_string_equal(cell(FIELDS_GROUP, "taken_total"), "1.2M");
	group.wraps = 1;
	assert_string_equal(cell(FIELDS_GROUP, "taken_total"), "1.2M?");
	group.rate[COUNT_TAKEN] = 0;
	assert_string_equal(cell(FIELDS_GROUP, "taken_per_s"), "0");
	group.rate[COUNT_TAKEN] = 3.5e6;
	assert_string_equal(cell(FIELDS_GROUP, "taken_per_s"), "3.5M");
	group.has_wrapped = true;
	assert_string_equal(cell(FIELDS_GROUP, "taken_per_s"), "3.5M?");
	group.total[COUNT_EMPTY_NS] = 3400000;
	assert_string_equal(cell(FIELDS_GROUP, "empty_ns_total"), "3.4ms");
	group.gauge[GAUGE_HOLD_P99_NS] = 12000;
	assert_string_equal(cell(FIELDS_GROUP, "hold_p99_ns"), "12us");
}

/* What is not known exactly is a bound or nothing, never a wrong number. */
static void test_unknown_of_a_group(void **state)
{
	(void)state;
	assert_string_equal(cell(FIELDS_EYES, "filled"), "106/256");
	group.rec.held = REC_UNKNOWN_U32;
	assert_string_equal(cell(FIELDS_GROUP, "held"), "<=150");
	group.rec.available = 300; /* overfilled: no bound either */
	assert_string_equal(cell(FIELDS_GROUP, "held"), "-");
	group.rec.available = REC_UNKNOWN_U32;
	assert_string_equal(cell(FIELDS_GROUP, "held"), "-");
	assert_string_equal(cell(FIELDS_GROUP, "available"), "-");
	group.rec.buf_bytes = 0;
	assert_string_equal(cell(FIELDS_GROUP, "buf_bytes"), "-");
	group.rec.buf_bytes = REC_UNKNOWN_U32;
	assert_string_equal(cell(FIELDS_GROUP, "buf_bytes"), "-");
	group.rec.held_least = 8;
	assert_string_equal(cell(FIELDS_GROUP, "held"), ">=7");
	assert_string_equal(cell(FIELDS_GROUP, "held_at_least"), "7");
	group.rec.held_least = 0;
	assert_string_equal(cell(FIELDS_GROUP, "held_at_least"), "-");
	group.rec.kind = GROUP_LEGACY;
	group.rec.available = 12;
	assert_string_equal(cell(FIELDS_GROUP, "entries"), "-");
	assert_string_equal(cell(FIELDS_GROUP, "head"), "-");
	assert_string_equal(cell(FIELDS_GROUP, "tail"), "-");
	assert_string_equal(cell(FIELDS_GROUP, "held"), "-");
	assert_string_equal(cell(FIELDS_GROUP, "available"), "12");
	assert_string_equal(cell(FIELDS_EYES, "filled"), "12/-");
	group.rec.kind = 99;
	assert_string_equal(cell(FIELDS_GROUP, "kind"), "-");
}

static void test_rings(void **state)
{
	(void)state;
	assert_string_equal(cell(FIELDS_EYES, "owner"), "4711/7");
	assert_string_equal(cell(FIELDS_EYES, "fixed"), "-");
	ring.rec.table_entries = 1024;
	assert_string_equal(cell(FIELDS_EYES, "fixed"), "?/1024");
	ring.rec.table_registered = 3;
	assert_string_equal(cell(FIELDS_EYES, "fixed"), "3/1024");
	ring.rec.fd = -1;
	assert_string_equal(cell(FIELDS_EYES, "owner"), "4711/-");
	assert_string_equal(cell(FIELDS_RING, "fd"), "-");
	assert_string_equal(cell(FIELDS_RING, "setup_flags"), "");
	ring.rec.setup_flags = 1U << 12 | 1U << 13 | 1U << 31;
	assert_string_equal(cell(FIELDS_RING, "setup_flags"),
			    "SINGLE_ISSUER DEFER_TASKRUN 0x80000000");
	ring.rec.setup_flags = ~0U;
	assert_true(strlen(cell(FIELDS_RING, "setup_flags")) > 200);
	ring.rec.seen = SEEN_FD | SEEN_TASK;
	assert_string_equal(cell(FIELDS_RING, "seen"), "fd task");
	memcpy(ring.rec.comm, "\x1b[2J\xff", 6);
	assert_string_equal(cell(FIELDS_RING, "comm"), "\\x1b[2J\\xff");
	memset(ring.rec.comm, 'x', sizeof(ring.rec.comm)); /* no final NUL */
	assert_string_equal(cell(FIELDS_RING, "comm"), "xxxxxxxxxxxxxxxx");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_promised_keys, reset),
		cmocka_unit_test_setup(test_registry_is_whole, reset),
		cmocka_unit_test_setup(test_cells, reset),
		cmocka_unit_test_setup(test_known_counters, reset),
		cmocka_unit_test_setup(test_unknown_of_a_group, reset),
		cmocka_unit_test_setup(test_rings, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

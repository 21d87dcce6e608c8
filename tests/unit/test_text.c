// SPDX-License-Identifier: MIT
/* Does text.c accept exactly what text.h says, and is what it prints short, right and harmless? */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "text.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

struct parse_case {
	const char *text;
	uint64_t min, max;
	int want_err;
	uint64_t want;
};

typedef int parse_fn(const char *text, uint64_t min, uint64_t max, uint64_t *out);

static void check_parse(parse_fn *parse, const struct parse_case *cases, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t out = 4711;
		int err = parse(cases[i].text, cases[i].min, cases[i].max, &out);

		if (err != cases[i].want_err || out != (err ? 4711 : cases[i].want))
			fail_msg("'%s': got %d, %llu", cases[i].text, err, (unsigned long long)out);
	}
}

static void test_parse_u64(void **state)
{
	static const struct parse_case cases[] = {
		{"0", 0, 10, 0, 0},
		{"10", 0, 10, 0, 10},
		{"007", 0, 10, 0, 7},
		{"11", 0, 10, -ERANGE, 0},
		{"3", 4, 10, -ERANGE, 0},
		{"18446744073709551614", 0, UINT64_MAX, 0, UINT64_MAX - 1},
		{"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999", 0, UINT64_MAX, -ERANGE, 0},
		{"", 0, 10, -EINVAL, 0},
		{" 1", 0, 10, -EINVAL, 0},
		{"1 ", 0, 10, -EINVAL, 0},
		{"+1", 0, 10, -EINVAL, 0},
		{"-1", 0, 10, -EINVAL, 0},
		{"0x1", 0, 10, -EINVAL, 0},
		{"1e3", 0, 10, -EINVAL, 0},
		{"abc", 0, 10, -EINVAL, 0},
		{"99999999999999999999999x", 0, UINT64_MAX, -EINVAL, 0},
	};

	(void)state;
	check_parse(text_parse_u64, cases, ROWS(cases));
}

static void test_parse_size(void **state)
{
	static const struct parse_case cases[] = {
		{"512", 0, UINT64_MAX, 0, 512},
		{"4K", 0, UINT64_MAX, 0, 4096},
		{"3M", 0, UINT64_MAX, 0, 3 << 20},
		{"2G", 0, UINT64_MAX, 0, UINT64_C(2) << 30},
		{"2G", 0, 1 << 30, -ERANGE, 0},
		{"17179869183G", 0, UINT64_MAX, 0, UINT64_C(17179869183) << 30},
		{"17179869184G", 0, UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999K", 0, UINT64_MAX, -ERANGE, 0},
		{"", 0, 10, -EINVAL, 0},
		{"K", 0, 10, -EINVAL, 0},
		{"1T", 0, 10, -EINVAL, 0},
		{"1KB", 0, 10, -EINVAL, 0},
		{"1 K", 0, 10, -EINVAL, 0},
		{"-1K", 0, 10, -EINVAL, 0},
	};

	(void)state;
	check_parse(text_parse_size, cases, ROWS(cases));
}

static void test_parse_seconds(void **state)
{
	static const struct parse_case cases[] = {
		{"1", 0, UINT64_MAX, 0, 1000000000},
		{"0.25", 0, UINT64_MAX, 0, 250000000},
		{"0.000000001", 0, UINT64_MAX, 0, 1},
		{"2.123456789", 0, UINT64_MAX, 0, 2123456789},
		{"0.5", 1000000000, UINT64_MAX, -ERANGE, 0},
		{"99999999999", 0, UINT64_MAX, -ERANGE, 0},
		{"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
		{"0.0000000001", 0, UINT64_MAX, -EINVAL, 0},
		{"1.", 0, UINT64_MAX, -EINVAL, 0},
		{".5", 0, UINT64_MAX, -EINVAL, 0},
		{"1,5", 0, UINT64_MAX, -EINVAL, 0},
		{"1.5s", 0, UINT64_MAX, -EINVAL, 0},
		{"1.-5", 0, UINT64_MAX, -EINVAL, 0},
		{"-1", 0, UINT64_MAX, -EINVAL, 0},
		{"", 0, UINT64_MAX, -EINVAL, 0},
		{"inf", 0, UINT64_MAX, -EINVAL, 0},
	};

	(void)state;
	check_parse(text_parse_seconds, cases, ROWS(cases));
}

static void test_escape(void **state)
{
	static const struct {
		const char *raw, *want;
	} cases[] = {
		{"", ""},
		{"nginx: worker", "nginx: worker"},
		{"a\tb\n", "a\\x09b\\x0a"},
		{"\x1b[2J", "\\x1b[2J"},
		{"back\\slash", "back\\\\slash"},
		{"\x7f", "\\x7f"},
		{"\xc2\x9b", "\\xc2\\x9b"},                   /* C1 CSI as UTF-8 */
		{"\x9b", "\\x9b"},                            /* and as a bare byte */
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, /* two bytes each */
		{"\xe6\xbc\xa2\xf0\x9f\x90\xa7", "\xe6\xbc\xa2\xf0\x9f\x90\xa7"},
		{"\xc3", "\\xc3"}, /* cut short */
		{"\xe6\xbc", "\\xe6\\xbc"},
		{"\xe6z", "\\xe6z"},
		{"\xc0\xaf", "\\xc0\\xaf"}, /* overlong */
		{"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* past U+10FFFF */
		{"\xff", "\\xff"},
		{"\xe2\x80\xae"
		 "x",
		 "\\xe2\\x80\\xaex"},                /* right-to-left override */
		{"\xe2\x80\xa8", "\\xe2\\x80\\xa8"}, /* line separator */
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		assert_string_equal(text_escape(out, sizeof(out), cases[i].raw), cases[i].want);
}

/* At every size: NUL inside, a prefix of the whole text, and never a part of an escape. */
static void test_escape_truncates(void **state)
{
	const char *whole = "a\\x1b\\\\\xc3\xbc"
			    "b";
	static const size_t cuts[] = {0, 0, 1, 1, 1, 1, 5, 5, 7, 7, 9, 10, 10};

	(void)state;
	for (size_t size = 1; size < ROWS(cuts); size++) {
		char out[16];

		memset(out, 'X', sizeof(out));
		text_escape(out, size,
			    "a\x1b\\\xc3\xbc"
			    "b");
		assert_int_equal(strlen(out), cuts[size]);
		assert_memory_equal(out, whole, cuts[size]);
		assert_int_equal(out[size], 'X');
	}
}

static void test_width(void **state)
{
	static const struct {
		const char *text;
		size_t want;
	} cases[] = {
		{"", 0},
		{"nginx", 5},
		{"gr\xc3\xbc\xc3\x9f", 4},
		{"e\xcc\x81", 1}, /* combining accent */
		{"\xe6\xbc\xa2", 2},
		{"\xf0\x9f\x90\xa7", 2},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		assert_int_equal(text_width(cases[i].text), cases[i].want);
}

static void test_clip(void **state)
{
	static const struct {
		const char *text;
		size_t columns, want;
	} cases[] = {
		{"", 3, 0},
		{"nginx", 3, 3},
		{"nginx", 9, 5},
		{"\xe6\xbc\xa2\xe6\xbc\xa2", 3, 3}, /* half a wide character is none */
		{"e\xcc\x81x", 1, 3},               /* the accent stays with its letter */
	};

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		assert_int_equal(text_clip(cases[i].text, cases[i].columns), cases[i].want);
}

static void test_wrap(void **state)
{
	static const struct {
		size_t columns;
		const char *lines[4];
	} cases[] = {
		{40, {"what is held and what is not"}},
		{16, {"what is held and", "what is not"}},
		{15, {"what is held", "and what is not"}},
		{10, {"what is", "held and", "what is", "not"}},
	};

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++) {
		const char *text = "what is held and what is not";

		for (size_t line = 0; line < 4 && cases[i].lines[line]; line++) {
			const char *start = text;
			size_t length = text_wrap(&text, cases[i].columns);

			assert_int_equal(length, strlen(cases[i].lines[line]));
			assert_memory_equal(start, cases[i].lines[line], length);
		}
		assert_string_equal(text, "");
	}
}

/* Words longer than the line are cut; no width makes it stand still. */
static void test_wrap_ends(void **state)
{
	(void)state;
	for (size_t columns = 0; columns < 8; columns++) {
		const char *text = "averylongword  \xe6\xbc\xa2 x";
		int lines = 0;

		while (*text && lines++ < 100)
			text_wrap(&text, columns);
		assert_true(lines < 100);
	}
}

static void test_next(void **state)
{
	static const uint32_t want[] = {'a', TEXT_INVALID, 0xfc, 0x1f427, TEXT_INVALID, 0, 0};
	const char *text = "a\xff\xc3\xbc\xf0\x9f\x90\xa7\xe6";

	(void)state;
	for (size_t i = 0; i < ROWS(want); i++)
		assert_int_equal(text_next(&text), want[i]);
}

static void test_count(void **state)
{
	static const struct {
		double value;
		const char *want;
	} cases[] = {
		{0, "0"},      {1, "1"},         {999, "999"},    {0.5, "0.5"},   {0.01, "<0.1"},
		{9.94, "9.9"}, {9.96, "10"},     {12.3, "12"},    {999.4, "999"}, {999.6, "1.0K"},
		{1000, "1K"},  {1234, "1.2K"},   {9960, "10K"},   {37e6, "37M"},  {999.6e6, "1.0G"},
		{-5, "-5"},    {-1234, "-1.2K"}, {-1e5, "-100K"}, {1e30, "999E"}, {INFINITY, "-"},
		{NAN, "-"},    {-0.01, "-<0.1"},
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		assert_string_equal(text_count(out, sizeof(out), cases[i].value), cases[i].want);
	for (double value = 0.001; value < 1e25; value *= 1.0007) {
		assert_true(strlen(text_count(out, sizeof(out), value)) <= 5);
		assert_true(strlen(text_count(out, sizeof(out), -value)) <= 5);
	}
}

static void test_bytes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *want;
	} cases[] = {
		{0, "0"},
		{512, "512"},
		{1023, "1023"},
		{1024, "1K"},
		{4096, "4K"},
		{1536 << 10, "1.5M"},
		{265 << 20, "265M"},
		{(1 << 20) - 1, "1.0M"},
		{UINT64_C(3) << 40, "3T"},
		{UINT64_MAX, "16E"},
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		assert_string_equal(text_bytes(out, sizeof(out), cases[i].bytes), cases[i].want);
	for (uint64_t bytes = 1; bytes < UINT64_MAX / 3; bytes += bytes / 1000 + 1)
		assert_true(strlen(text_bytes(out, sizeof(out), bytes)) <= 5);
}

static void test_span(void **state)
{
	static const struct {
		uint64_t ns;
		const char *want;
	} cases[] = {
		{0, "0ns"},
		{870, "870ns"},
		{12000, "12us"},
		{3400000, "3.4ms"},
		{999600, "1.0ms"},
		{2100000000, "2.1s"},
		{UINT64_C(59400000000), "59s"},
		{UINT64_C(59600000000), "1.0m"},
		{UINT64_C(300000000000), "5m"},
		{UINT64_C(7200000000000), "2h"},
		{UINT64_C(86400000000000) * 3, "3d"},
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < ROWS(cases); i++)
		assert_string_equal(text_span(out, sizeof(out), cases[i].ns), cases[i].want);
}

static void test_errno(void **state)
{
	(void)state;
	assert_string_equal(text_errno(0), "0");
	assert_string_equal(text_errno(EINVAL), "EINVAL");
	assert_string_equal(text_errno(ENOBUFS), "ENOBUFS");
	assert_string_equal(text_errno(99999), "errno 99999");
	assert_string_equal(text_errno(-1), "errno -1");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_parse_seconds),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_truncates),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_clip),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_wrap_ends),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

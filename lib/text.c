// SPDX-License-Identifier: MIT
/* How does text enter and leave: is this a number, is this name harmless, how is a figure said? */
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Leading digits of *text as a number; moves *text behind them. */
static int take_digits(const char **text, uint64_t *out)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			value = UINT64_MAX;
	}
	/* UINT64_MAX itself counts as too large: then an overflow needs no flag. */
	*text = p;
	*out = value;
	return value == UINT64_MAX ? -ERANGE : 0;
}

static int check_range(uint64_t value, uint64_t min, uint64_t max, uint64_t *out)
{
	if (value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int text_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t value;
	int err = take_digits(&text, &value);

	if (*text)
		return -EINVAL;
	return err ? err : check_range(value, min, max, out);
}

int text_parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t value;
	int err = take_digits(&text, &value);
	unsigned int shift = 0;

	if (err == -EINVAL)
		return err;
	if (*text) {
		static const char suffixes[] = "KMG";
		const char *found = strchr(suffixes, *text);

		if (!found || text[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(found - suffixes + 1);
	}
	if (err || value > UINT64_MAX >> shift)
		return -ERANGE;
	return check_range(value << shift, min, max, out);
}

#define NS_PER_S UINT64_C(1000000000)

int text_parse_seconds(const char *text, uint64_t min_ns, uint64_t max_ns, uint64_t *out_ns)
{
	uint64_t seconds, nanos = 0;
	int err = take_digits(&text, &seconds);

	if (err == -EINVAL)
		return err;
	if (*text == '.') {
		const char *fraction = ++text;

		if (take_digits(&text, &nanos) == -EINVAL || text - fraction > 9)
			return -EINVAL;
		for (long digits = text - fraction; digits < 9; digits++)
			nanos *= 10;
	}
	if (*text)
		return -EINVAL;
	if (err || seconds > UINT64_MAX / NS_PER_S - 1)
		return -ERANGE;
	return check_range(seconds * NS_PER_S + nanos, min_ns, max_ns, out_ns);
}

/*
 * Length of the valid UTF-8 sequence at p and its code point; 0 if it is none (overlong forms,
 * surrogates and what lies past U+10FFFF are none).
 */
static size_t utf8_length(const unsigned char *p, uint32_t *point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = p[0] < 0x80       ? 1
			: p[0] >> 5 == 6  ? 2
			: p[0] >> 4 == 14 ? 3
			: p[0] >> 3 == 30 ? 4
					  : 0;
	uint32_t value = length == 1 ? p[0] : p[0] & (0x7fU >> length);

	if (length == 0)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		value = value << 6 | (p[i] & 0x3fU);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 0;
	*point = value;
	return length;
}

uint32_t text_next(const char **text)
{
	uint32_t point = TEXT_INVALID;
	size_t length;

	if (!**text)
		return 0;
	length = utf8_length((const unsigned char *)*text, &point);
	*text += length ? length : 1;
	return point;
}

bool text_is_harmful(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x061c ||
	       (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2060 && point <= 0x206f) || point == 0xfeff || point == TEXT_INVALID;
}

/* Nearly all that is ever printed: stands for itself, takes one column. */
static bool is_plain(char c)
{
	return c >= ' ' && c < 0x7f && c != '\\';
}

char *text_escape(char *out, size_t size, const char *raw)
{
	size_t used = 0;

	if (size == 0)
		return out;
	while (*raw) {
		const char *start = raw;
		uint32_t point;
		char piece[5];

		if (is_plain(*raw)) {
			if (used + 1 >= size)
				break;
			out[used++] = *raw++;
			continue;
		}
		point = text_next(&raw);

		if (point == '\\') {
			snprintf(piece, sizeof(piece), "\\\\");
		} else if (text_is_harmful(point)) {
			snprintf(piece, sizeof(piece), "\\x%02x", (unsigned char)*start);
			raw = start + 1;
		} else {
			snprintf(piece, sizeof(piece), "%.*s", (int)(raw - start), start);
		}
		if (used + strlen(piece) >= size)
			break;
		used += (size_t)sprintf(out + used, "%s", piece);
	}
	out[used] = '\0';
	return out;
}

/* How many columns: the blocks that terminals agree on; what is not listed takes one. */
static size_t point_width(uint32_t point)
{
	static const struct {
		uint32_t first, last;
		size_t width;
	} blocks[] = {
		{0x0300, 0x036f, 0},   {0x0483, 0x0489, 0},   {0x0591, 0x05bd, 0},
		{0x064b, 0x065f, 0},   {0x1100, 0x115f, 2},   {0x1ab0, 0x1aff, 0},
		{0x1dc0, 0x1dff, 0},   {0x20d0, 0x20ff, 0},   {0x2e80, 0x303e, 2},
		{0x3041, 0xa4cf, 2},   {0xa960, 0xa97f, 2},   {0xac00, 0xd7a3, 2},
		{0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},   {0xfe20, 0xfe2f, 0},
		{0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},
		{0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2},
		{0x20000, 0x3fffd, 2}, {0xe0100, 0xe01ef, 0},
	};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]) && point >= blocks[i].first; i++)
		if (point <= blocks[i].last)
			return blocks[i].width;
	return 1;
}

size_t text_width(const char *text)
{
	size_t width = 0;

	while (*text) {
		if (is_plain(*text)) {
			width++;
			text++;
		} else {
			width += point_width(text_next(&text));
		}
	}
	return width;
}

size_t text_clip(const char *text, size_t columns)
{
	const char *end = text, *next = text;
	size_t width = 0;

	while (*next) {
		width += point_width(text_next(&next));
		if (width > columns)
			break;
		end = next;
	}
	return (size_t)(end - text);
}

size_t text_wrap(const char **text, size_t columns)
{
	const char *line = *text;
	size_t length = text_clip(line, columns);

	if (line[length] && line[length] != ' ') {
		size_t blank = length;

		while (blank > 0 && line[blank] != ' ')
			blank--;
		length = blank ? blank : length;
	}
	if (length == 0 && *line) /* not even one character fits: go on all the same */
		length = 1;
	*text = line + length;
	while (**text == ' ')
		(*text)++;
	return length;
}

/* One decimal below ten unless there is none, whole above: never more than four characters. */
static void print_scaled(char *out, size_t size, double value, const char *unit)
{
	bool has_decimal = value < 9.95 && value != (int)value;

	snprintf(out, size, "%.*f%s", has_decimal ? 1 : 0, value, unit);
}

char *text_count(char *out, size_t size, double value)
{
	static const char *const units[] = {"", "K", "M", "G", "T", "P", "E"};
	const size_t last = sizeof(units) / sizeof(units[0]) - 1;
	const char *sign = value < 0 ? "-" : "";
	char text[16];
	size_t unit = 0;

	value = fabs(value);
	if (!isfinite(value)) {
		snprintf(out, size, "-");
		return out;
	}
	if (value > 0 && value < 0.05) {
		snprintf(out, size, "%s<0.1", sign);
		return out;
	}
	for (; value >= 999.5 && unit < last; unit++)
		value /= 1000;
	print_scaled(text, sizeof(text), value > 999 ? 999 : value, units[unit]);
	snprintf(out, size, "%s%s", sign, text);
	return out;
}

char *text_bytes(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"", "K", "M", "G", "T", "P", "E"};
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1023.5; unit++)
		value /= 1024;
	print_scaled(out, size, value, units[unit]);
	return out;
}

char *text_span(char *out, size_t size, uint64_t ns)
{
	static const struct {
		const char *unit;
		double until; /* from here on the next unit, which is so many of this one */
		double next;
	} units[] = {
		{"ns", 999.5, 1000}, {"us", 999.5, 1000}, {"ms", 999.5, 1000}, {"s", 59.5, 60},
		{"m", 59.5, 60},     {"h", 47.5, 24},     {"d", INFINITY, 1},
	};
	double value = (double)ns;
	size_t unit = 0;

	for (; value >= units[unit].until; unit++)
		value /= units[unit].next;
	print_scaled(out, size, value, units[unit].unit);
	return out;
}

const char *text_errno(int err)
{
	static _Thread_local char unnamed[24];
	const char *name = strerrorname_np(err);

	if (name)
		return name;
	snprintf(unnamed, sizeof(unnamed), "errno %d", err);
	return unnamed;
}

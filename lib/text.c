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
	uint32_t value;

	if (length == 0)
		return 0;
	value = length == 1 ? p[0] : p[0] & (0x7fU >> length);
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

/* Controls of the terminal, of the line, and of the writing direction of what follows. */
static bool is_harmful(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x061c ||
	       (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
}

char *text_escape(char *out, size_t size, const char *raw)
{
	const unsigned char *p = (const unsigned char *)raw;
	size_t used = 0;

	if (size == 0)
		return out;
	while (*p) {
		uint32_t point = 0;
		size_t length = utf8_length(p, &point);
		char piece[5];

		if (*p == '\\') {
			strcpy(piece, "\\\\");
			length = 1;
		} else if (length > 0 && !is_harmful(point)) {
			memcpy(piece, p, length);
			piece[length] = '\0';
		} else {
			snprintf(piece, sizeof(piece), "\\x%02x", *p);
			length = 1;
		}
		if (used + strlen(piece) >= size)
			break;
		strcpy(out + used, piece);
		used += strlen(piece);
		p += length;
	}
	out[used] = '\0';
	return out;
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

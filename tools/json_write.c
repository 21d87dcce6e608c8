// SPDX-License-Identifier: MIT
/* How does data become JSON, fast and harmless? */
#include "json_write.h"

#include <math.h>
#include <string.h>

#include "../lib/text.h"

static void put(struct json *json, const char *text, size_t length)
{
	fwrite_unlocked(text, 1, length, json->file);
}

static void begin_value(struct json *json, const char *key)
{
	if (json->needs_comma)
		putc_unlocked(',', json->file);
	json->needs_comma = true;
	if (key) {
		putc_unlocked('"', json->file);
		put(json, key, strlen(key));
		put(json, "\":", 2);
	}
}

void json_open(struct json *json, const char *key, char bracket)
{
	begin_value(json, key);
	putc_unlocked(bracket, json->file);
	json->needs_comma = false;
}

void json_close(struct json *json, char bracket)
{
	putc_unlocked(bracket, json->file);
	json->needs_comma = true;
}

void json_null(struct json *json, const char *key)
{
	begin_value(json, key);
	put(json, "null", 4);
}

void json_boolean(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	put(json, value ? "true" : "false", value ? 4 : 5);
}

static void put_u64(struct json *json, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put(json, digits + at, sizeof(digits) - at);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	put_u64(json, value);
}

void json_thousandths(struct json *json, const char *key, uint64_t value)
{
	const char decimals[] = {'.', (char)('0' + value / 100 % 10), (char)('0' + value / 10 % 10),
				 (char)('0' + value % 10)};

	json_u64(json, key, value / 1000);
	put(json, decimals, sizeof(decimals));
}

void json_double(struct json *json, const char *key, double value)
{
	char text[32];

	if (!isfinite(value)) {
		json_null(json, key);
		return;
	}
	begin_value(json, key);
	put(json, text, (size_t)snprintf(text, sizeof(text), "%.10g", value));
}

static void put_point(struct json *json, uint32_t point, const char *raw, size_t length)
{
	char escape[8];

	if (point == '"' || point == '\\') {
		putc_unlocked('\\', json->file);
		put(json, raw, length);
	} else if (point == TEXT_INVALID) {
		put(json, "\\ufffd", 6);
	} else if (text_is_harmful(point)) {
		/* All of these lie below U+10000: one escape says them. */
		put(json, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", point));
	} else {
		put(json, raw, length);
	}
}

void json_text(struct json *json, const char *key, const char *raw)
{
	begin_value(json, key);
	putc_unlocked('"', json->file);
	while (*raw) {
		const char *start = raw;
		uint32_t point = text_next(&raw);

		put_point(json, point, start, (size_t)(raw - start));
	}
	putc_unlocked('"', json->file);
}

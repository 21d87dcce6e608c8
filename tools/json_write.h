/* SPDX-License-Identifier: MIT */
/*
 * A streaming JSON writer: what is written is gone, so that a document's size costs no memory.
 * Commas are its business, matching brackets the caller's.
 */
#ifndef BUFSCOPE_JSON_WRITE_H
#define BUFSCOPE_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *file;
	bool needs_comma;
};

/* `key` is NULL inside an array and for the document itself; keys are written as they are. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_null(struct json *json, const char *key);
void json_boolean(struct json *json, const char *key, bool value);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_thousandths(struct json *json, const char *key, uint64_t value); /* 1234567: 1234.567 */
void json_double(struct json *json, const char *key, double value);

/*
 * Text from outside, valid JSON whatever is in it: what could disturb a terminal becomes \uNNNN,
 * bytes that are no UTF-8 become U+FFFD.
 */
void json_text(struct json *json, const char *key, const char *raw);

#endif

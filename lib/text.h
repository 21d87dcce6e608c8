/* SPDX-License-Identifier: MIT */
/*
 * Text at the edges: strict parsing of what a user typed, escaping of what the system says.
 * Pure; no allocation.
 */
#ifndef BUFSCOPE_TEXT_H
#define BUFSCOPE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A decimal number in min ... max. 0, or -EINVAL (empty, sign, blanks, trailing text), -ERANGE.
 */
int text_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* The same with an optional suffix K, M or G (times 1024, 1024^2, 1024^3). */
int text_parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* Seconds with an optional fraction ("0.25"), as nanoseconds; at most nine decimals. */
int text_parse_seconds(const char *text, uint64_t min_ns, uint64_t max_ns, uint64_t *out_ns);

/*
 * Outside text made harmless for a terminal: control characters, those that change the
 * direction of writing, and invalid UTF-8 become \xNN byte by byte, backslash becomes two. Writes
 * at most size bytes with the final NUL, never half an escape. Returns out.
 */
char *text_escape(char *out, size_t size, const char *raw);

#define TEXT_INVALID UINT32_MAX

/*
 * The code point at *text, or TEXT_INVALID for a byte that starts no valid UTF-8; moves *text
 * behind it. At the final NUL it answers 0 and stays.
 */
uint32_t text_next(const char **text);

/* Whether a code point would move a cursor, a line or the direction of writing. */
bool text_is_harmful(uint32_t point);

/* Columns that valid UTF-8 text without harmful characters takes on a terminal. */
size_t text_width(const char *text);

/* Bytes of the longest beginning of such text that takes at most so many columns. */
size_t text_clip(const char *text, size_t columns);

/*
 * Bytes of such text for one line of at most `columns`: it ends before a blank where it can. Moves
 * *text behind the line and the blanks that follow it.
 */
size_t text_wrap(const char **text, size_t columns);

/* "1.2K", "37M": a count in at most 5 characters, decimal steps. Returns out. */
char *text_count(char *out, size_t size, double value);

/* "4K", "1.5M", "265M": bytes in binary steps. Returns out. */
char *text_bytes(char *out, size_t size, uint64_t bytes);

/* "870ns", "12us", "3.4ms", "2.1s", "5m": a time span. Returns out. */
char *text_span(char *out, size_t size, uint64_t ns);

/* "EINVAL" for 22; "0" for 0; "errno N" for what libc has no name for. Static storage. */
const char *text_errno(int err);

#endif

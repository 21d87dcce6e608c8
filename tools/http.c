// SPDX-License-Identifier: MIT
/* What does a client accept, and what does it prefer? */
#include "http.h"

#include <string.h>

/* A piece of a header: not a string. */
struct piece {
	const char *at;
	size_t length;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct piece trim(struct piece piece)
{
	while (piece.length > 0 && is_blank(piece.at[0])) {
		piece.at++;
		piece.length--;
	}
	while (piece.length > 0 && is_blank(piece.at[piece.length - 1]))
		piece.length--;
	return piece;
}

/* What stands before the next `mark`, or all; moves *rest behind the mark. False: nothing is left.
 */
static bool cut(struct piece *rest, char mark, struct piece *first)
{
	const char *end;

	if (!rest->at)
		return false;
	end = memchr(rest->at, mark, rest->length);
	*first = *rest;
	if (!end) {
		rest->at = NULL;
		rest->length = 0;
		return true;
	}
	first->length = (size_t)(end - first->at);
	rest->at = end + 1;
	rest->length -= first->length + 1;
	return true;
}

/* Upper and lower case are the same. */
static bool is_text(struct piece piece, const char *text)
{
	return piece.length == strlen(text) && strncasecmp(piece.at, text, piece.length) == 0;
}

/* ---- what is accepted */

/* "0.75" in thousandths; what is no weight counts as none given. */
static int weight_of(struct piece text)
{
	int weight = 0, digit = 100;

	if (text.length == 0 || (text.at[0] != '0' && text.at[0] != '1'))
		return 1000;
	if (text.at[0] == '1')
		return 1000;
	for (size_t i = 2; i < text.length && text.at[1] == '.' && digit > 0; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			break;
		weight += (text.at[i] - '0') * digit;
		digit /= 10;
	}
	return weight;
}

/* One kind of answer that would do, and how well. */
struct wish {
	struct piece type, version;
	int weight;
};

static struct wish read_wish(struct piece text)
{
	struct wish wish = {.weight = 1000};
	struct piece part;

	if (cut(&text, ';', &part))
		wish.type = trim(part);
	while (cut(&text, ';', &part)) {
		struct piece name;

		if (!cut(&part, '=', &name) || !part.at)
			continue;
		if (is_text(trim(name), "q"))
			wish.weight = weight_of(trim(part));
		else if (is_text(trim(name), "version"))
			wish.version = trim(part);
	}
	return wish;
}

struct weights {
	int open, plain, gzip;
};

static void raise_to(int *weight, int to)
{
	*weight = to > *weight ? to : *weight;
}

static void read_types(struct piece list, struct weights *weights)
{
	struct piece text;

	while (cut(&list, ',', &text)) {
		struct wish wish = read_wish(text);
		bool is_ours = !wish.version.at || is_text(wish.version, "1.0.0");

		if (is_text(wish.type, "application/openmetrics-text") && is_ours)
			raise_to(&weights->open, wish.weight);
		else if (is_text(wish.type, "text/plain"))
			raise_to(&weights->plain, wish.weight);
	}
}

static void read_encodings(struct piece list, struct weights *weights)
{
	struct piece text;

	while (cut(&list, ',', &text)) {
		struct wish wish = read_wish(text);

		if (is_text(wish.type, "gzip") || is_text(wish.type, "x-gzip"))
			raise_to(&weights->gzip, wish.weight);
	}
}

static struct piece piece_of(const char *text)
{
	return (struct piece){text, text ? strlen(text) : 0};
}

struct http_wants http_wants(const char *types, const char *encodings)
{
	struct weights weights = {0};

	read_types(piece_of(types), &weights);
	read_encodings(piece_of(encodings), &weights);
	return (struct http_wants){
		.openmetrics = weights.open > 0 && weights.open >= weights.plain,
		.gzip = weights.gzip > 0,
	};
}

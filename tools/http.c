// SPDX-License-Identifier: MIT
/* What does a request want, and may it be answered? */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A piece of the head: not a string. */
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

static void read_accept(struct piece list, struct weights *weights)
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

/* ---- the head */

/* The bytes of a head that is whole, with the empty line that ends it; 0: it is not. */
static size_t head_length(const char *head, size_t length)
{
	for (size_t i = 0; i + 1 < length; i++) {
		if (head[i] != '\n')
			continue;
		if (head[i + 1] == '\n')
			return i + 2;
		if (i + 2 < length && head[i + 1] == '\r' && head[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

/* "http://host/metrics" is what a proxy would be asked for: the path is what counts. */
static struct piece path_of(struct piece target)
{
	static const char scheme[] = "http://";
	struct piece path = target;

	if (target.length >= sizeof(scheme) - 1 &&
	    strncasecmp(target.at, scheme, sizeof(scheme) - 1) == 0) {
		path.at += sizeof(scheme) - 1;
		path.length -= sizeof(scheme) - 1;
		while (path.length > 0 && *path.at != '/') {
			path.at++;
			path.length--;
		}
		if (path.length == 0)
			return (struct piece){"/", 1};
	}
	for (size_t i = 0; i < path.length; i++)
		if (path.at[i] == '?' || path.at[i] == '#')
			path.length = i;
	return path;
}

/* "GET /metrics HTTP/1.1" */
static int read_request_line(struct piece line, struct http_request *request)
{
	struct piece method, target, version = trim(line), path;

	if (!cut(&version, ' ', &method) || !cut(&version, ' ', &target) || !version.at)
		return 400;
	if (version.length != strlen("HTTP/1.1") || memcmp(version.at, "HTTP/", 5) != 0)
		return 400;
	if (memcmp(version.at + 5, "1.", 2) != 0)
		return 505;
	path = path_of(target);
	if (method.length == 0 || path.length == 0 || path.at[0] != '/')
		return 400;
	/* Names of methods are the only ones whose case counts. */
	request->method = method.length == 3 && memcmp(method.at, "GET", 3) == 0    ? HTTP_GET
			  : method.length == 4 && memcmp(method.at, "HEAD", 4) == 0 ? HTTP_HEAD
										    : HTTP_OTHER;
	snprintf(request->path, sizeof(request->path), "%.*s", (int)path.length, path.at);
	return 200;
}

int http_parse(const char *head, size_t length, struct http_request *request)
{
	struct piece rest = {head, head_length(head, length)}, line;
	struct weights weights = {0};
	int status;

	if (rest.length == 0)
		return length < HTTP_HEAD_MAX ? 0 : 431;
	memset(request, 0, sizeof(*request));
	if (memchr(head, '\0', rest.length) || !cut(&rest, '\n', &line))
		return 400;
	status = read_request_line(line, request);
	while (status == 200 && cut(&rest, '\n', &line)) {
		struct piece name;

		if (trim(line).length == 0)
			break;
		if (!cut(&line, ':', &name) || !line.at)
			return 400;
		if (is_text(name, "accept"))
			read_accept(line, &weights);
		else if (is_text(name, "accept-encoding"))
			read_encodings(line, &weights);
	}
	request->wants_openmetrics = weights.open > 0 && weights.open >= weights.plain;
	request->takes_gzip = weights.gzip > 0;
	return status;
}

/* ---- answers */

const char *http_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

size_t http_answer(const struct http_answer *answer, char *out)
{
	int length = snprintf(out, HTTP_ANSWER_MAX,
			      "HTTP/1.1 %d %s\r\n"
			      "Content-Type: %s\r\n"
			      "Content-Length: %zu\r\n"
			      "%s%s%s"
			      "Connection: close\r\n"
			      "\r\n",
			      answer->status, http_reason(answer->status), answer->type,
			      answer->length, answer->status == 405 ? "Allow: GET, HEAD\r\n" : "",
			      answer->status == 200 ? "Vary: Accept, Accept-Encoding\r\n" : "",
			      answer->is_gzipped ? "Content-Encoding: gzip\r\n" : "");

	return length > 0 ? (size_t)length : 0;
}

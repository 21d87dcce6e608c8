/* SPDX-License-Identifier: MIT */
/*
 * As much of HTTP/1.1 as it takes to answer a GET: reads the head of a request that anybody may
 * have sent, writes that of an answer. Pure: knows no socket and no clock.
 */
#ifndef BUFSCOPE_HTTP_H
#define BUFSCOPE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX 8192 /* of a request; longer ones are refused */

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_OTHER,
};

struct http_request {
	enum http_method method;
	char path[64]; /* without the query; longer ones are cut, and are nothing of ours */
	bool wants_openmetrics; /* rather than the older text format */
	bool takes_gzip;
};

/*
 * 0: the head is not whole yet. 200: *request is filled. Else the status of a refusal, as which
 * nothing but the status is to be told.
 */
int http_parse(const char *head, size_t length, struct http_request *request);

struct http_answer {
	int status;
	const char *type; /* of the body */
	size_t length;    /* and its bytes */
	bool is_gzipped;  /* these are */
};

#define HTTP_ANSWER_MAX 512

/* The head of an answer, after which the connection ends. `out` has room for HTTP_ANSWER_MAX bytes.
 */
size_t http_answer(const struct http_answer *answer, char *out);

/* "Not Found" */
const char *http_reason(int status);

#endif

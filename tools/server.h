/* SPDX-License-Identifier: MIT */
/*
 * Answers HTTP clients by libmicrohttpd, without threads and without waiting: the caller polls. The
 * library is loaded when it is wanted: it brings a dozen others, which no other command is to load.
 */
#ifndef BUFSCOPE_SERVER_H
#define BUFSCOPE_SERVER_H

#include <stddef.h>

#include "http.h"

#define SERVER_LIBRARY "libmicrohttpd.so.12"

struct server;
struct MHD_Response; /* a page: it may be on its way to several clients */

struct server_request {
	const char *path; /* without the query */
	struct http_wants wants;
};

struct server_answer {
	unsigned int status;
	struct MHD_Response *page; /* stays the callee's; NULL: the status in words */
};

/* For GET and HEAD alike: what would be sent. */
typedef void server_answer_fn(void *context, const struct server_request *request,
			      struct server_answer *answer);

/*
 * `fd` listens, and is the server's from now on. NULL and errno, with fd the caller's still:
 * ELIBACC: there is no such library. ENOTSUP: this program cannot load any.
 */
struct server *server_new(int fd, server_answer_fn *answer, void *context);

/* Ends all connections. NULL is accepted. */
void server_free(struct server *server);

/* What to poll for input, and for how long at most, in milliseconds; -1: no limit. */
int server_fd(const struct server *server);
int server_timeout_ms(const struct server *server);

/* After the wait: answers whom it can, ends what took too long. */
void server_serve(struct server *server);

struct server_text {
	const char *at;
	size_t length;
	const char *type;
	bool is_gzipped;
};

/* The text is copied. Only while there is a server. NULL: no memory. */
struct MHD_Response *server_page(const struct server_text *text);

/* NULL is accepted. */
void server_page_drop(struct MHD_Response *page);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Answers several HTTP clients at once, without threads and without waiting: the caller polls. Each
 * connection is for one request, and limited in time, so that none can keep others out for long.
 */
#ifndef BUFSCOPE_SERVER_H
#define BUFSCOPE_SERVER_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "http.h"

#define SERVER_CLIENTS 32                   /* at once; others wait in the kernel's queue */
#define SERVER_POLLS   (SERVER_CLIENTS + 1) /* files to be polled */

/* What may be on its way to several clients. */
struct server_body {
	size_t users;
	size_t length;
	char at[];
};

/* `text` is copied, and used once. NULL: no memory. */
struct server_body *server_body_new(const char *text, size_t length);

/* NULL is accepted. */
void server_body_drop(struct server_body *body);

struct server_answer {
	int status;
	const char *type;         /* static */
	struct server_body *body; /* the server drops it; NULL: what the status is called */
	bool is_gzipped;
};

/* For GET and HEAD alike: what would be sent. */
typedef void server_answer_fn(void *context, const struct http_request *request,
			      struct server_answer *answer);

enum client_state {
	CLIENT_FREE,
	CLIENT_READS,  /* its request is not whole */
	CLIENT_WRITES, /* not all of the answer is sent */
	CLIENT_ENDS,   /* all is sent, it is to close */
};

struct client {
	enum client_state state;
	int fd;
	uint64_t deadline_ns;
	char head[HTTP_HEAD_MAX]; /* the request, then the head of the answer */
	size_t head_length;
	size_t sent; /* of head and body */
	struct server_body *body;
	size_t body_length; /* to be sent: none of it after HEAD */
};

struct server {
	int fd;
	uint64_t now_ns;
	uint64_t rests_until_ns; /* no more connections till then: there were no files for them */
	server_answer_fn *answer;
	void *context;
	struct client clients[SERVER_CLIENTS];
};

/* `fd` listens, and stays the caller's. */
void server_init(struct server *server, int fd, server_answer_fn *answer, void *context);
void server_done(struct server *server);

/* What to wait for: unused places have the file -1. */
void server_polls(const struct server *server, struct pollfd polls[SERVER_POLLS], uint64_t now_ns);

/* How long, at most, in milliseconds; -1: no limit. */
int server_timeout_ms(const struct server *server, uint64_t now_ns);

/* After the wait: answers whom it can, ends what took too long. */
void server_serve(struct server *server, const struct pollfd polls[SERVER_POLLS], uint64_t now_ns);

#endif

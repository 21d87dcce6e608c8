// SPDX-License-Identifier: MIT
/* Who asked for what, and what is sent? The rest of HTTP is the library's. */
#include "server.h"

#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 32 /* at once; others wait in the kernel's queue */
#define IDLE_S  10 /* without a byte from or to a client */

#define LONGEST_MS 1000000

struct server {
	struct MHD_Daemon *daemon;
	server_answer_fn *answer;
	void *context;
};

/* ---- the library */

#define MHD_FUNCTIONS(_)                                                                           \
	_(start_daemon)                                                                            \
	_(stop_daemon)                                                                             \
	_(run)                                                                                     \
	_(get_timeout)                                                                             \
	_(get_daemon_info)                                                                         \
	_(create_response_from_buffer)                                                             \
	_(add_response_header)                                                                     \
	_(destroy_response)                                                                        \
	_(queue_response)                                                                          \
	_(lookup_connection_value)

#define MEMBER(name) __typeof__(MHD_##name) *(name);

/* Filled once, by the first server. */
static struct {
	MHD_FUNCTIONS(MEMBER)
} mhd;

#ifdef BUFSCOPE_STATIC
/* A program without shared libraries is copied to where the C library may be another one. */
static int load(void)
{
	return -ENOTSUP;
}
#else
#define LOAD(name)                                                                                 \
	*(void **)&mhd.name = dlsym(library, "MHD_" #name);                                        \
	if (!mhd.name)                                                                             \
		return -ELIBACC;

/* It stays loaded until the program ends. */
static int load(void)
{
	void *library = dlopen(SERVER_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return -ELIBACC;
	MHD_FUNCTIONS(LOAD)
	return 0;
}
#endif

/* ---- pages */

struct MHD_Response *server_page(const struct server_text *text)
{
	struct MHD_Response *page = mhd.create_response_from_buffer(text->length, (void *)text->at,
								    MHD_RESPMEM_MUST_COPY);

	if (!page)
		return NULL;
	mhd.add_response_header(page, MHD_HTTP_HEADER_CONTENT_TYPE, text->type);
	mhd.add_response_header(page, MHD_HTTP_HEADER_VARY, "Accept, Accept-Encoding");
	if (text->is_gzipped)
		mhd.add_response_header(page, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	return page;
}

void server_page_drop(struct MHD_Response *page)
{
	if (page)
		mhd.destroy_response(page);
}

static const char *reason_of(unsigned int status)
{
	switch (status) {
	case MHD_HTTP_NOT_FOUND:
		return "Not Found\n";
	case MHD_HTTP_METHOD_NOT_ALLOWED:
		return "Method Not Allowed\n";
	case MHD_HTTP_SERVICE_UNAVAILABLE:
		return "Service Unavailable\n";
	default:
		return "Internal Server Error\n";
	}
}

static enum MHD_Result send_status(struct MHD_Connection *connection, unsigned int status)
{
	const char *reason = reason_of(status);
	struct MHD_Response *page = server_page(&(struct server_text){
		.at = reason, .length = strlen(reason), .type = "text/plain; charset=utf-8"});
	enum MHD_Result result;

	if (!page)
		return MHD_NO;
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		mhd.add_response_header(page, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = mhd.queue_response(connection, status, page);
	server_page_drop(page);
	return result;
}

/* ---- requests */

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return mhd.lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* The library's signature. What else a client sends is of no interest. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_length, void **of_request)
{
	const struct server *server = context;
	const struct server_request request = {
		.path = url,
		.wants = http_wants(header(connection, MHD_HTTP_HEADER_ACCEPT),
				    header(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING)),
	};
	struct server_answer answer = {.status = MHD_HTTP_OK};

	(void)version;
	(void)data;
	(void)data_length;
	(void)of_request;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return send_status(connection, MHD_HTTP_METHOD_NOT_ALLOWED);
	server->answer(server->context, &request, &answer);
	if (!answer.page)
		return send_status(connection, answer.status);
	return mhd.queue_response(connection, answer.status, answer.page);
}

/* ---- the server */

struct server *server_new(int fd, server_answer_fn *answer, void *context)
{
	struct server *server;
	int err = load();

	if (err) {
		errno = -err;
		return NULL;
	}
	server = calloc(1, sizeof(*server));
	if (!server)
		return NULL;
	server->answer = answer;
	server->context = context;
	server->daemon =
		mhd.start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handle, server,
				 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CLIENTS,
				 MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
	if (server->daemon)
		return server;
	free(server);
	return NULL;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	mhd.stop_daemon(server->daemon);
	free(server);
}

int server_fd(const struct server *server)
{
	return mhd.get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int server_timeout_ms(const struct server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (mhd.get_timeout(server->daemon, &ms) != MHD_YES)
		return -1;
	return ms < LONGEST_MS ? (int)ms : LONGEST_MS;
}

void server_serve(struct server *server)
{
	mhd.run(server->daemon);
}

// SPDX-License-Identifier: MIT
/* Who is to be answered now, and who took too long? */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_NS  UINT64_C(5000000000)  /* to send a request */
#define WRITE_NS UINT64_C(15000000000) /* to take an answer */
#define END_NS   UINT64_C(1000000000)  /* to close after that */
#define REST_NS  UINT64_C(1000000000)

struct server_body *server_body_new(const char *text, size_t length)
{
	struct server_body *body = malloc(sizeof(*body) + length);

	if (!body)
		return NULL;
	body->users = 1;
	body->length = length;
	memcpy(body->at, text, length);
	return body;
}

void server_body_drop(struct server_body *body)
{
	if (body && --body->users == 0)
		free(body);
}

void server_init(struct server *server, int fd, server_answer_fn *answer, void *context)
{
	memset(server, 0, sizeof(*server));
	server->fd = fd;
	server->answer = answer;
	server->context = context;
}

static void end_client(struct client *client)
{
	close(client->fd);
	server_body_drop(client->body);
	client->body = NULL;
	client->state = CLIENT_FREE;
}

void server_done(struct server *server)
{
	for (int i = 0; i < SERVER_CLIENTS; i++)
		if (server->clients[i].state != CLIENT_FREE)
			end_client(&server->clients[i]);
}

/* ---- waiting */

/* SERVER_CLIENTS: there is none. */
static size_t free_place(const struct server *server)
{
	size_t i = 0;

	while (i < SERVER_CLIENTS && server->clients[i].state != CLIENT_FREE)
		i++;
	return i;
}

void server_polls(const struct server *server, struct pollfd polls[SERVER_POLLS], uint64_t now_ns)
{
	bool is_open = free_place(server) < SERVER_CLIENTS && now_ns >= server->rests_until_ns;

	polls[0] = (struct pollfd){.fd = is_open ? server->fd : -1, .events = POLLIN};
	for (int i = 0; i < SERVER_CLIENTS; i++) {
		const struct client *client = &server->clients[i];

		polls[i + 1] = (struct pollfd){
			.fd = client->state == CLIENT_FREE ? -1 : client->fd,
			.events = client->state == CLIENT_WRITES ? POLLOUT : POLLIN,
		};
	}
}

int server_timeout_ms(const struct server *server, uint64_t now_ns)
{
	uint64_t next = server->rests_until_ns > now_ns ? server->rests_until_ns : UINT64_MAX;

	for (int i = 0; i < SERVER_CLIENTS; i++) {
		const struct client *client = &server->clients[i];

		if (client->state != CLIENT_FREE && client->deadline_ns < next)
			next = client->deadline_ns;
	}
	if (next == UINT64_MAX)
		return -1;
	return next > now_ns ? (int)((next - now_ns) / 1000000 + 1) : 0;
}

/* ---- writing */

static void enter(struct client *client, enum client_state state, uint64_t deadline_ns)
{
	client->state = state;
	client->deadline_ns = deadline_ns;
}

/* Nothing is left of an answer. What the client still sends is read, lest it is told of a reset. */
static void finish_answer(struct client *client, uint64_t now_ns)
{
	shutdown(client->fd, SHUT_WR);
	enter(client, CLIENT_ENDS, now_ns + END_NS);
}

static void write_answer(struct client *client, uint64_t now_ns)
{
	size_t of_head =
		client->sent < client->head_length ? client->head_length - client->sent : 0;
	size_t of_body =
		client->sent > client->head_length ? client->sent - client->head_length : 0;
	struct iovec parts[2] = {{client->head + client->head_length - of_head, of_head}};
	const struct msghdr message = {.msg_iov = parts, .msg_iovlen = client->body_length ? 2 : 1};
	ssize_t sent;

	if (client->body_length) {
		parts[1].iov_base = client->body->at + of_body;
		parts[1].iov_len = client->body_length - of_body;
	}
	sent = sendmsg(client->fd, &message, MSG_NOSIGNAL);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (sent < 0) {
		end_client(client);
		return;
	}
	client->sent += (size_t)sent;
	if (client->sent == client->head_length + client->body_length)
		finish_answer(client, now_ns);
}

/* The body of whatever has none: its status in words. */
static struct server_body *plain_body(int status)
{
	const char *reason = http_reason(status);
	struct server_body *body = server_body_new(reason, strlen(reason) + 1);

	if (body)
		body->at[body->length - 1] = '\n';
	return body;
}

static void begin_answer(struct client *client, const struct server_answer *answer, bool has_body,
			 uint64_t now_ns)
{
	struct http_answer head = {
		.status = answer->status, .type = answer->type, .is_gzipped = answer->is_gzipped};

	client->body = answer->body ? answer->body : plain_body(answer->status);
	if (!answer->body)
		head.type = "text/plain; charset=utf-8";
	head.length = client->body ? client->body->length : 0;
	client->head_length = http_answer(&head, client->head);
	client->body_length = has_body ? head.length : 0;
	client->sent = 0;
	enter(client, CLIENT_WRITES, now_ns + WRITE_NS);
	write_answer(client, now_ns);
}

/* ---- reading */

static void answer_request(struct server *server, struct client *client, int status,
			   const struct http_request *request)
{
	struct server_answer answer = {.status = status};

	if (status == 200 && request->method == HTTP_OTHER)
		answer.status = 405;
	else if (status == 200)
		server->answer(server->context, request, &answer);
	begin_answer(client, &answer, status != 200 || request->method != HTTP_HEAD,
		     server->now_ns);
}

static void read_request(struct server *server, struct client *client)
{
	struct http_request request;
	ssize_t got = recv(client->fd, client->head + client->head_length,
			   sizeof(client->head) - client->head_length, 0);
	int status;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		end_client(client);
		return;
	}
	client->head_length += (size_t)got;
	status = http_parse(client->head, client->head_length, &request);
	if (status)
		answer_request(server, client, status, &request);
}

static void read_to_end(struct client *client)
{
	ssize_t got = recv(client->fd, client->head, sizeof(client->head), 0);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		end_client(client);
}

/* ---- all of them */

static void welcome(struct server *server)
{
	size_t place;

	while ((place = free_place(server)) < SERVER_CLIENTS) {
		struct client *client = &server->clients[place];
		int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && errno == ECONNABORTED)
			continue;
		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR)
				server->rests_until_ns = server->now_ns + REST_NS;
			return;
		}
		client->fd = fd;
		client->head_length = 0;
		enter(client, CLIENT_READS, server->now_ns + READ_NS);
	}
}

static void serve_client(struct server *server, struct client *client)
{
	if (client->state == CLIENT_READS)
		read_request(server, client);
	else if (client->state == CLIENT_WRITES)
		write_answer(client, server->now_ns);
	else
		read_to_end(client);
}

/* Whoever sends no request is told so; whoever takes no answer is left. */
static void expire(struct client *client, uint64_t now_ns)
{
	const struct server_answer late = {.status = 408};

	if (client->state == CLIENT_READS)
		begin_answer(client, &late, true, now_ns);
	else
		end_client(client);
}

void server_serve(struct server *server, const struct pollfd polls[SERVER_POLLS], uint64_t now_ns)
{
	server->now_ns = now_ns;
	for (int i = 0; i < SERVER_CLIENTS; i++) {
		struct client *client = &server->clients[i];

		if (client->state != CLIENT_FREE && polls[i + 1].revents)
			serve_client(server, client);
		if (client->state != CLIENT_FREE && now_ns >= client->deadline_ns)
			expire(client, now_ns);
	}
	if (polls[0].revents)
		welcome(server);
}

// SPDX-License-Identifier: MIT
/* Which address is meant, and can we listen there? */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/text.h"

#define BACKLOG 64

static int parse_unix(const char *path, struct endpoint *endpoint)
{
	struct sockaddr_un *un = &endpoint->address.un;

	if (!*path || strlen(path) >= sizeof(un->sun_path))
		return -EINVAL;
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	endpoint->length = sizeof(*un);
	return 0;
}

static int parse_host(const char *host, uint16_t port, struct endpoint *endpoint)
{
	union endpoint_address *address = &endpoint->address;
	size_t length = strlen(host);
	char inner[INET6_ADDRSTRLEN];

	if (length > 2 && host[0] == '[' && host[length - 1] == ']' && length - 2 < sizeof(inner)) {
		snprintf(inner, sizeof(inner), "%.*s", (int)(length - 2), host + 1);
		address->in6.sin6_family = AF_INET6;
		address->in6.sin6_port = port;
		endpoint->length = sizeof(address->in6);
		return inet_pton(AF_INET6, inner, &address->in6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	address->in.sin_family = AF_INET;
	address->in.sin_port = port;
	endpoint->length = sizeof(address->in);
	if (!*host)
		return 0; /* INADDR_ANY */
	return inet_pton(AF_INET, host, &address->in.sin_addr) == 1 ? 0 : -EINVAL;
}

int endpoint_parse(const char *text, struct endpoint *endpoint)
{
	static const char local[] = "unix:";
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t port;

	memset(endpoint, 0, sizeof(*endpoint));
	if (strncmp(text, local, strlen(local)) == 0)
		return parse_unix(text + strlen(local), endpoint);
	if (!colon || (size_t)(colon - text) >= sizeof(host) ||
	    text_parse_u64(colon + 1, 0, 65535, &port))
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	return parse_host(host, htons((uint16_t)port), endpoint);
}

/* A socket file outlives its server, unless that ended well. Other files refuse connections, too.
 */
static void remove_if_dead(const struct endpoint *endpoint)
{
	const char *path = endpoint->address.un.sun_path;
	struct stat stat;
	int fd;

	if (lstat(path, &stat) || !S_ISSOCK(stat.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &endpoint->address.any, endpoint->length) && errno == ECONNREFUSED)
		unlink(path);
	close(fd);
}

static int bind_and_listen(int fd, struct endpoint *endpoint)
{
	int on = 1;

	if (endpoint->address.any.sa_family == AF_UNIX)
		remove_if_dead(endpoint);
	else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -errno;
	if (bind(fd, &endpoint->address.any, endpoint->length) || listen(fd, BACKLOG))
		return -errno;
	if (endpoint->address.any.sa_family != AF_UNIX)
		getsockname(fd, &endpoint->address.any, &endpoint->length);
	return 0;
}

int endpoint_listen(struct endpoint *endpoint)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	int fd = socket(endpoint->address.any.sa_family, type, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = bind_and_listen(fd, endpoint);
	if (!err)
		return fd;
	close(fd);
	return err;
}

void endpoint_remove(const struct endpoint *endpoint)
{
	if (endpoint->address.any.sa_family == AF_UNIX)
		unlink(endpoint->address.un.sun_path);
}

char *endpoint_text(const struct endpoint *endpoint, char out[ENDPOINT_TEXT])
{
	const union endpoint_address *address = &endpoint->address;
	char host[INET6_ADDRSTRLEN];

	if (address->any.sa_family == AF_UNIX)
		snprintf(out, ENDPOINT_TEXT, "unix:%s", address->un.sun_path);
	else if (address->any.sa_family == AF_INET6)
		snprintf(out, ENDPOINT_TEXT, "http://[%s]:%u",
			 inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof(host)),
			 ntohs(address->in6.sin6_port));
	else
		snprintf(out, ENDPOINT_TEXT, "http://%s:%u",
			 inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof(host)),
			 ntohs(address->in.sin_port));
	return out;
}

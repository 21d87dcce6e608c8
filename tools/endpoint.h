/* SPDX-License-Identifier: MIT */
/* Where a server listens: ADDRESS:PORT, [ADDRESS]:PORT, :PORT (all addresses) or unix:PATH. */
#ifndef BUFSCOPE_ENDPOINT_H
#define BUFSCOPE_ENDPOINT_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

union endpoint_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

struct endpoint {
	union endpoint_address address;
	socklen_t length;
};

/* Addresses are numbers: names are not looked up. 0 or -EINVAL. */
int endpoint_parse(const char *text, struct endpoint *endpoint);

/*
 * A socket that listens there; a port 0 becomes the one that it got, in *endpoint. Where a socket
 * lies that nobody listens on any more, it is replaced. -errno.
 */
int endpoint_listen(struct endpoint *endpoint);

/* Takes away what listening left in the file system. */
void endpoint_remove(const struct endpoint *endpoint);

#define ENDPOINT_TEXT (sizeof(((struct sockaddr_un *)0)->sun_path) + 16)

/* As it is written in an URL: "http://127.0.0.1:80", "unix:/path". Returns out. */
char *endpoint_text(const struct endpoint *endpoint, char out[ENDPOINT_TEXT]);

#endif

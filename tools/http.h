/* SPDX-License-Identifier: MIT */
/* What of HTTP its library leaves to others: which kind of answer does a client prefer? Pure. */
#ifndef BUFSCOPE_HTTP_H
#define BUFSCOPE_HTTP_H

#include <stdbool.h>

struct http_wants {
	bool openmetrics; /* rather than the older text format */
	bool gzip;
};

/* The headers Accept and Accept-Encoding as anybody may have sent them; NULL: none. */
struct http_wants http_wants(const char *types, const char *encodings);

#endif

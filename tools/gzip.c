// SPDX-License-Identifier: MIT
/* How small does a text get? */
#include "gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#define WINDOW_BITS (15 + 16) /* 16: with the head that gzip has */
#define MEMORY      8

char *gzip_pack(const char *text, size_t length, size_t *packed)
{
	z_stream stream = {0};
	char *out = NULL;
	size_t room;
	int code;

	if (length > UINT32_MAX / 2 || deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS,
						    MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	room = deflateBound(&stream, length);
	out = malloc(room);
	if (out) {
		stream.next_in = (unsigned char *)text;
		stream.avail_in = (unsigned int)length;
		stream.next_out = (unsigned char *)out;
		stream.avail_out = (unsigned int)room;
		code = deflate(&stream, Z_FINISH);
		*packed = stream.total_out;
		if (code != Z_STREAM_END) {
			free(out);
			out = NULL;
		}
	}
	deflateEnd(&stream);
	return out;
}

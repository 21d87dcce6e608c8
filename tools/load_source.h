/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of one group come from: both ends of a socket pair or a pipe, or a file. Sends
 * without blocking and knows what is on its way; what arrives is for others to say.
 *
 * A source that keeps messages apart delivers each with one completion, cut to the room in the
 * buffer. A byte stream is several times faster and is used where a message fills a buffer: then
 * n messages make at most n completions all the same, as long as the last one is whole.
 */
#ifndef BUFSCOPE_LOAD_SOURCE_H
#define BUFSCOPE_LOAD_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "load.h"

struct load_source {
	int read_fd, write_fd; /* -1: none */
	enum load_medium medium;
	bool is_stream;         /* boundaries of messages are lost */
	uint32_t message_bytes; /* of a stream: at most what one buffer takes */
	uint64_t queued;        /* bytes sent and not yet received; of a file: wanted */
	uint64_t offset;        /* of a file: where to read next */
};

/* 0 or a fault. */
int load_source_open(struct load_source *source, const struct load_opts *opts,
		     struct load_fault *fault);

/* So many bytes can be sent at once, and be on their way without any being refused. */
uint64_t load_source_window(const struct load_source *source);

/*
 * Sends whole messages (of a stream: bytes), as many as fit. Returns the bytes that were sent,
 * possibly 0, or -errno.
 */
int64_t load_source_send(struct load_source *source, uint64_t bytes);

/* A completion brought so many bytes; returns by how much `queued` shrank. */
uint64_t load_source_receive(struct load_source *source, uint32_t bytes);

/* Messages on their way. */
static inline uint64_t load_source_messages(const struct load_source *source)
{
	return (source->queued + source->message_bytes - 1) / source->message_bytes;
}

/* Where in the file the next read begins; it never meets the end. */
uint64_t load_source_next_offset(struct load_source *source);

/* Accepts one that was only zeroed or did not open. */
void load_source_close(struct load_source *source);

#endif

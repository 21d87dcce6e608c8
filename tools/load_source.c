// SPDX-License-Identifier: MIT
/* How do bytes reach a ring, in known portions, from the same thread that receives them? */
#include "load_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd.h"

/* Within one piece a receiver on another thread, as that of SQPOLL, never meets half a message. */
#define STREAM_WINDOW  LOAD_STREAM_PIECE
#define PACKETS_WINDOW 128u /* messages */
#define FILE_WINDOW    512u /* reads */
#define FILE_BYTES     (1u << 20)
#define PIPE_BYTES     (256u << 10)

/* Nobody looks at the content: never written, this is one page of zeros mapped many times. */
static unsigned char payload[LOAD_MESSAGE_MAX];

static bool wants_stream(const struct load_opts *opts)
{
	if (opts->op->bundle)
		return true;
	/* a message could straddle two buffers, or none fill one */
	if (opts->kind == BS_POOL_INC || opts->op->header_bytes)
		return false;
	if (opts->op->medium == MEDIUM_SOCKET && opts->message_bytes > STREAM_WINDOW)
		return false;
	return opts->message_bytes == opts->buf_bytes;
}

/* ---- opening */

static int open_sockets(struct load_source *s)
{
	int fds[2], bytes = 2 * (int)s->message_bytes;
	int type = s->is_stream ? SOCK_STREAM : SOCK_SEQPACKET;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	s->read_fd = fds[0];
	s->write_fd = fds[1];
	/* The default holds any but large messages; where it cannot be raised, send() tells. */
	if (bytes > (int)STREAM_WINDOW)
		setsockopt(s->write_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return 0;
}

static int open_pipe(struct load_source *s)
{
	int fds[2], packets = s->is_stream ? 0 : O_DIRECT;

	if (pipe2(fds, O_CLOEXEC | packets) < 0)
		return -errno;
	s->read_fd = fds[0];
	s->write_fd = fds[1];
	/* Only the writer: a reader that must not block would not wait for data either. */
	if (fcntl(s->write_fd, F_SETFL, O_NONBLOCK | packets) < 0)
		return -errno;
	fcntl(s->write_fd, F_SETPIPE_SZ, PIPE_BYTES); /* more is faster, less is no harm */
	return 0;
}

/*
 * On a disk's file system, if there is one: its cache is read at once. For memory files the kernel
 * hands each read to a worker thread, which is several times slower, and as exact.
 */
static int open_unnamed(void)
{
	const char *const dirs[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		int fd = dirs[i] ? open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

		if (fd >= 0)
			return fd;
	}
	return memfd_create("bufscope-load", MFD_CLOEXEC);
}

static int open_file(struct load_source *s)
{
	s->read_fd = open_unnamed();
	if (s->read_fd < 0)
		return -errno;
	for (size_t at = 0; at < FILE_BYTES; at += sizeof(payload)) {
		ssize_t n = pwrite(s->read_fd, payload, sizeof(payload), (off_t)at);

		if (n != sizeof(payload))
			return n < 0 ? -errno : -ENOSPC;
	}
	return 0;
}

static int open_medium(struct load_source *s)
{
	switch (s->medium) {
	case MEDIUM_SOCKET:
		return open_sockets(s);
	case MEDIUM_PIPE:
		return open_pipe(s);
	case MEDIUM_FILE:
		return open_file(s);
	case MEDIUM_NONE:
		break;
	}
	return 0;
}

int load_source_open(struct load_source *s, const struct load_opts *opts, struct load_fault *fault)
{
	static const char *const names[] = {"nothing", "socket pair", "pipe", "file"};
	int err;

	*s = (struct load_source){
		.read_fd = -1,
		.write_fd = -1,
		.medium = opts->op->medium,
		.is_stream = opts->op->medium != MEDIUM_FILE && wants_stream(opts),
		.message_bytes = opts->op->bundle ? opts->buf_bytes : opts->message_bytes,
	};
	err = open_medium(s);
	if (!err)
		return 0;
	return load_fault(fault, EXIT_FAILED,
			  err == -EMFILE ? "raise the hard limit of open files (ulimit -Hn)" : NULL,
			  "cannot open a %s: %s", names[s->medium], strerror(-err));
}

void load_source_close(struct load_source *s)
{
	if (s->medium != MEDIUM_NONE && s->read_fd >= 0)
		close(s->read_fd);
	if (s->medium != MEDIUM_NONE && s->write_fd >= 0)
		close(s->write_fd);
	s->read_fd = s->write_fd = -1;
}

/* ---- sending */

uint64_t load_source_window(const struct load_source *s)
{
	if (s->medium == MEDIUM_FILE)
		return (uint64_t)FILE_WINDOW * s->message_bytes;
	if (!s->is_stream)
		return (uint64_t)PACKETS_WINDOW * s->message_bytes;
	return s->message_bytes > STREAM_WINDOW ? s->message_bytes : STREAM_WINDOW;
}

static int64_t send_socket_packets(struct load_source *s, uint32_t nr)
{
	struct iovec piece = {.iov_base = payload, .iov_len = s->message_bytes};
	struct mmsghdr mail[PACKETS_WINDOW];
	int sent;

	for (uint32_t i = 0; i < nr; i++)
		mail[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};
	sent = sendmmsg(s->write_fd, mail, nr, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : (int64_t)sent * s->message_bytes;
}

static int64_t send_pipe_packets(struct load_source *s, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		if (write(s->write_fd, payload, s->message_bytes) < 0)
			return i ? (int64_t)i * s->message_bytes : -errno;
	}
	return (int64_t)nr * s->message_bytes;
}

static int64_t send_bytes(struct load_source *s, uint64_t bytes)
{
	ssize_t sent = s->medium == MEDIUM_SOCKET
			       ? send(s->write_fd, payload, bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
			       : write(s->write_fd, payload, bytes);

	return sent < 0 ? -errno : sent;
}

static int64_t send_packets(struct load_source *s, uint64_t bytes)
{
	uint64_t nr = bytes / s->message_bytes;

	if (nr > PACKETS_WINDOW)
		nr = PACKETS_WINDOW;
	return s->medium == MEDIUM_SOCKET ? send_socket_packets(s, (uint32_t)nr)
					  : send_pipe_packets(s, (uint32_t)nr);
}

int64_t load_source_send(struct load_source *s, uint64_t bytes)
{
	int64_t sent;

	if (bytes > load_source_window(s))
		bytes = load_source_window(s);
	if (s->medium == MEDIUM_FILE) /* to read is all there is to it */
		sent = (int64_t)bytes;
	else
		sent = s->is_stream ? send_bytes(s, bytes) : send_packets(s, bytes);
	if (sent == -EAGAIN || sent == -EINTR)
		return 0;
	if (sent > 0)
		s->queued += (uint64_t)sent;
	return sent;
}

uint64_t load_source_receive(struct load_source *s, uint32_t bytes)
{
	uint64_t received = s->is_stream ? bytes : s->message_bytes;

	s->queued -= received;
	return received;
}

uint64_t load_source_next_offset(struct load_source *s)
{
	uint64_t offset = s->offset;

	s->offset += s->message_bytes;
	if (s->offset + s->message_bytes > FILE_BYTES)
		s->offset = 0;
	return offset;
}

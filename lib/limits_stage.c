// SPDX-License-Identifier: MIT
/* What does a scene need? A ring, a group, two ends, and a way to look at what happened. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits_stage.h"

/* How long "no completion" takes to be believed. */
#define PATIENCE_NS 20000000

static int open_tcp(int fds[2])
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = 0;

	fds[0] = fds[1] = -1;
	if (listener < 0)
		return -errno;
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[1] < 0 || bind(listener, (struct sockaddr *)&addr, len) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&addr, &len) < 0 ||
	    connect(fds[1], (struct sockaddr *)&addr, len) < 0)
		err = -errno;
	if (!err) {
		fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		err = fds[0] < 0 ? -errno : 0;
	}
	close(listener);
	return err;
}

static int open_ends(enum limits_ends ends, int fds[2])
{
	int err = 0;

	switch (ends) {
	case ENDS_STREAM:
		err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
		break;
	case ENDS_DGRAM:
		err = socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds);
		break;
	case ENDS_PIPE:
		err = pipe2(fds, O_CLOEXEC);
		break;
	case ENDS_TCP:
		return open_tcp(fds);
	case ENDS_NONE:
		fds[0] = fds[1] = -1;
		break;
	}
	return err < 0 ? -errno : 0;
}

static int open_group(struct limits_stage *s, const struct limits_stage_opts *opts)
{
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)s->slots,
		.ring_entries = s->entries,
		.bgid = STAGE_BGID,
		.flags = opts->flags,
		.min_left = opts->min_left,
	};
	int err = limits_register(s->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);

	if (err)
		return err;
	for (unsigned int i = 0; i < opts->provided; i++)
		limits_stage_put(s, (uint16_t)i);
	limits_stage_publish(s);
	return 0;
}

int limits_stage_open(struct limits_stage *s, const struct limits_stage_opts *opts)
{
	int fds[2];
	int err;

	*s = (struct limits_stage){
		.entries = opts->entries ? opts->entries : 8,
		.buf_bytes = opts->buf_bytes ? opts->buf_bytes : 64,
	};
	s->slots = limits_map(s->entries * sizeof(*s->slots));
	s->memory = limits_map((size_t)s->entries * s->buf_bytes);
	if (!s->slots || !s->memory)
		return -ENOMEM;
	err = open_ends(opts->ends, fds);
	if (err)
		return err;
	s->in = fds[0];
	s->out = fds[1];
	err = io_uring_queue_init(64, &s->ring, opts->setup_flags);
	return err || opts->no_group ? err : open_group(s, opts);
}

void limits_stage_add(struct limits_stage *s, uint16_t bid, void *addr, unsigned int len)
{
	struct io_uring_buf *slot = &s->slots[s->tail++ & (s->entries - 1)];

	/* Field by field: the tail lies in the first slot. */
	slot->addr = (uintptr_t)addr;
	slot->len = len;
	slot->bid = bid;
}

void limits_stage_put(struct limits_stage *s, uint16_t bid)
{
	limits_stage_add(s, bid, s->memory + (size_t)bid * s->buf_bytes, s->buf_bytes);
}

void limits_stage_publish(struct limits_stage *s)
{
	/* Pairs with the kernel's acquire: entries before the tail that covers them. */
	__atomic_store_n(&s->slots[0].resv, s->tail, __ATOMIC_RELEASE);
}

int limits_stage_head(struct limits_stage *s)
{
	struct bs_buf_status status = {.buf_group = STAGE_BGID};
	int err = limits_register(s->ring.ring_fd, IORING_REGISTER_PBUF_STATUS, &status, 1);

	return err ? err : (int)status.head;
}

int limits_stage_send(struct limits_stage *s, unsigned int bytes, unsigned char first)
{
	unsigned char data[4096];
	ssize_t sent;

	if (bytes > sizeof(data))
		return -EINVAL;
	for (unsigned int i = 0; i < bytes; i++)
		data[i] = (unsigned char)(first + i);
	sent = write(s->out, data, bytes);
	if (sent < 0)
		return -errno;
	return (unsigned int)sent == bytes ? 0 : -EAGAIN;
}

int limits_stage_recv(struct limits_stage *s, unsigned int ioprio)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	io_uring_prep_recv(sqe, s->in, NULL, 0, 0);
	sqe->ioprio = (uint16_t)ioprio;
	limits_stage_select(sqe);
	return limits_stage_submit(s);
}

int limits_stage_submit(struct limits_stage *s)
{
	int submitted = io_uring_submit(&s->ring);

	return submitted < 0 ? submitted : 0;
}

int limits_stage_next(struct limits_stage *s, struct limits_event *event)
{
	struct __kernel_timespec patience = {.tv_nsec = PATIENCE_NS};
	struct io_uring_cqe *cqe;
	int err = io_uring_wait_cqe_timeout(&s->ring, &cqe, &patience);

	if (err)
		return err;
	*event = (struct limits_event){cqe->user_data, cqe->res, cqe->flags};
	io_uring_cqe_seen(&s->ring, cqe);
	return 0;
}

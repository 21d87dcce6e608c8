// SPDX-License-Identifier: MIT
/* What does a scene need? A ring, a group, two ends, and a way to look at what happened. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits_stage.h"
#include "text.h"

/* How long a completion may take, and how long it takes to believe that there is none. */
#define PATIENCE_NS   500000000
#define SCEPTICISM_NS 8000000

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

static int wait_event(struct limits_stage *s, struct limits_event *event, long ns)
{
	struct __kernel_timespec patience = {.tv_nsec = ns};
	struct io_uring_cqe *cqe;
	int err = io_uring_wait_cqe_timeout(&s->ring, &cqe, &patience);

	if (err)
		return err;
	*event = (struct limits_event){cqe->user_data, cqe->res, cqe->flags};
	io_uring_cqe_seen(&s->ring, cqe);
	return 0;
}

int limits_stage_next(struct limits_stage *s, struct limits_event *event)
{
	return wait_event(s, event, PATIENCE_NS);
}

int limits_stage_more(struct limits_stage *s, struct limits_event *event)
{
	return wait_event(s, event, SCEPTICISM_NS);
}

/*
 * Entries stand in the order of their ids: the next to be selected tells how many are gone. That
 * works where the kernel has no call to tell its head.
 */
int limits_stage_taken(struct limits_stage *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	io_uring_prep_recv(sqe, ends[0], NULL, 0, 0);
	limits_stage_select(sqe);
	err = write(ends[1], "", 1) == 1 ? limits_stage_submit(s) : -EIO;
	if (!err)
		err = limits_stage_next(s, &e);
	close(ends[0]);
	close(ends[1]);
	if (err)
		return err;
	return e.res == -ENOBUFS ? s->tail : limits_event_bid(&e);
}

int limits_ask_scene(const struct limits_env *env, struct limits_answer *answer)
{
	const struct limits_scene *scene = env->arg;
	struct limits_stage s;
	int err = limits_stage_open(&s, &scene->stage);

	if (err == -EINVAL) {
		answer->how = LIMITS_ABSENT;
		answer->errno_past = EINVAL;
		return 0;
	}
	return err ? err : scene->play(&s, answer);
}

const char *limits_say(int res)
{
	static char words[4][16];
	static unsigned int turn;
	char *out = words[turn++ % 4];

	if (res < 0)
		return text_errno(-res);
	snprintf(out, sizeof(words[0]), "%d", res);
	return out;
}

int limits_judge(struct limits_answer *answer, enum limits_verdict verdict, const char *evidence,
		 ...)
{
	va_list args;

	answer->how = LIMITS_TRIED;
	answer->verdict = verdict;
	va_start(args, evidence);
	vsnprintf(answer->note, sizeof(answer->note), evidence, args);
	va_end(args);
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * Does an incremental ring account for what it delivered? The kernel rewrites the entry that it
 * fills, so that what it thinks it used lies open beside what completions say.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits_stage.h"
#include "limits_table.h"

/* Bytes that have left the entries of the first nr buffers. */
static unsigned int used_bytes(const struct limits_stage *s, unsigned int nr)
{
	unsigned int left = 0;

	for (unsigned int i = 0; i < nr; i++)
		left += s->slots[i].len;
	return nr * s->buf_bytes - left;
}

/* A datagram half as long again as a buffer, its true length asked for. */
static int play_truncated(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	unsigned int used;
	int err = limits_stage_send(s, s->buf_bytes + s->buf_bytes / 2, 0);

	io_uring_prep_recv(sqe, s->in, NULL, 0, MSG_TRUNC);
	limits_stage_select(sqe);
	if (!err)
		err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	used = used_bytes(s, 3);
	return limits_judge(answer, used <= s->buf_bytes ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "%u bytes into a buffer of %u: %u are used up, result %s",
			    s->buf_bytes + s->buf_bytes / 2, s->buf_bytes, used, limits_say(e.res));
}

static int read_file(struct limits_stage *s, unsigned int ask, struct limits_event *e)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	int err, fd = memfd_create("bufscope", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (pwrite(fd, "0123456789ab", 12, 0) != 12)
		return -EIO;
	io_uring_prep_read(sqe, fd, NULL, ask, 0);
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	return err ? err : limits_stage_next(s, e);
}

static int play_short_file(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = read_file(s, 16, &e);
	unsigned int used;

	if (err)
		return err;
	used = used_bytes(s, 2);
	return limits_judge(answer, (int)used == e.res ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "a read of 16 gets %s, %u are used up", limits_say(e.res), used);
}

static int play_file_more(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = read_file(s, 12, &e);
	bool more, current;

	if (err)
		return err;
	more = e.flags & IORING_CQE_F_BUF_MORE;
	current = s->slots[0].len > 0;
	if (e.res < 0 || !(e.flags & IORING_CQE_F_BUFFER))
		return limits_judge(answer, LIMITS_CANNOT_TELL, "result %s", limits_say(e.res));
	return limits_judge(answer, more == current ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "%u bytes are left of the buffer, the completion says %s",
			    s->slots[0].len, more ? "more" : "no more");
}

static int play_file_place(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = read_file(s, 12, &e);

	if (err)
		return err;
	if (e.res < 0)
		return limits_judge(answer, LIMITS_MISBEHAVES, "the read ends with %s",
				    limits_say(e.res));
	return limits_judge(answer,
			    memcmp(s->memory, "0123456789ab", 12) == 0 ? LIMITS_BEHAVES
								       : LIMITS_MISBEHAVES,
			    "the file's bytes stand %s the beginning of the buffer",
			    memcmp(s->memory, "0123456789ab", 12) == 0 ? "at" : "past");
}

static int play_end(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	bool released;
	int err;

	close(s->out);
	s->out = -1;
	io_uring_prep_read(sqe, s->in, NULL, 0, (uint64_t)-1);
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	released = e.flags & IORING_CQE_F_BUFFER && !(e.flags & IORING_CQE_F_BUF_MORE);
	return limits_judge(answer,
			    released && s->slots[0].len > 0 ? LIMITS_MISBEHAVES : LIMITS_BEHAVES,
			    "result %s, flags 0x%x, %u bytes left of the buffer", limits_say(e.res),
			    e.flags, s->slots[0].len);
}

/* By a worker thread the buffer is committed before it is known how much came. */
static int play_async(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	bool more, right;
	int err = limits_stage_send(s, 10, 0);

	io_uring_prep_read(sqe, s->in, NULL, 0, (uint64_t)-1);
	limits_stage_select(sqe);
	sqe->flags |= IOSQE_ASYNC;
	if (!err)
		err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	more = e.flags & IORING_CQE_F_BUF_MORE;
	if (e.res < 0 || !(e.flags & IORING_CQE_F_BUFFER))
		return limits_judge(answer, LIMITS_CANNOT_TELL, "result %s, flags 0x%x",
				    limits_say(e.res), e.flags);
	right = (int)used_bytes(s, 4) == e.res && more == (s->slots[0].len > 0);
	return limits_judge(answer, right ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "a read gets %d, %u are used up, the completion says %s", e.res,
			    used_bytes(s, 4), more ? "more" : "no more");
}

/* Two datagrams; the first leaves less of the buffer than the header of the second needs. */
static int receive_two(struct limits_stage *s, struct limits_event *e)
{
	static struct msghdr msg;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	unsigned int first = s->buf_bytes - 16 - 8; /* 16: struct io_uring_recvmsg_out */
	int err;

	io_uring_prep_recvmsg(sqe, s->in, &msg, 0);
	sqe->ioprio = IORING_RECV_MULTISHOT;
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_send(s, first, 0);
	if (!err)
		err = limits_stage_next(s, e);
	if (!err && e->res >= 0)
		err = limits_stage_send(s, 20, 0);
	if (!err && e->res >= 0)
		err = limits_stage_next(s, e);
	return err;
}

static int play_header(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = receive_two(s, &e);

	if (err)
		return err;
	return limits_judge(answer, e.res >= 0 ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "8 bytes left, then a message with a header of 16: result %s",
			    limits_say(e.res));
}

#define INC_SCENE(function, what, ...)                                                             \
	SCENE(function, .ends = (what), .provided = 4, .flags = IOU_PBUF_RING_INC, __VA_ARGS__)

static const struct limits_probe probes[] = {
	{"behaviour.inc_truncated", "MSG_TRUNC uses up one buffer at most",
	 INC_SCENE(play_truncated, ENDS_DGRAM, .buf_bytes = 100), REF("liburing#1619")},
	{"behaviour.inc_short_file", "a short file read uses up what it read",
	 INC_SCENE(play_short_file, ENDS_NONE), REF("liburing#1555")},
	{"behaviour.inc_file_more", "a file read says that the buffer goes on",
	 INC_SCENE(play_file_more, ENDS_NONE), REF("liburing#1553")},
	{"behaviour.inc_file_place", "a file read begins where the entry says",
	 INC_SCENE(play_file_place, ENDS_NONE), REF("lore:10c8ed15")},
	{"behaviour.inc_end", "end of file keeps the buffer (pipe)", INC_SCENE(play_end, ENDS_PIPE),
	 REF("liburing#1545")},
	{"behaviour.inc_end_stream", "end of file keeps the buffer (stream)",
	 INC_SCENE(play_end, ENDS_STREAM), REF("liburing#1545")},
	{"behaviour.inc_async", "a worker's read uses up what it read",
	 INC_SCENE(play_async, ENDS_PIPE), REF("liburing#1555")},
	{"behaviour.inc_header", "recvmsg skips a rest too small",
	 INC_SCENE(play_header, ENDS_DGRAM), REF("liburing#1433")},
	{"behaviour.inc_header_min_left", "the same with min_left",
	 INC_SCENE(play_header, ENDS_DGRAM, .min_left = 32), REF("liburing#1433")},
};

const struct limits_section limits_inc_section = {
	.name = "behaviour",
	.title = LIMITS_BEHAVIOUR_TITLE,
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.judges = true,
};

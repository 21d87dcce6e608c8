// SPDX-License-Identifier: MIT
/*
 * When does a request that waits for data end for want of buffers, and is it told? Scenes of
 * one-shot and multishot receives that run dry.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits_stage.h"
#include "limits_table.h"

/* Takes completions until one ends the request; -ETIME if none does. */
static int take_until_end(struct limits_stage *s, struct limits_event *last)
{
	int err;

	do {
		err = limits_stage_more(s, last);
	} while (!err && last->flags & IORING_CQE_F_MORE);
	return err;
}

static int play_empty_oneshot(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = limits_stage_recv(s, 0);

	if (!err)
		err = limits_stage_more(s, &e);
	if (err == -ETIME)
		return limits_judge(answer, LIMITS_MISBEHAVES, "it waits for data, silently");
	if (err)
		return err;
	return limits_judge(answer, e.res == -ENOBUFS ? LIMITS_BEHAVES : LIMITS_CANNOT_TELL,
			    "result %s at once, without data", limits_say(e.res));
}

/* One buffer, one message: does the end come before anything is lacking? */
static int play_last_buffer(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = limits_stage_recv(s, IORING_RECV_MULTISHOT);

	if (!err)
		err = limits_stage_send(s, s->buf_bytes, 0);
	if (!err)
		err = take_until_end(s, &e);
	if (!err)
		return limits_judge(answer, LIMITS_MISBEHAVES,
				    "ended with %s although no data waits for a buffer",
				    limits_say(e.res));
	if (err != -ETIME)
		return err;
	err = limits_stage_send(s, s->buf_bytes, 0);
	if (!err)
		err = take_until_end(s, &e);
	if (err)
		return limits_judge(answer, LIMITS_CANNOT_TELL, "no end even when data waits");
	return limits_judge(answer, e.res == -ENOBUFS ? LIMITS_BEHAVES : LIMITS_CANNOT_TELL,
			    "ended with %s when data came", limits_say(e.res));
}

static int play_pipe_last_buffer(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int err;

	io_uring_prep_rw(BS_OP_READ_MULTISHOT, sqe, s->in, NULL, 0, (uint64_t)-1);
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_send(s, s->buf_bytes, 0);
	if (!err)
		err = take_until_end(s, &e);
	if (!err && e.res == -EINVAL) {
		answer->how = LIMITS_ABSENT;
		return 0;
	}
	if (!err)
		return limits_judge(answer, LIMITS_MISBEHAVES,
				    "ended with %s although no data waits for a buffer",
				    limits_say(e.res));
	return err == -ETIME ? limits_judge(answer, LIMITS_BEHAVES, "stays armed") : err;
}

static int play_after_end(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = limits_stage_recv(s, IORING_RECV_MULTISHOT);

	if (!err)
		err = limits_stage_send(s, 3 * s->buf_bytes, 0);
	if (!err)
		err = take_until_end(s, &e);
	if (!err)
		err = limits_stage_send(s, s->buf_bytes, 0);
	if (err)
		return err;
	limits_stage_put(s, 0);
	limits_stage_publish(s);
	err = limits_stage_more(s, &e);
	if (err == -ETIME)
		return limits_judge(answer, LIMITS_BEHAVES, "nothing follows the last completion");
	if (err)
		return err;
	return limits_judge(answer, LIMITS_MISBEHAVES, "a completion (%s) follows the last",
			    limits_say(e.res));
}

static int play_cancel(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = limits_stage_recv(s, IORING_RECV_MULTISHOT);

	if (!err)
		err = limits_stage_send(s, s->buf_bytes, 0);
	if (!err && take_until_end(s, &e) == 0)
		return limits_judge(answer, LIMITS_CANNOT_TELL,
				    "it ended with %s before it could be cancelled",
				    limits_say(e.res));
	if (err)
		return err;
	io_uring_prep_cancel64(io_uring_get_sqe(&s->ring), 0, 0);
	err = limits_stage_submit(s);
	while (!err) {
		err = limits_stage_next(s, &e);
		if (!err && e.res < 0)
			return limits_judge(
				answer, e.res == -ECANCELED ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
				"the cancelled request ends with %s", limits_say(e.res));
	}
	return err;
}

static int play_unregister(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err = limits_stage_recv(s, 0);

	if (!err)
		err = limits_unregister_group(s->ring.ring_fd, STAGE_BGID);
	if (err)
		return limits_judge(answer, LIMITS_CANNOT_TELL, "unregister says %s",
				    limits_say(err));
	err = limits_stage_send(s, s->buf_bytes, 0);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	return limits_judge(answer, e.res == -ENOBUFS ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "unregister succeeds, the request ends with %s when data comes",
			    limits_say(e.res));
}

/* Two streams with much waiting, one byte a buffer: how long does the first go on alone? */
static int play_fairness(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e, last = {0};
	unsigned int run = 0, longest = 0;
	int other[2], err, first = s->in;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other) < 0)
		return -errno;
	err = limits_stage_send(s, 100, 0);
	if (!err &&
	    send(other[1], "01234567890123456789012345678901234567890123456789", 50, 0) != 50)
		err = -EAGAIN;
	for (int i = 0; i < 2 && !err; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

		io_uring_prep_recv(sqe, i ? other[0] : first, NULL, 0, 0);
		sqe->ioprio = IORING_RECV_MULTISHOT;
		limits_stage_select(sqe);
		sqe->user_data = (uint64_t)i + 1;
	}
	if (!err)
		err = limits_stage_submit(s);
	while (!err && limits_stage_more(s, &e) == 0) {
		run = e.user_data == last.user_data ? run + 1 : 1;
		longest = run > longest ? run : longest;
		last = e;
	}
	if (err)
		return err;
	return limits_judge(answer, longest < 100 ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "the first of two gets %u completions in a row of 100", longest);
}

/* Twice as much as a buffer holds waits, then nothing more comes. */
static int play_second_half(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int bytes = 0, err = limits_stage_send(s, 2 * s->buf_bytes, 0);

	if (err)
		return err;
	io_uring_prep_rw(BS_OP_READ_MULTISHOT, sqe, s->in, NULL, 0, (uint64_t)-1);
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	while (!err && limits_stage_more(s, &e) == 0) {
		if (e.res == -EINVAL) {
			answer->how = LIMITS_ABSENT;
			return 0;
		}
		bytes += e.res > 0 ? e.res : 0;
	}
	if (err)
		return err;
	return limits_judge(answer,
			    bytes == (int)(2 * s->buf_bytes) ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "%d of %u bytes arrive", bytes, 2 * s->buf_bytes);
}

/* A small buffer, then a large one: is the second receive still cut to the first's size? */
static int play_clamp(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err, res[2] = {0};

	limits_stage_add(s, 0, s->memory, 10);
	limits_stage_put(s, 1);
	limits_stage_publish(s);
	err = limits_stage_send(s, 10 + s->buf_bytes, 0);
	if (!err)
		err = limits_stage_recv(s, IORING_RECV_MULTISHOT);
	for (int i = 0; i < 2 && !err; i++) {
		err = limits_stage_next(s, &e);
		res[i] = e.res;
	}
	if (err)
		return err;
	return limits_judge(answer,
			    res[0] == 10 && res[1] == (int)s->buf_bytes ? LIMITS_BEHAVES
									: LIMITS_MISBEHAVES,
			    "buffers of 10 and %u bytes get %s and %s", s->buf_bytes,
			    limits_say(res[0]), limits_say(res[1]));
}

/* MSG_WAITALL without a length: the buffer's length is what to wait for. */
static int play_waitall(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int err;

	io_uring_prep_recv(sqe, s->in, NULL, 0, MSG_WAITALL);
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	for (int i = 0; i < 2 && !err; i++)
		err = limits_stage_send(s, s->buf_bytes / 2, (unsigned char)(i * 32));
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	return limits_judge(answer, e.res > 0 ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "two halves of a buffer give %s", limits_say(e.res));
}

static const struct limits_probe probes[] = {
	{"behaviour.empty_oneshot", "recv, group empty, no data: fails at once",
	 SCENE(play_empty_oneshot, .ends = ENDS_STREAM), REF("liburing#1275")},
	{"behaviour.last_buffer_stream", "multishot, last buffer taken: stays (stream)",
	 SCENE(play_last_buffer, .ends = ENDS_STREAM, .provided = 1), REF("liburing#688")},
	{"behaviour.last_buffer_dgram", "multishot, last buffer taken: stays (dgram)",
	 SCENE(play_last_buffer, .ends = ENDS_DGRAM, .provided = 1), REF("liburing#688")},
	{"behaviour.last_buffer_tcp", "multishot, last buffer taken: stays (TCP)",
	 SCENE(play_last_buffer, .ends = ENDS_TCP, .provided = 1), REF("liburing#688")},
	{"behaviour.last_buffer_pipe", "multishot, last buffer taken: stays (pipe)",
	 SCENE(play_pipe_last_buffer, .ends = ENDS_PIPE, .provided = 1), REF("liburing#688")},
	{"behaviour.after_end", "no completion after the last one",
	 SCENE(play_after_end, .ends = ENDS_STREAM, .provided = 1), REF("liburing#1246")},
	{"behaviour.cancel", "cancelled when starving: ECANCELED",
	 SCENE(play_cancel, .ends = ENDS_TCP, .provided = 1), REF("zig#17806")},
	{"behaviour.unregister_armed", "group unregistered under a request",
	 SCENE(play_unregister, .ends = ENDS_STREAM, .provided = 1), REF("liburing#733")},
	{"behaviour.fairness", "a busy stream lets others through",
	 SCENE(play_fairness, .ends = ENDS_STREAM, .entries = 256, .buf_bytes = 1, .provided = 256),
	 REF("liburing#1043")},
	{"behaviour.second_half", "multishot read gets all that waits",
	 SCENE(play_second_half, .ends = ENDS_STREAM, .provided = 4), REF("liburing#1041")},
	{"behaviour.clamp", "a small buffer does not cut the next",
	 SCENE(play_clamp, .ends = ENDS_STREAM), REF("lore:20231106203909")},
	{"behaviour.waitall", "recv MSG_WAITALL without a length",
	 SCENE(play_waitall, .ends = ENDS_STREAM, .provided = 1), REF("lore:26a24e17")},
};

const struct limits_section limits_multishot_section = {
	.name = "behaviour",
	.title = LIMITS_BEHAVIOUR_TITLE,
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.judges = true,
};

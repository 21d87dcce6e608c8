// SPDX-License-Identifier: MIT
/*
 * What does a completion that stands for several buffers leave behind? Scenes of bundles, plain
 * and incremental: is the stream whole and in order, and does the program hear of the end?
 */
#include <errno.h>
#include <stdio.h>

#include "limits_stage.h"
#include "limits_table.h"

#define BUNDLE (IORING_RECV_MULTISHOT | IORING_RECVSEND_BUNDLE)

/* Where a reader is that believes in the order of publication; buffers 0, 1, ... stand so. */
struct reader {
	unsigned int bid;
	unsigned int cursor;   /* incremental: bytes of the buffer that were read */
	unsigned char expects; /* the next byte of the stream */
	bool incremental;
	char complaint[100];
};

static int complain(struct reader *r, const char *what, unsigned int is, unsigned int should)
{
	snprintf(r->complaint, sizeof(r->complaint), "%s is %u, not %u", what, is, should);
	return -EPROTO;
}

static int read_event(struct limits_stage *s, struct reader *r, const struct limits_event *e)
{
	unsigned int left = e->res > 0 ? (unsigned int)e->res : 0;

	if (left > 0 && limits_event_bid(e) != r->bid)
		return complain(r, "the buffer of a completion", limits_event_bid(e), r->bid);
	while (left > 0) {
		const unsigned char *data =
			(unsigned char *)s->memory + (size_t)r->bid * s->buf_bytes + r->cursor;
		unsigned int here = s->buf_bytes - r->cursor;

		here = here < left ? here : left;
		for (unsigned int i = 0; i < here; i++, r->expects++) {
			if (data[i] != r->expects)
				return complain(r, "a byte of the stream", data[i], r->expects);
		}
		left -= here;
		r->cursor += here;
		if (!r->incremental || r->cursor == s->buf_bytes) {
			r->cursor = 0;
			r->bid++;
		}
	}
	return 0;
}

static int read_all(struct limits_stage *s, struct reader *r)
{
	struct limits_event e;
	int err;

	while ((err = limits_stage_more(s, &e)) == 0) {
		err = read_event(s, r, &e);
		if (err)
			return err;
		if (!(e.flags & IORING_CQE_F_MORE))
			err = limits_stage_recv(s, BUNDLE);
		if (err)
			return err;
	}
	return err == -ETIME ? 0 : err;
}

static int play_stream(struct limits_stage *s, struct reader *r, struct limits_answer *answer)
{
	static const unsigned int sizes[] = {100, 30, 200, 64, 1, 190, 300, 63, 65, 7};
	unsigned int sent = 0;
	int err = 0;

	for (size_t i = 0; i < LIMITS_NR(sizes) && !err; i++) {
		err = limits_stage_send(s, sizes[i], (unsigned char)sent);
		sent += sizes[i];
		if (!err && i == 0)
			err = limits_stage_recv(s, BUNDLE);
		/* Every other message waits together with the next. */
		if (!err && i % 2)
			err = read_all(s, r);
	}
	if (err == -EPROTO)
		return limits_judge(answer, LIMITS_MISBEHAVES, "%s, of %u bytes sent", r->complaint,
				    sent);
	if (err)
		return err;
	return limits_judge(answer,
			    r->expects == (unsigned char)sent ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "%u bytes in messages of 1 to 300, in %u buffers of %u", sent,
			    r->bid + (r->cursor > 0), s->buf_bytes);
}

/* A kernel without bundles refuses the receive; then there is nothing to judge. */
static bool knows_bundles(struct limits_stage *s, struct limits_answer *answer)
{
	if (s->ring.features & IORING_FEAT_RECVSEND_BUNDLE)
		return true;
	answer->how = LIMITS_ABSENT;
	return false;
}

static int play_plain_stream(struct limits_stage *s, struct limits_answer *answer)
{
	struct reader r = {0};

	return knows_bundles(s, answer) ? play_stream(s, &r, answer) : 0;
}

static int play_incremental_stream(struct limits_stage *s, struct limits_answer *answer)
{
	struct reader r = {.incremental = true};

	return knows_bundles(s, answer) ? play_stream(s, &r, answer) : 0;
}

static int play_exhaustion(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e = {0}, last = {0};
	int err;

	if (!knows_bundles(s, answer))
		return 0;
	err = limits_stage_send(s, 4 * s->buf_bytes, 0);
	if (!err)
		err = limits_stage_recv(s, BUNDLE);
	while (!err && limits_stage_more(s, &e) == 0)
		last = e;
	if (err)
		return err;
	if (last.res == -ENOBUFS)
		return limits_judge(answer, LIMITS_BEHAVES, "the last completion says ENOBUFS");
	return limits_judge(answer, LIMITS_MISBEHAVES,
			    "the last completion carries %s bytes%s, no ENOBUFS follows",
			    limits_say(last.res),
			    last.flags & IORING_CQE_F_MORE ? "" : " and ends the request");
}

static int play_first(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err;

	if (!knows_bundles(s, answer))
		return 0;
	err = limits_stage_send(s, 6 * s->buf_bytes, 0);
	if (!err)
		err = limits_stage_recv(s, BUNDLE);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	return limits_judge(answer, e.res > (int)s->buf_bytes ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "with 6 buffers of data waiting the first completion covers %u",
			    ((unsigned int)e.res + s->buf_bytes - 1) / s->buf_bytes);
}

/* A bundle that asks for less than a buffer holds, while nothing waits and when it is served. */
static int play_entry_length(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int err;

	if (!knows_bundles(s, answer))
		return 0;
	io_uring_prep_recv(sqe, s->in, NULL, 10, 0);
	sqe->ioprio = IORING_RECVSEND_BUNDLE;
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	if (!err && s->slots[0].len != s->buf_bytes)
		return limits_judge(answer, LIMITS_MISBEHAVES,
				    "the entry's length became %u while it waited",
				    s->slots[0].len);
	if (!err)
		err = limits_stage_send(s, 5, 0);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	return limits_judge(answer,
			    s->slots[0].len == s->buf_bytes ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "the entry's length is %u of %u after 5 bytes came", s->slots[0].len,
			    s->buf_bytes);
}

static int play_legacy(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int err;

	if (!knows_bundles(s, answer))
		return 0;
	io_uring_prep_provide_buffers(sqe, s->memory, (int)s->buf_bytes, 4, STAGE_BGID, 0);
	err = limits_do_one(&s->ring);
	if (err >= 0)
		err = limits_stage_send(s, s->buf_bytes, 0);
	if (err >= 0)
		err = limits_stage_recv(s, IORING_RECVSEND_BUNDLE);
	if (err >= 0)
		err = limits_stage_next(s, &e);
	if (err < 0)
		return err;
	return limits_judge(answer,
			    e.res > 0 && e.flags & IORING_CQE_F_BUFFER ? LIMITS_BEHAVES
								       : LIMITS_MISBEHAVES,
			    "a bundle on a legacy group gives %s, %s a buffer", limits_say(e.res),
			    e.flags & IORING_CQE_F_BUFFER ? "with" : "without");
}

#define BUNDLE_SCENE(function, what, ...)                                                          \
	SCENE(function, .ends = (what), .entries = 64, __VA_ARGS__)

static const struct limits_probe probes[] = {
	{"behaviour.bundle_silent_end", "a bundle that empties the group says so",
	 BUNDLE_SCENE(play_exhaustion, ENDS_STREAM, .provided = 2), REF("liburing#1320")},
	{"behaviour.bundle_first", "the first completion takes several buffers",
	 BUNDLE_SCENE(play_first, ENDS_STREAM, .provided = 16), REF("liburing#1197")},
	{"behaviour.bundle_stream", "a stream in bundles is whole (unix)",
	 BUNDLE_SCENE(play_plain_stream, ENDS_STREAM, .provided = 64), REF("liburing#1409")},
	{"behaviour.bundle_stream_tcp", "a stream in bundles is whole (TCP)",
	 BUNDLE_SCENE(play_plain_stream, ENDS_TCP, .provided = 64), REF("liburing#1409")},
	{"behaviour.bundle_stream_inc", "a stream in bundles is whole (incremental)",
	 BUNDLE_SCENE(play_incremental_stream, ENDS_STREAM, .provided = 64,
		      .flags = IOU_PBUF_RING_INC),
	 REF("liburing#1423")},
	{"behaviour.bundle_entry_length", "a bundle leaves entry lengths alone",
	 BUNDLE_SCENE(play_entry_length, ENDS_STREAM, .provided = 4), REF("recv-bundle-buf-len")},
	{"behaviour.bundle_legacy", "a bundle on a legacy group",
	 BUNDLE_SCENE(play_legacy, ENDS_STREAM, .no_group = true), REF("lore:0905527f")},
};

const struct limits_section limits_bundle_section = {
	.name = "behaviour",
	.title = LIMITS_BEHAVIOUR_TITLE,
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.judges = true,
};

// SPDX-License-Identifier: MIT
/*
 * Does the kernel take exactly the buffers that it names? Scenes that compare the head it keeps
 * with the completions it wrote, above all where things go wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "limits_stage.h"
#include "limits_table.h"

/* What the kernel took against what completions named. */
static int judge_account(struct limits_stage *s, unsigned int named, int res,
			 struct limits_answer *answer)
{
	int taken = limits_stage_taken(s);

	if (taken < 0)
		return taken;
	return limits_judge(answer, (int)named == taken ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "%d taken, %u named, result %s", taken, named, limits_say(res));
}

static int play_one(struct limits_stage *s, struct limits_answer *answer, unsigned int sqe_flags)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int err;

	io_uring_prep_read(sqe, s->in, NULL, 0, (uint64_t)-1);
	limits_stage_select(sqe);
	sqe->flags |= (uint8_t)sqe_flags;
	err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	return judge_account(s, e.flags & IORING_CQE_F_BUFFER ? 1 : 0, e.res, answer);
}

static int play_end(struct limits_stage *s, struct limits_answer *answer)
{
	close(s->out);
	return play_one(s, answer, 0);
}

static int play_end_async(struct limits_stage *s, struct limits_answer *answer)
{
	close(s->out);
	return play_one(s, answer, IOSQE_ASYNC);
}

/* A socket that is not connected: the read fails. */
static int use_unconnected(struct limits_stage *s)
{
	s->in = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return s->in < 0 ? -errno : 0;
}

static int play_error(struct limits_stage *s, struct limits_answer *answer)
{
	int err = use_unconnected(s);

	return err ? err : play_one(s, answer, 0);
}

static int play_error_async(struct limits_stage *s, struct limits_answer *answer)
{
	int err = use_unconnected(s);

	return err ? err : play_one(s, answer, IOSQE_ASYNC);
}

/* Two requests that fail at once, of a group with one buffer. */
static int play_errors_one_buffer(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e[2];
	unsigned int named = 0;
	int err = use_unconnected(s);

	for (int i = 0; i < 2 && !err; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

		io_uring_prep_read(sqe, s->in, NULL, 0, (uint64_t)-1);
		limits_stage_select(sqe);
		sqe->flags |= IOSQE_ASYNC;
	}
	if (!err)
		err = limits_stage_submit(s);
	for (int i = 0; i < 2 && !err; i++) {
		err = limits_stage_next(s, &e[i]);
		named += !err && e[i].flags & IORING_CQE_F_BUFFER;
	}
	if (err)
		return err;
	return limits_judge(answer, named < 2 ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "%u completions name a buffer of a group of one (results %s, %s)",
			    named, limits_say(e[0].res), limits_say(e[1].res));
}

/* Many rounds through the poll path, which picks a buffer and may have to put it back. */
static int play_ledger(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e = {0};
	unsigned int named = 0;
	int err = limits_stage_recv(s, IORING_RECV_MULTISHOT);

	for (int i = 0; i < 40 && !err; i++) {
		err = limits_stage_send(s, 10, 0);
		if (!err)
			err = limits_stage_next(s, &e);
		named += !err && e.flags & IORING_CQE_F_BUFFER;
	}
	return err ? err : judge_account(s, named, e.res, answer);
}

static int play_wrong_group(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int err;

	io_uring_prep_recv(sqe, s->in, NULL, 0, 0);
	limits_stage_select(sqe);
	sqe->flags |= IOSQE_ASYNC;
	err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_send(s, 10, 0);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	return limits_judge(answer, e.res == 10 ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "a worker's receive from a full group ends with %s", limits_say(e.res));
}

#define READS 16

/* Many reads of a file at once, by worker threads: each must get a buffer of its own. */
static int play_concurrent(struct limits_stage *s, struct limits_answer *answer)
{
	int fd = memfd_create("bufscope", MFD_CLOEXEC), err;
	unsigned int seen = 0, doubles = 0, wrong = 0;

	if (fd < 0)
		return -errno;
	for (int i = 0; i < READS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
		char line[64];

		memset(line, 'a' + i, sizeof(line));
		if (pwrite(fd, line, sizeof(line), i * 64) != sizeof(line))
			return -EIO;
		io_uring_prep_read(sqe, fd, NULL, 64, (uint64_t)i * 64);
		limits_stage_select(sqe);
		sqe->flags |= IOSQE_ASYNC;
		sqe->user_data = (uint64_t)i;
	}
	err = limits_stage_submit(s);
	for (int i = 0; i < READS && !err; i++) {
		struct limits_event e;

		err = limits_stage_next(s, &e);
		if (err || e.res != 64 || limits_event_bid(&e) >= READS)
			continue;
		doubles += seen >> limits_event_bid(&e) & 1;
		seen |= 1U << limits_event_bid(&e);
		wrong += s->memory[limits_event_bid(&e) * 64] != 'a' + (int)e.user_data;
	}
	if (err)
		return err;
	return limits_judge(answer, doubles || wrong ? LIMITS_MISBEHAVES : LIMITS_BEHAVES,
			    "%d reads: %u buffers given twice, %u with foreign data", READS,
			    doubles, wrong);
}

/* One waits for the rest of its data while another takes from the same group. */
static int play_waiting(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e[2];
	int other[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other) < 0)
		return -errno;
	io_uring_prep_recv(sqe, s->in, NULL, 64, MSG_WAITALL);
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_send(s, 32, 0);
	if (!err && write(other[1], "other", 5) != 5)
		err = -EIO;
	sqe = io_uring_get_sqe(&s->ring);
	io_uring_prep_recv(sqe, other[0], NULL, 0, 0);
	limits_stage_select(sqe);
	if (!err)
		err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_next(s, &e[0]);
	if (!err)
		err = limits_stage_send(s, 32, 32);
	if (!err)
		err = limits_stage_next(s, &e[1]);
	if (err)
		return err;
	return limits_judge(answer,
			    limits_event_bid(&e[0]) == limits_event_bid(&e[1]) ? LIMITS_MISBEHAVES
									       : LIMITS_BEHAVES,
			    "buffers %u and %u, results %s and %s", limits_event_bid(&e[0]),
			    limits_event_bid(&e[1]), limits_say(e[0].res), limits_say(e[1].res));
}

static int play_readv(struct limits_stage *s, struct limits_answer *answer)
{
	static struct iovec iov;
	struct limits_event e[2];
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

		err = limits_stage_send(s, 10, 0);
		iov = (struct iovec){.iov_len = 10};
		io_uring_prep_readv(sqe, s->in, &iov, 1, (uint64_t)-1);
		limits_stage_select(sqe);
		if (!err)
			err = limits_stage_submit(s);
		if (!err)
			err = limits_stage_next(s, &e[i]);
	}
	if (err)
		return err;
	return limits_judge(answer,
			    limits_event_bid(&e[0]) == limits_event_bid(&e[1]) ? LIMITS_MISBEHAVES
									       : LIMITS_BEHAVES,
			    "two reads get buffers %u and %u", limits_event_bid(&e[0]),
			    limits_event_bid(&e[1]));
}

/* The reading end of a terminal in raw mode, whose other end the scene writes. */
static int use_terminal(struct limits_stage *s)
{
	struct termios raw;

	s->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->out < 0 || grantpt(s->out) < 0 || unlockpt(s->out) < 0)
		return -errno;
	s->in = open(ptsname(s->out), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (s->in < 0 || tcgetattr(s->in, &raw) < 0)
		return -errno;
	cfmakeraw(&raw);
	return tcsetattr(s->in, TCSANOW, &raw) < 0 ? -errno : 0;
}

static int play_terminal(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int err = use_terminal(s);

	if (err)
		return limits_judge(answer, LIMITS_CANNOT_TELL, "no terminal to be had: %s",
				    limits_say(err));
	io_uring_prep_rw(BS_OP_READ_MULTISHOT, sqe, s->in, NULL, 0, (uint64_t)-1);
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_send(s, 5, 'a');
	if (!err)
		err = limits_stage_next(s, &e);
	if (!err && e.res == -EINVAL) {
		answer->how = LIMITS_ABSENT;
		return 0;
	}
	if (err || e.res <= 0)
		return limits_judge(answer, LIMITS_CANNOT_TELL, "result %s",
				    limits_say(err ? err : e.res));
	return limits_judge(answer,
			    e.flags & IORING_CQE_F_BUFFER ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "%s bytes %s a buffer", limits_say(e.res),
			    e.flags & IORING_CQE_F_BUFFER ? "with" : "without");
}

static int play_last_bid(struct limits_stage *s, struct limits_answer *answer)
{
	struct limits_event e;
	int err;

	limits_stage_add(s, 65535, s->memory, 64);
	limits_stage_publish(s);
	err = limits_stage_send(s, 10, 0);
	if (!err)
		err = limits_stage_recv(s, 0);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	return limits_judge(answer,
			    limits_event_bid(&e) == 65535 ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "bid 65535 comes back as %u, result %s", limits_event_bid(&e),
			    limits_say(e.res));
}

/* A send names a length of its own beside the buffer that it selects. */
static int play_send(struct limits_stage *s, struct limits_answer *answer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct limits_event e;
	int err;

	io_uring_prep_send(sqe, s->in, NULL, 0, 0);
	limits_stage_select(sqe);
	err = limits_stage_submit(s);
	if (!err)
		err = limits_stage_next(s, &e);
	if (!err && e.res == -EOPNOTSUPP) {
		answer->how = LIMITS_ABSENT;
		return 0;
	}
	if (err)
		return err;
	return limits_judge(answer, e.res == (int)s->buf_bytes ? LIMITS_BEHAVES : LIMITS_MISBEHAVES,
			    "a send of length 0 sends %s of the buffer's %u bytes",
			    limits_say(e.res), s->buf_bytes);
}

/* A ring of 256 entries fills a page to its end, and nothing lies behind it. */
static int play_page_end(struct limits_stage *s, struct limits_answer *answer)
{
	size_t page = limits_page_size();
	char *memory = limits_map(2 * page);
	struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)memory,
		.ring_entries = (uint32_t)(page / sizeof(struct io_uring_buf)),
		.bgid = 2,
	};
	int err;

	if (!memory || munmap(memory + page, page) < 0)
		return -ENOMEM;
	err = limits_try_group(s->ring.ring_fd, &reg);
	return limits_judge(answer, err ? LIMITS_MISBEHAVES : LIMITS_BEHAVES,
			    "%u entries before an unmapped page: %s", reg.ring_entries,
			    limits_say(err));
}

/* The group was a legacy one, was emptied, and is a ring now. */
static int play_converted(struct limits_stage *s, struct limits_answer *answer)
{
	const struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)s->slots,
		.ring_entries = s->entries,
		.bgid = STAGE_BGID,
	};
	struct limits_event e;
	int err, removed;

	io_uring_prep_provide_buffers(io_uring_get_sqe(&s->ring), s->memory, 64, 4, STAGE_BGID,
				      100);
	err = limits_do_one(&s->ring);
	io_uring_prep_remove_buffers(io_uring_get_sqe(&s->ring), 4, STAGE_BGID);
	removed = limits_do_one(&s->ring);
	if (err >= 0)
		err = limits_register(s->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
	if (err)
		return limits_judge(answer, LIMITS_CANNOT_TELL, "no ring on the emptied group: %s",
				    limits_say(err));
	limits_stage_put(s, 7);
	limits_stage_publish(s);
	err = limits_stage_send(s, 10, 0);
	if (!err)
		err = limits_stage_recv(s, 0);
	if (!err)
		err = limits_stage_next(s, &e);
	if (err)
		return err;
	return limits_judge(answer,
			    removed == 4 && e.res == 10 && limits_event_bid(&e) == 7
				    ? LIMITS_BEHAVES
				    : LIMITS_MISBEHAVES,
			    "%d of 4 removed, then result %s from buffer %u", removed,
			    limits_say(e.res), limits_event_bid(&e));
}

static int play_remove(struct limits_stage *s, struct limits_answer *answer)
{
	static const int ask[] = {4, 10, 1};
	int res[3];

	io_uring_prep_provide_buffers(io_uring_get_sqe(&s->ring), s->memory, 64, 10, STAGE_BGID, 0);
	if (limits_do_one(&s->ring) < 0)
		return -EPROTO;
	for (int i = 0; i < 3; i++) {
		io_uring_prep_remove_buffers(io_uring_get_sqe(&s->ring), ask[i], STAGE_BGID);
		res[i] = limits_do_one(&s->ring);
	}
	return limits_judge(answer,
			    res[0] == 4 && res[1] == 6 && res[2] <= 0 ? LIMITS_BEHAVES
								      : LIMITS_MISBEHAVES,
			    "of 10, removing 4, 10 and 1 answers %s, %s and %s", limits_say(res[0]),
			    limits_say(res[1]), limits_say(res[2]));
}

static const struct limits_probe probes[] = {
	{"behaviour.account_polled", "polled receives take what they name",
	 SCENE(play_ledger, .ends = ENDS_TCP, .entries = 64, .provided = 64), REF("liburing#778")},
	{"behaviour.account_end", "end of file takes what it names",
	 SCENE(play_end, .ends = ENDS_PIPE, .provided = 2), REF("liburing#359")},
	{"behaviour.account_end_async", "the same by a worker",
	 SCENE(play_end_async, .ends = ENDS_PIPE, .provided = 2), REF("liburing#359")},
	{"behaviour.account_error", "an error takes what it names",
	 SCENE(play_error, .provided = 2), REF("liburing#359")},
	{"behaviour.account_error_async", "the same by a worker",
	 SCENE(play_error_async, .provided = 2), REF("liburing#359")},
	{"behaviour.account_errors", "two errors do not name one buffer",
	 SCENE(play_errors_one_buffer, .provided = 1, .entries = 1), REF("liburing#1530")},
	{"behaviour.account_terminal", "multishot read of a terminal names it",
	 SCENE(play_terminal, .ends = ENDS_NONE, .provided = 2), REF("liburing#1257")},
	{"behaviour.account_readv", "readv moves on to the next buffer",
	 SCENE(play_readv, .ends = ENDS_PIPE, .provided = 4), REF("lore:a6d85e26")},
	{"behaviour.concurrent", "concurrent file reads do not share one",
	 SCENE(play_concurrent, .ends = ENDS_NONE, .entries = READS, .provided = READS),
	 REF("liburing#605")},
	{"behaviour.waiting", "a waiting receive keeps its buffer",
	 SCENE(play_waiting, .ends = ENDS_STREAM, .provided = 4), REF("lore:6efa6355")},
	{"behaviour.group_by_worker", "a worker selects from the right group",
	 SCENE(play_wrong_group, .ends = ENDS_STREAM, .provided = 4), REF("lore:f1a1ba93")},
	{"behaviour.send_length", "send takes its length from the buffer",
	 SCENE(play_send, .ends = ENDS_STREAM, .provided = 2), REF("lore:20240429181556")},
	{"behaviour.last_bid", "buffer id 65535 is delivered",
	 SCENE(play_last_bid, .ends = ENDS_STREAM), REF("liburing#726")},
	{"behaviour.page_end", "a ring may end where its mapping ends",
	 SCENE(play_page_end, .ends = ENDS_NONE), REF("lore:20230218184141")},
	{"behaviour.converted", "an emptied legacy group becomes a ring",
	 SCENE(play_converted, .ends = ENDS_STREAM, .no_group = true), REF("lore:40d7284c")},
	{"behaviour.remove", "removing tells how many there were",
	 SCENE(play_remove, .ends = ENDS_NONE, .no_group = true), REF("lore:20230401195039")},
};

const struct limits_section limits_account_section = {
	.name = "behaviour",
	.title = LIMITS_BEHAVIOUR_TITLE,
	.probes = probes,
	.nr = LIMITS_NR(probes),
	.judges = true,
};

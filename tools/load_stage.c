// SPDX-License-Identifier: MIT
/* What does a scenario play with? */
#include "load_stage.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/uapi.h"

void stage_fail(struct stage *stage, const char *what, int err)
{
	snprintf(stage->what, sizeof(stage->what), "%s: %s", what, strerror(err));
	stage->err = err;
	longjmp(stage->failed, 1);
}

void stage_open(struct stage *stage, unsigned int sq_entries)
{
	int err = io_uring_queue_init(sq_entries, &stage->ring, 0);

	for (int i = 0; i < STAGE_PAIRS; i++)
		stage->near[i] = stage->far[i] = -1;
	if (err)
		stage_fail(stage, "cannot open a ring", -err);
}

void stage_close(struct stage *stage)
{
	for (int i = 0; i < STAGE_PAIRS; i++) {
		if (stage->near[i] >= 0)
			close(stage->near[i]);
		if (stage->far[i] >= 0)
			close(stage->far[i]);
	}
	io_uring_queue_exit(&stage->ring);
}

void stage_pair(struct stage *stage, unsigned int at, int type)
{
	int ends[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends))
		stage_fail(stage, "cannot open sockets", errno);
	stage->near[at] = ends[0];
	stage->far[at] = ends[1];
}

/* Without delay: what was sent waits at the other end before anything else happens. */
static int connect_to(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd >= 0 && (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
			connect(fd, (const struct sockaddr *)to, sizeof(*to)))) {
		close(fd);
		return -1;
	}
	return fd;
}

void stage_tcp(struct stage *stage)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(to);

	if (door < 0 || bind(door, (struct sockaddr *)&to, size) || listen(door, 1) ||
	    getsockname(door, (struct sockaddr *)&to, &size))
		stage_fail(stage, "cannot listen", EPERM);
	stage->far[0] = connect_to(&to);
	if (stage->far[0] < 0)
		stage_fail(stage, "no way to 127.0.0.1", EPERM);
	stage->near[0] = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	close(door);
	if (stage->near[0] < 0)
		stage_fail(stage, "cannot accept", errno);
}

void stage_pairs(struct stage *stage, unsigned int nr, int type)
{
	for (unsigned int i = 0; i < nr; i++)
		stage_pair(stage, i, type);
}

static void *map(struct stage *stage, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		stage_fail(stage, "cannot map memory", errno);
	return at;
}

void stage_register(struct stage *stage, struct stage_group *group, unsigned int flags)
{
	struct bs_buf_reg reg = {
		.ring_entries = group->entries, .bgid = group->bgid, .flags = (uint16_t)flags};
	int err;

	if (!group->ring)
		group->ring = map(stage, group->entries * sizeof(struct io_uring_buf));
	if (!group->buffers)
		group->buffers = map(stage, (size_t)group->entries * STAGE_BYTES);
	reg.ring_addr = (uintptr_t)group->ring;
	err = io_uring_register_buf_ring(&stage->ring, (void *)&reg, 0);
	if (err)
		stage_fail(stage, "cannot register a buffer ring", -err);
}

void stage_group(struct stage *stage, struct stage_group *group, uint32_t fill)
{
	if (stage->entries && fill == group->entries)
		fill = group->entries = stage->entries;
	stage_register(stage, group, 0);
	for (uint32_t i = 0; i < fill; i++)
		stage_put(group, (uint16_t)(group->first + i), i);
	stage_publish(group, fill);
}

void stage_put_at(struct stage_group *group, struct io_uring_buf entry, uint32_t behind)
{
	uint32_t slot = (group->ring->tail + behind) & (group->entries - 1);

	group->ring->bufs[slot].addr = entry.addr;
	group->ring->bufs[slot].len = entry.len;
	group->ring->bufs[slot].bid = entry.bid;
}

static char *address_of(const struct stage_group *group, uint16_t bid)
{
	return group->buffers + (ptrdiff_t)(bid - group->first) * STAGE_BYTES;
}

void stage_put(struct stage_group *group, uint16_t bid, uint32_t behind)
{
	const struct io_uring_buf entry = {
		.addr = (uintptr_t)address_of(group, bid), .len = STAGE_BYTES, .bid = bid};

	stage_put_at(group, entry, behind);
}

void stage_publish(struct stage_group *group, uint32_t nr)
{
	io_uring_buf_ring_advance(group->ring, (int)nr);
}

void stage_return(struct stage_group *group, uint16_t bid)
{
	stage_put(group, bid, 0);
	stage_publish(group, 1);
}

void stage_arm(struct stage *stage, unsigned int pair, uint16_t bgid, unsigned int how)
{
	static char own[STAGE_BYTES];
	struct io_uring_sqe *sqe = io_uring_get_sqe(&stage->ring);
	int nr;

	if (!sqe)
		stage_fail(stage, "no room to submit", EBUSY);
	io_uring_prep_recv(sqe, stage->near[pair], NULL, 0, 0);
	if (how & STAGE_PLAIN) {
		sqe->addr = (uintptr_t)own;
		sqe->len = sizeof(own);
	} else {
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = bgid;
	}
	if (how & STAGE_MULTISHOT)
		sqe->ioprio |= IORING_RECV_MULTISHOT;
	if (how & STAGE_BUNDLE)
		sqe->ioprio |= IORING_RECVSEND_BUNDLE;
	if (how & STAGE_ASYNC)
		sqe->flags |= IOSQE_ASYNC;
	sqe->user_data = pair;
	nr = io_uring_submit(&stage->ring);
	if (nr < 0 && nr != -EBUSY)
		stage_fail(stage, "cannot submit", -nr);
}

void stage_send(struct stage *stage, unsigned int pair, unsigned int nr)
{
	static const char message[STAGE_MESSAGE];

	for (unsigned int i = 0; i < nr; i++) {
		if (send(stage->far[pair], message, sizeof(message), MSG_DONTWAIT) < 0)
			stage_fail(stage, "cannot send", errno);
	}
}

unsigned int stage_reap(struct stage *stage, unsigned int ms)
{
	struct __kernel_timespec wait = {.tv_sec = ms / 1000,
					 .tv_nsec = (long long)(ms % 1000) * 1000000};
	struct io_uring_cqe *cqe;
	unsigned int nr = 0;

	if (io_uring_wait_cqe_timeout(&stage->ring, &cqe, &wait))
		return 0;
	while (nr < STAGE_GOT && io_uring_peek_cqe(&stage->ring, &cqe) == 0) {
		/* the timeout of old liburing */
		if (cqe->user_data != LIBURING_UDATA_TIMEOUT)
			stage->got[nr++] = (struct stage_cqe){cqe->user_data, cqe->res, cqe->flags};
		io_uring_cqe_seen(&stage->ring, cqe);
	}
	return nr;
}

void stage_need_bundle(struct stage *stage, const struct stage_cqe *cqe)
{
	if (cqe->res < 0 || !(cqe->flags & IORING_CQE_F_BUFFER))
		stage_fail(stage, "bundles do not work", ENOSYS);
	if (cqe->res <= STAGE_BYTES)
		stage_fail(stage, "this kernel begins a bundle with a single buffer", ENOSYS);
}

void stage_sleep(unsigned int ms)
{
	const struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&span, NULL);
}

#define NAP_MS    100
#define NAPS      24
#define MOST_NAPS 72

void stage_linger(void)
{
	unsigned int naps = 0;

	/* where this one is late who watches is, too */
	for (unsigned int i = 0; naps < NAPS && i < MOST_NAPS; i++) {
		uint64_t from_ns = clock_ns(CLOCK_MONOTONIC);

		stage_sleep(NAP_MS);
		naps += clock_ns(CLOCK_MONOTONIC) - from_ns < NAP_MS * 3 / 2 * 1000000ULL;
	}
}

void stage_asked(struct stage *stage, uint64_t since_ns)
{
	uint64_t held_ns = stage->asked_ns ? clock_ns(CLOCK_MONOTONIC) - stage->asked_ns : 0;

	if (held_ns > stage->longest_ns)
		stage->longest_ns = held_ns;
	stage->asked_ns = since_ns;
}

bool stage_lasts(const struct stage *stage, uint64_t since_ns, unsigned int ms)
{
	return clock_ns(CLOCK_MONOTONIC) - since_ns < ms * 1000000ULL + 6 * stage->longest_ns;
}

// SPDX-License-Identifier: MIT
/* What does a register call answer that is made on the wrong thing, or by the wrong thread? */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "limits_target.h"

static int open_restricted(struct io_uring *ring)
{
	/* Something must be allowed, or there is no restriction. */
	struct io_uring_restriction only = {
		.opcode = IORING_RESTRICTION_REGISTER_OP,
		.register_op = IORING_REGISTER_PROBE,
	};
	int err = io_uring_queue_init(1, ring, IORING_SETUP_R_DISABLED);

	if (err)
		return err;
	err = limits_register(ring->ring_fd, IORING_REGISTER_RESTRICTIONS, &only, 1);
	if (err)
		return err;
	return limits_register(ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int limits_target_open(enum limits_target target, struct io_uring *ring)
{
	switch (target) {
	case TARGET_RESTRICTED:
		return open_restricted(ring);
	case TARGET_OTHER_THREAD:
		return io_uring_queue_init(1, ring, IORING_SETUP_SINGLE_ISSUER);
	default:
		return limits_ring_open(ring);
	}
}

struct errand {
	const struct limits_call *call;
	const void *arg;
	int fd;
	int err;
};

static void *run_errand(void *arg)
{
	struct errand *e = arg;

	e->err = limits_register(e->fd, e->call->opcode, e->arg, e->call->nr_args);
	return NULL;
}

static int run_elsewhere(struct errand *e)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, run_errand, e);

	if (err)
		return -err;
	pthread_join(thread, NULL);
	return e->err;
}

static int find_fd(enum limits_target target, const struct io_uring *ring)
{
	int fds[2];

	if (target != TARGET_CLOSED_FD && target != TARGET_NOT_A_RING)
		return ring->ring_fd;
	if (pipe(fds) < 0)
		return -errno;
	close(fds[1]);
	if (target == TARGET_CLOSED_FD)
		close(fds[0]);
	return fds[0];
}

static const void *find_arg(const struct limits_call *call)
{
	void *hole;

	switch (call->how) {
	case ARG_GOOD:
		return call->arg;
	case ARG_UNMAPPED:
		hole = limits_map(limits_page_size());
		if (hole)
			munmap(hole, limits_page_size());
		return hole;
	case ARG_NULL:
		break;
	}
	return NULL;
}

int limits_target_call(const struct limits_call *call, struct io_uring *ring)
{
	struct errand e = {
		.call = call,
		.arg = find_arg(call),
		.fd = find_fd(call->target, ring),
	};

	if (call->target == TARGET_OTHER_THREAD)
		return run_elsewhere(&e);
	run_errand(&e);
	return e.err;
}

void limits_answer_refusal(struct limits_answer *answer, int err)
{
	answer->how = LIMITS_TRIED;
	answer->errno_past = err < 0 ? -err : 0;
	answer->verdict = err < 0 ? LIMITS_REFUSED : LIMITS_ACCEPTED;
	answer->bound_by = err < 0 && err != -ENOMEM ? LIMITS_BY_KERNEL : LIMITS_BY_UNKNOWN;
}

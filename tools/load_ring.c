// SPDX-License-Identifier: MIT
/*
 * How does one thread keep a ring busy and still know everything about it?
 *
 * Between two rounds each group with bytes on their way has requests for them with the kernel,
 * unless it is exhausted; so waiting for a completion never waits in vain.
 */
#include "load_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "cmd.h"

#define OWN_REQUEST UINT64_MAX /* user_data of what belongs to no group */
#define MANY_RINGS  64u        /* from here on they are small */
#define MAX_CQ      65536u
#define PATIENCE_NS 10000000000ull /* without a completion that must come */
#define SQ_IDLE_MS  20             /* until a polling kernel thread sleeps */

/* ---- opening */

static int refused_setup(int err, struct load_fault *fault)
{
	switch (err) {
	case ENOSYS:
		return load_fault(fault, EXIT_UNSUPPORTED, NULL, "this kernel has no io_uring");
	case EPERM:
	case EACCES:
		return load_fault(fault, EXIT_UNSUPPORTED,
				  "see sysctl kernel.io_uring_disabled and kernel.io_uring_group",
				  "io_uring is disabled for this user");
	case EINVAL:
		return load_fault(fault, EXIT_UNSUPPORTED, NULL,
				  "this kernel refuses these setup flags");
	case ENOMEM:
		return load_fault(fault, EXIT_FAILED,
				  "some kernels charge rings to RLIMIT_MEMLOCK: see ulimit -l",
				  "cannot create a ring: %s", strerror(err));
	case EMFILE:
		return load_fault(fault, EXIT_FAILED,
				  "raise the hard limit of open files (ulimit -Hn)",
				  "cannot create a ring: %s", strerror(err));
	default:
		return load_fault(fault, EXIT_FAILED, NULL, "cannot create a ring: %s",
				  strerror(err));
	}
}

/* Half of the CQ is for data, the other half for a last completion of each multishot request. */
static void size_queues(const struct load_opts *opts, struct io_uring_params *params)
{
	uint64_t rings = (uint64_t)opts->nr_rings * opts->nr_procs;
	uint32_t cq;

	params->sq_entries = rings > MANY_RINGS ? 64 : 512;
	if (opts->op->medium == MEDIUM_NONE)
		params->sq_entries = 4;
	for (cq = 4 * params->sq_entries; cq < 2 * opts->nr_groups && cq < MAX_CQ;)
		cq *= 2;
	params->cq_entries = cq;
	if (opts->cq_entries)
		params->cq_entries = opts->cq_entries;
	if (params->sq_entries > params->cq_entries)
		params->sq_entries = params->cq_entries;
}

static int open_ring(struct load_ring *r)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | r->opts->setup_flags,
		.sq_thread_idle = SQ_IDLE_MS,
	};
	int err;

	size_queues(r->opts, &params);
	err = io_uring_queue_init_params(params.sq_entries, &r->ring, &params);
	if (err < 0)
		return refused_setup(-err, r->fault);
	r->is_open = true;
	if (!load_op_supported(r->opts->op, &r->ring))
		return load_fault(r->fault, EXIT_UNSUPPORTED, NULL, "this kernel has no %s",
				  r->opts->op->needs);
	*r->truth = (struct load_ring_truth){
		.tgid = (uint32_t)getpid(),
		.tid = (uint32_t)gettid(),
		.fd = r->ring.ring_fd,
		.sq_entries = params.sq_entries,
		.cq_entries = params.cq_entries,
		.setup_flags = params.flags,
	};
	return 0;
}

int load_ring_open(struct load_ring *r, struct load_ring_truth *truth,
		   struct load_group_truth *groups)
{
	uint32_t nr = r->opts->nr_groups;

	r->truth = truth;
	if (open_ring(r) < 0)
		return -EIO;
	r->groups = calloc(nr, sizeof(*r->groups));
	r->touched = calloc(nr, sizeof(*r->touched));
	if (!r->groups || !r->touched)
		return load_fault(r->fault, EXIT_FAILED, NULL, "out of memory");
	for (uint32_t i = 0; i < nr; i++) {
		r->groups[i].opts = r->opts;
		r->groups[i].truth = &groups[i];
		r->groups[i].bgid = r->opts->bgids[i];
		if (load_group_open(&r->groups[i], &r->ring, r->fault) < 0)
			return -EIO;
	}
	truth->slots = load_group_slots(&r->groups[0]);
	return 0;
}

void load_ring_close(struct load_ring *r)
{
	for (uint32_t i = 0; r->groups && i < r->opts->nr_groups; i++)
		load_group_close(&r->groups[i]);
	if (r->is_open)
		io_uring_queue_exit(&r->ring);
	free(r->groups);
	free(r->touched);
	r->is_open = false;
	r->groups = NULL;
	r->touched = NULL;
}

/* ---- submitting */

static int failed_enter(struct load_ring *r, int err)
{
	return load_fault(r->fault, EXIT_FAILED, NULL, "cannot submit: %s", strerror(err));
}

/* A kernel that is short of something for a moment is asked again. */
static bool is_passing(int err)
{
	return err == -EINTR || err == -EAGAIN || err == -EBUSY || err == -ETIME;
}

static int submit(struct load_ring *r)
{
	int err = io_uring_sq_ready(&r->ring) ? io_uring_submit(&r->ring) : 0;

	return err < 0 && !is_passing(err) ? failed_enter(r, -err) : 0;
}

static struct io_uring_sqe *get_sqe(struct load_ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	while (!sqe) {
		if (submit(r) < 0)
			return NULL;
		sqe = io_uring_get_sqe(&r->ring);
	}
	return sqe;
}

/* The last request of a chain links to nothing; nor does what a full queue cuts off. */
static int arm(struct load_ring *r, uint32_t index, uint32_t nr)
{
	uint32_t link = r->opts->link ? r->opts->link : 1;

	for (uint32_t i = 1; i <= nr; i++) {
		struct io_uring_sqe *sqe = get_sqe(r);

		if (!sqe)
			return -EIO;
		load_group_arm(&r->groups[index], sqe);
		io_uring_sqe_set_data64(sqe, index);
		if (i % link && i < nr)
			sqe->flags |= IOSQE_IO_LINK;
	}
	return 0;
}

/* ---- reaping */

/* Groups that saw completions return buffers, then ask for what is still on its way. */
static int settle(struct load_ring *r)
{
	for (uint32_t i = 0; i < r->nr_touched; i++) {
		uint32_t index = r->touched[i];
		struct load_group *g = &r->groups[index];

		g->is_touched = false;
		if (load_group_return(g, false, r->fault) < 0)
			return -EIO;
		if (g->is_exhausted) { /* nobody will ever receive this */
			r->queued -= g->source.queued;
			g->source.queued = 0;
		}
		if (arm(r, index, load_group_requests(g, g->source.queued)) < 0)
			return -EIO;
		load_truth_publish(g->truth, &g->counts);
	}
	r->nr_touched = 0;
	return 0;
}

static int complete(struct load_ring *r, const struct io_uring_cqe *cqe)
{
	struct load_group *g;
	int64_t received;

	if (cqe->user_data == OWN_REQUEST) {
		r->pending--;
		return 0;
	}
	g = &r->groups[cqe->user_data];
	if (!g->is_touched) {
		g->is_touched = true;
		r->touched[r->nr_touched++] = (uint32_t)cqe->user_data;
	}
	received = load_group_complete(g, cqe, r->fault);
	if (received < 0)
		return -EIO;
	r->queued -= (uint64_t)received;
	return 0;
}

/* Everything that is in the CQ. Returns how many completions or a fault. */
static int64_t reap(struct load_ring *r)
{
	struct io_uring_cqe *cqe;
	unsigned int head, nr = 0;
	int err = 0;

	io_uring_for_each_cqe (&r->ring, head, cqe) {
		err = complete(r, cqe);
		nr++;
		if (err)
			break;
	}
	io_uring_cq_advance(&r->ring, nr);
	if (!err)
		err = settle(r);
	return err ? err : (int64_t)nr;
}

/* Submits, waits until a completion is there: one must come. */
static int wait_one(struct load_ring *r)
{
	struct __kernel_timespec second = {.tv_sec = 1};
	uint64_t begin = 0;

	for (;;) {
		struct io_uring_cqe *cqe;
		int err = io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, &second, NULL);

		if (io_uring_cq_ready(&r->ring))
			return 0;
		if (err < 0 && !is_passing(err))
			return failed_enter(r, -err);
		if (!begin)
			begin = clock_ns(CLOCK_MONOTONIC);
		if (clock_ns(CLOCK_MONOTONIC) - begin > PATIENCE_NS)
			return load_fault(r->fault, EXIT_FAILED, NULL,
					  "no completion comes for %llu bytes on their way",
					  (unsigned long long)r->queued);
	}
}

static int64_t submit_and_reap(struct load_ring *r)
{
	bool is_due = r->queued || r->pending;

	/* Completions may be there without any call: then none is made. */
	if (io_uring_sq_ready(&r->ring) || (is_due && !io_uring_cq_ready(&r->ring))) {
		if ((is_due ? wait_one(r) : submit(r)) < 0)
			return -EIO;
	}
	return reap(r);
}

/* ---- working */

/* Returns the bytes sent or a fault. */
static int64_t serve(struct load_ring *r, uint32_t index, uint64_t bytes)
{
	struct load_group *g = &r->groups[index];
	int64_t sent;

	if (!bytes)
		return 0;
	if (r->opts->arm_first) {
		if (arm(r, index, load_group_requests(g, g->source.queued + bytes)) < 0 ||
		    submit(r) < 0)
			return -EIO;
	}
	sent = load_group_send(g, bytes, r->fault);
	if (sent < 0)
		return sent;
	r->queued += (uint64_t)sent;
	if (arm(r, index, load_group_requests(g, g->source.queued)) < 0)
		return -EIO;
	return sent;
}

/* Messages that may be sent in this round without ever filling the CQ, unless that is wanted. */
static uint64_t budget(const struct load_ring *r)
{
	uint64_t half = r->truth->cq_entries / 2;
	uint64_t queued = r->queued / r->groups[0].source.message_bytes;

	if (r->opts->cq_entries)
		return UINT64_MAX;
	return half > queued ? half - queued : 0;
}

int64_t load_ring_round(struct load_ring *r, uint64_t elapsed_ns)
{
	uint64_t left = budget(r);
	int64_t moved = 0, nr;

	for (uint32_t i = 0; i < r->opts->nr_groups && left; i++) {
		struct load_group *g = &r->groups[r->cursor];

		nr = serve(r, r->cursor, load_group_allowance(g, elapsed_ns, left));
		if (nr < 0)
			return nr;
		moved += nr;
		nr = (nr + g->source.message_bytes - 1) / g->source.message_bytes;
		left -= (uint64_t)nr < left ? (uint64_t)nr : left;
		r->cursor = r->cursor + 1 == r->opts->nr_groups ? 0 : r->cursor + 1;
	}
	nr = submit_and_reap(r);
	return nr < 0 ? nr : moved + nr;
}

bool load_ring_is_done(const struct load_ring *r)
{
	for (uint32_t i = 0; i < r->opts->nr_groups; i++) {
		if (!load_group_is_done(&r->groups[i]))
			return false;
	}
	return true;
}

uint64_t load_ring_next_ns(const struct load_ring *r)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < r->opts->nr_groups; i++) {
		uint64_t due = load_group_next_ns(&r->groups[i]);

		if (!load_group_is_done(&r->groups[i]) && due < next)
			next = due;
	}
	return next;
}

/* ---- coming to rest */

static int drain(struct load_ring *r)
{
	while (r->queued) {
		if (submit_and_reap(r) < 0)
			return -EIO;
	}
	return 0;
}

/* Submits a request of the ring's own and sees it complete. */
static int run_own(struct load_ring *r, struct io_uring_sqe *sqe)
{
	io_uring_sqe_set_data64(sqe, OWN_REQUEST);
	r->pending++;
	while (r->pending) {
		if (submit_and_reap(r) < 0)
			return -EIO;
	}
	return 0;
}

static int cancel(struct load_ring *r, uint32_t index)
{
	while (r->groups[index].counts.armed) {
		struct io_uring_sqe *sqe = get_sqe(r);

		if (!sqe)
			return -EIO;
		io_uring_prep_cancel64(sqe, index, IORING_ASYNC_CANCEL_ALL);
		if (run_own(r, sqe) < 0)
			return -EIO;
	}
	return 0;
}

/* Requests are executed in order: when this one is done, all before it wait for data. */
static int fence(struct load_ring *r)
{
	struct io_uring_sqe *sqe = get_sqe(r);

	if (!sqe)
		return -EIO;
	io_uring_prep_nop(sqe);
	return run_own(r, sqe);
}

/*
 * On a file nothing waits for data; on an empty group a request would end at once; and one that
 * was with a worker holds a buffer while it waits.
 */
static bool can_wait(const struct load_group *g)
{
	enum load_medium medium = g->opts->op->medium;

	return (medium == MEDIUM_SOCKET || medium == MEDIUM_PIPE) && !g->is_exhausted &&
	       !g->opts->async && g->counts.returned > g->counts.taken;
}

int load_ring_arm(struct load_ring *r)
{
	for (uint32_t i = 0; i < r->opts->nr_groups; i++) {
		if (can_wait(&r->groups[i]) && arm(r, i, 1) < 0)
			return -EIO;
	}
	return fence(r);
}

int load_ring_rest(struct load_ring *r, bool stays)
{
	if (drain(r) < 0)
		return -EIO;
	r->truth->end_ns = clock_ns(CLOCK_MONOTONIC);
	for (uint32_t i = 0; i < r->opts->nr_groups; i++) {
		if (cancel(r, i) < 0 || load_group_return(&r->groups[i], true, r->fault) < 0)
			return -EIO;
	}
	return stays ? load_ring_arm(r) : 0;
}

int load_ring_check(struct load_ring *r)
{
	int err = 0;

	for (uint32_t i = 0; i < r->opts->nr_groups; i++) {
		struct load_fault other;

		if (load_group_check(&r->groups[i], r->ring.ring_fd, err ? &other : r->fault) < 0)
			err = -EIO;
	}
	return err;
}

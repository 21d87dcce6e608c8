// SPDX-License-Identifier: MIT
/*
 * The same work, with buffers come by in different ways: what does an operation cost? All ways go
 * through one loop, which reaps in batches and submits once a batch.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "bench_job.h"

#define WARM_UP     8u /* this part of the operations is done before, and not counted */
#define SAMPLE_EACH 8u /* operations, or more: of the first slot alone */

volatile sig_atomic_t bench_stop;

/* ---- one operation */

int bench_job_ask(struct bench_job *j, struct bench_slot *slot)
{
	int err;

	slot->asked_ns = 0;
	if (slot == j->slots && !bench_is_stream(j->work) &&
	    (j->work->depth >= SAMPLE_EACH || j->asked % SAMPLE_EACH == 0))
		slot->asked_ns = clock_ns(CLOCK_MONOTONIC);
	if (!j->pool)
		err = bench_hand_ask(j, (uint32_t)(slot - j->slots));
	else if (bench_is_recv(j->work))
		err = bs_recv_managed(j->pool, &slot->op);
	else
		err = bs_read_managed_at(j->pool, &slot->op);
	if (!err) {
		j->asked++;
		j->in_flight++;
	}
	return err;
}

static int ask_next(struct bench_job *j, struct bench_slot *slot)
{
	int err = bench_source_next(j, slot);

	return err ? err : bench_job_ask(j, slot);
}

static int take(struct bench_job *j, struct bench_slot *slot, const struct io_uring_cqe *cqe)
{
	struct bench_chunk *chunk = &slot->chunk;
	int nr;

	if (!j->pool)
		return bench_hand_take(j, (uint32_t)(slot - j->slots), cqe);
	nr = bs_op_done(&slot->op, cqe, &chunk->buf, 1);
	if (nr != 1)
		return nr < 0 ? nr : slot->op.res < 0 ? slot->op.res : -EIO;
	chunk->addr = chunk->buf.addr;
	chunk->len = chunk->buf.len;
	return 0;
}

static bool is_armed(const struct bench_job *j, const struct bench_slot *slot,
		     const struct io_uring_cqe *cqe)
{
	return j->pool ? slot->op.armed : (cqe->flags & IORING_CQE_F_MORE) != 0;
}

static void add_sample(struct bench_job *j, uint64_t ns)
{
	j->samples[j->nr_samples++ % BENCH_SAMPLES] = ns;
}

static int give(struct bench_job *j, struct bench_slot *slot)
{
	if (slot->asked_ns)
		add_sample(j, clock_ns(CLOCK_MONOTONIC) - slot->asked_ns);
	j->done++;
	if (j->pool)
		return bs_pool_give(j->pool, &slot->chunk.buf, 1);
	return bench_hand_give(j, (uint32_t)(slot - j->slots));
}

static int give_and_go_on(struct bench_job *j, struct bench_slot *slot, bool armed)
{
	int err = give(j, slot);

	if (err || armed)
		return err;
	j->in_flight--;
	return bench_is_stream(j->work) || j->asked < j->until ? ask_next(j, slot) : 0;
}

/* Of a tree: the chunk is on its way to the other one; its buffer is given back afterwards. */
static int write_chunk(struct bench_job *j, struct bench_slot *slot)
{
	const struct bench_chunk *chunk = &slot->chunk;
	struct io_uring_sqe *sqe;
	int index = -1;

	if (!j->has_ring) {
		if (pwrite(slot->to, chunk->addr, chunk->len, (off_t)slot->op.offset) !=
		    (ssize_t)chunk->len)
			return -EIO;
		return give_and_go_on(j, slot, false);
	}
	sqe = io_uring_get_sqe(&j->ring);
	if (!sqe)
		return -EAGAIN;
	if (j->strategy->hand == HAND_FIXED)
		index = j->pool ? bs_buf_index(&chunk->buf) : (int)(slot - j->slots);
	if (index >= 0)
		io_uring_prep_write_fixed(sqe, slot->to, chunk->addr, chunk->len, slot->op.offset,
					  index);
	else
		io_uring_prep_write(sqe, slot->to, chunk->addr, chunk->len, slot->op.offset);
	io_uring_sqe_set_data64(sqe, (uintptr_t)slot | BENCH_WRITTEN);
	return 0;
}

static int reap_one(struct bench_job *j, const struct io_uring_cqe *cqe)
{
	struct io_uring_cqe told = {.user_data = cqe->user_data & ~(__u64)BENCH_WRITTEN};
	struct bench_slot *slot = io_uring_cqe_get_data(&told);
	bool armed;
	int err;

	if (!slot) /* provided buffers that were refused */
		return cqe->res < 0 ? cqe->res : 0;
	if (cqe->user_data & BENCH_WRITTEN)
		return cqe->res == (int)slot->chunk.len ? give_and_go_on(j, slot, false) : -EIO;
	err = take(j, slot, cqe);
	if (err)
		return err;
	armed = is_armed(j, slot, cqe);
	j->unread -= slot->chunk.len;
	return j->work->source == BENCH_TREE ? write_chunk(j, slot)
					     : give_and_go_on(j, slot, armed);
}

/* ---- the loop */

static int reap_batch(struct bench_job *j)
{
	struct io_uring_cqe *cqe;
	unsigned int head, nr = 0;
	int err = io_uring_submit_and_wait(&j->ring, 1);

	if (err < 0)
		return err;
	err = 0;
	io_uring_for_each_cqe (&j->ring, head, cqe) {
		err = reap_one(j, cqe);
		nr++;
		if (err)
			break;
	}
	io_uring_cq_advance(&j->ring, nr);
	return err;
}

static int reap(struct bench_job *j)
{
	struct io_uring_cqe cqe;
	int err;

	if (j->has_ring)
		return reap_batch(j);
	err = j->pool ? bs_pool_next(j->pool, &cqe, -1) : bench_hand_next(j, &cqe);
	return err < 0 ? err : reap_one(j, &cqe);
}

static clockid_t cpu_clock(const struct bench_job *j)
{
	return j->work->threads > 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_PROCESS_CPUTIME_ID;
}

/* What the sender does is no part of it, where it can be told from what the receiver does. */
static int receive(struct bench_job *j)
{
	uint64_t cpu = clock_ns(cpu_clock(j)), wall = clock_ns(CLOCK_MONOTONIC), done = j->done;
	int err = bench_source_fill(j);

	if (j->is_deferred || !j->has_ring) {
		cpu = clock_ns(cpu_clock(j));
		wall = clock_ns(CLOCK_MONOTONIC);
	}
	j->unread += (uint64_t)j->work->bytes * j->work->depth;
	while (j->unread && !err) {
		err = reap(j);
		if (done != j->done && done != UINT64_MAX) {
			add_sample(j, clock_ns(CLOCK_MONOTONIC) - wall);
			done = UINT64_MAX;
		}
	}
	j->cpu_ns += (double)(clock_ns(cpu_clock(j)) - cpu);
	j->wall_ns += (double)(clock_ns(CLOCK_MONOTONIC) - wall);
	return err;
}

static int acquire(struct bench_job *j)
{
	struct bench_slot *slot = j->slots;
	int err;

	j->done++;
	if (!j->pool) {
		err = bench_hand_get(j, 0);
		return err ? err : bench_hand_give(j, 0);
	}
	err = bs_pool_acquire(j->pool, &slot->chunk.buf, 1);
	return err == 1 ? bs_pool_give(j->pool, &slot->chunk.buf, 1) : err ? err : -ENOBUFS;
}

static int start_slots(struct bench_job *j)
{
	int err = 0;

	for (uint32_t i = 0; i < j->nr_slots && j->asked < j->until && !err; i++)
		err = ask_next(j, &j->slots[i]);
	return err;
}

static int work_through(struct bench_job *j)
{
	int err = 0;

	if (j->work->source == BENCH_NOTHING) {
		while (j->done < j->until && !err && !bench_stop)
			err = acquire(j);
		return err;
	}
	err = start_slots(j);
	while (!err && j->in_flight && !bench_stop)
		err = reap(j);
	return err;
}

/* Until so many operations are done; of one-shot ones none is in flight afterwards. */
static int go_on(struct bench_job *j, uint32_t ops)
{
	uint64_t cpu, wall;
	int err = 0;

	j->until = j->done + ops;
	j->asked = j->done;
	if (bench_is_stream(j->work)) {
		while (j->done < j->until && !err && !bench_stop)
			err = receive(j);
	} else {
		cpu = clock_ns(cpu_clock(j));
		wall = clock_ns(CLOCK_MONOTONIC);
		err = work_through(j);
		j->cpu_ns += (double)(clock_ns(cpu_clock(j)) - cpu);
		j->wall_ns += (double)(clock_ns(CLOCK_MONOTONIC) - wall);
	}
	return bench_stop ? -EINTR : err;
}

/* What the kernel picks goes round: each buffer has had its page faults before. */
static uint32_t warm_up(const struct bench_job *j)
{
	uint32_t ops = j->shared->ops / WARM_UP + 1, buffers = 2 * j->work->depth;

	return ops > buffers ? ops : buffers;
}

int bench_job_measure(struct bench_job *j)
{
	int err = 0;

	if (bench_is_stream(j->work))
		err = ask_next(j, j->slots);
	if (!err)
		err = go_on(j, warm_up(j));
	if (j->work->threads > 1)
		pthread_barrier_wait(&j->shared->start);
	j->nr_samples = 0;
	j->cpu_ns = j->wall_ns = 0;
	if (!err) {
		uint64_t from = j->done;

		err = go_on(j, j->shared->ops);
		j->done -= from;
	}
	return err;
}

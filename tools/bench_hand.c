// SPDX-License-Identifier: MIT
/* What stands beside the pools: the same on liburing alone, as short as a program would write it.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../lib/uapi.h"
#include "bench_job.h"

/* As many as a pool has: where somebody picks, some are on their way back. */
static uint32_t nr_bufs(const struct bench_job *j)
{
	return 2 * j->work->depth;
}

static uint32_t nr_own(const struct bench_job *j)
{
	if (j->strategy->hand == HAND_LOCAL && j->work->source != BENCH_IDLE)
		return nr_bufs(j);
	return bench_hand_picks(j->strategy->hand) ? nr_bufs(j) : j->nr_slots;
}

static int mask(const struct bench_job *j)
{
	return io_uring_buf_ring_mask(nr_bufs(j));
}

static unsigned char *buf_at(const struct bench_job *j, uint32_t i)
{
	return j->mem + (size_t)i * j->work->bytes;
}

/* ---- buffers */

int bench_hand_get(struct bench_job *j, uint32_t i)
{
	struct bench_slot *slot = &j->slots[i];
	struct bench_shared *s = j->shared;

	if (j->strategy->hand == HAND_HEAP) {
		void *mem = NULL;

		if (j->work->bytes < 4096)
			mem = malloc(j->work->bytes);
		else if (posix_memalign(&mem, 4096, j->work->bytes))
			mem = NULL;
		slot->mem = mem;
		j->allocated++;
		return mem ? 0 : -ENOMEM;
	}
	if (j->strategy->hand == HAND_GLOBAL) {
		pthread_mutex_lock(&s->lock);
		slot->mem = s->nr ? s->stack[--s->nr] : NULL;
		pthread_mutex_unlock(&s->lock);
		return slot->mem ? 0 : -ENOBUFS;
	}
	if (j->strategy->hand == HAND_LOCAL) {
		slot->mem = j->nr_free ? j->stack[--j->nr_free] : NULL;
		return slot->mem ? 0 : -ENOBUFS;
	}
	slot->mem = buf_at(j, i);
	return 0;
}

static int give_legacy(struct bench_job *j, uint16_t bid)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&j->ring);

	if (!sqe) {
		io_uring_submit(&j->ring);
		sqe = io_uring_get_sqe(&j->ring);
	}
	if (!sqe)
		return -EAGAIN;
	io_uring_prep_provide_buffers(sqe, buf_at(j, bid), (int)j->work->bytes, 1, 0, bid);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	return 0;
}

int bench_hand_give(struct bench_job *j, uint32_t i)
{
	struct bench_slot *slot = &j->slots[i];
	struct bench_shared *s = j->shared;

	switch (j->strategy->hand) {
	case HAND_HEAP:
		free(slot->mem);
		slot->mem = NULL;
		return 0;
	case HAND_GLOBAL:
		pthread_mutex_lock(&s->lock);
		s->stack[s->nr++] = slot->mem;
		pthread_mutex_unlock(&s->lock);
		slot->mem = NULL;
		return 0;
	case HAND_LOCAL:
		j->stack[j->nr_free++] = slot->mem;
		slot->mem = NULL;
		return 0;
	case HAND_READ: /* reads no more, unless it is asked for again */
		slot->mem = NULL;
		return 0;
	case HAND_RING:
	case HAND_MMAP:
		io_uring_buf_ring_add(j->group, buf_at(j, slot->chunk.bid), j->work->bytes,
				      slot->chunk.bid, mask(j), 0);
		io_uring_buf_ring_advance(j->group, 1);
		return 0;
	case HAND_LEGACY:
		return give_legacy(j, slot->chunk.bid);
	default:
		return 0;
	}
}

/* ---- requests */

static void prepare(const struct bench_job *j, struct bench_slot *slot, struct io_uring_sqe *sqe)
{
	bool picks = bench_hand_picks(j->strategy->hand);

	if (bench_is_recv(j->work) && picks)
		io_uring_prep_recv_multishot(sqe, slot->op.fd, NULL, 0, 0);
	else if (bench_is_recv(j->work))
		io_uring_prep_recv(sqe, slot->op.fd, slot->mem, j->work->bytes, 0);
	else if (j->strategy->hand == HAND_FIXED)
		io_uring_prep_read_fixed(sqe, slot->op.fd, slot->mem, j->work->bytes,
					 slot->op.offset, (int)(slot - j->slots));
	else
		io_uring_prep_read(sqe, slot->op.fd, slot->mem, j->work->bytes, slot->op.offset);
	if (picks) {
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = 0;
	}
	io_uring_sqe_set_data(sqe, slot);
}

int bench_hand_ask(struct bench_job *j, uint32_t i)
{
	struct bench_slot *slot = &j->slots[i];
	struct io_uring_sqe *sqe;
	int err = 0;

	slot->mem = NULL;
	if (!bench_hand_picks(j->strategy->hand))
		err = bench_hand_get(j, i);
	if (err || !j->has_ring)
		return err;
	sqe = io_uring_get_sqe(&j->ring);
	if (!sqe) {
		io_uring_submit(&j->ring);
		sqe = io_uring_get_sqe(&j->ring);
	}
	if (!sqe)
		return -EAGAIN;
	prepare(j, slot, sqe);
	return 0;
}

int bench_hand_take(struct bench_job *j, uint32_t i, const struct io_uring_cqe *cqe)
{
	struct bench_chunk *chunk = &j->slots[i].chunk;

	if (cqe->res <= 0)
		return cqe->res ? cqe->res : -EIO;
	chunk->len = (uint32_t)cqe->res;
	chunk->addr = j->slots[i].mem;
	if (bench_hand_picks(j->strategy->hand)) {
		if (!(cqe->flags & IORING_CQE_F_BUFFER))
			return -EPROTO;
		chunk->bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		chunk->addr = buf_at(j, chunk->bid);
	}
	return 0;
}

static ssize_t read_slot(const struct bench_job *j, const struct bench_slot *slot)
{
	if (bench_is_recv(j->work))
		return recv(slot->op.fd, slot->mem, j->work->bytes, 0);
	if (j->work->source == BENCH_PIPE)
		return read(slot->op.fd, slot->mem, j->work->bytes);
	return pread(slot->op.fd, slot->mem, j->work->bytes, (off_t)slot->op.offset);
}

/* Looks at what all slots read from. */
static int poll_slots(struct bench_job *j)
{
	for (uint32_t i = 0; i < j->nr_slots; i++)
		j->polls[i] = (struct pollfd){.fd = j->slots[i].mem ? j->slots[i].op.fd : -1,
					      .events = POLLIN};
	j->next_poll = 0;
	return poll(j->polls, j->nr_slots, -1) < 0 ? -errno : 0;
}

/* Without a ring: one after the other, what a look at all of them has found. */
int bench_hand_next(struct bench_job *j, struct io_uring_cqe *cqe)
{
	struct bench_slot *slot;
	ssize_t got;
	int err;

	while (j->next_poll < j->nr_slots && !j->polls[j->next_poll].revents)
		j->next_poll++;
	if (j->next_poll == j->nr_slots) {
		err = poll_slots(j);
		return err ? err : bench_hand_next(j, cqe);
	}
	slot = &j->slots[j->next_poll++];
	got = read_slot(j, slot);
	cqe->user_data = (uintptr_t)slot;
	cqe->res = got < 0 ? -errno : (int)got;
	cqe->flags = 0;
	return 1;
}

/* ---- before and after */

static int register_fixed(struct bench_job *j)
{
	struct iovec *iovs = calloc(j->nr_slots, sizeof(*iovs));
	int err;

	if (!iovs)
		return -ENOMEM;
	for (uint32_t i = 0; i < j->nr_slots; i++)
		iovs[i] = (struct iovec){buf_at(j, i), j->work->bytes};
	err = io_uring_register_buffers(&j->ring, iovs, j->nr_slots);
	free(iovs);
	return err;
}

static int open_group(struct bench_job *j)
{
	uint32_t nr = nr_bufs(j);
	struct bs_buf_reg reg = {.ring_entries = nr};
	bool is_mmap = j->strategy->hand == HAND_MMAP;
	size_t bytes = nr * sizeof(struct io_uring_buf);
	int err;

	reg.flags = is_mmap ? IOU_PBUF_RING_MMAP : 0;
	if (!is_mmap)
		j->group = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
	reg.ring_addr = (uintptr_t)j->group;
	err = io_uring_register_buf_ring(&j->ring, (struct io_uring_buf_reg *)&reg, 0);
	if (!err && is_mmap)
		j->group = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, j->ring.ring_fd,
				BS_OFF_PBUF_RING);
	if (j->group == MAP_FAILED)
		j->group = NULL;
	if (err || !j->group)
		return err ? err : -ENOMEM;
	for (uint32_t i = 0; i < nr; i++)
		io_uring_buf_ring_add(j->group, buf_at(j, i), j->work->bytes, (uint16_t)i, mask(j),
				      (int)i);
	io_uring_buf_ring_advance(j->group, (int)nr);
	return 0;
}

static int open_legacy(struct bench_job *j)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&j->ring);

	io_uring_prep_provide_buffers(sqe, j->mem, (int)j->work->bytes, (int)nr_bufs(j), 0, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	return io_uring_submit(&j->ring) == 1 ? 0 : -EIO;
}

static int open_stack(struct bench_job *j, uint32_t nr)
{
	j->stack = calloc(nr, sizeof(*j->stack));
	if (!j->stack)
		return -ENOMEM;
	for (; j->nr_free < nr; j->nr_free++) /* the first on top, as in a pool */
		j->stack[j->nr_free] = buf_at(j, nr - 1 - j->nr_free);
	return 0;
}

static int open_polls(struct bench_job *j)
{
	j->polls = calloc(j->nr_slots, sizeof(*j->polls));
	j->next_poll = j->nr_slots;
	return j->polls ? 0 : -ENOMEM;
}

/* What the kernel picks need not be there before it does, in a pool neither. */
static int map_buffers(struct bench_job *j)
{
	bool picks = bench_hand_picks(j->strategy->hand);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (picks ? 0 : MAP_POPULATE);

	j->mem_bytes = (size_t)nr_own(j) * j->work->bytes;
	j->mem = mmap(NULL, j->mem_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (j->mem == MAP_FAILED) {
		j->mem = NULL;
		return -ENOMEM;
	}
	j->allocated = nr_own(j);
	return 0;
}

int bench_hand_open(struct bench_job *j)
{
	enum bench_hand hand = j->strategy->hand;
	int err;

	if (hand == HAND_HEAP || hand == HAND_GLOBAL)
		return 0;
	if (hand == HAND_READ && j->work->source == BENCH_IDLE)
		return 0;
	err = map_buffers(j);
	if (err)
		return err;
	switch (hand) {
	case HAND_LOCAL:
		return open_stack(j, nr_own(j));
	case HAND_READ:
		return open_polls(j);
	case HAND_FIXED:
		return register_fixed(j);
	case HAND_LEGACY:
		return open_legacy(j);
	default:
		return bench_hand_picks(hand) ? open_group(j) : 0;
	}
}

/* After the ring is gone. */
void bench_hand_close(struct bench_job *j)
{
	for (uint32_t i = 0; i < j->nr_slots; i++) {
		if (j->strategy->hand == HAND_HEAP)
			free(j->slots[i].mem);
	}
	if (j->group)
		munmap(j->group, nr_bufs(j) * sizeof(struct io_uring_buf));
	if (j->mem)
		munmap(j->mem, j->mem_bytes);
	free(j->stack);
	free(j->polls);
}

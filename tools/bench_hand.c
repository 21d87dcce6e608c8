// SPDX-License-Identifier: MIT
/* What stands beside the pools: the same on liburing alone, as short as a program would write it.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../lib/uapi.h"
#include "bench_job.h"

static uint32_t nr_bufs(const struct bench_job *j)
{
	return 2 * j->work->depth;
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
		io_uring_prep_recv_multishot(sqe, slot->fd, NULL, 0, 0);
	else if (bench_is_recv(j->work))
		io_uring_prep_recv(sqe, slot->fd, slot->mem, j->work->bytes, 0);
	else if (j->strategy->hand == HAND_FIXED)
		io_uring_prep_read_fixed(sqe, slot->fd, slot->mem, j->work->bytes, slot->offset,
					 (int)(slot - j->slots));
	else
		io_uring_prep_read(sqe, slot->fd, slot->mem, j->work->bytes, slot->offset);
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
		chunk->bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		chunk->addr = buf_at(j, chunk->bid);
	}
	return 0;
}

/* Without a ring: the first slot's turn, then the others', as poll(2) says there is something. */
int bench_hand_next(struct bench_job *j, struct io_uring_cqe *cqe)
{
	struct bench_slot *slot = &j->slots[j->next_file++ % j->nr_slots];
	struct pollfd fd = {.events = POLLIN};
	ssize_t got;

	while (!slot->mem)
		slot = &j->slots[j->next_file++ % j->nr_slots];
	fd.fd = slot->fd;
	if (poll(&fd, 1, -1) < 0)
		return -errno;
	if (bench_is_recv(j->work))
		got = recv(slot->fd, slot->mem, j->work->bytes, 0);
	else if (j->work->source == BENCH_PIPE)
		got = read(slot->fd, slot->mem, j->work->bytes);
	else
		got = pread(slot->fd, slot->mem, j->work->bytes, (off_t)slot->offset);
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

int bench_hand_open(struct bench_job *j)
{
	enum bench_hand hand = j->strategy->hand;
	uint32_t nr = bench_hand_picks(hand) ? nr_bufs(j) : j->nr_slots;

	if (hand == HAND_HEAP || hand == HAND_GLOBAL)
		return 0;
	if (hand == HAND_READ && j->work->source == BENCH_IDLE)
		return 0;
	j->mem_bytes = (size_t)nr * j->work->bytes;
	/* What the kernel picks need not be there before it does, in a pool neither. */
	j->mem = mmap(NULL, j->mem_bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | (bench_hand_picks(hand) ? 0 : MAP_POPULATE), -1,
		      0);
	if (j->mem == MAP_FAILED) {
		j->mem = NULL;
		return -ENOMEM;
	}
	j->allocated = nr;
	if (hand == HAND_FIXED)
		return register_fixed(j);
	if (hand == HAND_LEGACY)
		return open_legacy(j);
	return bench_hand_picks(hand) ? open_group(j) : 0;
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
}

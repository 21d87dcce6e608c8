// SPDX-License-Identifier: MIT
/*
 * Where will the kernel begin in a group that is registered now?
 *
 * At entry 0, unless the group's number is below 64 and the kernel older than 6.9: these keep an
 * array for such groups, and in it the head at which the last ring of that number stood, even when
 * that ring is long unregistered. A ring whose tail begins elsewhere looks empty, or full of what
 * is not there. Since 6.8 the head can be asked for; before, reads tell what it is: they name the
 * entry that they got.
 */
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"
#include "uapi.h"

#define KEPT_BGIDS    64
#define PROBE_ENTRIES 32768u /* the largest ring: all of the head but its uppermost bit shows */
#define PROBE_BYTES   8      /* what a read of an eventfd gives */

/* A ring in the place of the one to come. */
struct probe {
	struct io_uring *ring;
	struct io_uring_buf *entries;
	uint64_t data; /* into which all entries let read */
	uint16_t bgid;
	int fd; /* of an eventfd that can be read several times */
};

/* ---- one request of our own among the program's */

/* Completions that the program has not seen yet are its own: they stay, in their order. */
static bool take_out(struct io_uring *ring, uint64_t user_data, struct io_uring_cqe *found)
{
	unsigned int shift = ring->flags & IORING_SETUP_CQE32 ? 1 : 0;
	unsigned int mask = ring->cq.ring_mask, head = *ring->cq.khead, at;
	unsigned int tail = __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE);
	struct io_uring_cqe *cqes = ring->cq.cqes;

	for (at = head; at != tail; at++)
		if (cqes[(at & mask) << shift].user_data == user_data)
			break;
	if (at == tail)
		return false;
	*found = cqes[(at & mask) << shift];
	for (; at != head; at--)
		memcpy(&cqes[(at & mask) << shift], &cqes[((at - 1) & mask) << shift],
		       sizeof(*cqes) << shift);
	io_uring_cq_advance(ring, 1);
	return true;
}

static int submit_and_find(struct probe *probe, struct io_uring_cqe *found)
{
	struct io_uring *ring = probe->ring;

	for (;;) {
		unsigned int ready = io_uring_cq_ready(ring);
		int err;

		if (ready >= ring->cq.ring_entries)
			return -EBUSY;
		err = io_uring_submit_and_wait(ring, ready + 1);
		if (take_out(ring, (uintptr_t)probe, found))
			return 0;
		if (err < 0 && err != -EINTR && err != -EAGAIN)
			return err;
	}
}

/* Lets the kernel pick an entry. Which one, -ENOBUFS if it sees none, or another error. */
static int pick(struct probe *probe, uint16_t tail)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(probe->ring);
	struct io_uring_cqe cqe;
	int err;

	if (!sqe && io_uring_submit(probe->ring) >= 0)
		sqe = io_uring_get_sqe(probe->ring);
	if (!sqe)
		return -EAGAIN;
	__atomic_store_n(&probe->entries[0].resv, tail, __ATOMIC_RELEASE);
	io_uring_prep_read(sqe, probe->fd, NULL, PROBE_BYTES, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = probe->bgid;
	io_uring_sqe_set_data64(sqe, (uintptr_t)probe);
	err = submit_and_find(probe, &cqe);
	if (err)
		return err;
	return cqe.flags & IORING_CQE_F_BUFFER ? (int)(cqe.flags >> IORING_CQE_BUFFER_SHIFT)
					       : cqe.res;
}

/* ---- what it tells */

/* A new group is empty with a tail of 0; of a used one, an entry shows where its head is. */
static int find_head(struct probe *probe)
{
	int at = pick(probe, 0), next;

	if (at == -ENOBUFS)
		return 0;
	if (at < 0)
		return at;
	/* The head is behind it now, here or half of all heads further: only here is it empty. */
	next = pick(probe, (uint16_t)(at + 1));
	if (next == -ENOBUFS)
		return at + 1;
	return next < 0 ? next : (at + (int)PROBE_ENTRIES + 2) & 0xffff;
}

static void fill_entries(struct probe *probe)
{
	unsigned int i;

	for (i = 0; i < PROBE_ENTRIES; i++) {
		struct io_uring_buf *entry = &probe->entries[i];

		entry->addr = (uintptr_t)&probe->data;
		entry->len = PROBE_BYTES;
		entry->bid = (uint16_t)i;
	}
}

static int try_out(struct probe *probe)
{
	struct bs_buf_reg reg = {
		.ring_addr = (uintptr_t)probe->entries,
		.ring_entries = PROBE_ENTRIES,
		.bgid = probe->bgid,
	};
	int err = pool_register(probe->ring, IORING_REGISTER_PBUF_RING, &reg);

	if (err)
		return err;
	fill_entries(probe);
	err = find_head(probe);
	pool_register(probe->ring, IORING_UNREGISTER_PBUF_RING,
		      &(struct bs_buf_reg){.bgid = probe->bgid});
	return err;
}

static int probe_head(struct io_uring *ring, uint16_t bgid)
{
	size_t bytes = PROBE_ENTRIES * sizeof(struct io_uring_buf);
	struct probe probe = {.ring = ring, .bgid = bgid};
	int head = -ENOMEM;

	probe.fd = eventfd(2, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	if (probe.fd < 0)
		return -errno;
	probe.entries = pool_map(bytes);
	if (probe.entries) {
		head = try_out(&probe);
		munmap(probe.entries, bytes);
	}
	close(probe.fd);
	return head;
}

int pool_ring_head(struct io_uring *ring, uint16_t bgid)
{
	struct bs_buf_status status = {.buf_group = bgid};
	int err;

	if (bgid >= KEPT_BGIDS)
		return 0;
	/* Of a group that is not there: a kernel that knows the question says so. */
	err = pool_register(ring, IORING_REGISTER_PBUF_STATUS, &status);
	if (err != -EINVAL)
		return 0;
	err = probe_head(ring, bgid);
	/* Not enabled yet, or not allowed to read: nothing was received, either. */
	return err == -EBADFD || err == -EACCES ? 0 : err;
}

/* SPDX-License-Identifier: MIT */
/*
 * libbufscope: buffer pools for io_uring.
 *
 * A pool owns N buffers of equal size and tells exactly where each of them is. There are two ways
 * out of a pool: of some kinds the kernel picks a buffer when data arrive, and the completion
 * names it (bs_pool_take()); of the others the program takes one before it asks for data
 * (bs_pool_acquire()). The managed operations (bs_recv_managed(), bs_read_managed_at()) are the
 * same for all kinds. All buffers go back with bs_pool_give().
 *
 * Conventions: functions return 0 or a count, or -errno; constructors return NULL and set errno.
 * The library never prints, never exits, and copies no data.
 *
 * Threads: a pool belongs to the thread that opened it, as its ring does. Calls from any other
 * thread are refused with -EPERM before anything is touched; only bs_pool_read_stats() may be
 * called from everywhere. A BS_POOL_GLOBAL belongs to all threads of its process; BS_POOL_HEAP,
 * BS_POOL_LOCAL and BS_POOL_FALLBACK can be handed over (bs_pool_hand_over()).
 */
#ifndef BUFSCOPE_H
#define BUFSCOPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct io_uring;
struct io_uring_cqe;
struct bs_pool;

/*
 * A pool learns from completions alone what the kernel has used. So no request on its group may
 * hide them (IOSQE_CQE_SKIP_SUCCESS), and MSG_TRUNC needs BS_POOL_SINGLE.
 *
 * BS_POOL_RING, BS_POOL_MMAP: the number of a group may be one that was used before, also where the
 * kernel goes on at the old head (before 6.9, bgid below 64). There opening a pool submits one or
 * two reads to the ring, together with all that is in its submission queue, to find out where that
 * is; their completions are taken away again. It needs room for one in the completion queue.
 *
 * BS_POOL_INC: completions do not say where in a buffer their piece lies; that follows from their
 * order. It does not where the kernel moves on by what was asked for instead of what came, which
 * it does for requests that run in a worker (IOSQE_ASYNC) and for regular files. Let these ask
 * for a whole buffer (length 0), and pass completions to bs_pool_take() in their order.
 *
 * BS_POOL_LEGACY: opening and closing submit requests to the ring, together with all that is in its
 * submission queue. Giving puts requests there, which go out with the program's next submission
 * (io_uring_submit(), bs_pool_next()), or at once when a quarter of the buffers or less are left in
 * the group: so wait for completions by what submits, too. They complete silently; should the
 * kernel fail one, for want of memory, its completion has the pool's address as user_data. With a
 * polling kernel thread (SQPOLL) a buffer given is in the group when that thread has come to it.
 * What the queue has no room for waits for the next bs_pool_give(), and counts as returned only
 * then.
 */
enum bs_pool_kind {
	BS_POOL_RING, /* buffer ring in user memory, since 5.19 */
	BS_POOL_MMAP, /* buffer ring in kernel memory (IOU_PBUF_RING_MMAP), since 6.4 */
	BS_POOL_INC,  /* user memory, buffers consumed piecewise (IOU_PBUF_RING_INC), since 6.12 */
	BS_POOL_LEGACY, /* no ring, requests (PROVIDE_BUFFERS), since 5.7; here since 5.17 */

	/* Of these the program picks; nothing of them is known to the kernel, any kernel will do.
	 */
	BS_POOL_HEAP,   /* a buffer is allocated when acquired and freed when given */
	BS_POOL_GLOBAL, /* allocated once, for all threads, behind a mutex; may grow */
	BS_POOL_LOCAL,  /* allocated once, for one thread, without a lock */
	BS_POOL_FIXED,  /* registered with the ring, all at once or as they are used; since 5.19 */
	BS_POOL_FALLBACK, /* no io_uring at all: managed operations by poll(2), read(2), recv(2) */
};

/*
 * bs_pool_opts.flags: no request on the group is a bundle. Then a result larger than a buffer is
 * that of a datagram cut short (MSG_TRUNC), of which one buffer holds the beginning; otherwise it
 * means that further buffers follow.
 */
#define BS_POOL_SINGLE 1u

/*
 * bs_pool_opts.flags: if the kernel has no pool of this kind, or refuses it to this user, let the
 * pool be one that does the same managed operations: BS_POOL_LOCAL on a ring, BS_POOL_FALLBACK
 * without. With no ring given the pool opens one of its own (bs_pool_ring()), if there is one to be
 * had. bs_pool_stats.kind tells what it became. Only for managed operations, and a kind other than
 * BS_POOL_INC.
 */
#define BS_POOL_FALL_BACK 2u

/*
 * Which registered buffer makes room for another one in a table with fewer slots than the pool has
 * buffers. Buffers that are lent stay, whatever is chosen.
 */
enum bs_evict {
	BS_EVICT_CLOCK,  /* the next one that was not used again since it was last looked at */
	BS_EVICT_NONE,   /* none: what found no free slot is never registered */
	BS_EVICT_FIFO,   /* the one registered first */
	BS_EVICT_RANDOM, /* any */
	BS_EVICT_LRU,    /* the one used longest ago */
};

struct bs_pool_opts {
	size_t size; /* sizeof(struct bs_pool_opts), so that the struct may grow */
	enum bs_pool_kind kind;
	uint32_t buffers;   /* how many buffers, 1 ... 32768 */
	uint32_t buf_bytes; /* size of each, 1 ... 1 GiB; each begins at a multiple of 16 */
	uint32_t entries;  /* slots of the ring: power of two >= buffers; 0: the next one; legacy: 0
			    */
	uint16_t bgid;     /* buffer group id on the ring, 0 ... 65535 (mmap: 0 ... 2047) */
	uint16_t min_left; /* inc only: retire a buffer with fewer bytes left; 0: off; since 2026 */
	uint32_t flags;    /* BS_POOL_SINGLE; only where the kernel picks, not with inc */
	uint32_t max_buffers; /* global only: how far it grows, up to 32768; 0: not at all */
	uint32_t table;      /* fixed only: slots to register in; 0: one for each buffer, at once */
	enum bs_evict evict; /* fixed, with fewer slots than buffers */
	uint32_t meta_buffers; /* buffers of 4 KiB besides, see bs_pool_meta(); 0: none */
	uint16_t meta_bgid;    /* their group, where the kernel picks */
	uint16_t zero;         /* must be 0 */
	const char *name;      /* at most BS_NAME_BYTES - 1 bytes; NULL or "": none; see below */
};

#define BS_NAME_BYTES 32

/*
 * The name of a pool is for people who look from outside: `bufscope list` and `top` show it beside
 * the group, the probes (bufscope:acquire, release, starve, evict, register; see bufscope(3)) have
 * it as an argument. It need not be unique. It is copied. The metadata's pool has the same name.
 */

/*
 * A lent buffer, or with BS_POOL_INC one piece of it. A plain value: it may be copied, but only
 * one copy can be given back. `lease` and `serial` detect what is stale or foreign.
 */
struct bs_buf {
	struct bs_pool *pool;
	void *addr;   /* the data */
	uint32_t len; /* bytes of data, 0 when a failed operation consumed the buffer */
	uint16_t bid;
	uint16_t more;   /* inc: the kernel goes on filling this buffer */
	uint32_t lease;  /* which lending of this bid */
	uint32_t serial; /* which pool */
};

struct bs_pool_stats {
	uint32_t in_use;    /* lent to the program now, with inc at least a piece of each */
	uint32_t peak;      /* most ever lent at once */
	uint32_t in_flight; /* managed operations that are not over */
	uint32_t buffers;   /* buffers the pool owns */
	uint64_t taken;     /* buffers that left the group: the kernel's head has moved this far;
			       or that were acquired */
	uint64_t returned;  /* buffers put into the group, the first fill included: the kernel's
			       tail has moved this far, or legacy: put into requests */
	uint64_t selected;  /* completions that named a buffer */
	uint64_t bytes;   /* sum of the results, if positive, of completions that named a buffer */
	uint64_t partial; /* of the selected: after which the buffer stayed current */
	uint64_t starved; /* completions with -ENOBUFS and without a buffer; or calls of
			     bs_pool_acquire() that got fewer than they asked for */
	uint64_t refused; /* calls refused with an error other than -ENOSPC */
	uint64_t allocated;  /* buffers got from the system: all at first, heap: as acquired */
	uint64_t registered; /* fixed: buffers put into the ring's table */
	uint64_t evicted;    /* fixed: of these, in the place of another one */
	uint64_t hits;       /* fixed: buffers lent that were registered already */
	uint64_t plain;      /* fixed: buffers lent without registration; plain reads serve them */
	uint32_t entries;    /* slots of the ring; legacy: buffers */
	uint32_t kind;       /* enum bs_pool_kind; with BS_POOL_FALL_BACK what it became */
};

/**
 * bs_pool_open() - allocate a pool and register it on a ring.
 * @ring: an initialised ring of the calling thread; it must outlive the pool, at its address.
 *        May be NULL for heap, global, local and fallback pools, and with BS_POOL_FALL_BACK.
 * @opts: see struct bs_pool_opts; fields past opts->size count as zero.
 *
 * All buffers are in the group on return. The calling thread becomes the owner.
 *
 * Return: the pool, or NULL with errno: EINVAL (an option out of range, or a kernel without this
 * kind), ENOMEM (memory, or RLIMIT_MEMLOCK on kernels that charge ring memory), EEXIST (bgid in
 * use; from a foreign thread on a SINGLE_ISSUER ring the kernel says the same), EBUSY (a full
 * completion queue, see above), or what the kernel answered.
 */
struct bs_pool *bs_pool_open(struct io_uring *ring, const struct bs_pool_opts *opts);

/**
 * bs_pool_take() - account a completion and get the buffers that it delivered.
 * @pool: the pool whose group the request named.
 * @cqe: the completion, before io_uring_cqe_seen(); any completion of such a request may and
 *       should be passed, with or without a buffer: -ENOBUFS is counted as a starve.
 * @bufs: filled with the buffers, in the order of their data.
 * @max: room in @bufs. 1 suffices unless the request was a bundle.
 *
 * Also a failed operation may have used up a buffer: it is lent with len 0, to be given back. Some
 * kernels (seen: 6.16) name one that they have put back: what is still in the ring is not lent.
 *
 * Return: number of buffers (0: the completion left none to the program); -ENOSPC if @max is too
 * small (nothing was taken, call again with more room); -ERANGE (bid beyond the pool), -EPROTO
 * (the kernel's account differs: the bid is not in the group, or a piece does not lie where it
 * should; the pool is of no use any more), -EOPNOTSUPP (a kind of which the program picks), -EINVAL
 * (no completion given), -EPERM (not the owner), -EBADF (pool closed).
 */
int bs_pool_take(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
		 unsigned int max);

/**
 * bs_pool_acquire() - get buffers to read into, where the program picks.
 * @pool: of a kind of which the program picks.
 * @bufs: filled; len is the room of each.
 * @nr: how many.
 *
 * What was given last is lent first: its memory is still in the caches.
 *
 * Return: number of buffers, less than @nr (0, too) when the pool has no more: that is counted as
 * a starve; -EOPNOTSUPP (a kind of which the kernel picks), -EINVAL (no room for buffers), -EPERM,
 * -EBADF.
 */
int bs_pool_acquire(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr);

/**
 * bs_pool_acquire_bid() - get a certain buffer, where the program picks.
 *
 * For programs to which the buffers are places: the frames of a page cache, the regions of a file.
 *
 * Return: 0; -EBUSY (lent already, to be counted as a starve), -ENOBUFS (heap: no memory),
 * -ERANGE (no such bid), -EOPNOTSUPP, -EINVAL, -EPERM, -EBADF.
 */
int bs_pool_acquire_bid(struct bs_pool *pool, uint16_t bid, struct bs_buf *buf);

/**
 * bs_pool_hand_over() - give up the ownership of a pool; heap, local and fallback.
 *
 * Buffers that are out travel with it. Until another thread calls bs_pool_adopt() all calls are
 * refused with -EPERM. How that thread learns of the pool is the program's business: whatever
 * passes the pointer (a queue, a mutex) orders the memory, too.
 *
 * Return: 0; -EOPNOTSUPP (a kind that is bound to its ring, or to nobody; a pool with metadata or
 * with a ring of its own), -EBUSY (managed operations are in flight), -EPERM, -EBADF.
 */
int bs_pool_hand_over(struct bs_pool *pool);

/**
 * bs_pool_adopt() - become the owner of a pool that was handed over.
 *
 * Return: 0; -EPERM (it has an owner), -EBADF.
 */
int bs_pool_adopt(struct bs_pool *pool);

/**
 * bs_pool_give() - put buffers back with a single publication of the tail.
 * @pool: their pool.
 * @bufs: the buffers; any order.
 * @nr: how many.
 *
 * All or none: if one of them is refused, none was given. An incremental buffer re-enters the
 * group when its last piece has been given and the kernel has let go of it.
 *
 * Return: 0; -EALREADY (given before, or never lent), -ERANGE (bid beyond the pool), -EXDEV (of
 * another pool), -EINVAL (no buffers given), -EPERM (not the owner), -EBADF (the pool, or the one
 * that a buffer comes from, is closed).
 */
int bs_pool_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr);

/**
 * bs_pool_available() - buffers in the group that the kernel can still pick.
 *
 * Return: 0 ... buffers; -EPERM, -EBADF. By the pool's own account: completions not yet passed
 * to bs_pool_take() are not known to it.
 */
int bs_pool_available(const struct bs_pool *pool);

/**
 * bs_pool_read_stats() - copy the statistics; any thread, no lock.
 *
 * Each figure is exact at some moment during the call; figures are not frozen together.
 *
 * Return: 0, or -EBADF after bs_pool_close().
 */
int bs_pool_read_stats(const struct bs_pool *pool, struct bs_pool_stats *stats);

/**
 * bs_pool_close() - unregister the group and free the buffers.
 *
 * Requests still armed on the group end with -ENOBUFS at their next data. One that runs on a
 * buffer already (in a worker, or in a device) goes on writing there: reap it first. Buffers
 * still out must not be touched any more: their memory is gone. Calls on the closed pool answer
 * -EBADF and never touch freed memory; after 64 further pools were closed the handle may become
 * that of a new pool, but buffers of the old one are refused for good.
 *
 * Return: number of buffers that were still out (0: none); -EBUSY: managed operations are in
 * flight, nothing was done (bs_pool_cancel() them and reap them first); or -EPERM, -EBADF.
 */
int bs_pool_close(struct bs_pool *pool);

/**
 * bs_pool_meta() - the second pool of the two-pool design: 4 KiB buffers for metadata.
 *
 * Of the same kind and owner as the pool itself, which closes it; all calls but bs_pool_close()
 * work on it.
 *
 * Return: the pool, NULL if meta_buffers was 0 or the pool is closed or another thread's.
 */
struct bs_pool *bs_pool_meta(struct bs_pool *pool);

/**
 * bs_pool_ring() - the ring that the pool was opened on, or opened itself.
 *
 * Return: NULL if there is none (BS_POOL_FALLBACK), or the pool is closed or another thread's.
 */
struct io_uring *bs_pool_ring(struct bs_pool *pool);

/**
 * bs_buf_index() - where a buffer of a BS_POOL_FIXED is registered.
 *
 * Return: index for READ_FIXED and its like (sqe->buf_index), valid until the buffer is given;
 * -ENOENT: not registered, a plain operation must do; what bs_pool_give() would say of it.
 */
int bs_buf_index(const struct bs_buf *buf);

/* ---- managed operations: the same on a pool of any kind */

#define BS_OP_MULTISHOT 1u /* goes on after a buffer of data: sockets and pipes */
#define BS_OP_BUNDLE    2u /* recv: may fill several buffers at once, if the kernel can; not inc */

/* The library's. */
struct bs_link {
	struct bs_link *next, *prev;
};

/*
 * An operation that gets its buffer from a pool. Zeroed at first; the program sets the upper part,
 * the library has the lower one. It must stay where it is as long as it is armed, and is then what
 * user_data of its completions points to.
 */
struct bs_op {
	void *user;            /* the program's */
	struct io_uring *ring; /* of the calling thread; NULL: the pool's */
	uint64_t offset;       /* read: position in the file; UINT64_MAX: where it stands */
	int fd;
	uint32_t len;   /* at most so many bytes; 0: a whole buffer */
	uint32_t flags; /* BS_OP_* */

	int32_t res;    /* the last completion's: bytes, 0: end, -errno */
	uint16_t armed; /* completions are still to come */
	uint16_t state;
	struct bs_pool *pool;
	struct bs_link link;
	struct bs_buf buf;
};

/**
 * bs_read_managed_at(), bs_recv_managed() - prepare a request whose buffer comes from the pool.
 * @pool: any kind.
 * @op: not armed.
 *
 * The request goes out with the next io_uring_submit() or bs_pool_next(). Where the kernel picks,
 * an idle operation occupies no buffer; of the other kinds each has one from the beginning, and a
 * multishot operation is asked for again with a new buffer after each completion. Of a pool that
 * is BS_POOL_FALLBACK an idle one occupies none, either.
 *
 * Return: 0; -ENOBUFS (the program picks, and the pool has none: counted as a starve), -EAGAIN (no
 * room in the submission queue), -EALREADY (armed), -EINVAL (flags, or no ring), -EPERM, -EBADF.
 */
int bs_read_managed_at(struct bs_pool *pool, struct bs_op *op);
int bs_recv_managed(struct bs_pool *pool, struct bs_op *op);

/**
 * bs_op_done() - account a completion of an operation and get its buffers.
 * @cqe: a completion whose user_data is @op.
 *
 * Afterwards op->res says how it went and op->armed whether there is more to come. A buffer that
 * an operation used up without data (end of file, error) goes back by itself.
 *
 * Return: number of buffers with data, to be given back; -ENOSPC: @max is too small, call again;
 * -EINVAL (not its completion, or not armed), and what bs_pool_take() says.
 */
int bs_op_done(struct bs_op *op, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
	       unsigned int max);

/**
 * bs_op_cancel() - ask the kernel to end an operation.
 *
 * It stays armed until its last completion (-ECANCELED, or what came first) was passed to
 * bs_op_done(): data that arrived before are not lost. On a ring, submits what is in the
 * submission queue; since 6.0.
 *
 * Return: 0; -EINVAL (not armed), -EPERM, -EBADF, or what the kernel says.
 */
int bs_op_cancel(struct bs_op *op);

/**
 * bs_pool_cancel() - the same for all operations of a pool, before bs_pool_close().
 *
 * Those of a global pool are on the rings of other threads, too: there nothing is submitted, so
 * only what was submitted before is ended; and a ring of one issuer (SINGLE_ISSUER) refuses it
 * (-EEXIST). Their threads reap them.
 *
 * Return: how many were armed, or -errno as bs_op_cancel().
 */
int bs_pool_cancel(struct bs_pool *pool);

/**
 * bs_pool_next() - submit, and get the next completion, with io_uring or without.
 * @cqe: the completion, a copy; without a ring, one just like it.
 * @timeout_ms: -1: wait for it.
 *
 * On the pool's ring also completions of other requests come, with their user_data.
 *
 * Not for global pools: each thread reaps its own ring.
 *
 * Without a ring all that one poll(2) finds is served before the next one.
 *
 * Return: 1; 0 (none in time); -EINVAL (global, or opened without a ring that it needs), -EBUSY
 * (what the kernel says of a full completion queue), -ENOMEM (fallback), -EINTR, -EPERM, -EBADF.
 */
int bs_pool_next(struct bs_pool *pool, struct io_uring_cqe *cqe, int timeout_ms);

/**
 * bs_buf_drop() - give one buffer back if it was not yet; for BS_SCOPED_BUF.
 * @buf: cleared afterwards; a zeroed buffer, one given already or one of a closed pool is ignored.
 */
void bs_buf_drop(struct bs_buf *buf);

/* struct bs_buf b BS_SCOPED_BUF = {0}; the buffer goes back when b leaves its scope. */
#define BS_SCOPED_BUF __attribute__((cleanup(bs_buf_drop)))

#ifdef __cplusplus
}
#endif
#endif

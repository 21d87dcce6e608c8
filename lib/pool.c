// SPDX-License-Identifier: MIT
/*
 * Whose pool is it, which buffers are lent, and what happened to them so far?
 *
 * A call passes three gates: the pool is open, the caller owns it, each buffer is out exactly as
 * the caller says. Then the kind (pool_ring.c, pool_heap.c ...) acts; nothing is touched before.
 */
#include "pool_ring.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uapi.h"

#define MAX_BUFFERS   32768u
#define MAX_BUF_BYTES (1u << 30)
/* Data of every buffer is aligned enough for any structure, as struct io_uring_recvmsg_out. */
#define BUF_ALIGN   16u
#define META_BYTES  4096u
#define OWN_ENTRIES 256u /* of a ring that a pool opens itself */

/* ---- owners */

/*
 * A thread gets its token when it first opens a pool. Tokens are never used again, unlike thread
 * ids: no later thread inherits a pool. A forked child starts without one, for the pools of its
 * parent are not its own, though it shares the ring.
 *
 * initial-exec: eight bytes find room also after dlopen(), and reading them takes no call.
 */
__thread uint64_t pool_self __attribute__((tls_model("initial-exec"))) = POOL_STRANGER;
static uint64_t last_token;

/* Headers are never really constant; `refused` is what also strangers may write. */
int pool_refuse(const struct bs_pool *pool, int err)
{
	__atomic_add_fetch((uint64_t *)&pool->stats.refused, 1, __ATOMIC_RELAXED);
	return err;
}

uint32_t pool_forks;

static uint64_t own_token(void)
{
	if (pool_self == POOL_STRANGER)
		pool_self = __atomic_add_fetch(&last_token, 1, __ATOMIC_RELAXED);
	return pool_self;
}

/*
 * Headers are type-stable: their lock may be taken whatever became of the pool meanwhile. The lock
 * alone does not show what was written while the pool was opened, for nobody held it then: that is
 * what the second look at the owner acquires.
 */
int pool_enter_other(const struct bs_pool *pool, uint64_t owner)
{
	uint32_t *lock = (uint32_t *)&pool->lock, *sleepers = (uint32_t *)&pool->sleepers;

	if (owner != POOL_ANYONE)
		return owner ? pool_refuse(pool, -EPERM) : -EBADF;
	if (__atomic_load_n(&pool->forks, __ATOMIC_RELAXED) != pool_forks)
		return pool_refuse(pool, -EPERM);
	pool_lock(lock, sleepers);
	if (__atomic_load_n(&pool->owner, __ATOMIC_ACQUIRE) == POOL_ANYONE)
		return 0;
	pool_unlock(lock, sleepers);
	return -EBADF;
}

/* ---- headers */

/*
 * Closed headers, oldest first. One is used again only when QUARANTINE others were closed after
 * it, so that a stale handle goes on meeting a closed pool, not a stranger's.
 */
#define QUARANTINE 64u

static struct {
	pthread_mutex_t lock;
	struct bs_pool *oldest;
	struct bs_pool *newest;
	unsigned int nr;
	uint32_t last_serial;
} closed = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void before_fork(void)
{
	pthread_mutex_lock(&closed.lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&closed.lock);
}

static void after_fork_child(void)
{
	pool_self = POOL_STRANGER;
	pool_forks++;
	pool_forget_roster();
	pthread_mutex_unlock(&closed.lock);
}

static void init_process(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_child);
}

static struct bs_pool *header_reuse(void)
{
	struct bs_pool *pool = closed.oldest;

	if (closed.nr <= QUARANTINE)
		return NULL;
	closed.oldest = pool->next_closed;
	closed.nr--;
	return pool;
}

static struct bs_pool *header_get(void)
{
	struct bs_pool *pool;
	uint32_t serial;

	pthread_mutex_lock(&closed.lock);
	pool = header_reuse();
	if (++closed.last_serial == 0) /* 0 is that of a zeroed struct bs_buf */
		closed.last_serial = 1;
	serial = closed.last_serial;
	pthread_mutex_unlock(&closed.lock);
	if (!pool) {
		pool = aligned_alloc(_Alignof(struct bs_pool), sizeof(*pool));
		if (!pool)
			return NULL;
		memset(pool, 0, sizeof(*pool));
	}
	__atomic_store_n(&pool->serial, serial, __ATOMIC_RELEASE);
	return pool;
}

static void header_put(struct bs_pool *pool)
{
	pthread_mutex_lock(&closed.lock);
	pool->next_closed = NULL;
	if (closed.nr++)
		closed.newest->next_closed = pool;
	else
		closed.oldest = pool;
	closed.newest = pool;
	pthread_mutex_unlock(&closed.lock);
}

/* ---- the kernel */

int pool_register_nr(const struct io_uring *ring, unsigned int op, void *arg, uint32_t nr)
{
	int fd = ring->ring_fd;
	long ret;

	if (fd < 0) { /* the ring has no file descriptor, only an index with its thread */
		fd = ring->enter_ring_fd;
		op |= IORING_REGISTER_USE_REGISTERED_RING;
	}
	ret = syscall(__NR_io_uring_register, fd, op, arg, nr);
	return ret < 0 ? -errno : (int)ret;
}

int pool_register(const struct io_uring *ring, unsigned int op, void *arg)
{
	int ret = pool_register_nr(ring, op, arg, 1);

	return ret < 0 ? ret : 0;
}

/* ---- memory */

void *pool_map(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static size_t data_bytes(const struct bs_pool *pool)
{
	return (size_t)pool->capacity * pool->stride;
}

static void free_memory(struct bs_pool *pool)
{
	if (pool->data)
		munmap(pool->data, data_bytes(pool));
	pool_forget_pieces(pool);
	free(pool->leases);
	pool->data = NULL;
	pool->leases = NULL;
}

/* ---- opening */

static const struct pool_ops *ops_of(const struct bs_pool_opts *opts)
{
	switch (opts->kind) {
	case BS_POOL_RING:
	case BS_POOL_MMAP:
	case BS_POOL_INC:
		return &pool_ring_ops;
	case BS_POOL_LEGACY:
		return &pool_legacy_ops;
	case BS_POOL_HEAP:
		return &pool_heap_ops;
	case BS_POOL_GLOBAL:
		return &pool_global_ops;
	case BS_POOL_LOCAL:
		return &pool_local_ops;
	case BS_POOL_FIXED:
		return opts->table ? &pool_fixed_ops : &pool_registered_ops;
	case BS_POOL_FALLBACK:
		return &pool_fallback_ops;
	}
	return NULL;
}

/* What belongs to some kinds only. */
static int read_kind(const struct bs_pool_opts *opts)
{
	const struct pool_ops *ops = ops_of(opts);

	if (!ops)
		return -EINVAL;
	if (ops->acquire && (opts->flags & BS_POOL_SINGLE || opts->entries || opts->min_left ||
			     opts->bgid || opts->meta_bgid))
		return -EINVAL;
	if (opts->flags & BS_POOL_FALL_BACK && opts->kind == BS_POOL_INC)
		return -EINVAL;
	if (opts->kind != BS_POOL_FIXED && (opts->table || opts->evict))
		return -EINVAL;
	if (opts->meta_buffers > MAX_BUFFERS || (opts->meta_bgid && !opts->meta_buffers))
		return -EINVAL;
	if (!opts->max_buffers)
		return 0;
	if (!ops->ways.is_shared || opts->max_buffers > MAX_BUFFERS)
		return -EINVAL;
	return opts->max_buffers < opts->buffers ? -EINVAL : 0;
}

static int read_opts(struct bs_pool_opts *out, const struct bs_pool_opts *in)
{
	const unsigned char *bytes = (const unsigned char *)in;
	size_t i;

	if (!in || in->size < sizeof(in->size))
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	memcpy(out, in, in->size < sizeof(*out) ? in->size : sizeof(*out));
	for (i = sizeof(*out); i < in->size; i++) /* from a newer header: unless zero, unknown */
		if (bytes[i])
			return -EINVAL;
	if (out->buffers < 1 || out->buffers > MAX_BUFFERS)
		return -EINVAL;
	if (out->buf_bytes < 1 || out->buf_bytes > MAX_BUF_BYTES)
		return -EINVAL;
	if (out->flags & ~(BS_POOL_SINGLE | BS_POOL_FALL_BACK) || out->zero)
		return -EINVAL;
	if (out->name && strnlen(out->name, BS_NAME_BYTES) == BS_NAME_BYTES)
		return -EINVAL;
	return read_kind(out);
}

/* A reader that still holds an earlier life of this header sees the new serial with the figures. */
static void clear_stats(struct bs_pool *pool)
{
	struct pool_stats *now = &pool->stats;
	uint64_t *wide[] = {&now->taken,      &now->returned, &now->selected, &now->bytes,
			    &now->partial,    &now->starved,  &now->refused,  &now->allocated,
			    &now->registered, &now->evicted,  &now->hits,     &now->plain};
	uint32_t *narrow[] = {&now->in_use,  &now->peak,    &now->in_flight,
			      &now->mirrors, &now->entries, &now->buffers};
	size_t i;

	for (i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		__atomic_store_n(wide[i], 0, __ATOMIC_RELEASE);
	for (i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++)
		__atomic_store_n(narrow[i], 0, __ATOMIC_RELEASE);
	__atomic_store_n(&now->buffers, pool->buffers, __ATOMIC_RELEASE);
}

static int open_pool(struct bs_pool *pool, struct io_uring *ring, const struct bs_pool_opts *opts)
{
	pool->buffers = opts->buffers;
	pool->capacity = opts->max_buffers ? opts->max_buffers : opts->buffers;
	pool->buf_bytes = opts->buf_bytes;
	pool->stride = (opts->buf_bytes + BUF_ALIGN - 1) & ~(BUF_ALIGN - 1);
	pool->pieces_words = 0;
	pool->top = POOL_BOTTOM;
	pool->bgid = opts->bgid;
	pool->is_single = opts->flags & BS_POOL_SINGLE;
	clear_stats(pool);
	__atomic_store_n(&pool->stats.kind, (uint32_t)opts->kind, __ATOMIC_RELEASE);
	pool->leases = calloc(pool->capacity, sizeof(*pool->leases));
	if (!pool->leases)
		return -ENOMEM;
	if (!pool->ways.is_allocating) {
		pool->data = pool_map(data_bytes(pool));
		if (!pool->data)
			return -ENOMEM;
		POOL_SET(pool, allocated, pool->buffers);
	}
	return pool->ops->open(pool, ring, opts);
}

bool pool_lock_has_barrier;

void pool_lock_prepare(void)
{
	pool_lock_has_barrier =
		!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

static void publish(struct bs_pool *pool)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t owner = pool->ways.is_shared ? POOL_ANYONE : own_token();

	if (pool->ways.is_shared)
		pthread_once(&once, pool_lock_prepare);
	__atomic_store_n(&pool->forks, pool_forks, __ATOMIC_RELAXED);
	__atomic_store_n(&pool->owner, owner, __ATOMIC_RELEASE);
}

/* The same buffers of another kind. */
static struct bs_pool_opts fallen(const struct bs_pool_opts *opts, enum bs_pool_kind kind)
{
	return (struct bs_pool_opts){
		.size = opts->size,
		.kind = kind,
		.buffers = opts->buffers,
		.buf_bytes = opts->buf_bytes,
		.meta_buffers = opts->meta_buffers,
		.name = opts->name,
	};
}

/* A header, all that the kind needs, and the calling thread as its owner. */
static int open_single(struct io_uring *ring, const struct bs_pool_opts *opts, struct bs_pool *of,
		       struct bs_pool **out)
{
	struct bs_pool *pool;
	int err;

	if (!ring && !ops_of(opts)->is_ringless)
		return -EINVAL;
	pool = header_get();
	if (!pool)
		return -ENOMEM;
	pool->ops = ops_of(opts);
	pool->ways = pool->ops->ways;
	pool->ring = opts->kind == BS_POOL_FALLBACK ? NULL : ring;
	pool->own_ring = NULL;
	pool->meta = NULL;
	pool->of = of;
	pool->listed.next = pool->listed.prev = &pool->listed;
	pool_name(pool, opts);
	err = open_pool(pool, ring, opts);
	if (err) {
		free_memory(pool);
		pool_unlist(pool);
		header_put(pool);
		return err;
	}
	publish(pool);
	*out = pool;
	return 0;
}

static void close_single(struct bs_pool *pool)
{
	__atomic_store_n(&pool->owner, 0, __ATOMIC_RELEASE);
	pool->ops->close(pool);
	pool_unlist(pool);
	free_memory(pool);
	pool_exit(pool);
	header_put(pool); /* from here on it may be another pool's */
}

/* A pool and, if wished for, that of its metadata. */
static int open_both(struct io_uring *ring, const struct bs_pool_opts *opts, struct bs_pool **out)
{
	struct bs_pool_opts meta = {
		.kind = opts->kind,
		.buffers = opts->meta_buffers,
		.buf_bytes = META_BYTES,
		.bgid = opts->meta_bgid,
		.flags = opts->flags,
		.name = opts->name,
	};
	int err = open_single(ring, opts, NULL, out);

	if (err || !opts->meta_buffers)
		return err;
	err = open_single(ring, &meta, *out, &(*out)->meta);
	if (err && !pool_enter(*out))
		close_single(*out);
	return err;
}

/* What another kind may do better; not a mistake of the program, such as a bgid in use. */
static bool may_fall_back(int err)
{
	return err == -EINVAL || err == -ENOSYS || err == -EPERM || err == -EACCES ||
	       err == -EOPNOTSUPP || err == -ENOMEM;
}

static int open_or_fall_back(struct io_uring *ring, struct bs_pool_opts *opts, struct bs_pool **out)
{
	struct io_uring *own = NULL;
	int err;

	if (!ring && opts->kind != BS_POOL_FALLBACK) {
		own = calloc(1, sizeof(*own));
		if (!own)
			return -ENOMEM;
		err = io_uring_queue_init(OWN_ENTRIES, own, 0);
		if (err) {
			free(own);
			own = NULL;
			*opts = fallen(opts, BS_POOL_FALLBACK);
		}
		ring = own;
	}
	err = open_both(ring, opts, out);
	if (may_fall_back(err) && ring) {
		*opts = fallen(opts, BS_POOL_LOCAL);
		err = open_both(ring, opts, out);
	}
	if (!err) {
		(*out)->own_ring = own;
	} else if (own) {
		io_uring_queue_exit(own);
		free(own);
	}
	return err;
}

struct bs_pool *bs_pool_open(struct io_uring *ring, const struct bs_pool_opts *opts)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct bs_pool_opts known;
	struct bs_pool *pool = NULL;
	int err = read_opts(&known, opts);

	pthread_once(&once, init_process);
	if (!err)
		err = known.flags & BS_POOL_FALL_BACK ? open_or_fall_back(ring, &known, &pool)
						      : open_both(ring, &known, &pool);
	if (!err)
		return pool;
	errno = -err;
	return NULL;
}

/* ---- using */

int pool_take(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
	      unsigned int max)
{
	int nr;

	if (!(cqe->flags & IORING_CQE_F_BUFFER)) {
		if (cqe->res == -ENOBUFS)
			pool_count_starve(pool);
		return 0;
	}
	nr = pool->ops->take(pool, cqe, bufs, bufs ? max : 0);
	if (nr < 0)
		return nr;
	POOL_ADD(pool, selected, 1);
	if (cqe->res > 0)
		POOL_ADD(pool, bytes, (uint64_t)cqe->res);
	return nr;
}

int bs_pool_take(struct bs_pool *pool, const struct io_uring_cqe *cqe, struct bs_buf *bufs,
		 unsigned int max)
{
	int err = pool_enter(pool);

	if (err)
		return err;
	if (!cqe)
		return pool_leave(pool, -EINVAL);
	if (!pool->ops->take)
		return pool_leave(pool, -EOPNOTSUPP);
	if (POOL_USUAL(picked_is_usual(pool, cqe)) && bufs && max)
		return pool_leave(pool, picked_lend(pool, cqe, bufs));
	return pool_leave(pool, pool_take(pool, cqe, bufs, max));
}

int bs_pool_available(const struct bs_pool *pool)
{
	int nr = pool_enter(pool);

	if (nr)
		return nr;
	nr = (int)(pool->stats.returned - pool->stats.taken);
	pool_exit(pool);
	return nr;
}

struct bs_pool *bs_pool_meta(struct bs_pool *pool)
{
	struct bs_pool *meta;

	if (pool_enter(pool))
		return NULL;
	meta = pool->meta;
	pool_exit(pool);
	return meta;
}

struct io_uring *bs_pool_ring(struct bs_pool *pool)
{
	struct io_uring *ring;

	if (pool_enter(pool))
		return NULL;
	ring = pool->ring;
	pool_exit(pool);
	return ring;
}

int bs_buf_index(const struct bs_buf *buf)
{
	struct bs_pool *pool = buf->pool;
	int err = pool_enter(pool);

	if (err)
		return err;
	if (buf->serial != pool->serial)
		err = -EBADF;
	else if (buf->bid >= pool->buffers)
		err = -ERANGE;
	else if (!pool_is_out(pool, buf->bid))
		err = -EALREADY;
	if (err)
		return pool_leave(pool, err);
	err = pool_index(pool, buf->bid);
	pool_exit(pool);
	return err;
}

/* ---- changing hands */

int bs_pool_hand_over(struct bs_pool *pool)
{
	int err = pool_enter(pool);

	if (err)
		return err;
	if (!pool->ops->is_movable || pool->own_ring || pool->meta || pool->of)
		return pool_leave(pool, -EOPNOTSUPP);
	if (pool->stats.in_flight)
		return pool_leave(pool, -EBUSY);
	__atomic_store_n(&pool->owner, POOL_NOBODY, __ATOMIC_RELEASE);
	return 0;
}

int bs_pool_adopt(struct bs_pool *pool)
{
	uint64_t nobody = POOL_NOBODY;

	if (!pool)
		return -EBADF;
	if (__atomic_compare_exchange_n(&pool->owner, &nobody, own_token(), false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return 0;
	return nobody ? pool_refuse(pool, -EPERM) : -EBADF;
}

/* ---- watching */

static bool is_open(const struct bs_pool *pool, uint32_t serial)
{
	return __atomic_load_n(&pool->owner, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&pool->serial, __ATOMIC_ACQUIRE) == serial;
}

/*
 * Acquire loads: who sees a figure of the header's next life sees its serial afterwards, and
 * throws the figures away.
 */
#define READ(field) __atomic_load_n(&pool->stats.field, __ATOMIC_ACQUIRE)

int bs_pool_read_stats(const struct bs_pool *pool, struct bs_pool_stats *stats)
{
	struct bs_pool_stats now;
	uint32_t serial, mirrors;

	if (!pool)
		return -EBADF;
	serial = __atomic_load_n(&pool->serial, __ATOMIC_ACQUIRE);
	mirrors = READ(mirrors);
	now.entries = READ(entries);
	now.buffers = READ(buffers);
	now.in_use = READ(in_use);
	now.peak = READ(peak);
	now.taken = READ(taken);
	now.returned = READ(returned);
	now.selected = READ(selected);
	now.partial = READ(partial);
	now.starved = READ(starved);
	now.bytes = READ(bytes);
	now.refused = READ(refused);
	now.allocated = mirrors & POOL_MIRRORS_ALLOCATED ? now.taken : READ(allocated);
	now.kind = READ(kind);
	now.registered = READ(registered);
	now.evicted = READ(evicted);
	now.hits = mirrors & POOL_MIRRORS_HITS ? now.taken : READ(hits);
	now.plain = READ(plain);
	now.in_flight = READ(in_flight);
	if (!is_open(pool, serial))
		return -EBADF;
	*stats = now;
	return 0;
}

int bs_pool_close(struct bs_pool *pool)
{
	struct bs_pool *meta;
	struct io_uring *own;
	uint32_t out;
	int err = pool_enter(pool);

	if (err)
		return err;
	if (pool->of)
		return pool_leave(pool, -EPERM);
	meta = pool->meta;
	if (pool->stats.in_flight || (meta && meta->stats.in_flight))
		return pool_leave(pool, -EBUSY);
	out = pool->stats.in_use;
	own = pool->own_ring;
	if (meta && !pool_enter(meta)) {
		out += meta->stats.in_use;
		close_single(meta);
	}
	close_single(pool);
	if (own) {
		io_uring_queue_exit(own);
		free(own);
	}
	return (int)out;
}

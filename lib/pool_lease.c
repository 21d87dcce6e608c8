// SPDX-License-Identifier: MIT
/*
 * Which buffers are lent, and is each given back once, by who has it?
 *
 * Each operation comes through here: what it usually needs is kept short and in one place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pool_ring.h"
#include "pool_stack.h"

#define WORD_BITS 64u

/* ---- pieces */

static size_t pieces_more_bytes(const struct bs_pool *pool)
{
	return (size_t)pool->buffers * pool->pieces_words * sizeof(uint64_t);
}

/*
 * A buffer has no more pieces than bytes, and one empty piece when a failed operation ends it.
 * Room for all of them is set aside and costs memory only where more than 64 are used.
 */
int pool_track_pieces(struct bs_pool *pool)
{
	pool->pieces = calloc(pool->buffers, sizeof(*pool->pieces));
	if (!pool->pieces)
		return -ENOMEM;
	pool->pieces_words = pool->buf_bytes / WORD_BITS;
	if (!pool->pieces_words)
		return 0;
	pool->pieces_more = pool_map(pieces_more_bytes(pool));
	return pool->pieces_more ? 0 : -ENOMEM;
}

void pool_forget_pieces(struct bs_pool *pool)
{
	if (pool->pieces_more)
		munmap(pool->pieces_more, pieces_more_bytes(pool));
	free(pool->pieces);
	pool->pieces_more = NULL;
	pool->pieces = NULL;
}

static inline uint64_t piece_bit(uint32_t piece)
{
	return 1ull << piece % WORD_BITS;
}

static inline uint64_t *piece_word(const struct bs_pool *pool, uint32_t bid, uint32_t piece)
{
	if (piece < WORD_BITS)
		return &pool->pieces[bid].out;
	return &pool->pieces_more[(size_t)bid * pool->pieces_words + piece / WORD_BITS - 1];
}

static inline uint32_t piece_of(const struct pool_lease *lease, const struct bs_buf *buf)
{
	return lease->live - (lease->next - buf->lease);
}

void pool_mark_piece(struct bs_pool *pool, uint32_t bid)
{
	uint32_t piece = pool->leases[bid].live;

	*piece_word(pool, bid, piece) |= piece_bit(piece);
	pool->pieces[bid].nr_out++;
}

/* ---- giving */

/* Is it a piece that this pool has lent, as far as the lease tells? 0 or -errno. */
static inline int find_lease(const struct bs_pool *pool, const struct bs_buf *buf,
			     struct pool_lease **lease)
{
	if (POOL_RARE(buf->pool != pool))
		return -EXDEV;
	if (POOL_RARE(buf->serial != pool->serial))
		return -EBADF;
	if (POOL_RARE(buf->bid >= pool->buffers))
		return -ERANGE;
	*lease = &pool->leases[buf->bid];
	return POOL_RARE((*lease)->next - buf->lease - 1 >= (*lease)->live) ? -EALREADY : 0;
}

/* From here on the piece is out no more: its second copy in the same call is refused, too. */
static int take_back(struct bs_pool *pool, const struct bs_buf *buf)
{
	struct pool_lease *lease;
	uint64_t *word, bit;
	int err = find_lease(pool, buf, &lease);

	if (err)
		return err;
	word = piece_word(pool, buf->bid, piece_of(lease, buf));
	bit = piece_bit(piece_of(lease, buf));
	if (!(*word & bit))
		return -EALREADY;
	*word &= ~bit;
	pool->pieces[buf->bid].nr_out--;
	return 0;
}

static void undo_take_back(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	while (nr--) {
		struct pool_lease *lease = &pool->leases[bufs[nr].bid];
		uint32_t piece = piece_of(lease, &bufs[nr]);

		*piece_word(pool, bufs[nr].bid, piece) |= piece_bit(piece);
		pool->pieces[bufs[nr].bid].nr_out++;
	}
}

static int give_pieces(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	uint32_t idle = 0;
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++) {
		err = take_back(pool, &bufs[i]);
		if (err) {
			undo_take_back(pool, bufs, i);
			return err;
		}
		idle += !pool_is_out(pool, bufs[i].bid);
	}
	pool->ops->give(pool, bufs, nr);
	POOL_DOWN(pool, in_use, idle);
	for (i = 0; i < nr; i++)
		PROBE(release, pool, bufs[i].bid);
	return 0;
}

/* Of a pool that lends whole buffers; what is marked is given for certain. */
static void give_marked(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	unsigned int i;

	if (pool->ways.is_plain) {
		for (i = 0; i < nr; i++)
			pool_give_plain(pool, bufs[i].bid);
		POOL_ADD(pool, returned, nr);
	} else {
		pool->ops->give(pool, bufs, nr);
	}
	POOL_DOWN(pool, in_use, nr);
	for (i = 0; i < nr; i++)
		PROBE(release, pool, bufs[i].bid);
}

static int give_whole(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	struct pool_lease *lease;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		int err = find_lease(pool, &bufs[i], &lease);

		if (err) {
			while (i--)
				pool->leases[bufs[i].bid].live = 1;
			return err;
		}
		lease->live = 0;
	}
	give_marked(pool, bufs, nr);
	return 0;
}

static __attribute__((noinline)) int give_some(struct bs_pool *pool, const struct bs_buf *bufs,
					       unsigned int nr)
{
	return pool->pieces ? give_pieces(pool, bufs, nr) : give_whole(pool, bufs, nr);
}

/* Of most kinds that need not be looked for where it is written. */
static inline bool lends_pieces(const struct bs_pool *pool)
{
	return POOL_RARE(!pool->ways.is_plain && !pool->ways.is_picked) && pool->pieces;
}

/* Whole, to a ring or a stack: without a call. */
static POOL_INLINE void give_straight(struct bs_pool *pool, uint32_t bid, bool is_ring)
{
	pool->leases[bid].live = 0;
	if (is_ring) {
		ring_append(pool, pool->impl, bid);
		ring_publish(pool, pool->impl, 1);
	} else {
		pool_stack_push(pool, bid);
		POOL_ADD(pool, returned, 1);
	}
	POOL_DOWN(pool, in_use, 1);
	PROBE(release, pool, bid);
}

/* Whole, to any pool. */
static POOL_INLINE int give_found(struct bs_pool *pool, const struct bs_buf *buf,
				  struct pool_lease *lease)
{
	if (pool->ways.is_plain || pool->ways.is_ring) {
		if (pool->ways.is_allocating)
			pool_free(pool, buf->bid);
		give_straight(pool, buf->bid, pool->ways.is_ring);
	} else {
		lease->live = 0;
		give_marked(pool, buf, 1);
	}
	return 0;
}

/* One, and whole: that way is short and straight. */
static POOL_INLINE int give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	struct pool_lease *lease;
	int err;

	if (POOL_RARE(nr != 1) || lends_pieces(pool))
		return give_some(pool, bufs, nr);
	err = find_lease(pool, bufs, &lease);
	return POOL_RARE(err) ? err : give_found(pool, bufs, lease);
}

int pool_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	return give(pool, bufs, nr);
}

/* ---- lending */

unsigned int pool_acquire(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr)
{
	unsigned int got = pool->ops->acquire(pool, bufs, nr);

	POOL_ADD(pool, taken, got);
	pool_count_lent(pool, got);
	if (got < nr)
		pool_count_starve(pool);
	return got;
}

/* ---- calls */

static __attribute__((noinline)) int acquire_any(struct bs_pool *pool, struct bs_buf *bufs,
						 unsigned int nr)
{
	int err = pool_enter_soon(pool);

	if (err)
		return err;
	if (!pool->ops->acquire)
		return pool_leave(pool, -EOPNOTSUPP);
	if (nr > INT32_MAX || (!bufs && nr))
		return pool_leave(pool, -EINVAL);
	if (POOL_USUAL(nr == 1))
		err = pool_acquire_one(pool, bufs);
	else
		err = (int)pool_acquire(pool, bufs, nr);
	pool_exit(pool);
	return err;
}

/* One, of a pool of the thread's own: what needs no call. */
POOL_HOT int bs_pool_acquire(struct bs_pool *pool, struct bs_buf *bufs, unsigned int nr)
{
	if (POOL_RARE(!pool) || POOL_RARE(!pool_is_own(pool)) || POOL_RARE(!bufs) ||
	    POOL_RARE(nr != 1) || POOL_RARE(!pool_has_one(pool)))
		return acquire_any(pool, bufs, nr);
	pool_lend_top(pool, bufs);
	return 1;
}

static int acquire_bid(struct bs_pool *pool, uint32_t bid, struct bs_buf *buf)
{
	int err;

	if (!pool->ops->acquire)
		return -EOPNOTSUPP;
	if (!buf)
		return -EINVAL;
	if (bid >= pool->buffers)
		return -ERANGE;
	err = pool_is_out(pool, bid) ? -EBUSY : pool->ops->acquire_bid(pool, bid, buf);
	if (err) {
		pool_count_starve(pool);
		return err;
	}
	POOL_ADD(pool, taken, 1);
	pool_count_lent(pool, 1);
	return 0;
}

int bs_pool_acquire_bid(struct bs_pool *pool, uint16_t bid, struct bs_buf *buf)
{
	int err = pool_enter(pool);

	if (err)
		return err;
	err = acquire_bid(pool, bid, buf);
	if (err == -EBUSY || err == -ENOBUFS) { /* no misuse */
		pool_exit(pool);
		return err;
	}
	return pool_leave(pool, err);
}

static __attribute__((noinline)) int give_any(struct bs_pool *pool, const struct bs_buf *bufs,
					      unsigned int nr)
{
	int err = pool_enter_soon(pool);

	if (err)
		return err;
	return pool_leave(pool, POOL_USUAL(bufs || !nr) ? give(pool, bufs, nr) : -EINVAL);
}

static __attribute__((noinline)) int give_calling(struct bs_pool *pool, const struct bs_buf *buf)
{
	return pool_leave(pool, give(pool, buf, 1));
}

/* One, to a pool of the thread's own: what needs no call saves no registers for one. */
POOL_HOT int bs_pool_give(struct bs_pool *pool, const struct bs_buf *bufs, unsigned int nr)
{
	struct pool_lease *lease;

	if (POOL_RARE(!pool) || POOL_RARE(!bufs) || POOL_RARE(!pool_is_own(pool)) ||
	    POOL_RARE(nr != 1))
		return give_any(pool, bufs, nr);
	if (pool->ways.is_ring) {
		if (POOL_RARE(find_lease(pool, bufs, &lease)))
			return give_any(pool, bufs, nr);
		give_straight(pool, bufs->bid, true);
		return 0;
	}
	if (!pool_is_stacked(pool))
		return give_calling(pool, bufs);
	if (POOL_RARE(find_lease(pool, bufs, &lease)))
		return give_any(pool, bufs, nr);
	give_straight(pool, bufs->bid, false);
	return 0;
}

void bs_buf_drop(struct bs_buf *buf)
{
	/* One that was given already is no misuse here. */
	if (buf->pool && !pool_enter(buf->pool)) {
		pool_give(buf->pool, buf, 1);
		pool_exit(buf->pool);
	}
	memset(buf, 0, sizeof(*buf));
}

// SPDX-License-Identifier: MIT
/*
 * Where do others read what pools are called? See pool_roster.h.
 *
 * The file is sparse: a page of memory for the first 63 named pools, one more for each 64 further.
 * An entry belongs to a pool's header for good, as headers do not go.
 */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"
#include "pool_roster.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

struct roster {
	struct roster_head head;
	struct roster_entry entries[ROSTER_ENTRIES];
};

static struct {
	pthread_mutex_t lock;
	struct roster *at; /* NULL: none, or not yet */
	bool was_tried;
	uint32_t nr; /* entries given away */
} own = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Kernels before 6.3 do not know that memory need not be executable; later ones may insist. */
static int create_file(void)
{
	int fd = memfd_create(ROSTER_FILE, MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	return fd < 0 && errno == EINVAL ? memfd_create(ROSTER_FILE, MFD_CLOEXEC) : fd;
}

static struct roster *map_file(void)
{
	int fd = create_file();
	void *mem = MAP_FAILED;

	if (fd < 0)
		return NULL;
	if (!ftruncate(fd, sizeof(struct roster)))
		mem = mmap(NULL, sizeof(struct roster), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mem == MAP_FAILED)
		return NULL;
	if (madvise(mem, sizeof(struct roster), MADV_DONTFORK)) {
		munmap(mem, sizeof(struct roster));
		return NULL;
	}
	return mem;
}

/* The pool's entry; NULL: there is none to be had. Under the lock. */
static struct roster_entry *entry_of(struct bs_pool *pool)
{
	if (!own.was_tried) {
		own.was_tried = true;
		own.at = map_file();
		if (own.at)
			__atomic_store_n(&own.at->head.magic, ROSTER_MAGIC, __ATOMIC_RELEASE);
	}
	if (!own.at)
		return NULL;
	if (!pool->roster && own.nr < ROSTER_ENTRIES)
		pool->roster = ++own.nr;
	__atomic_store_n(&own.at->head.nr, own.nr, __ATOMIC_RELEASE);
	return pool->roster ? &own.at->entries[pool->roster - 1] : NULL;
}

static void begin(struct roster_entry *entry)
{
	__atomic_store_n(&entry->again, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->serial, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end(struct roster_entry *entry, uint32_t serial)
{
	__atomic_store_n(&entry->again, serial, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->serial, serial, __ATOMIC_RELEASE);
}

static void note_move(void)
{
	__atomic_add_fetch(&own.at->head.moves, 1, __ATOMIC_RELEASE);
}

static void list(struct bs_pool *pool, uint16_t bgid)
{
	struct roster_entry *entry;

	pthread_mutex_lock(&own.lock);
	entry = entry_of(pool);
	if (entry) {
		begin(entry);
		entry->ring_fd = pool->ring->ring_fd;
		entry->bgid = pool->ops->take ? bgid : ROSTER_TABLE;
		memcpy(entry->name, pool->own_name, sizeof(entry->name));
		end(entry, pool->serial);
		note_move();
	}
	pthread_mutex_unlock(&own.lock);
}

static const char *kind_name(enum bs_pool_kind kind)
{
	static const char *const names[] = {
		[BS_POOL_RING] = "ring",         [BS_POOL_MMAP] = "mmap",
		[BS_POOL_INC] = "inc",           [BS_POOL_LEGACY] = "legacy",
		[BS_POOL_HEAP] = "heap",         [BS_POOL_GLOBAL] = "global",
		[BS_POOL_LOCAL] = "local",       [BS_POOL_FIXED] = "fixed",
		[BS_POOL_FALLBACK] = "fallback",
	};

	return names[kind];
}

/* Others see the name no later than the group. */
void pool_name(struct bs_pool *pool, const struct bs_pool_opts *opts)
{
	bool is_known = pool->ops->take || opts->kind == BS_POOL_FIXED;

	pool->name = kind_name(opts->kind);
	if (!opts->name || !*opts->name)
		return;
	memset(pool->own_name, 0, sizeof(pool->own_name));
	memcpy(pool->own_name, opts->name, strlen(opts->name));
	pool->name = pool->own_name;
	if (is_known && pool->ring && pool->ring->ring_fd >= 0)
		list(pool, opts->bgid);
}

void pool_unlist(struct bs_pool *pool)
{
	pthread_mutex_lock(&own.lock);
	if (own.at && pool->roster && own.at->entries[pool->roster - 1].serial) {
		begin(&own.at->entries[pool->roster - 1]);
		note_move();
	}
	pthread_mutex_unlock(&own.lock);
}

/*
 * Headers come along into the child, with the entries that they have: the child begins a roster of
 * its own, in which these are empty. The lock may have been another thread's.
 */
void pool_forget_roster(void)
{
	pthread_mutex_init(&own.lock, NULL);
	own.at = NULL;
	own.was_tried = false;
}

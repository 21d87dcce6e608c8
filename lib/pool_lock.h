/* SPDX-License-Identifier: MIT */
/*
 * The lock of a shared pool: it is held for moments, so who finds it taken looks again for a while
 * before he sleeps.
 *
 * A mutex of pthread's would do one or the other: the usual one spares a process of one thread the
 * atomic instructions, but sleeps at once; the adaptive one looks again, but spares nothing.
 */
#ifndef BUFSCOPE_POOL_LOCK_H
#define BUFSCOPE_POOL_LOCK_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define POOL_IS_ALONE __libc_single_threaded
#else
#define POOL_IS_ALONE false
#endif

enum { POOL_LOCK_FREE, POOL_LOCK_TAKEN, POOL_LOCK_AWAITED /* somebody may sleep */ };

#define POOL_LOCK_PAUSES 64u /* at most so many between two looks, at first 4 */

static inline bool pool_lock_try(uint32_t *lock)
{
	uint32_t was = POOL_LOCK_FREE;

	return __atomic_compare_exchange_n(lock, &was, POOL_LOCK_TAKEN, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static inline void pool_lock_pause(unsigned int nr)
{
	while (nr--) {
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#else
		__asm__ volatile("" ::: "memory");
#endif
	}
}

/*
 * Looks ever more rarely: each look takes the line from who writes there. Who slept leaves the
 * lock as awaited, for others may sleep still.
 */
static __attribute__((noinline, unused)) void pool_lock_wait(uint32_t *lock)
{
	for (unsigned int nr = 4; nr <= POOL_LOCK_PAUSES; nr *= 2) {
		pool_lock_pause(nr);
		if (__atomic_load_n(lock, __ATOMIC_RELAXED) == POOL_LOCK_FREE &&
		    pool_lock_try(lock))
			return;
	}
	while (__atomic_exchange_n(lock, POOL_LOCK_AWAITED, __ATOMIC_ACQUIRE) != POOL_LOCK_FREE)
		syscall(SYS_futex, lock, FUTEX_WAIT_PRIVATE, POOL_LOCK_AWAITED, NULL, NULL, 0);
}

static inline void pool_lock(uint32_t *lock)
{
	if (POOL_IS_ALONE && __atomic_load_n(lock, __ATOMIC_RELAXED) == POOL_LOCK_FREE)
		__atomic_store_n(lock, POOL_LOCK_TAKEN, __ATOMIC_RELAXED);
	else if (!pool_lock_try(lock))
		pool_lock_wait(lock);
}

static __attribute__((noinline, cold, unused)) void pool_lock_wake(uint32_t *lock)
{
	syscall(SYS_futex, lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static inline void pool_unlock(uint32_t *lock)
{
	if (POOL_IS_ALONE)
		__atomic_store_n(lock, POOL_LOCK_FREE, __ATOMIC_RELAXED);
	else if (__atomic_exchange_n(lock, POOL_LOCK_FREE, __ATOMIC_RELEASE) == POOL_LOCK_AWAITED)
		pool_lock_wake(lock);
}

#endif

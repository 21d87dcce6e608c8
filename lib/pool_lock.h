/* SPDX-License-Identifier: MIT */
/*
 * The lock of a shared pool: it is held for moments, so who finds it taken looks again for a while
 * before he sleeps.
 *
 * A mutex of pthread's would do one or the other: the usual one spares a process of one thread the
 * atomic instructions, but sleeps at once; the adaptive one looks again, but spares nothing. And
 * both let go by an atomic exchange. Here that is a plain store, after which it is looked whether
 * somebody sleeps. That the look is not made before the store is seen is seen to by the one who is
 * about to sleep: having said so he has all threads of the process pass a barrier (membarrier(2)).
 * Who looked before that barrier has let go before it, too, and is found to have.
 */
#ifndef BUFSCOPE_POOL_LOCK_H
#define BUFSCOPE_POOL_LOCK_H

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
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

enum { POOL_LOCK_FREE, POOL_LOCK_TAKEN };

#define POOL_LOCK_PAUSES 64u /* at most so many between two looks, at first 4 */

/* Settled before the first lock is used, by pool_lock_prepare(). False: who lets go passes one. */
extern bool pool_lock_has_barrier;

void pool_lock_prepare(void);

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

/* Whatever another thread did before its part of it is seen afterwards. False: it is not to be had.
 */
static inline bool pool_lock_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !pool_lock_has_barrier ||
	       !syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/*
 * Looks ever more rarely: each look takes the line from who writes there. Who slept has said again
 * that somebody does, for others may sleep still.
 */
static __attribute__((noinline, unused)) void pool_lock_wait(uint32_t *lock, uint32_t *sleepers)
{
	for (unsigned int nr = 4; nr <= POOL_LOCK_PAUSES; nr *= 2) {
		pool_lock_pause(nr);
		if (__atomic_load_n(lock, __ATOMIC_RELAXED) == POOL_LOCK_FREE &&
		    pool_lock_try(lock))
			return;
	}
	for (;;) {
		bool may_sleep;

		__atomic_store_n(sleepers, 1, __ATOMIC_SEQ_CST);
		may_sleep = pool_lock_barrier();
		if (pool_lock_try(lock))
			return;
		if (may_sleep)
			syscall(SYS_futex, sleepers, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
		else
			sched_yield();
	}
}

static inline void pool_lock(uint32_t *lock, uint32_t *sleepers)
{
	if (POOL_IS_ALONE && __atomic_load_n(lock, __ATOMIC_RELAXED) == POOL_LOCK_FREE)
		__atomic_store_n(lock, POOL_LOCK_TAKEN, __ATOMIC_RELAXED);
	else if (!pool_lock_try(lock))
		pool_lock_wait(lock, sleepers);
}

/* Who finds nothing said any more will say it again, and look at the lock, before he sleeps. */
static __attribute__((noinline, cold, unused)) void pool_lock_wake(uint32_t *sleepers)
{
	if (__atomic_exchange_n(sleepers, 0, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, sleepers, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static inline void pool_unlock(uint32_t *lock, uint32_t *sleepers)
{
	__atomic_store_n(lock, POOL_LOCK_FREE, __ATOMIC_RELEASE);
	if (POOL_IS_ALONE)
		return;
	if (pool_lock_has_barrier)
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(__atomic_load_n(sleepers, __ATOMIC_RELAXED), 0))
		pool_lock_wake(sleepers);
}

#endif

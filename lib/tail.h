/* SPDX-License-Identifier: MIT */
/*
 * The tail of one buffer ring, where its process stores to it: finds the place in the process's
 * memory and sets hardware breakpoints on it. Used by observe.c alone.
 */
#ifndef BUFSCOPE_TAIL_H
#define BUFSCOPE_TAIL_H

#include <stddef.h>
#include <stdint.h>

#include "observe.h"

/* Asks the kernel. 0 or -errno. */
typedef int tail_ask_fn(void *context, struct ring_page *page);

/*
 * Where watch->tgid has mapped the ring first; watch->address is not looked at. 0 or -errno: -EPERM
 * (page maps are not shown to us), -ENOENT (not mapped, or not yet; or the kernel does not tell).
 */
int tail_locate(const struct observe_watch *watch, tail_ask_fn *ask, void *context,
		uint64_t *address);

struct tail_watch;

/*
 * Runs the BPF program at each store to the tail of the ring at `address`, by any thread of the
 * process, present or to come. NULL with errno: ESRCH (no such process), ENOSPC (no breakpoint
 * free), EACCES / EPERM, ENODEV / EOPNOTSUPP (no breakpoints here), ENODATA (they do not fire).
 */
struct tail_watch *tail_watch(uint32_t tgid, uint64_t address, int program);

/* Breakpoints in use: threads that were there at the beginning. */
size_t tail_watch_threads(const struct tail_watch *watch);

/* NULL is accepted. */
void tail_release(struct tail_watch *watch);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * How a pool's name gets from the program that gave it to a tool that looks from outside.
 *
 * The first pool of a process that has a name maps a file of memory called "bufscope-pools"; the
 * tool finds it in /proc/PID/maps and reads it through /proc/PID/mem. The process notices nothing,
 * and it does not matter which of the two began first. A child does not inherit it.
 *
 * What the tool reads is another program's: it may hold anything.
 */
#ifndef BUFSCOPE_POOL_ROSTER_H
#define BUFSCOPE_POOL_ROSTER_H

#include <stdint.h>

#include "bufscope.h"

#define ROSTER_FILE    "bufscope-pools"
#define ROSTER_MAGIC   UINT64_C(0x31726f7473666264) /* changes with the layout */
#define ROSTER_ENTRIES 65535u

struct roster_head {
	uint64_t magic; /* 0: not ready */
	uint32_t nr;    /* entries that were ever used are among the first so many */
	uint32_t moves; /* changes since it began; wraps */
	uint64_t zero[6];
};

#define ROSTER_TABLE UINT32_MAX

/*
 * Valid while `serial` and `again` are equal and not 0. Whoever writes makes them differ before and
 * equal after, last `serial`; whoever reads does so upwards.
 */
struct roster_entry {
	uint32_t serial;
	int32_t ring_fd;
	uint32_t bgid; /* ROSTER_TABLE: the ring's fixed buffers */
	char name[BS_NAME_BYTES];
	uint32_t zero[4];
	uint32_t again;
};

_Static_assert(sizeof(struct roster_head) == 64, "layout of the roster");
_Static_assert(sizeof(struct roster_entry) == 64, "layout of the roster");

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The calls that probes make: io_uring_register() in its raw form, so that refusals arrive
 * unfiltered, and memory to offer it. Everything answers 0 or -errno.
 */
#ifndef BUFSCOPE_LIMITS_KERNEL_H
#define BUFSCOPE_LIMITS_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <liburing.h>

#include "limits.h"
#include "uapi.h"

int limits_register(int fd, unsigned int opcode, const void *arg, unsigned int nr_args);

/* io_uring_setup(): a file descriptor or -errno. */
int limits_setup(unsigned int entries, struct io_uring_params *params);

/* A ring as small as can be; where rings are charged to RLIMIT_MEMLOCK that leaves most room. */
int limits_ring_open(struct io_uring *ring);

/* Anonymous zeroed memory, page aligned; not touched yet. NULL: errno. */
void *limits_map(size_t bytes);

/* The same, populated, in pages of the base size or, if huge, in transparent huge pages. */
void *limits_map_filled(size_t bytes, bool huge);

/*
 * A large address range over little memory: the same LIMITS_PATCH_BYTES again and again. What
 * the kernel needs to pin it is real: page tables, page arrays, at most LIMITS_PIN_BYTES a page.
 */
void *limits_map_patchwork(uint64_t bytes);

#define LIMITS_PATCH_BYTES (16U << 20)
#define LIMITS_PIN_BYTES   32

/* Populates what is mapped. */
void limits_fill(void *memory, size_t bytes, bool huge);

/* Registers one buffer group and takes it away again. */
int limits_try_group(int fd, const struct bs_buf_reg *reg);

int limits_unregister_group(int fd, unsigned int bgid);

/* Submits the one request prepared in sqe's ring and waits: its result. */
int limits_do_one(struct io_uring *ring);

/* An address that belongs to the kernel, in the last pages of all; never to be followed. */
void *limits_kernel_address(void);

/*
 * Waits until the kernel has most likely freed the rings that were closed: it does so in the
 * background, after RCU grace periods, and until then they stay charged to RLIMIT_MEMLOCK.
 */
void limits_settle(void);

size_t limits_page_size(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The buffers that a program took and has not returned yet, oldest first, and for how long it
 * kept each. Pieces of an incremental buffer are kept one by one; the last of them makes it whole.
 */
#ifndef BUFSCOPE_LOAD_KEEP_H
#define BUFSCOPE_LOAD_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load.h"

struct keep_times;

/* bufs[first ... end - 1] are kept. Zeroed, it is empty and measures nothing. */
struct load_keep {
	struct bs_buf *bufs;
	uint64_t *since_ns; /* beside bufs; NULL: not measured */
	size_t first, end, room;
	uint32_t whole; /* buffers of which the last piece is here */
	struct keep_times *times;
};

/* 0 or -ENOMEM. */
int load_keep_measure(struct load_keep *keep);

/* Room for nr more; NULL: no memory. What is put there counts with load_keep_add(). */
struct bs_buf *load_keep_reserve(struct load_keep *keep, uint32_t nr);
void load_keep_add(struct load_keep *keep, uint32_t nr);

/* How many pieces, from the oldest on, it takes to make `whole` buffers. */
uint32_t load_keep_pieces(const struct load_keep *keep, uint32_t whole);

static inline const struct bs_buf *load_keep_oldest(const struct load_keep *keep)
{
	return keep->bufs + keep->first;
}

/* The oldest were returned. */
void load_keep_drop(struct load_keep *keep, uint32_t pieces, uint32_t whole);

/* Of all buffers returned; zeros if not measured or none was. */
struct load_hold_times load_keep_times(const struct load_keep *keep);

void load_keep_done(struct load_keep *keep);

#endif

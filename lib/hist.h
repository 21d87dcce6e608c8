/* SPDX-License-Identifier: MIT */
/*
 * Histograms of times as the programs keep them: bucket 0 is all below 512 ns, then four buckets
 * to each power of two. Pure arithmetic.
 */
#ifndef BUFSCOPE_HIST_H
#define BUFSCOPE_HIST_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/record.h"

/* The least time that falls into a bucket of 0 ... HOLD_BUCKETS; that is the end of the one before.
 */
uint64_t hist_start_ns(unsigned int bucket);

/* The bucket of a time. */
unsigned int hist_bucket(uint64_t ns);

uint64_t hist_count(const uint32_t buckets[HOLD_BUCKETS]);

/*
 * The time that a share q (0 ... 1) of all events do not exceed, taken inside its bucket by
 * proportion: right within an eighth. UINT64_MAX when the histogram is empty.
 */
uint64_t hist_quantile_ns(const uint32_t buckets[HOLD_BUCKETS], double q);

#endif

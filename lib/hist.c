// SPDX-License-Identifier: MIT
/* How is a time spread over buckets, and what do the buckets say of the times? */
#include "hist.h"

#include "../bpf/book.h"

uint64_t hist_start_ns(unsigned int bucket)
{
	unsigned int power, quarter;

	if (bucket == 0)
		return 0;
	power = (bucket - 1) / 4;
	quarter = (bucket - 1) % 4;
	return (uint64_t)(4 + quarter) << (HOLD_SHIFT - 2 + power);
}

unsigned int hist_bucket(uint64_t ns)
{
	return book_bucket(ns);
}

uint64_t hist_count(const uint32_t buckets[HOLD_BUCKETS])
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < HOLD_BUCKETS; i++)
		sum += buckets[i];
	return sum;
}

uint64_t hist_quantile_ns(const uint32_t buckets[HOLD_BUCKETS], double q)
{
	double target = q * (double)hist_count(buckets);
	double below = 0;

	for (unsigned int i = 0; i < HOLD_BUCKETS; i++) {
		double start = (double)hist_start_ns(i),
		       width = (double)hist_start_ns(i + 1) - start;

		if (buckets[i] && below + buckets[i] >= target)
			return (uint64_t)(start + width * (target - below) / buckets[i]);
		below += buckets[i];
	}
	return UINT64_MAX;
}

/* SPDX-License-Identifier: MIT */
/* What time is it, by any of the system's clocks? */
#ifndef BUFSCOPE_CLOCK_H
#define BUFSCOPE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* In nanoseconds. */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

#endif

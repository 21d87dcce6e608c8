// SPDX-License-Identifier: MIT
/* What does a worker tell the others while it works: counters, faults, and what went wrong? */
#include <errno.h>
#include <stdarg.h>

#include "load.h"

int load_fault(struct load_fault *fault, int exit_code, const char *hint, const char *format, ...)
{
	va_list args;

	fault->exit_code = exit_code;
	fault->hint = hint;
	va_start(args, format);
	vsnprintf(fault->what, sizeof(fault->what), format, args);
	va_end(args);
	return -EIO;
}

#define COUNT_WORDS (sizeof(struct load_counts) / sizeof(uint64_t))

void load_truth_publish(struct load_group_truth *group, const struct load_counts *counts)
{
	const uint64_t *from = (const uint64_t *)counts;
	uint64_t *to = (uint64_t *)&group->counts;

	__atomic_store_n(&group->version, group->version + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (size_t i = 0; i < COUNT_WORDS; i++)
		__atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
	__atomic_store_n(&group->version, group->version + 1, __ATOMIC_RELEASE);
}

void load_truth_read(const struct load_group_truth *group, struct load_counts *counts)
{
	const uint64_t *from = (const uint64_t *)&group->counts;
	uint64_t *to = (uint64_t *)counts;
	uint32_t before, after;

	do {
		before = __atomic_load_n(&group->version, __ATOMIC_ACQUIRE);
		for (size_t i = 0; i < COUNT_WORDS; i++)
			to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = __atomic_load_n(&group->version, __ATOMIC_RELAXED);
	} while (before != after || before & 1);
}

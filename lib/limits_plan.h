/* SPDX-License-Identifier: MIT */
/* What somebody wants to register: rings, their buffer groups and registered buffers. Pure. */
#ifndef BUFSCOPE_LIMITS_PLAN_H
#define BUFSCOPE_LIMITS_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* Everything is per ring; every ring is alike. */
struct limits_plan {
	uint32_t rings;
	uint32_t sq_entries;
	uint32_t groups;
	uint32_t entries; /* of each group; 0: no groups */
	uint16_t flags;   /* of the groups, IOU_PBUF_RING_* */
	uint32_t buffers; /* registered; 0: none */
	uint64_t buf_bytes;
};

/*
 * "rings=8,entries=4096,bufs=16384x64K", also sq=, groups=, kind=ring|mmap|inc. 0, or -EINVAL or
 * -ERANGE with *bad pointing at the part that is wrong.
 */
int limits_plan_parse(const char *text, struct limits_plan *plan, const char **bad);

/* The same text again. Returns out. */
char *limits_plan_format(const struct limits_plan *plan, char *out, size_t size);

#endif

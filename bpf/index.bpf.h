/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the accounts lie and how one is found: (ring, bgid) -> position in counts. The event
 * programs make the entries, see counts.bpf.h; whoever else shares the two maps only reads them.
 */
#ifndef BUFSCOPE_INDEX_BPF_H
#define BUFSCOPE_INDEX_BPF_H

#include "kernel.bpf.h"
#include "record.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct account);
} counts SEC(".maps");

#define INDEX_IGNORED 0xffffffffU

/*
 * In a slot's count: the address is that of another ring now, one that is not wanted, while the
 * account is kept until everyone has read it.
 */
#define SLOT_FOREIGN 0x80000000U

/* Open addressing, (ring, bgid) -> 1 + position in counts; 0: not yet known. */
struct index_slot {
	__u64 ring_id;
	__u32 bgid;
	__u32 count;
};

/*
 * One element that holds the whole table: it is looked up once, and then indexed as memory. No
 * element is larger than 4 MiB, which kernels before 6.2 do not allow.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct index_slot) * INDEX_SLOTS);
} positions SEC(".maps");

#define whole_table(map)                                                                           \
	({                                                                                         \
		__u32 only_ = 0;                                                                   \
		bpf_map_lookup_elem(&(map), &only_);                                               \
	})

static __always_inline struct account *count_at(__u32 position)
{
	return bpf_map_lookup_elem(&counts, &position);
}

#define INDEX_PROBES 8

/*
 * The low half of an address as a plain number. The verifier lets no arithmetic touch a pointer
 * that it tracks, but a 32-bit move makes a number of it; clang would leave the move out.
 */
static __always_inline __u32 low_half(const void *pointer)
{
	__u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((__u32)(__u64)pointer));
	return low;
}

static __always_inline __u32 index_hash(__u32 ring_low, __u32 bgid)
{
	return ((ring_low >> 6) + bgid * 0x9e3779b1U) * 0x85ebca6bU >> 7;
}

/* 1 + position; 0: not known; INDEX_IGNORED: not wanted. ring may be a pointer the verifier tracks.
 */
static __always_inline __u32 find_count(const void *ring, __u32 bgid)
{
	__u32 hash = index_hash(low_half(ring), bgid);
	const struct index_slot *table = whole_table(positions);

	for (__u32 i = 0; table && i < INDEX_PROBES; i++) {
		const struct index_slot *slot = &table[(hash + i) & (INDEX_SLOTS - 1)];

		if (!slot->ring_id)
			return 0;
		/* INDEX_IGNORED for what is foreign; without a branch, for the verifier's sake */
		if (slot->ring_id == (__u64)ring && slot->bgid == bgid + 1)
			return slot->count | (__u32)((__s32)slot->count >> 31);
	}
	return 0;
}

#endif

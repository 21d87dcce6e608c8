/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Records and constants that the BPF programs and user space share. Fixed widths, explicit
 * padding, sizes asserted; no pointers. ring_id is the kernel object's address: an identity
 * inside one run, never shown.
 */
#ifndef BUFSCOPE_RECORD_H
#define BUFSCOPE_RECORD_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum group_kind {
	GROUP_RING,     /* buffer ring in user memory */
	GROUP_MMAP,     /* buffer ring in kernel memory */
	GROUP_INC,      /* incremental, user memory */
	GROUP_INC_MMAP, /* incremental, kernel memory */
	GROUP_LEGACY,   /* PROVIDE_BUFFERS */
};

/* How a ring was found; a ring may be seen in several ways. */
enum ring_seen {
	SEEN_FD = 1,         /* a file descriptor of some process */
	SEEN_REGISTERED = 2, /* a task's table of registered rings */
	SEEN_TASK = 4,       /* a task's list of rings it has used */
};

#define REC_UNKNOWN_U32 0xffffffffU
#define REC_COMM_LEN    16

struct ring_rec {
	__u64 ring_id;
	__u32 tgid;
	__u32 tid;         /* the task that showed it; its creator where the kernel tells */
	__s32 fd;          /* -1: no file descriptor shows it */
	__u32 uid;         /* of the task */
	__u32 setup_flags; /* IORING_SETUP_* */
	__u32 sq_entries;
	__u32 cq_entries;
	__u32 sq_head, sq_tail;
	__u32 cq_head, cq_tail;
	__u32 cq_overflow;      /* completions that found the CQ full */
	__u32 seen;             /* enum ring_seen, or-ed */
	__u32 sightings;        /* file descriptors that show it, over all processes */
	__u32 table_entries;    /* slots of the fixed-buffer table */
	__u32 table_registered; /* slots in use; REC_UNKNOWN_U32: could not tell */
	__u32 table_in_flight;  /* requests using a slot; REC_UNKNOWN_U32: could not tell */
	__u32 nr_groups;        /* groups found on it, those filtered out included */
	__u64 table_bytes;
	char comm[REC_COMM_LEN];
};

struct group_rec {
	__u64 ring_id;
	__u32 bgid;
	__u32 kind;      /* enum group_kind */
	__u32 entries;   /* slots; legacy: 0 */
	__u32 available; /* tail - head, or buffers on the legacy list; REC_UNKNOWN_U32 */
	__u32 held;      /* REC_UNKNOWN_U32: could not tell */
	__u32 buf_bytes; /* largest entry length seen; 0: none seen; REC_UNKNOWN_U32 */
	__u16 head;
	__u16 tail;      /* head and tail mean nothing for legacy */
	__u16 raw_flags; /* flag bits of the kernel's group that bufscope does not know */
	__u16 pad;
	__u64 mem_bytes; /* of the ring itself, whole pages */
};

#ifndef __bpf__
_Static_assert(sizeof(struct ring_rec) == 104, "ring_rec is part of the shared layout");
_Static_assert(sizeof(struct group_rec) == 48, "group_rec is part of the shared layout");
#endif

#endif

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
	__u64 locked_bytes; /* charged to the ring's user, by whatever; 0: this ring charges nobody
			     */
	/*
	 * What the ring has that its user may be charged with; which of it is depends on the
	 * kernel. Groups tell their own mem_bytes.
	 */
	__u64 queue_bytes;        /* SQ and CQ; 0 where the kernel does not keep them as regions */
	__u64 region_bytes;       /* other memory registered with the ring */
	__u64 table_locked_bytes; /* fixed buffers; all ones: could not tell */
	__u32 charged_uid;        /* REC_UNKNOWN_U32: the ring charges nobody */
	__u32 table_name;         /* as group_rec.name, of the fixed buffers */
	char comm[REC_COMM_LEN];
};

/* One slot of a ring's table of fixed buffers. */
struct fixed_slot {
	__u64 bytes;     /* 0: nothing is registered there */
	__u32 in_flight; /* requests that use it; REC_UNKNOWN_U32: could not tell */
	__u32 pad;
};

#define MAX_FIXED_SLOTS (1U << 14) /* no kernel registers more */

struct group_rec {
	__u64 ring_id;
	__u32 bgid;
	__u32 kind;      /* enum group_kind */
	__u32 entries;   /* slots; legacy: 0 */
	__u32 available; /* tail - head, or buffers on the legacy list; REC_UNKNOWN_U32 */
	__u32 held;      /* REC_UNKNOWN_U32: could not tell */
	__u32 buf_bytes; /* largest entry length seen; 0: none seen; REC_UNKNOWN_U32 */
	__u16 head;
	__u16 tail;       /* head and tail mean nothing for legacy */
	__u16 raw_flags;  /* flag bits of the kernel's group that bufscope does not know */
	__u16 name;       /* what the program calls it, see lib/names.h; the kernel tells 0 */
	__u64 mem_bytes;  /* of the ring itself, whole pages */
	__u32 held_least; /* where held is not known: 1 + how many at least; 0: that neither */
	__u32 pad;
};

/* ---- counters of one group, kept by the event programs in an array that user space maps */

/*
 * Sizes of tables, powers of two: constants, since a knob that is read on the path of a completion
 * costs a cache line.
 */
#define MAX_ACCOUNTS (1U << 13)
#define INDEX_SLOTS  (MAX_ACCOUNTS * 4)
#define FEW_GROUPS   24         /* light accounts of no more are all looked at whenever it ticks */
#define REQ_SLOTS    (1U << 17) /* half of them are used well */

enum account_state {
	ACCOUNT_FREE,
	ACCOUNT_MET,    /* nothing is counted yet: requests under way are being made known */
	ACCOUNT_LIVE,   /* and all that follow: counted */
	ACCOUNT_ABSENT, /* requests name it, the ring has no such group */
	ACCOUNT_DEAD,   /* unregistered, or its ring is gone */
};

/* Why a request found no buffer, judged at that moment. */
enum starve_cause {
	STARVE_NO_GROUP,       /* the ring has no group of that id */
	STARVE_NEVER_FILLED,   /* registered, no buffer was ever put in */
	STARVE_UNPUBLISHED,    /* entries are written, the tail was not moved over them */
	STARVE_EMPTY_AT_ISSUE, /* empty when the request was issued */
	STARVE_EMPTY_AT_DATA,  /* armed before, empty when data came */
	STARVE_UNREGISTERED,   /* the group went away under the request */
	STARVE_NOT_EMPTY,      /* there are buffers: the kernel's doing, or bad entries */
	STARVE_CAUSES
};

/* Hold times: bucket i spans a quarter of a power of two, from 512 ns on; see lib/hist.h. */
#define HOLD_BUCKETS 128
#define HOLD_SHIFT   9

/*
 * Two writers: the completion path, which the kernel serialises per ring, owns what is marked C;
 * whoever holds `busy` owns what is marked L; what is not marked is set when the group is met.
 * 64-bit words are read whole by user space. The first 64 bytes are all that most completions
 * touch, the next 128 what most looks do: accounts begin at multiples of a cache line.
 */
struct account {
	__u64 ring_id;
	__u32 moment;     /* C: what the completions of moment_ns have in common */
	__u16 state;      /* enum account_state */
	__u16 life;       /* counts up when another ring gets its ring's address, or its place */
	__u64 selected;   /* C */
	__u64 bytes;      /* C */
	__u64 moment_ns;  /* C: the clock, when a completion or a look read it last */
	__u64 stretch;    /* of this group, in the array of bids: see stretch_first(); 0: none */
	__u32 since;      /* C: selections since head and tail were looked at */
	__u32 every;      /* and after how many they are */
	__u16 kind;       /* enum group_kind */
	__u8 has_bundles; /* completions take buffers that they do not name */
	__u8 wants_order; /* such requests waited on it when it was met */
	__u32 available;  /* L */

	__u64 bl; /* kernel addresses, for the programs alone; 0: another ring has its ring's */
	__u64 ring;
	__u32 busy;
	__u32 low_water; /* L, as all up to may_wrap */
	__u32 entries;
	__u16 head;
	__u16 tail;
	__u64 taken;
	__u64 returned;
	__u64 moved_ns; /* when head or tail was last seen to move */
	__u64 looked_ns;

	__u64 empty_ns;
	__u64 fastest;  /* most buffers per second between two looks, head or tail */
	__u64 gap_ns;   /* for how long nobody saw it before it was last seen to move */
	__u64 may_wrap; /* intervals so long that a 16-bit counter could have wrapped unseen */
	__u32 position; /* of this account */
	__u32 bgid;
	__u16 is_whole;   /* legacy: all buffers that are in it were seen going in */
	__u16 first_head; /* when nothing was taken yet */
	__u32 is_behind;  /* C: what was counted last is not looked at, as another look lasts */
	__u64 partial;    /* C, as all up to causes */
	__u64 starved;
	__u64 mshot_ended;
	__u64 causes[STARVE_CAUSES];
	__u64 born_ns; /* when the programs met it */
	__u64 died_ns;
	__u64 holds; /* L, as all that follows: buffers returned whose taking was seen */
	__u64 hold_max_ns;
	__u64 double_returns;
	__u64 bids_lost;  /* returned so fast that the ring was overwritten before it was read */
	__u64 bids_alien; /* bids beyond what is tracked */
	__u32 hold[HOLD_BUCKETS];
	__u32 by_tgid; /* who registered it, at born_ns; 0: that was not seen */
	__u32 by_tid;
	char by_comm[REC_COMM_LEN];
	__u64 up_to_a_line[6];
};

enum bid_flags {
	BID_IN_RING = 1,
	BID_HELD = 2,
	BID_EARLY = 4, /* held since before the programs looked: its age is a lower bound */
	BID_DUE = 16,  /* held, and the completion that names it is still to come */
};

/*
 * In place of the taker of a buffer of a bundle: a completion has named it since it was last taken.
 * That is one word, which a look and a completion may write at the same time, as flags may not.
 */
#define BID_NAMED 0x40000000

static inline __s32 bid_fd(__s32 fd)
{
	__s32 plain = fd & (BID_NAMED - 1);

	return fd < 0 || plain == BID_NAMED - 1 ? -1 : plain;
}

/* One word, since a ledger moves when bids beyond its end turn up, while others read it. */
static inline __u64 stretch_of(__u32 first, __u32 nr)
{
	return (__u64)nr << 32 | first;
}

static inline __u32 stretch_first(__u64 stretch)
{
	return (__u32)stretch;
}

static inline __u32 stretch_nr(__u64 stretch)
{
	return (__u32)(stretch >> 32);
}

/* One buffer in the ledger; `order` belongs to the slot of the same index. */
struct bid_state {
	__u64 since_ns; /* of the present state */
	__s32 fd;       /* of the request that took it last, see bid_fd(); -1: unknown */
	__u16 flags;
	__u16 order; /* bid that this slot of the ring was seen to hold */
};

/* Per program run, or since load: what was not counted as it should be. */
enum event_loss {
	EVENT_UNATTRIBUTED, /* completions with a buffer whose group could not be told */
	EVENT_GUESSED,      /* attributed by the ring's contents, more than one group fitted */
	EVENT_GROUPS_FULL,  /* groups not counted for want of room */
	EVENT_BIDS_FULL,    /* groups without ledger for want of room */
	EVENT_REQS_EVICTED, /* requests forgotten for want of room */
	EVENT_RING_FULL,    /* records of the trace that found its buffer full */
	EVENT_HIDDEN,       /* legacy: requests that take a buffer and complete silently */
	EVENT_PROCESSES,    /* children of processes that are followed, for want of room */
	EVENT_LOSSES
};

/* A question of user space: which page does a buffer ring begin in? */
struct ring_page {
	__u64 ring_id; /* in; 0: of the ring that the caller has as fd */
	__s32 fd;
	__u32 bgid;
	__u64 page;      /* out: the kernel's name of it; 0: not known */
	__u64 page_size; /* out: between the names of neighbouring pages */
};

/* ---- the same group, as the kernel's own functions are seen to treat it */

/* Lies at the same place as the group's account. Many writers, all by atomic additions. */
struct kbuf_account {
	__u64 born_ns; /* of the account that it goes with */
	__u64 ring_id; /* 0: that ring is gone */
	__u32 bgid;
	__u32 pad;
	__u64 registered; /* over all lives of the group on this ring */
	__u64 unregistered;

	__u64 picked;   /* calls that found a buffer: selected, dropped, recycled or under way */
	__u64 starved;  /* and that found none */
	__u64 taken;    /* buffers that head moved over; legacy: that will not come back */
	__u64 selected; /* times that a completion was given buffers; may be one that is never told
			 */
	__u64 recycled; /* picks put back unused */
	__u64 dropped;  /* legacy: let go of without a completion */
};

#define KBUF_LIFE_BYTES 48 /* from picked on: of one life */

/* ---- a trace: one record per event */

enum trace_kind {
	TRACE_REGISTER,
	TRACE_UNREGISTER,
	TRACE_FILL,    /* the first returns after the registration */
	TRACE_SELECT,  /* a completion with a buffer */
	TRACE_BUNDLE,  /* with several */
	TRACE_PARTIAL, /* with a piece of one that stays in use */
	TRACE_RETURN,
	TRACE_STARVE,
	TRACE_MSHOT_END,
	TRACE_OVERFLOW, /* the completion found the CQ full */
	TRACE_CREATE,   /* a ring, for the reader: never shown */
	TRACE_SUBMIT,   /* a request that will select buffers; never shown */
	TRACE_DONE,     /* its completion without a buffer, unless it starved; never shown */
	TRACE_KINDS
};

#define TRACE_KINDS_MAX 16 /* a power of two */

enum trace_flags {
	TRACE_EXACT = 1,      /* fill, return: tgid, tid and at_ns are of the return itself */
	TRACE_SILENT = 1,     /* submit: completes only if it fails */
	TRACE_FIXED_FILE = 2, /* fd is an index of the ring's registered files */
	TRACE_CONTINUED = 4,  /* bundle: more buffers of the completion of the record before */
	TRACE_MULTISHOT = 8,
	TRACE_PLAIN = 16,   /* submit: a receiving request that brings its own buffer; bgid: the id
			     that it carries all the same */
	TRACE_BACK = 32,    /* return: none, the tail went back by nr */
	TRACE_REFUSED = 64, /* done: never begun, the request itself is mistaken; nr: its ioprio,
			     available: its IOSQE_* flags */
	TRACE_TABLE = 128,  /* done: failed with -EFAULT on a registered buffer. user_data: its
			     address, nr: length, bid: slot; available: slots of the table;
			     held_ns and extra: address and length of what is in the slot */
};

struct trace_rec {
	__u64 at_ns;
	__u64 ring_id;
	__u64 user_data; /* of the request; register: the ring's address in the program; create: of
			    the SQ, if it lies in the program's own memory, with nr bytes */
	__u32 tgid;      /* 0: not known */
	__u32 tid;
	__s32 res;       /* bytes, or -errno */
	__s32 fd;        /* of the request, -1: not known; create: of the ring */
	__u32 nr;        /* buffers; register: entries; submit: the length in the request, if it is
			    one of a socket, 0: that of the buffer, or not known */
	__u32 bid;       /* of the first buffer, the others ascend; REC_UNKNOWN_U32 */
	__u32 available; /* after it; REC_UNKNOWN_U32; submit of a socket's request: MSG_* */
	__u16 bgid;
	__u8 kind;       /* enum trace_kind */
	__u8 flags;      /* enum trace_flags, or-ed */
	__u8 opcode;     /* 0: not known */
	__u8 cause;      /* starve: enum starve_cause */
	__u8 group_kind; /* enum group_kind: register, return, completion with a buffer */
	__u8 cqe_flags;  /* of a completion: the low eight bits, IORING_CQE_F_*; submit of a
			    socket's request: IORING_RECV*, the same of its ioprio */
	__u32 extra;     /* submit: the inode of its file; select of a send or for a bundle, bundle:
			    length of the named buffer; both 0: not known; done, incremental, -EFAULT
			    or -EINVAL: bytes left of the entry in use; create: bytes of the CQ */
	char comm[REC_COMM_LEN]; /* create: of the process */
	__u64 held_ns; /* return: longest that one of them was out; 0: not known; create: address
			  of the CQ, like the SQ's */
};

/* Records of one kind that found the trace's buffer full. */
struct trace_lost {
	__u64 records;
	__u64 buffers; /* that they would have told of */
};

#ifndef __bpf__
_Static_assert(sizeof(struct ring_rec) == 144, "ring_rec is part of the shared layout");
_Static_assert(sizeof(struct group_rec) == 56, "group_rec is part of the shared layout");
_Static_assert(sizeof(struct bid_state) == 16, "bid_state is part of the shared layout");
_Static_assert(sizeof(struct ring_page) == 32, "ring_page is part of the shared layout");
_Static_assert(sizeof(struct kbuf_account) == 88, "kbuf_account is part of the shared layout");
_Static_assert(sizeof(struct trace_rec) == 88, "trace_rec is part of the shared layout");
_Static_assert(sizeof(struct account) == 896, "account is part of the shared layout");
#endif

#endif

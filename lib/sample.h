/* SPDX-License-Identifier: MIT */
/*
 * One observation of the system: plain arrays and one time stamp. What produced it (a live
 * kernel, a recording) is not visible here.
 */
#ifndef BUFSCOPE_SAMPLE_H
#define BUFSCOPE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/record.h"

/* What was lost while looking; shown wherever it is not zero. */
enum sample_loss {
	LOSS_RINGS,  /* rings that did not fit */
	LOSS_GROUPS, /* groups that did not fit */
	LOSS_WALK,   /* walks over kernel structures that were cut short or changed under us */
	LOSS_UNATTRIBUTED, /* completions with a buffer whose group could not be told */
	LOSS_GUESSED,      /* attributed by ring memory while more than one group fitted */
	LOSS_ACCOUNTS,     /* groups not counted for want of room */
	LOSS_LEDGERS,      /* groups without a ledger of bids for want of room */
	LOSS_REQUESTS,     /* requests forgotten for want of room: their fd is not known */
	LOSS_HIDDEN,       /* requests on legacy groups that take a buffer and complete silently */
	LOSS_BIDS,         /* returns of which the ledger could not tell the bid */
	LOSS_EVENTS,       /* events that the kernel did not deliver, nested in themselves */
	LOSS_CALLS,        /* calls of the kernel's functions that were not seen to return */
	LOSS_PROCESSES,    /* children of followed processes, for want of room */
	LOSS_MAX
};

/* What the numbers rest on. */
enum sample_backend {
	BACKEND_ITER,         /* one snapshot by iterator */
	BACKEND_ITER_TICK,    /* head and tail read often enough that none wraps */
	BACKEND_ITER_TP,      /* every event */
	BACKEND_ITER_TP_KBUF, /* and the kernel's buffer functions */
};

/* What is counted per group; `empty_ns` is time, all else are events. */
enum group_counter {
	COUNT_TAKEN,
	COUNT_RETURNED,
	COUNT_SELECTED,
	COUNT_STARVED,
	COUNT_BYTES,
	COUNT_PARTIAL,
	COUNT_MSHOT_ENDED,
	COUNT_DOUBLE_RETURNED, /* returns of a buffer that was in the group already */
	COUNT_EMPTY_NS,
	/* As the kernel's own functions were seen to do it; see struct kbuf_account. */
	COUNT_KBUF_PICKED,
	COUNT_KBUF_STARVED,
	COUNT_KBUF_TAKEN,
	COUNT_KBUF_SELECTED,
	COUNT_KBUF_RECYCLED,
	COUNT_KBUF_DROPPED,
	COUNT_KBUF_REGISTERED,
	COUNT_KBUF_UNREGISTERED,
	COUNT_MAX
};

/* What is known of a group over time and may rise or fall. */
enum group_gauge {
	GAUGE_LOW_WATER,
	GAUGE_HOLD_P50_NS,
	GAUGE_HOLD_P90_NS,
	GAUGE_HOLD_P99_NS,
	GAUGE_HOLD_MAX_NS,
	GAUGE_STUCK,
	GAUGE_OLDEST_HELD_NS,
	GAUGE_MAX
};

#define COUNT_UNKNOWN UINT64_MAX

/* What a source counted since it began; COUNT_UNKNOWN where it does not count. */
struct group_counts {
	uint64_t total[COUNT_MAX];
	uint64_t gauge[GAUGE_MAX];
	uint64_t wraps;     /* intervals in which taken or returned may have missed 65536 */
	uint64_t unread;    /* returns that were overwritten before they were read */
	uint64_t looked_ns; /* from then on head and tail were read, for taken; 0: not known */
};

/*
 * Rings are sorted by (tgid, fd), groups by (position of their ring, bgid): the groups of a ring
 * are contiguous and rings[] order is groups[] order. Each ring stands once.
 */
struct sample {
	uint64_t at_ns;   /* CLOCK_MONOTONIC when the observation began */
	uint64_t wall_ns; /* CLOCK_REALTIME at the same moment */
	enum sample_backend backend;
	struct ring_rec *rings;
	size_t nr_rings;
	struct group_rec *groups;
	size_t nr_groups;
	struct group_counts *counts; /* counts[i] is of groups[i]; NULL: the source only looks */
	bool has_ordinals;           /* replayed: every ring_id is the ordinal that was shown */
	uint64_t losses[LOSS_MAX];   /* since the observation was opened: see sample_can_lose() */
};

/* One slot of a buffer ring's memory, as struct io_uring_buf. */
struct ring_slot {
	uint64_t addr;
	uint32_t len;
	uint16_t bid;
	uint16_t resv;
};

/* Names for JSON and title lines: "iter", "iter+tick", ... */
const char *sample_backend_name(enum sample_backend backend);
const char *sample_loss_name(enum sample_loss loss);

/* False: what could be lost is not looked at, and whether it was is not known. */
bool sample_can_lose(enum sample_loss loss, enum sample_backend backend);

const char *sample_kind_name(enum group_kind kind); /* ring mmap inc inc-mmap legacy */

/*
 * Name of bit `bit` of struct io_uring_params.flags without the IORING_SETUP_ prefix, NULL if
 * unknown.
 */
const char *sample_setup_flag_name(unsigned int bit);

/*
 * Puts rings and groups into the order promised above. A ring found several times is kept as its
 * first (tgid, fd), with all that was seen of it; a group found twice is kept as last found; a
 * group without a ring is dropped. 0 or -ENOMEM (nothing changed).
 */
int sample_sort(struct sample *sample);

/* Frees the arrays and zeroes the struct. */
void sample_done(struct sample *sample);

#endif

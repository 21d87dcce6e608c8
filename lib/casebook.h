/* SPDX-License-Identifier: MIT */
/*
 * What the events of a trace tell about each group over time: who holds which buffer, which
 * requests are armed, under what circumstances buffers ran out. Pure; lib/diagnose.h judges it.
 */
#ifndef BUFSCOPE_CASEBOOK_H
#define BUFSCOPE_CASEBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lint.h"
#include "sample.h"

/* What a casebook must be told; none of it is of interest to it when the trace lacks it. */
#define CASEBOOK_KINDS                                                                             \
	(1U << TRACE_REGISTER | 1U << TRACE_UNREGISTER | 1U << TRACE_FILL | 1U << TRACE_SELECT |   \
	 1U << TRACE_BUNDLE | 1U << TRACE_PARTIAL | 1U << TRACE_RETURN | 1U << TRACE_STARVE |      \
	 1U << TRACE_OVERFLOW | 1U << TRACE_SUBMIT | 1U << TRACE_DONE | 1U << TRACE_CREATE)

#define CASE_EPISODES 512
#define CASE_FLOWS    (1U << 18)
#define CASE_STREAMS  4096
#define CASE_BIRTHS   64 /* of rings, remembered until the next sample */

enum case_place {
	BUFFER_UNKNOWN, /* never seen in the group */
	BUFFER_IN,
	BUFFER_HELD,
};

struct case_buffer {
	uint64_t since_ns;     /* of its place */
	uint64_t returns_then; /* of the group, when it was taken */
	uint32_t stream;       /* of its taker: index */
	uint32_t stream_ends;  /* of that stream, when it was taken */
	uint8_t place;         /* enum case_place */
	bool is_unnamed;       /* came in a bundle, not as its first */
	bool with_error;       /* came with a completion that failed */
	uint8_t owed;          /* taken while it was held: its return may be told late */
	uint64_t bytes;        /* incremental: received into it since it was put in */
};

/* Requests on one file, or, where the file is not known, with one user_data. */
struct case_stream {
	int32_t fd; /* -1: not known */
	bool is_fixed;
	bool is_multishot;  /* its last request, where that was seen */
	uint64_t user_data; /* of the last request */
	uint64_t submitted;
	uint64_t selected;
	uint64_t starved;
	uint32_t ends;  /* of the file: end of file or an error */
	uint32_t held;  /* buffers */
	uint32_t spins; /* starves at issue, without a return in between */
	uint32_t most_spins;
	uint64_t submit_ns; /* of the last */
	uint64_t ended_ns;  /* last completion of a multishot request, 0: it was armed again */
	int32_t ended_res;
	uint64_t starved_ns; /* its last request starved then, and none has followed; 0: not so */
	uint32_t inode;      /* of the file, at the last request; 0: not known */
	uint64_t plain;      /* requests with a buffer of their own since it starved */
	uint64_t plain_ns;   /* the first of them */
	bool ended_with_buffer; /* and the group was empty then */
	bool is_refused;        /* its last request was mistaken */
	uint8_t opcode;
};

/* Requests that starved with no buffer returned in between. */
struct case_episode {
	uint64_t at_ns; /* of the first */
	uint64_t starves;
	uint32_t provided; /* buffers that the group ever had */
	uint32_t held;
	uint32_t streams;  /* that hold some */
	uint32_t top_held; /* by one stream */
	uint32_t top;      /* that stream */
	uint64_t age_ns;   /* median of what is held, when the first of it comes back */
	bool at_issue;
};

/* For what-if: what happened to the level of a group. */
enum case_flow_kind {
	FLOW_TAKE,
	FLOW_RETURN,
	FLOW_STARVE,
};

struct case_flow {
	uint64_t at_ns;
	uint32_t nr : 30;
	uint32_t kind : 2; /* enum case_flow_kind */
};

/* When nothing happened for a while, what the books say can be compared with what the kernel has.
 */
struct case_quiet {
	uint32_t looks;      /* in a row without an event */
	uint64_t since_ns;   /* the first of them */
	uint64_t taken;      /* by the kernel's head, as of the last look */
	uint64_t named;      /* buffers that completions told, as of the last look */
	uint64_t untold;     /* taken and not told, at the last quiet look */
	uint64_t unfounded;  /* told and not taken */
	uint32_t owed;       /* as of the group, at the last quiet look */
	struct ring_slot at; /* incremental: the entry in use, at the last quiet look */
	uint64_t at_bytes;   /* received into it by then */
	uint64_t at_since;   /* of its buffer by then: another means another filling */
	int64_t astray;      /* bytes that its cursor moved more than was received */
	uint32_t astray_bid;
};

/* A request that was mistaken, as the last of its sort. */
struct case_mistake {
	uint64_t count;
	uint8_t opcode;
	uint8_t sqe_flags;
	uint16_t ioprio;
	int32_t res;
};

/* A registration that was refused, the last. */
struct case_refusal {
	uint64_t count;
	uint64_t addr;
	uint32_t entries;
	int32_t res;
};

struct case_group {
	uint64_t ring_id;
	uint32_t bgid;
	uint32_t tgid;        /* who registered it or completes for it; 0: not known */
	struct group_rec rec; /* as last sampled; entries 0: never */
	bool is_sampled;
	bool is_live;       /* in the last sample */
	bool is_whole;      /* its registration was seen: the books are complete */
	uint64_t ring_addr; /* in the program, 0: not seen or in kernel memory */
	uint32_t entries;
	enum group_kind kind;
	uint64_t first_ns; /* event */
	uint64_t seen_ns;  /* last sample that showed it */

	struct case_buffer *buffers; /* by bid */
	uint32_t nr_buffers;         /* elements */
	uint32_t provided;           /* of them that the group ever had */
	uint32_t held, peak_held;
	uint32_t owed;       /* buffers that were taken while they were held */
	uint32_t owed_bid;   /* the last of them */
	uint32_t last_named; /* for the parts of a bundle */

	struct case_stream *streams;
	uint32_t nr_streams;

	uint64_t taken, returned, filled, named;
	uint64_t open;        /* requests that were seen submitted and have not ended */
	uint64_t after_last;  /* completions with a buffer that no request can have made */
	uint64_t backs;       /* times that the tail went back */
	uint32_t back_by;     /* the last time */
	uint32_t back_to;     /* available then, as the kernel counts it */
	uint64_t unselected;  /* receives that carry the group's id and do not select */
	uint64_t empty_since; /* first of the samples that showed it so, with requests armed; 0: it
				 is not */
	struct {
		uint64_t ns, open;
		uint32_t held;
	} waited;         /* longest time that requests were armed on it while it was empty */
	int32_t most_res; /* of a completion that told one buffer */
	struct case_mistake mistake;
	struct case_refusal refusal;
	struct case_quiet quiet;
	uint64_t causes[STARVE_CAUSES];
	uint64_t double_returns;
	uint32_t double_bid;
	uint64_t alien_returns; /* of buffers that it never had, when it was whole */
	uint32_t alien_bid;
	uint64_t bundles;
	uint64_t overflows;      /* completions with a buffer that found the CQ full */
	uint64_t refused_legacy; /* PROVIDE or REMOVE on a ring */
	int32_t refused_res;
	uint64_t efaults;
	struct {
		uint64_t count;
		uint32_t left; /* of the entry, the last time */
	} cut_short;           /* incremental: -EFAULT of recvmsg, at an entry in use */
	struct {
		uint64_t count; /* files, after a starve, with nothing asked of them in between */
		uint64_t first_ns;
		int32_t fd;     /* the last */
		uint64_t after; /* requests of the group since the first */
	} closed;
	uint64_t phantom_ends; /* no bytes, no buffer, yet more in the socket */
	uint64_t hold_ns_max;  /* of those that came back */
	uint32_t hold[HOLD_BUCKETS];
	uint32_t sizes[33]; /* completions by log2 of their bytes */

	struct case_episode *episodes;
	uint32_t nr_episodes;
	uint64_t lost_episodes;
	bool in_episode;

	struct case_flow *flows;
	uint32_t nr_flows;
	bool flows_full;

	struct lint lint;
};

/* Queues in a program's own memory; the kernel's are among its mappings. */
struct case_queues {
	uint64_t ring_id;
	uint64_t sq, sq_bytes, cq, cq_bytes;
};

/* Requests on registered buffers that failed for where they pointed, the last. */
struct case_table {
	uint64_t ring_id, count;
	uint64_t refused; /* of these, told when they were issued: their completions are to come */
	struct trace_rec last;
};

struct casebook {
	struct case_group **groups;
	size_t nr_groups;
	struct ring_rec *rings; /* of the last samples, by ring_id; gone ones stay */
	size_t nr_rings;
	uint64_t started_ns, ended_ns;
	struct case_queues *queues;
	size_t nr_queues;
	struct case_table *tables;
	size_t nr_tables;
	struct case_group *last; /* look-up cache */
	uint32_t *index;         /* 1 + position by hash, a power of two of them; 0: free */
	size_t nr_index;
	struct {
		uint64_t ring_id, at_ns;
	} births[CASE_BIRTHS];
	uint32_t nr_births;
	uint64_t nr_buried; /* rings whose address another has taken since */
	bool out_of_memory;
	bool may_miss; /* records of the trace were lost: the books may be wrong */
};

void casebook_init(struct casebook *book, uint64_t at_ns);
void casebook_done(struct casebook *book);

/* One record, in the order of their making. */
void casebook_take(struct casebook *book, const struct trace_rec *rec);

/* Which groups there are. Buffers held from before are not told by events: they stay unknown. */
void casebook_sample(struct casebook *book, const struct sample *sample);

/* The file of a stream that starved is no longer open. */
void casebook_closed(struct case_group *group, uint32_t at, uint64_t at_ns);

/* NULL: none. */
struct case_group *casebook_find(const struct casebook *book, uint64_t ring_id, uint32_t bgid);
const struct ring_rec *casebook_ring(const struct casebook *book, uint64_t ring_id);

/* Whether a buffer that is held will not come back, and why one may think so. */
enum case_fate {
	FATE_FINE,
	FATE_FORGOTTEN, /* the others went round many times */
	FATE_CLOSED,    /* its stream has ended */
	FATE_FAILED,    /* came with an error */
	FATE_UNNAMED,   /* part of a bundle */
	FATE_ALL,       /* none ever came back */
};
enum case_fate casebook_fate(const struct case_group *group, uint32_t bid);

#endif

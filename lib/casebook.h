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

#include "../bpf/book.h"
#include "lint.h"
#include "sample.h"

/* What a casebook must be told; none of it is of interest to it when the trace lacks it. */
#define CASEBOOK_KINDS                                                                             \
	(1U << TRACE_REGISTER | 1U << TRACE_UNREGISTER | 1U << TRACE_FILL | 1U << TRACE_SELECT |   \
	 1U << TRACE_BUNDLE | 1U << TRACE_PARTIAL | 1U << TRACE_RETURN | 1U << TRACE_STARVE |      \
	 1U << TRACE_OVERFLOW | 1U << TRACE_SUBMIT | 1U << TRACE_DONE | 1U << TRACE_CREATE)

#define CASE_STREAMS 4096

/* When nothing happened for a while, what the books say can be compared with what the kernel has.
 */
struct case_quiet {
	uint32_t looks;    /* in a row without an event */
	uint64_t told;     /* events by the last of them */
	uint64_t since_ns; /* the first of them */
	uint64_t taken;    /* by the kernel's head, as of the last look */
	uint64_t named;    /* buffers that completions told, as of the last look */
	uint64_t named_ns; /* the last that was told by then */
	uint64_t from_ns;  /* what head and tail told before is of an earlier group */
	bool is_met_anew;  /* what the head tells was counted from another time on */
	struct {
		uint64_t taken, named;
	} found;             /* when they were compared last */
	uint32_t owed;       /* as of the group, at the last quiet look */
	struct ring_slot at; /* incremental: the entry in use, at the last quiet look */
	uint32_t at_bytes;   /* received into it by then */
	uint64_t at_since;   /* of its buffer by then: another means another filling */
	int64_t astray;      /* bytes that its cursor moved more than was received */
	uint32_t astray_bid;
};

/*
 * While buffers are taken or returned untold, one that is in the ring by the books may come back
 * though it was returned once only. That something went untold is known after the fact: what a look
 * finds counts when the next one knows of no loss.
 */
struct case_doubt {
	uint64_t losses;   /* of what would have told it, as of the last sample */
	uint64_t since_ns; /* the last of them; 0: there is none */
	uint64_t until;    /* by so many returns all have gone round */
	uint64_t seen;     /* returned twice, as it seems, by the last sample */
	uint64_t pending;  /* of these, found by it */
	uint64_t told;     /* that surely were */
};

/* A request that was mistaken, as the last of its sort. */
struct case_mistake {
	uint64_t count;
	uint8_t opcode;
	uint8_t sqe_flags;
	uint16_t ioprio;
	int32_t res;
};

/*
 * Files that were closed long after their multishot request had ended, which was not armed again
 * though there were buffers: the last.
 */
struct case_laid {
	uint32_t count;
	int32_t fd;
	uint64_t ns;        /* from its end until it was seen open for the last time */
	uint32_t available; /* buffers, then */
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
	bool is_gone;       /* was there, and is no longer */
	uint64_t ring_addr; /* in the program, 0: not seen or in kernel memory */
	bool is_reused;     /* an earlier ring lay in this memory, or may have */
	uint64_t seen_ns;   /* last sample that showed it */

	struct book_sums sums;

	struct book_buffer *buffers; /* by bid */
	uint32_t nr_buffers;         /* elements */

	struct book_stream *streams;
	uint32_t nr_streams;
	uint32_t nr_counts; /* of what they hold */

	uint64_t empty_since; /* first of the samples that showed it so, with requests armed that
				 have no buffer, and nothing returned in between; 0: it is not */
	uint64_t empty_then;  /* returned by that time */
	struct {
		uint64_t ns, open;
		uint32_t held;
	} waited; /* longest time that so many requests were armed on it while it was empty */
	struct case_laid laid;
	struct case_mistake mistake;
	struct case_refusal refusal;
	struct case_quiet quiet;
	struct case_doubt doubt;
	uint64_t unread;    /* returns that were overwritten before they were read */
	uint64_t unread_ns; /* the last sample that told of more */

	struct book_episode *episodes;
	uint32_t nr_episodes;

	struct book_flow *flows;
	uint32_t nr_flows;

	/* how far the kernel's books of it were read */
	uint32_t book;    /* 1 + position of its sums there; 0: none, or not any more */
	uint32_t block;   /* 1 + position of the flows that are read; 0: the first */
	uint32_t flow;    /* of these, the next */
	uint32_t episode; /* 1 + position of the last one there; 0: none */
	bool is_settled;  /* nothing was added since its buffers were read */

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

/* Memory of programs in which a ring was registered. */
struct case_memory {
	uint64_t start, end;
};

/* A ring was made. */
struct case_birth {
	uint64_t ring_id, at_ns;
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
	struct case_memory *memories;
	size_t nr_memories;
	struct case_group *last; /* look-up cache */
	uint32_t *index;         /* 1 + position by hash, a power of two of them; 0: free */
	size_t nr_index;
	struct case_birth *births; /* that a sample may not have seen yet */
	size_t nr_births;
	uint64_t told_ns;              /* all records that were made until then have been taken */
	struct book_view view;         /* of the kernel's books; sums NULL: none was read */
	struct case_group **groups_of; /* by position of sums there */
	uint32_t *streams_of;          /* by position there: 1 + index in its group */
	uint32_t nr_read;              /* episodes */
	uint64_t nr_buried;            /* rings whose address another has taken since */
	bool out_of_memory;
	bool from_birth; /* its processes are watched since before they began */
	bool may_miss;   /* events of nobody knows which groups were lost: any books may be wrong */
	bool lost_lives; /* among them that groups or rings came or went */
	uint64_t unattributed; /* completions with a buffer of which no group is known */
	uint64_t guessed;      /* and some that were given to one of several that fitted */
};

void casebook_init(struct casebook *book, uint64_t at_ns);
void casebook_done(struct casebook *book);

/* One record, in the order of their making. */
void casebook_take(struct casebook *book, const struct trace_rec *rec);

/*
 * All that the kernel booked until now, in place of records; after the records, which tell what is
 * rare. At the end whole: who has each buffer, too.
 */
void casebook_read(struct casebook *book, const struct book_view *view, bool is_end);

/* Which groups there are. Buffers held from before are not told by events: they stay unknown. */
void casebook_sample(struct casebook *book, const struct sample *sample);

/* A buffer that was out when the books began, as the ring's memory tells. */
void casebook_lend(struct casebook *book, struct case_group *group, uint32_t bid);

/*
 * The file of a stream that starved is no longer open. open_ns: when it was last seen open, 0: that
 * is not known.
 */
void casebook_closed(struct casebook *book, struct case_group *group, uint32_t at,
		     uint64_t open_ns);

/* What each stream holds, which is not kept while buffers come and go. */
void casebook_count_held(struct case_group *group);

/* NULL: none. */
struct case_group *casebook_find(const struct casebook *book, uint64_t ring_id, uint32_t bgid);
const struct ring_rec *casebook_ring(const struct casebook *book, uint64_t ring_id);

/*
 * Whether what lies in a ring was written for it: nothing lay in its memory when it was registered.
 * False: an earlier ring may have left it there.
 */
bool casebook_is_blank(const struct casebook *book, const struct case_group *group);

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

/* Returns of buffers that were in the ring, without those that only seem so. */
uint64_t casebook_doubles(const struct case_group *group);

/*
 * Whether a stream is another's request that was not seen submitted: nothing is known but its
 * user_data, which that other one has.
 */
bool casebook_is_known_elsewhere(const struct case_group *group, const struct book_stream *stream);

/* Files that take part, each once; it stops at `most` of them. */
uint32_t casebook_count_streams(const struct case_group *group, uint32_t most);

/*
 * Whether the books of a group lack events: what rests on that something did not happen is not to
 * be concluded from them.
 */
bool casebook_may_miss(const struct casebook *book, const struct case_group *group);

/* The last time that the group was known as it is, and what was in it then. */
uint64_t casebook_known_ns(const struct case_group *group);
uint32_t casebook_available(const struct case_group *group);

/* For how long a buffer has surely been out. */
uint64_t casebook_age(const struct case_group *group, const struct book_buffer *buffer);

#endif

/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the events of one group add up to: who holds which buffer, which requests are under way,
 * when buffers ran out. The same code books events where they happen, in the kernel's programs, and
 * where they are read, from the records of a trace. It knows no memory of its own: all is flat and
 * bounded, and who calls it finds the buffer and the stream that a record is about.
 */
#ifndef BUFSCOPE_BOOK_H
#define BUFSCOPE_BOOK_H

#include "record.h"

/* As printf() knows it. */
#ifdef __bpf__
typedef __u64 book_u64;
#else
#include <stdint.h>
typedef uint64_t book_u64;
#endif

#define BOOK_FN static inline __attribute__((always_inline))

#define BOOK_NO_STREAM 0xffffffffU
#define BOOK_SIZES     64         /* 33 of them are used: a power of two, for the verifier's sake */
#define BOOK_EPISODES  512        /* of a group */
#define BOOK_FLOWS     (1U << 18) /* of a group */

#define BOOK_CQE_BUFFER 1
#define BOOK_CQE_MORE   2
#define BOOK_CQE_SOCK   4
#define BOOK_NO_BUFS    (-105) /* -ENOBUFS */
#define BOOK_BAD_MEMORY (-14)  /* -EFAULT */
#define BOOK_BAD_ARG    (-22)  /* -EINVAL */
#define BOOK_RECVMSG    10
#define BOOK_SEND       26
#define BOOK_PROVIDE    31
#define BOOK_REMOVE     32

enum book_place {
	BUFFER_UNKNOWN, /* never seen in the group */
	BUFFER_IN,
	BUFFER_HELD,
};

/* By bid. */
struct book_buffer {
	book_u64 since_ns;     /* of its place */
	book_u64 returns_then; /* of the group, when it was taken */
	__u32 stream;          /* of its taker: index */
	__u32 stream_ends;     /* of that stream, when it was taken */
	__u32 bytes;           /* incremental: received into it since it was put in, modulo 2^32 */
	__u8 place;            /* enum book_place */
	__u8 is_early;         /* lent before the books began: since_ns is no earlier */
	__u8 is_unnamed : 1;   /* came in a bundle, not as its first */
	__u8 with_error : 1;   /* came with a completion that failed */
	__u8 owed;             /* taken while it was held: its return may be told late */
};

/* Requests on one file, or, where the file is not known, with one user_data. */
struct book_stream {
	book_u64 ring_id;   /* whose it is: for the kernel's programs, as `group` */
	book_u64 user_data; /* of the last request */
	__u32 group;        /* 1 + position of its sums; 0: this one is free */
	__s32 fd;           /* -1: not known */
	book_u64 submitted;
	book_u64 selected;
	book_u64 starved;
	book_u64 ended_ns;   /* last completion of a multishot request, 0: it was armed again */
	book_u64 starved_ns; /* its last request starved then, and none has followed; 0: not so */
	book_u64 plain;      /* requests with a buffer of their own since it starved */
	book_u64 plain_ns;   /* the first of them */
	__u32 ends;          /* of the file: end of file or an error */
	__u32 spins;         /* starves at issue, in this round */
	__u32 round;         /* of the group, see there */
	__u32 most_spins;
	__u32 inode; /* of the file, when it starved or at the request after; 0: not known */
	__s32 ended_res;
	__u32 held;     /* buffers, when that was counted last */
	__u32 seen;     /* and which count that was */
	__u32 length;   /* that its last request asked for; 0: that of the buffer */
	__u8 how;       /* IORING_RECV* of its last request */
	__u8 is_silent; /* its last request: completes only if it fails */
	__u8 is_fixed;
	__u8 is_multishot;      /* its last request, where that was seen */
	__u8 ended_with_buffer; /* and the group was empty then */
	__u8 opcode;
	__u8 pad[6];
};

/* Requests that starved with no buffer returned in between. */
struct book_episode {
	book_u64 at_ns; /* of the first */
	book_u64 starves;
	book_u64 age_ns; /* median of what is held, when the first of it comes back */
	__u32 provided;  /* buffers that the group ever had */
	__u32 held;
	__u32 streams;  /* that hold some */
	__u32 top_held; /* by one stream */
	__u32 top;      /* that stream */
	__u32 group;    /* for the kernel's programs: 1 + position of its sums */
	__u8 at_issue;
	__u8 pad[7];
};

/* For what-if: what happened to the level of a group. */
enum book_flow_kind {
	FLOW_TAKE,
	FLOW_RETURN,
	FLOW_STARVE,
};

struct book_flow {
	book_u64 at_ns;
	__u32 nr;
	__u32 kind; /* enum book_flow_kind */
};

#define BOOK_FLOW_NS 1000 /* what follows within is one */
#define BOOK_BLOCK   1024 /* a power of two */

/* Flows of one group, in their order, as the kernel's programs keep them. */
struct book_block {
	__u32 is_used;
	__u32 nr;
	__u32 next; /* 1 + position of the block that follows; 0: none yet */
	__u32 pad;
	struct book_flow flows[BOOK_BLOCK];
};

enum book_state {
	BOOK_FREE,
	BOOK_OPEN,
	BOOK_SHUT, /* its ring is gone: nothing is added any more */
};

struct book_sums {
	/* what most completions touch lies together, and then what most returns do */
	book_u64 stretch; /* of its buffers, see stretch_first() */
	__u32 state;      /* enum book_state */
	__u32 is_read;    /* as it is now, by who reads */
	__u32 tgid;       /* who completes for it; 0: not known */
	__u32 kind;       /* enum group_kind */
	__u32 is_whole;   /* its registration was seen: the books are complete */
	__u32 flows_full;
	book_u64 told; /* events that are of interest to who waits for quiet */
	book_u64 open; /* requests that were seen submitted and have not ended */
	book_u64 named;
	book_u64 after_last; /* completions with a buffer that no request can have made */

	book_u64 returned;
	book_u64 taken;
	book_u64 bundles;
	__s32 most_res; /* of a completion that told one buffer */
	__u32 held, peak_held;
	__u32 provided; /* buffers that the group ever had */
	__u32 round;    /* times that buffers came back */
	__u32 in_episode;
	__u32 entries;
	__u32 block; /* 1 + position of the flows that are written now; 0: none */
	__u32 nr_flows;
	__u32 episode; /* 1 + position of the present one; 0: none */

	book_u64 filled;
	book_u64 hold_ns_max;    /* of those that came back */
	__u32 sizes[BOOK_SIZES]; /* completions by log2 of their bytes */
	__u32 hold[HOLD_BUCKETS];

	book_u64 ring_id;
	__u32 bgid;
	__u32 first_block;
	__u32 nr_episodes;
	__u32 owed;          /* buffers that were taken while they were held */
	__u32 owed_bid;      /* the last of them */
	__s32 refused_res;   /* of the last */
	book_u64 first_ns;   /* event */
	book_u64 last_ns;    /* event */
	__u32 early;         /* of those held: lent before the books began */
	__u32 failed;        /* buffers that came with an error */
	__u32 failed_then;   /* the same, when the last request was submitted */
	__u32 failed_back;   /* and came back */
	__u32 cut_from;      /* the buffer of the last of `cut` */
	book_u64 backs;      /* times that the tail went back */
	__u32 back_by;       /* the last time */
	__u32 back_to;       /* available then, as the kernel counts it */
	book_u64 unselected; /* receives that carry the group's id and do not select */
	book_u64 causes[STARVE_CAUSES];
	book_u64 double_returns;
	book_u64 alien_returns; /* of buffers that it never had, when it was whole */
	__u32 double_bid;
	__u32 alien_bid;
	book_u64 overflows;      /* completions with a buffer that found the CQ full */
	book_u64 refused_legacy; /* PROVIDE or REMOVE on a ring */
	book_u64 efaults;
	struct {
		book_u64 count;
		__u32 left; /* of the entry, the last time */
		__u32 pad;
	} cut_short,          /* incremental: -EFAULT of recvmsg, at an entry in use */
		refused_rest; /* -EINVAL of anything, there */
	struct {
		book_u64 count;
		__u32 bytes; /* of the last */
		__u32 pad;
	} lone,               /* full buffers to bundles, one by one, though more would be filled */
		cut;          /* sends of a length of their own: shorter than their buffer */
	book_u64 for_bundles; /* requests that ask for them */
	book_u64 waitall;     /* requests with MSG_WAITALL */
	struct {
		book_u64 count; /* files, after a starve, with nothing asked of them in between */
		book_u64 first_ns;
		book_u64 after; /* requests of the group since the first */
		__s32 fd;       /* the last */
		__u32 pad;
	} closed;
	book_u64 phantom_ends; /* no bytes, no buffer, yet more in the socket */
	book_u64 lost_episodes;
	book_u64 lost_streams; /* events whose stream found no room */
	book_u64 missed;       /* events that could not be booked */
	book_u64 over_ns;      /* its process ended then; 0: that was not seen */
	__u32 left;            /* buffers in it then; REC_UNKNOWN_U32 */
	__u32 pad;
} __attribute__((aligned(64))); /* a cache line */

/* ---- arithmetic */

/* The compiler is not to know its bounds: it would leave out what proves them to a verifier. */
#define BOOK_OPAQUE(number) asm volatile("" : "+r"(number))

BOOK_FN __u32 book_log2(book_u64 v)
{
	__u32 high = v >> 32, low = (__u32)v, r = 0;

	if (high) {
		r = 32;
		low = high;
	}
	if (low >> 16) {
		r += 16;
		low >>= 16;
	}
	if (low >> 8) {
		r += 8;
		low >>= 8;
	}
	if (low >> 4) {
		r += 4;
		low >>= 4;
	}
	if (low >> 2) {
		r += 2;
		low >>= 2;
	}
	return r + (low >> 1);
}

/* Of a histogram of hold times. */
BOOK_FN __u32 book_bucket(book_u64 ns)
{
	__u32 power = book_log2(ns >> HOLD_SHIFT);
	__u32 bucket = 0;

	if (ns >> HOLD_SHIFT)
		bucket = 1 + power * 4 + (__u32)((ns >> (HOLD_SHIFT - 2 + power)) & 3);
	return bucket < HOLD_BUCKETS ? bucket : HOLD_BUCKETS - 1;
}

/* ---- buffers come and go */

struct book_taking {
	book_u64 at_ns;
	__u32 bid;
	__u32 stream;
	__u32 stream_ends;
	__u8 is_unnamed;
	__u8 with_error;
};

BOOK_FN void book_take(struct book_sums *sums, struct book_buffer *buffer,
		       const struct book_taking *taking)
{
	if (buffer->place == BUFFER_UNKNOWN)
		sums->provided++;
	if (buffer->place == BUFFER_HELD) {
		sums->held--;
		sums->early -= buffer->is_early;
		/* one that was out already may be named only now: a request had it all the while */
		if (sums->kind != GROUP_LEGACY && !buffer->is_early && buffer->owed < 255 &&
		    !buffer->owed++) {
			sums->owed++;
			sums->owed_bid = taking->bid;
		}
	}
	buffer->since_ns = taking->at_ns;
	buffer->returns_then = sums->returned;
	buffer->stream = taking->stream;
	buffer->stream_ends = taking->stream_ends;
	buffer->is_unnamed = taking->is_unnamed;
	buffer->with_error = taking->with_error;
	buffer->is_early = 0;
	buffer->bytes = 0;
	buffer->place = BUFFER_HELD;
	sums->failed += taking->with_error;
	sums->taken++;
	sums->held++;
	if (sums->held > sums->peak_held)
		sums->peak_held = sums->held;
}

/* A buffer that the group never had comes in. */
BOOK_FN void book_fill(struct book_sums *sums, __u32 bid)
{
	sums->filled++;
	if (!sums->entries || sums->provided < sums->entries || sums->kind == GROUP_LEGACY)
		return;
	sums->alien_returns++;
	sums->alien_bid = bid;
}

/*
 * For how long it was out; -1: nobody knows. Two processors may tell a return and the next taking
 * of the same buffer in the wrong order: then it is held when its return is told.
 */
BOOK_FN __s64 book_return(struct book_sums *sums, struct book_buffer *buffer, __u32 bid,
			  book_u64 at_ns)
{
	__s64 age = -1;

	if (buffer->owed && buffer->place == BUFFER_HELD) {
		sums->owed -= !--buffer->owed;
		return -1;
	}
	if (buffer->place == BUFFER_UNKNOWN) {
		book_fill(sums, bid);
		sums->provided++;
	} else if (buffer->place == BUFFER_IN && sums->kind != GROUP_LEGACY) {
		sums->double_returns++;
		sums->double_bid = bid;
	} else if (buffer->place == BUFFER_HELD) {
		if (!buffer->is_early)
			age = at_ns > buffer->since_ns ? (__s64)(at_ns - buffer->since_ns) : 0;
		if (age > 0 && (book_u64)age > sums->hold_ns_max)
			sums->hold_ns_max = (book_u64)age;
		sums->failed_back += buffer->with_error;
		sums->early -= buffer->is_early;
		sums->held--;
	}
	buffer->since_ns = at_ns;
	buffer->is_early = 0;
	buffer->place = BUFFER_IN;
	buffer->bytes = 0;
	return age;
}

/* A buffer that was out when the books began. What was told of it since is newer. */
BOOK_FN void book_lend(struct book_sums *sums, struct book_buffer *buffer, book_u64 at_ns)
{
	if (buffer->place != BUFFER_UNKNOWN)
		return;
	buffer->since_ns = at_ns;
	buffer->returns_then = sums->returned;
	buffer->stream = BOOK_NO_STREAM;
	buffer->is_early = 1;
	buffer->place = BUFFER_HELD;
	sums->provided++;
	sums->early++;
	sums->held++;
	if (sums->held > sums->peak_held)
		sums->peak_held = sums->held;
}

/* The tail went back by so many. */
BOOK_FN void book_back(struct book_sums *sums, __u32 nr, __u32 available)
{
	sums->told++;
	sums->backs++;
	sums->back_by = nr;
	sums->back_to = available;
}

/* After the buffers of one look. */
BOOK_FN void book_returned(struct book_sums *sums, __u32 nr)
{
	sums->returned += nr;
	sums->round++;
	sums->told++;
}

/* Until now everything stayed out. */
BOOK_FN void book_episode_over(struct book_episode *episode, book_u64 at_ns)
{
	if (at_ns > episode->at_ns)
		episode->age_ns += at_ns - episode->at_ns;
}

/* Whether it is part of the last one. */
BOOK_FN int book_flow_joins(struct book_flow *last, const struct book_flow *flow)
{
	if (last->kind != flow->kind || flow->kind == FLOW_STARVE ||
	    flow->at_ns - last->at_ns >= BOOK_FLOW_NS || last->nr + flow->nr >= 1U << 29)
		return 0;
	last->nr += flow->nr;
	return 1;
}

/* ---- requests */

BOOK_FN void book_end(struct book_sums *sums, struct book_stream *stream,
		      const struct trace_rec *rec)
{
	if (rec->cqe_flags & BOOK_CQE_MORE)
		return;
	/* without a file it may be of a request whose submission was not seen */
	if (rec->fd >= 0 && sums->open && !stream->is_silent)
		sums->open--;
	if (rec->kind == TRACE_DONE && rec->res != BOOK_NO_BUFS) {
		stream->ends++;
		stream->ended_ns = 0;
		return;
	}
	/* a completion that overflowed does not tell its request: every one looks like multishot */
	if (!(rec->flags & TRACE_MULTISHOT) || (stream->submitted && !stream->is_multishot))
		return;
	stream->ended_ns = rec->at_ns;
	stream->ended_res = rec->res;
	stream->ended_with_buffer = rec->cqe_flags & BOOK_CQE_BUFFER && rec->available == 0;
}

#define BOOK_IN_BUNDLES 16    /* IORING_RECVSEND_BUNDLE */
#define BOOK_WAITALL    0x100 /* MSG_WAITALL */

/* Of one buffer: could there have been more of it? */
BOOK_FN void book_extent(struct book_sums *sums, const struct book_stream *stream,
			 const struct trace_rec *rec)
{
	__u32 bytes = rec->res > 0 ? (__u32)rec->res : 0;
	int is_whole = stream->length && bytes == stream->length;

	if (!bytes || !rec->extra)
		return;
	if (rec->opcode == BOOK_SEND && is_whole && bytes < rec->extra) {
		sums->cut.count++;
		sums->cut.bytes = bytes;
		sums->cut_from = rec->extra;
	}
	if (!(stream->how & BOOK_IN_BUNDLES) || !(rec->cqe_flags & BOOK_CQE_SOCK) ||
	    !rec->available || rec->available == REC_UNKNOWN_U32)
		return;
	/* what is as long as was asked for ended there */
	if (bytes == rec->extra && !is_whole) {
		sums->lone.count++;
		sums->lone.bytes = bytes;
	}
}

/* A completion with buffers, but for the buffers themselves. stream: NULL if there is no room. */
BOOK_FN void book_select(struct book_sums *sums, struct book_stream *stream,
			 const struct trace_rec *rec)
{
	__u32 size = rec->res > 0 ? 1 + book_log2((__u32)rec->res) : 0;
	int is_rest = rec->flags & TRACE_CONTINUED;

	sums->told++;
	sums->kind = rec->group_kind;
	BOOK_OPAQUE(size);
	if (!is_rest) {
		sums->after_last += !sums->open && sums->is_whole;
		sums->sizes[size & (BOOK_SIZES - 1)]++;
		if (stream) {
			stream->selected++;
			if (rec->kind == TRACE_SELECT)
				book_extent(sums, stream, rec);
			book_end(sums, stream, rec);
		}
	}
	if (rec->kind == TRACE_PARTIAL)
		return;
	if (rec->kind == TRACE_SELECT && rec->res > sums->most_res)
		sums->most_res = rec->res;
	sums->named += rec->nr;
	sums->bundles += rec->kind == TRACE_BUNDLE && !is_rest;
}

#define BOOK_DEMAND 1 /* a buffer was wanted: a flow */
#define BOOK_EMPTY  2 /* part of an episode, or the first of a new one */

/* What it was besides, see above. */
BOOK_FN int book_starve(struct book_sums *sums, struct book_stream *stream,
			const struct trace_rec *rec)
{
	__u32 spins = 0;

	sums->told++;
	if (rec->cause < STARVE_CAUSES)
		sums->causes[rec->cause]++;
	if (stream) {
		stream->starved++;
		stream->starved_ns = rec->at_ns;
		stream->plain = 0;
		if (rec->extra)
			stream->inode = rec->extra;
		if (stream->round != sums->round)
			stream->spins = 0;
		stream->round = sums->round;
		if (rec->cause == STARVE_EMPTY_AT_ISSUE && ++stream->spins > stream->most_spins)
			stream->most_spins = stream->spins;
		spins = stream->spins;
		book_end(sums, stream, rec);
	}
	if (rec->cause != STARVE_EMPTY_AT_ISSUE && rec->cause != STARVE_EMPTY_AT_DATA)
		return 0;
	/* trying again in vain is no further demand */
	return BOOK_EMPTY | (spins < 2 ? BOOK_DEMAND : 0);
}

/* Whether it concerns a stream. */
BOOK_FN int book_done(struct book_sums *sums, const struct trace_rec *rec)
{
	sums->told++;
	if (rec->opcode == BOOK_PROVIDE || rec->opcode == BOOK_REMOVE) {
		if (sums->kind != GROUP_LEGACY && sums->entries) {
			sums->refused_legacy++;
			sums->refused_res = rec->res;
		}
		return 0;
	}
	sums->efaults += rec->res == BOOK_BAD_MEMORY;
	if (rec->res == BOOK_BAD_MEMORY && rec->opcode == BOOK_RECVMSG && rec->extra) {
		sums->cut_short.count++;
		sums->cut_short.left = rec->extra;
	}
	if (rec->res == BOOK_BAD_ARG && rec->extra) {
		sums->refused_rest.count++;
		sums->refused_rest.left = rec->extra;
	}
	if (rec->res == 0 && rec->cqe_flags & BOOK_CQE_SOCK)
		sums->phantom_ends++;
	return 1;
}

/* The file of a stream that starved is no longer open. */
BOOK_FN void book_closed(struct book_sums *sums, struct book_stream *stream, book_u64 at_ns)
{
	if (!sums->closed.count++)
		sums->closed.first_ns = at_ns;
	sums->closed.fd = stream->fd;
	stream->starved_ns = stream->ended_ns = 0;
}

BOOK_FN void book_submit(struct book_sums *sums, struct book_stream *stream,
			 const struct trace_rec *rec)
{
	sums->told++;
	/* the same number, another file */
	if (stream->starved_ns && stream->inode && rec->extra && rec->extra != stream->inode)
		book_closed(sums, stream, rec->at_ns);
	sums->closed.after += sums->closed.count > 0;
	stream->is_silent = (rec->flags & TRACE_SILENT) != 0;
	sums->open += !stream->is_silent;
	stream->starved_ns = 0;
	stream->inode = rec->extra;
	stream->user_data = rec->user_data;
	stream->submitted++;
	stream->plain = 0;
	stream->ended_ns = 0;
	stream->opcode = rec->opcode;
	stream->length = rec->nr;
	stream->how = rec->cqe_flags;
	sums->failed_then = sums->failed;
	sums->for_bundles += (rec->cqe_flags & BOOK_IN_BUNDLES) != 0;
	sums->waitall += rec->available != REC_UNKNOWN_U32 && rec->available & BOOK_WAITALL;
	stream->is_multishot = (rec->flags & TRACE_MULTISHOT) != 0;
}

/* A file that received by selection before brings a buffer of its own. */
BOOK_FN void book_plain(struct book_stream *stream, book_u64 at_ns)
{
	stream->ended_ns = stream->starved_ns = 0;
	stream->spins = 0; /* it is served otherwise: what it tries next is another demand */
	if (!stream->plain++)
		stream->plain_ns = at_ns;
}

/* A new life: what the old group's buffers were is of no interest any more. */
BOOK_FN void book_begin(struct book_sums *sums)
{
	sums->provided = sums->held = sums->owed = sums->early = 0;
	sums->failed = sums->failed_then = sums->failed_back = 0;
	sums->is_whole = 0;
	sums->named = 0;
	sums->in_episode = 0;
}

/* ---- at the beginning of an episode */

/* What is out, by how long it has been. */
struct book_ages {
	book_u64 at_ns;
	__u32 count; /* which: each has another number, not 0 */
	__u32 nr;
	__u32 below;
	__u32 bucket[HOLD_BUCKETS];
};

/* The next of all buffers, if it is out. stream: of its taker, NULL: not known. */
BOOK_FN void book_note_age(struct book_episode *episode, struct book_ages *ages,
			   const struct book_buffer *buffer, struct book_stream *stream)
{
	book_u64 age = ages->at_ns > buffer->since_ns ? ages->at_ns - buffer->since_ns : 0;
	__u32 bucket = book_bucket(age);

	BOOK_OPAQUE(bucket);
	ages->bucket[bucket & (HOLD_BUCKETS - 1)]++;
	ages->nr++;
	if (!stream)
		return;
	if (stream->seen != ages->count)
		stream->held = 0;
	stream->seen = ages->count;
	episode->streams += !stream->held++;
	if (stream->held <= episode->top_held)
		return;
	episode->top_held = stream->held;
	episode->top = buffer->stream;
}

/* Bucket by bucket, until the median is in it: 1. Within the bucket by proportion. */
BOOK_FN int book_find_median(struct book_episode *episode, struct book_ages *ages, __u32 bucket)
{
	__u32 nr = ages->bucket[bucket & (HOLD_BUCKETS - 1)], power = (bucket - 1) / 4 & 31;
	book_u64 start, width;

	if (ages->below + nr <= ages->nr / 2) {
		ages->below += nr;
		return 0;
	}
	start = bucket ? (4ULL + (bucket - 1) % 4) << (HOLD_SHIFT - 2 + power) : 0;
	width = bucket ? 1ULL << (HOLD_SHIFT - 2 + power) : 1ULL << HOLD_SHIFT;
	episode->age_ns = start + width * (2 * (ages->nr / 2 - ages->below) + 1) / (2ULL * nr);
	return 1;
}

#ifndef __bpf__

/* The kernel's books, mapped. Who reads may free what is shut, and blocks that it has read. */
struct book_view {
	struct book_sums *sums;
	struct book_stream *streams;
	const struct book_buffer *buffers;
	const struct book_episode *episodes;
	struct book_block *blocks;
	uint32_t max_sums, nr_streams, nr_buffers, nr_blocks;
	uint32_t nr_sums, nr_episodes; /* that were used by now */
};

_Static_assert(sizeof(struct book_buffer) == 32, "book_buffer is part of the shared layout");
_Static_assert(sizeof(struct book_stream) == 128, "book_stream is part of the shared layout");
_Static_assert(sizeof(struct book_episode) == 56, "book_episode is part of the shared layout");
_Static_assert(sizeof(struct book_flow) == 16, "book_flow is part of the shared layout");
#endif

#endif

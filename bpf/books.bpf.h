/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Books of groups, kept where things happen, in arrays that user space maps: nothing crosses to it
 * for a single event. What an event adds is in book.h; here is where the books lie. Without the
 * knob all of it is dead code.
 *
 * Who holds the `busy` of a group's account writes its books: completions, submissions and looks
 * take turns, for some dozens of nanoseconds each.
 */
#ifndef BUFSCOPE_BOOKS_BPF_H
#define BUFSCOPE_BOOKS_BPF_H

#include "kernel.bpf.h"
#include "compat.bpf.h"
#include "index.bpf.h"
#include "book.h"
#include "trace.bpf.h"

/* ---- knobs: how many there are, powers of two */
const volatile __u32 max_sums = 1;
const volatile __u32 max_streams = 1;
const volatile __u32 max_episodes = 1;
const volatile __u32 max_blocks = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct book_sums);
} book_sums SEC(".maps");

/* Beside the ledger, element by element. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct book_buffer);
} book_buffers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct book_stream);
} book_streams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct book_episode);
} book_episodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct book_block);
} book_blocks SEC(".maps");

/* By hash of the group and user_data of its last request: 1 + position of a stream. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} book_names SEC(".maps");

/* Of each account: 1 + position of its sums; 0: none yet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} books_of SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct book_ages);
} book_ages SEC(".maps");

__u32 next_sums, next_block;
__u32 nr_episodes; /* used elements */
__u32 nr_ages;

/* ---- sums */

struct claim {
	__u32 found; /* 1 + position */
};

static long claim_sums_step(__u32 i, struct claim *claim)
{
	__u32 at = __sync_fetch_and_add(&next_sums, 1) & (max_sums - 1);
	struct book_sums *sums = bpf_map_lookup_elem(&book_sums, &at);

	if (!sums || __sync_val_compare_and_swap(&sums->state, BOOK_FREE, BOOK_OPEN) != BOOK_FREE)
		return 0;
	claim->found = at + 1;
	return 1;
}

/* What is free is all zero. */
__noinline int open_sums(__u32 position)
{
	const struct account *group = count_at(position);
	__u32 *at = bpf_map_lookup_elem(&books_of, &position), key;
	struct claim claim = {.found = nothing};
	struct book_sums *sums;

	if (!group || !at || *at)
		return 0;
	bpf_loop(max_sums, claim_sums_step, &claim, 0);
	key = claim.found - 1;
	sums = bpf_map_lookup_elem(&book_sums, &key);
	if (!sums) {
		lose(EVENT_GROUPS_FULL);
		return 0;
	}
	sums->bgid = group->bgid;
	sums->kind = group->kind;
	sums->entries = group->entries;
	sums->first_ns = bpf_ktime_get_ns();
	/* who reads goes by this */
	*(volatile __u64 *)&sums->ring_id = group->ring_id;
	*at = key + 1;
	return 0;
}

/* Those that there are; NULL: none. */
static __always_inline struct book_sums *known_sums(__u32 position)
{
	const __u32 *at = bpf_map_lookup_elem(&books_of, &position);
	__u32 key = at ? *at - 1 : REC_UNKNOWN_U32;

	return bpf_map_lookup_elem(&book_sums, &key);
}

/* As others refer to them. */
static __always_inline __u32 number_of(const struct account *group)
{
	__u32 position = group->position;
	const __u32 *at = bpf_map_lookup_elem(&books_of, &position);

	return at ? *at : 0;
}

static __always_inline struct book_sums *sums_of(const struct account *group)
{
	struct book_sums *sums = known_sums(group->position);

	if (sums)
		return sums;
	open_sums(group->position);
	return known_sums(group->position);
}

/* The group goes on elsewhere, if at all. */
static __always_inline void shut_sums(struct account *group)
{
	__u32 position = group->position;
	struct book_sums *sums = known_sums(position);
	__u32 *at = bpf_map_lookup_elem(&books_of, &position);

	if (!sums || !at)
		return;
	/* until its buffers were read nothing else is to lie there */
	if (!sums->is_read)
		group->stretch = 0;
	*at = 0;
	__sync_lock_test_and_set(&sums->state, BOOK_SHUT);
}

/* A new life begins, or the old one has ended. */
static __noinline int begin_sums(__u32 position)
{
	struct book_sums *sums = known_sums(position);

	if (!sums)
		return 0;
	book_begin(sums);
	sums->stretch = 0;
	return 0;
}

/* Its registration was seen. */
static __noinline int begin_whole(__u32 position)
{
	const struct account *group = count_at(position);
	struct book_sums *sums = group ? sums_of(group) : NULL;

	if (!group || !sums)
		return 0;
	/* requests of an earlier group of this id would draw from this one */
	sums->is_whole = !sums->open;
	sums->kind = group->kind;
	sums->entries = group->entries;
	return 0;
}

/* Something is added. */
static __always_inline void touch(struct book_sums *sums, const struct account *group)
{
	if (sums->is_read)
		sums->is_read = 0;
	if (group->state == ACCOUNT_LIVE)
		sums->stretch = group->stretch;
}

/* ---- buffers */

static __always_inline struct book_buffer *buffer_at(const struct account *group, __u32 bid)
{
	__u64 stretch = *(volatile __u64 *)&group->stretch;
	__u32 key = stretch_first(stretch) + bid;

	return bid < stretch_nr(stretch) ? bpf_map_lookup_elem(&book_buffers, &key) : NULL;
}

static long clear_buffer_step(__u32 i, struct account **group)
{
	struct book_buffer *buffer = buffer_at(*group, i);

	if (buffer)
		__builtin_memset(buffer, 0, sizeof(*buffer));
	return !buffer;
}

/* Of a stretch that an earlier life had. */
static __noinline int clear_buffers(struct account *group)
{
	const struct book_sums *sums = known_sums(group->position);

	if (!sums || !sums->stretch)
		bpf_loop(stretch_nr(group->stretch), clear_buffer_step, &group, 0);
	return 0;
}

static __always_inline void move_buffer(__u32 from, __u32 to)
{
	const struct book_buffer *old = bpf_map_lookup_elem(&book_buffers, &from);
	struct book_buffer *new = bpf_map_lookup_elem(&book_buffers, &to);

	if (old && new)
		*new = *old;
}

/* ---- flows */

static __always_inline struct book_block *block_at(__u32 position)
{
	return bpf_map_lookup_elem(&book_blocks, &position);
}

#define BLOCK_PROBES 8

/* A further block; NULL: there is none. */
static __always_inline struct book_block *add_block(struct book_sums *sums, struct book_block *last)
{
	for (__u32 i = 0; i < BLOCK_PROBES; i++) {
		__u32 at = __sync_fetch_and_add(&next_block, 1) & (max_blocks - 1);
		struct book_block *block = block_at(at);

		if (!block || __sync_val_compare_and_swap(&block->is_used, 0, 1))
			continue;
		block->nr = block->next = 0;
		sums->block = at + 1;
		if (last)
			*(volatile __u32 *)&last->next = at + 1;
		else
			*(volatile __u32 *)&sums->first_block = at + 1;
		return block;
	}
	return NULL;
}

static __noinline int log_flow(struct book_sums *sums, const struct book_flow *flow)
{
	struct book_block *block;
	__u32 nr;

	if (!sums || !flow || sums->flows_full)
		return 0;
	block = block_at(sums->block - 1);
	nr = block ? block->nr : 0;
	if (block && nr && book_flow_joins(&block->flows[(nr - 1) & (BOOK_BLOCK - 1)], flow))
		return 0;
	if (!block || nr >= BOOK_BLOCK) {
		block = sums->nr_flows < BOOK_FLOWS ? add_block(sums, block) : NULL;
		nr = 0;
	}
	if (!block) {
		sums->flows_full = 1;
		return 0;
	}
	barrier_var(nr); /* or the bound is found to be known, and left out: not so for 6.1 */
	block->flows[nr & (BOOK_BLOCK - 1)] = *flow;
	barrier();
	block->nr++;
	sums->nr_flows++;
	return 0;
}

/* ---- returns; who looks is busy with the group */

/* For how long it was out; -1: nobody knows. */
static __always_inline __s64 book_one_return(const struct account *group, struct book_sums *sums,
					     __u32 bid, __u64 now)
{
	struct book_buffer *buffer = buffer_at(group, bid);

	if (buffer)
		return book_return(sums, buffer, bid, now);
	/* it will have a place after the look */
	if (group->stretch)
		book_fill(sums, bid);
	return -1;
}

/* nr: all of them; flow: but for the fill, which is no return of what was taken. */
static __always_inline void book_all_returned(const struct account *group, struct book_sums *sums,
					      __u32 nr, struct book_flow *flow)
{
	struct book_episode *episode;
	__u32 key = sums->episode - 1;

	touch(sums, group);
	sums->last_ns = flow->at_ns;
	sums->kind = group->kind;
	episode = sums->in_episode ? bpf_map_lookup_elem(&book_episodes, &key) : NULL;
	if (episode)
		book_episode_over(episode, flow->at_ns);
	sums->in_episode = 0;
	book_returned(sums, nr);
	if (flow->nr && !sums->flows_full)
		log_flow(sums, flow);
}

static __always_inline void book_tail_back(const struct account *group, __u32 nr, __u32 available)
{
	struct book_sums *sums = sums_of(group);

	if (!sums)
		return;
	touch(sums, group);
	book_back(sums, nr, available);
}

/* ---- streams */

#define STREAM_PROBES 16

struct stream_search {
	__u64 ring_id;
	__u64 user_data;
	__u32 first;
	__u32 group; /* 1 + position of its sums */
	__s32 fd;
	__u32 is_fixed;
	__u32 found; /* 1 + position */
	__u32 free;  /* 1 + position */
};

static __always_inline __u32 stream_hash(__u64 ring_id, __u64 number)
{
	__u64 mix = ((ring_id >> 6) + number) * 0x9e3779b97f4a7c15ULL;

	return mix >> 32;
}

static __always_inline struct book_stream *stream_in(__u32 position)
{
	return bpf_map_lookup_elem(&book_streams, &position);
}

static __always_inline int is_sought(const struct book_stream *stream,
				     const struct stream_search *search)
{
	if (stream->group != search->group || stream->fd != search->fd)
		return 0;
	return search->fd >= 0 ? stream->is_fixed == search->is_fixed
			       : stream->user_data == search->user_data;
}

static long stream_step(__u32 i, struct stream_search *search)
{
	__u32 at = (search->first + i) & (max_streams - 1);
	struct book_stream *stream = stream_in(at);

	if (!stream)
		return 1;
	if (!stream->group && !search->free)
		search->free = at + 1;
	if (!is_sought(stream, search))
		return 0;
	search->found = at + 1;
	return 1;
}

/* 1 + its position; 0: no room. */
static __noinline int seek_stream(const struct trace_rec *rec, __u32 group)
{
	struct stream_search search = {
		.ring_id = rec->ring_id,
		.user_data = rec->user_data,
		.group = group,
		.fd = rec->fd < 0 ? -1 : rec->fd,
		.is_fixed = (rec->flags & TRACE_FIXED_FILE) != 0,
		.found = nothing,
		.free = nothing,
	};
	struct book_stream *stream;

	search.first = stream_hash(rec->ring_id, rec->fd < 0 ? rec->user_data : rec->fd);
	bpf_loop(STREAM_PROBES, stream_step, &search, 0);
	if (search.found)
		return search.found;
	stream = stream_in(search.free - 1);
	if (!stream || __sync_val_compare_and_swap(&stream->group, 0, group)) {
		lose(EVENT_REQS_EVICTED);
		return 0;
	}
	stream->fd = search.fd;
	stream->is_fixed = search.is_fixed;
	stream->user_data = search.user_data;
	/* who reads goes by this */
	*(volatile __u64 *)&stream->ring_id = search.ring_id;
	return search.free;
}

static __always_inline __u32 *name_at(__u32 group, __u64 user_data)
{
	__u32 key = stream_hash((__u64)group << 6, user_data) & (max_streams - 1);

	return bpf_map_lookup_elem(&book_names, &key);
}

/* Who had a request with this user_data last; 0: that is not known. */
static __always_inline __u32 named_stream(const struct trace_rec *rec, __u32 group)
{
	const __u32 *name = name_at(group, rec->user_data);
	const struct book_stream *stream = name ? stream_in(*name - 1) : NULL;

	return stream && stream->group == group && stream->user_data == rec->user_data ? *name : 0;
}

static __always_inline void name_stream(const struct trace_rec *rec, __u32 group, __u32 number)
{
	__u32 *name = name_at(group, rec->user_data);

	if (name && *name != number)
		*name = number;
}

/* Most are found where they are looked for first. */
static __always_inline __u32 find_book_stream(const struct trace_rec *rec, __u32 group)
{
	__u32 at = stream_hash(rec->ring_id, rec->fd < 0 ? rec->user_data : rec->fd) &
		   (max_streams - 1);
	const struct book_stream *stream = stream_in(at);

	if (stream && stream->group == group && rec->fd >= 0 && stream->fd == rec->fd &&
	    stream->is_fixed == !!(rec->flags & TRACE_FIXED_FILE))
		return at + 1;
	if (rec->fd < 0 && named_stream(rec, group))
		return named_stream(rec, group);
	return seek_stream(rec, group);
}

/* ---- starves */

struct account_ages {
	const struct account *group;
	struct book_episode *episode;
	struct book_ages *ages;
};

static long age_step(__u32 bid, struct account_ages *all)
{
	const struct book_buffer *buffer = buffer_at(all->group, bid);

	if (!buffer)
		return 1;
	if (buffer->place == BUFFER_HELD)
		book_note_age(all->episode, all->ages, buffer, stream_in(buffer->stream));
	return 0;
}

static long clear_age_step(__u32 i, struct book_ages **ages)
{
	(*ages)->bucket[i & (HOLD_BUCKETS - 1)] = 0;
	return 0;
}

static long median_step(__u32 i, struct account_ages *all)
{
	return book_find_median(all->episode, all->ages, i);
}

/* What is out, at the beginning of an episode. */
static __noinline int describe(const struct account *group, struct book_episode *episode)
{
	struct account_ages all = {.group = group, .episode = episode};
	__u32 zero = 0;

	all.ages = bpf_map_lookup_elem(&book_ages, &zero);
	if (!all.ages || !group || !episode)
		return 0;
	all.ages->at_ns = episode->at_ns;
	all.ages->nr = all.ages->below = 0;
	all.ages->count = __sync_fetch_and_add(&nr_ages, 1) + 1;
	bpf_loop(HOLD_BUCKETS, clear_age_step, &all.ages, 0);
	bpf_loop(stretch_nr(group->stretch), age_step, &all, 0);
	if (all.ages->nr)
		bpf_loop(HOLD_BUCKETS, median_step, &all, 0);
	return 0;
}

static __always_inline void book_empty(const struct account *group, struct book_sums *sums,
				       const struct trace_rec *rec)
{
	struct book_episode *episode;
	__u32 key = sums->episode - 1;

	if (sums->in_episode) {
		episode = bpf_map_lookup_elem(&book_episodes, &key);
		if (episode)
			episode->starves++;
		return;
	}
	key = REC_UNKNOWN_U32;
	if (sums->nr_episodes < BOOK_EPISODES && nr_episodes < max_episodes)
		key = __sync_fetch_and_add(&nr_episodes, 1);
	episode = bpf_map_lookup_elem(&book_episodes, &key);
	if (!episode) {
		sums->lost_episodes++;
		return;
	}
	sums->in_episode = 1;
	sums->nr_episodes++;
	sums->episode = key + 1;
	episode->at_ns = rec->at_ns;
	episode->starves = 1;
	episode->at_issue = rec->cause == STARVE_EMPTY_AT_ISSUE;
	describe(group, episode);
	episode->provided = sums->provided;
	episode->held = sums->held;
	__sync_lock_test_and_set(&episode->group, number_of(group));
}

/* ---- events */

struct takes {
	struct account *group;
	struct book_sums *sums;
	struct book_taking taking;
};

static long take_book_step(__u32 i, struct takes *takes)
{
	struct book_buffer *buffer = buffer_at(takes->group, takes->taking.bid & 0xffff);

	if (buffer)
		book_take(takes->sums, buffer, &takes->taking);
	takes->taking.bid++;
	takes->taking.is_unnamed = 1;
	return 0;
}

/* Not inline: what it needs of the stack is not needed while a stream is sought. */
static __noinline int book_taken(struct account *group, struct book_sums *sums,
				 const struct trace_rec *rec, __u32 stream)
{
	const struct book_stream *taker = stream_in(stream - 1);
	struct takes takes = {
		.group = group,
		.sums = sums,
		.taking = {.at_ns = rec->at_ns,
			   .bid = rec->bid,
			   .stream = stream - 1,
			   .stream_ends = taker ? taker->ends : 0,
			   .is_unnamed = (rec->flags & TRACE_CONTINUED) != 0,
			   .with_error = rec->res < 0},
	};

	if (rec->nr == 1)
		take_book_step(0, &takes);
	else
		bpf_loop(rec->nr & 0xffff, take_book_step, &takes, 0);
	return 0;
}

static __always_inline void book_flow(struct book_sums *sums, const struct trace_rec *rec,
				      __u32 kind)
{
	const struct book_flow flow = {.at_ns = rec->at_ns,
				       .nr = kind == FLOW_TAKE && rec->nr ? rec->nr : 1,
				       .kind = kind};

	log_flow(sums, &flow);
}

static __always_inline void book_completion(struct account *group, struct book_sums *sums,
					    const struct trace_rec *rec, __u32 stream)
{
	struct book_buffer *buffer;

	book_select(sums, stream_in(stream - 1), rec);
	if (rec->kind != TRACE_PARTIAL) {
		book_taken(group, sums, rec, stream);
		book_flow(sums, rec, FLOW_TAKE);
		return;
	}
	buffer = buffer_at(group, rec->bid);
	if (buffer && rec->res > 0)
		buffer->bytes += rec->res;
}

static __always_inline void book_without(struct account *group, struct book_sums *sums,
					 struct trace_rec *rec, __u32 number)
{
	struct book_stream *stream = stream_in(number - 1);
	int what;

	if (rec->kind == TRACE_STARVE) {
		what = book_starve(sums, stream, rec);
		if (what & BOOK_EMPTY)
			book_empty(group, sums, rec);
		if (what & BOOK_DEMAND)
			book_flow(sums, rec, FLOW_STARVE);
	} else if (rec->kind == TRACE_SUBMIT) {
		if (!stream)
			return;
		if (stream->starved_ns && !stream->is_fixed)
			rec->extra = inode_of(rec->fd);
		book_submit(sums, stream, rec);
		name_stream(rec, stream->group, number);
	} else if (book_done(sums, rec) && stream) {
		book_end(sums, stream, rec);
	}
}

static __noinline int book_rec(struct account *group, struct trace_rec *rec)
{
	struct book_sums *sums = group ? sums_of(group) : NULL;
	__u32 number, tid;

	if (!sums || !rec || !group) {
		lose(EVENT_GROUPS_FULL);
		return 0;
	}
	touch(sums, group);
	sums->last_ns = rec->at_ns;
	if (!sums->tgid)
		this_thread(&sums->tgid, &tid);
	if (rec->kind == TRACE_OVERFLOW) {
		sums->overflows += rec->cqe_flags & BOOK_CQE_BUFFER;
		return 0;
	}
	number = 0;
	if (rec->opcode != BOOK_PROVIDE && rec->opcode != BOOK_REMOVE) {
		number = find_book_stream(rec, number_of(group));
		sums->lost_streams += !number;
	}
	if (rec->kind == TRACE_SELECT || rec->kind == TRACE_BUNDLE || rec->kind == TRACE_PARTIAL)
		book_completion(group, sums, rec, number);
	else
		book_without(group, sums, rec, number);
	return 0;
}

/* ---- taking turns */

struct turn {
	struct account *group;
	__u32 is_mine;
};

static long hold_step(__u32 i, struct turn *turn)
{
	if (__sync_val_compare_and_swap(&turn->group->busy, 0, 1))
		return 0;
	turn->is_mine = 1;
	return 1;
}

/*
 * Whether it is this one's turn now: the others are many times faster than that, unless a
 * hypervisor stops their processor meanwhile.
 */
static __always_inline int hold(struct account *group)
{
	struct turn turn = {.group = group, .is_mine = nothing};

	if (!__sync_val_compare_and_swap(&group->busy, 0, 1))
		return 1;
	bpf_loop(1 << 20, hold_step, &turn, 0);
	return turn.is_mine;
}

static __always_inline void let_go(struct account *group)
{
#ifdef __TARGET_ARCH_x86
	/* stores are seen there in their order; an exchange takes as long as all that it ends */
	barrier();
	*(volatile __u32 *)&group->busy = 0;
#else
	__sync_lock_test_and_set(&group->busy, 0);
#endif
}

/* Not one's turn: of whose books it is missing. */
static __always_inline void book_missed(__u32 position)
{
	struct book_sums *sums = known_sums(position);

	if (sums)
		__sync_fetch_and_add(&sums->missed, 1);
}

/* Books what was drafted. */
__noinline int book_draft(__u32 which)
{
	struct draft *draft = bpf_map_lookup_elem(&drafts, &which);
	struct account *group = draft ? count_at(draft->position) : NULL;

	if (!draft || !group)
		return 0;
	if (!hold(group)) {
		lose_record(draft->rec.kind, draft->rec.nr);
		book_missed(draft->position);
		return 0;
	}
	book_rec(group, &draft->rec);
	let_go(group);
	return 0;
}

/* ---- the short way */

/*
 * Most events are of a file whose stream lies where it is looked for first, while nobody else is at
 * the group. They are booked as book_rec() would, but nothing is drafted: the record is known where
 * it is made, and never gets to memory. 0: it is not such a one, and was not booked.
 */
struct brief {
	struct book_sums *sums;
	struct book_stream *stream;
	__u32 group; /* 1 + position of the sums */
	__u32 at;    /* of the stream */
};

static __always_inline int find_brief(struct brief *brief, const struct account *group,
				      const struct trace_rec *rec)
{
	__u32 key;

	if (rec->fd < 0)
		return 0;
	brief->group = number_of(group);
	key = brief->group - 1;
	brief->sums = bpf_map_lookup_elem(&book_sums, &key);
	brief->at = stream_hash(group->ring_id, rec->fd) & (max_streams - 1);
	brief->stream = stream_in(brief->at);
	return brief->sums && brief->sums->tgid && brief->stream &&
	       brief->stream->group == brief->group && brief->stream->fd == rec->fd &&
	       brief->stream->is_fixed == !!(rec->flags & TRACE_FIXED_FILE);
}

static __always_inline int begin_brief(struct account *group, struct book_sums *sums, __u64 now)
{
	if (__sync_val_compare_and_swap(&group->busy, 0, 1))
		return 0;
	touch(sums, group);
	sums->last_ns = now;
	return 1;
}

/* One buffer, of one completion. */
static __always_inline int book_select_briefly(struct account *group, const struct trace_rec *rec)
{
	struct book_buffer *buffer = buffer_at(group, rec->bid);
	struct book_taking taking = {.at_ns = rec->at_ns, .bid = rec->bid};
	struct brief brief;

	if (!buffer || !find_brief(&brief, group, rec) ||
	    !begin_brief(group, brief.sums, rec->at_ns))
		return 0;
	book_select(brief.sums, brief.stream, rec);
	taking.stream = brief.at;
	taking.stream_ends = brief.stream->ends;
	book_take(brief.sums, buffer, &taking);
	book_flow(brief.sums, rec, FLOW_TAKE);
	let_go(group);
	return 1;
}

static __always_inline int book_submit_briefly(struct account *group, const struct trace_rec *rec)
{
	struct brief brief;

	/* of a file that starved it matters whether it is the same one */
	if (!find_brief(&brief, group, rec) || brief.stream->starved_ns ||
	    !begin_brief(group, brief.sums, rec->at_ns))
		return 0;
	book_submit(brief.sums, brief.stream, rec);
	name_stream(rec, brief.group, brief.at + 1);
	let_go(group);
	return 1;
}

/* ---- receives that select nothing */

struct plain {
	__u64 ring_id;
	__u64 now;
	__u32 first;
	__s32 fd;
	__u32 is_fixed;
};

static long plain_step(__u32 i, struct plain *plain)
{
	struct book_stream *stream = stream_in((plain->first + i) & (max_streams - 1));

	if (stream && stream->group && stream->ring_id == plain->ring_id &&
	    stream->fd == plain->fd && stream->is_fixed == plain->is_fixed)
		book_plain(stream, plain->now);
	return 0;
}

/* The streams of one file, in whatever groups, lie together. */
static __always_inline void book_plain_submit(struct plain *plain, __u32 bgid)
{
	__u32 code = bgid ? find_count((void *)plain->ring_id, bgid) : 0;
	struct book_sums *sums = code && code != INDEX_IGNORED ? known_sums(code - 1) : NULL;

	if (sums && sums->is_whole)
		sums->unselected++;
	plain->now = bpf_ktime_get_ns();
	plain->first = stream_hash(plain->ring_id, plain->fd);
	bpf_loop(STREAM_PROBES, plain_step, plain, 0);
}

#endif
